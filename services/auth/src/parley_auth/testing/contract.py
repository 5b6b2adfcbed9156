"""The whole contract. An adapter's test is a subclass with the fixtures `users` and `families`, on one empty store."""

from __future__ import annotations

from parley_auth.testing.families import FamiliesContract
from parley_auth.testing.users import UsersContract


class StoresContract(UsersContract, FamiliesContract):
    """All that auth keeps, as one store serves it."""
