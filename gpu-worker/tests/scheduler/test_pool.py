"""Blocks: held, kept for others, given out again."""

from __future__ import annotations

import pytest

from parley_worker.kv.pool import BlockPool, IntegrityError


def kept(pool: BlockPool, *names: bytes) -> list[int]:
    """Blocks of these names that nobody holds, let go of in this order."""
    blocks = [pool.allocate() for _ in names]
    for block, name in zip(blocks, names, strict=True):
        pool.publish(block, name)
    pool.release(blocks)
    return blocks


def test_a_block_without_a_name_is_free_once_nobody_holds_it() -> None:
    pool = BlockPool(1)
    block = pool.allocate()
    with pytest.raises(IndexError):
        pool.allocate()
    pool.hold(block)
    pool.release([block])
    assert pool.available == 0
    pool.release([block])
    assert (pool.available, pool.kept) == (1, 0)


def test_a_named_block_is_kept_and_found() -> None:
    pool = BlockPool(2)
    (block,) = kept(pool, b"a")
    assert (pool.find(b"a"), pool.kept, pool.available, pool.is_held(block)) == (block, 1, 2, False)
    pool.hold(block)
    assert (pool.find(b"a"), pool.kept, pool.available, pool.is_held(block)) == (block, 0, 1, True)


def test_free_blocks_are_given_before_kept_ones_and_these_in_the_order_they_were_let_go() -> None:
    pool = BlockPool(3)
    first, second = kept(pool, b"a", b"b")
    pool.hold(first)
    pool.release([first])
    assert pool.allocate() not in (first, second)
    assert [pool.allocate(), pool.allocate()] == [second, first]
    assert pool.find(b"a") is pool.find(b"b") is None


def test_a_held_block_is_never_given_out() -> None:
    pool = BlockPool(2)
    first, second = kept(pool, b"a", b"b")
    pool.hold(first)
    assert pool.allocate() == second
    assert pool.available == 0
    assert pool.find(b"a") == first


def test_one_block_of_a_name_is_enough() -> None:
    pool = BlockPool(2)
    first, second = pool.allocate(), pool.allocate()
    pool.publish(first, b"a")
    pool.publish(second, b"a")
    pool.release([first, second])
    assert (pool.find(b"a"), pool.kept) == (first, 1)
    pool.check_integrity([])


def test_a_barred_block_is_found_by_nobody_until_it_is_given_out_anew() -> None:
    pool = BlockPool(1)
    block = pool.allocate()
    pool.publish(block, b"a")
    pool.hold(block)
    pool.bar(block)
    pool.publish(block, b"a")
    assert pool.find(b"a") is None
    pool.release([block, block])
    assert pool.kept == 0
    pool.publish(pool.allocate(), b"b")
    assert pool.find(b"b") == block


def test_who_claims_a_block_has_it_for_himself() -> None:
    pool = BlockPool(2)
    (block,) = kept(pool, b"a")
    assert pool.claim(b"b") is None
    assert pool.claim(b"a") == block
    assert (pool.find(b"a"), pool.claim(b"a"), pool.kept, pool.available) == (None, None, 0, 1)
    pool.check_integrity([block])
    pool.release([block])
    assert pool.kept == 0


def test_a_held_block_is_not_claimed() -> None:
    pool = BlockPool(1)
    pool.publish(pool.allocate(), b"a")
    assert pool.claim(b"a") is None


def test_integrity_counts_the_holders() -> None:
    pool = BlockPool(2)
    block = pool.allocate()
    pool.hold(block)
    pool.check_integrity([block, block])
    for held in ([block], [block] * 3, [1 - block, block, block]):
        with pytest.raises(IntegrityError, match="holders"):
            pool.check_integrity(held)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda pool: pool._free.append(pool._free[0]), "states"),
        (lambda pool: pool._free.pop(), "states"),
        (lambda pool: pool._found.clear(), "index"),
        (lambda pool: pool._names.__setitem__(pool._free[0], b""), "free and has a name"),
        (lambda pool: pool.bar(0), "kept without a name"),
    ],
)
def test_integrity_tells_what_is_wrong(damage: object, complaint: str) -> None:
    pool = BlockPool(3)
    assert kept(pool, b"a") == [0]
    pool.check_integrity([])
    assert callable(damage)
    damage(pool)
    with pytest.raises(IntegrityError, match=complaint):
        pool.check_integrity([])
