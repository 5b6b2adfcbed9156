"""A topic: partitions, which are logs, and the place of each group in each of them."""

from __future__ import annotations

from zlib import crc32

from parley_bus.base import Delivery, Record
from parley_bus.memory.cursor import Cursor
from parley_kit.errors import Unavailable


class Partition:
    """Records from the lowest that some group still needs up to `end`. Without groups, the newest that fit.

    It is full with `capacity` records, or with values of `capacity_bytes` in all; a single record always fits.
    """

    def __init__(self, index: int, capacity: int, capacity_bytes: int) -> None:
        self.index = index
        self.first = 0
        self.cursors: list[Cursor] = []
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self._records: dict[int, Record] = {}

    @property
    def end(self) -> int:
        """The offset that the next record gets."""
        return self.first + len(self._records)

    def append(self, record: Record) -> None:
        while self._records and self._is_full(record):
            if self.cursors:
                raise Unavailable(f"{record.topic} is full of records that its groups have not settled")
            self._drop_below(self.first + 1)
        self._records[self.end] = record
        self._bytes += len(record.value)
        for cursor in self.cursors:
            cursor.wake_owner()

    def delivery(self, offset: int) -> Delivery:
        return Delivery(self._records[offset], self.index, offset)

    def trim(self) -> None:
        """Forget what every group has committed."""
        self._drop_below(min(cursor.committed for cursor in self.cursors))

    def _drop_below(self, offset: int) -> None:
        while self.first < offset:
            self._bytes -= len(self._records.pop(self.first).value)
            self.first += 1

    def _is_full(self, record: Record) -> bool:
        return len(self._records) >= self._capacity or self._bytes + len(record.value) > self._capacity_bytes


class Topic:
    def __init__(self, partitions: int, capacity: int, capacity_bytes: int) -> None:
        self.partitions = [Partition(index, capacity, capacity_bytes) for index in range(partitions)]

    def append(self, record: Record) -> None:
        """To the partition of its key, which is the same in every process and on every start."""
        key = record.key.encode("utf-8", "surrogatepass")
        self.partitions[crc32(key) % len(self.partitions)].append(record)
