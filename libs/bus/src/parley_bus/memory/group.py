"""A group: its members, its place in each partition, and who owns which."""

from __future__ import annotations

from collections.abc import Mapping

from parley_bus.base import Delivery
from parley_bus.memory.assignment import share
from parley_bus.memory.cursor import Cursor
from parley_bus.memory.member import Member
from parley_bus.memory.topic import Partition, Topic


class Group:
    """Places outlive the members, so that a group that comes back goes on where it stopped."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._places: dict[str, list[tuple[Partition, Cursor]]] = {}
        self._turn = 0

    def join(self, member: Member, topics: Mapping[str, Topic]) -> None:
        for name, topic in topics.items():
            if name not in self._places:
                self._places[name] = [_place(partition) for partition in topic.partitions]
        self.members.append(member)
        self._rebalance(member.topics)

    def leave(self, member: Member) -> None:
        member.close()
        self.members.remove(member)
        self._rebalance(member.topics)

    def take(self, member: Member, most: int) -> list[Delivery]:
        """Up to `most` deliveries from the partitions of `member`, beginning at another one each time."""
        places = [place for name in member.topics for place in self._places[name] if place[1].owner is member]
        self._turn += 1
        first = self._turn % max(len(places), 1)
        batch: list[Delivery] = []
        for partition, cursor in places[first:] + places[:first]:
            while len(batch) < most and (offset := cursor.take(partition.end)) is not None:
                batch.append(partition.delivery(offset))
        return batch

    def settle(self, delivery: Delivery) -> None:
        partition, cursor = self._places[delivery.record.topic][delivery.partition]
        cursor.settle(delivery.offset)
        partition.trim()

    def _rebalance(self, topics: tuple[str, ...]) -> None:
        for name in topics:
            members = [member for member in self.members if name in member.topics]
            cursors = [cursor for _, cursor in self._places[name]]
            for cursor, owner in zip(cursors, _owners(cursors, members), strict=True):
                cursor.assign(owner)


def _place(partition: Partition) -> tuple[Partition, Cursor]:
    cursor = Cursor(partition.first)
    partition.cursors.append(cursor)
    return partition, cursor


def _owners(cursors: list[Cursor], members: list[Member]) -> list[Member | None]:
    if not members:
        return [None] * len(cursors)
    held = [{index for index, cursor in enumerate(cursors) if cursor.owner is member} for member in members]
    shares = share(len(cursors), held)
    owners = {index: member for member, mine in zip(members, shares, strict=True) for index in mine}
    return [owners[index] for index in range(len(cursors))]
