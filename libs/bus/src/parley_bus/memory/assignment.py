"""Who reads which partition: even, and moving as little as it can, since what moves is delivered again."""

from __future__ import annotations

from collections.abc import Sequence


def share(partitions: int, held: Sequence[set[int]]) -> list[set[int]]:
    """Partitions 0..partitions-1 for each member, given what each holds now. Sizes differ by at most one.

    `held` is disjoint, one set for each member and at least one. Members that hold most keep the larger shares.
    """
    floor, extra = divmod(partitions, len(held))
    by_size = sorted(range(len(held)), key=lambda member: -len(held[member]))
    quota = {member: floor + (rank < extra) for rank, member in enumerate(by_size)}
    shares = [set(sorted(mine)[: quota[member]]) for member, mine in enumerate(held)]
    free = iter(sorted(set(range(partitions)).difference(*shares)))
    for member, mine in enumerate(shares):
        while len(mine) < quota[member]:
            mine.add(next(free))
    return shares
