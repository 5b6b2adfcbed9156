"""The stores of the cluster mode: a MongoDB database, on `parley_kit.mongo`."""

from __future__ import annotations

from parley_auth.adapters.mongo.families import MongoRefreshFamilies
from parley_auth.adapters.mongo.schema import MIGRATIONS
from parley_auth.adapters.mongo.users import MongoUsers

__all__ = ["MIGRATIONS", "MongoRefreshFamilies", "MongoUsers"]
