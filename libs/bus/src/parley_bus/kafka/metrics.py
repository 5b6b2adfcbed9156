"""What the bus counts. Labels are topics and groups, of which there are few: never a key, never an id."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PUBLISHED = Counter("parley_bus_published_total", "Records to publish, by what came of them.", ["topic", "outcome"])
FETCHED = Counter("parley_bus_fetched_total", "Records handed to consumers.", ["topic", "group"])
SETTLED = Counter("parley_bus_settled_total", "Records settled.", ["topic", "group"])
REJECTED = Counter("parley_bus_rejected_total", "Records moved to the dead letters.", ["topic", "group"])
LAG = Gauge("parley_bus_lag", "Records that wait or are not settled, in this member's partitions.", ["topic", "group"])
PRODUCERS_REPLACED = Counter("parley_bus_producers_replaced_total", "Producers given up after an indefinite error.")
MEMBERS_REPLACED = Counter(
    "parley_bus_members_replaced_total", "Memberships that failed, could not begin, or were closed.", ["group"]
)
