"""The names of blocks."""

from __future__ import annotations

from parley_worker.kv.digests import BlockDigests
from parley_worker.scheduler.batch import BLOCK_SIZE

TOKENS = list(range(3 * BLOCK_SIZE))


def names(digests: BlockDigests, tokens: list[int], blocks: int) -> list[bytes]:
    made: list[bytes] = []
    digests.extend(made, tokens, blocks)
    return made


def test_equal_prefixes_have_equal_names_up_to_where_they_part() -> None:
    digests, other = BlockDigests(b"salt"), [*TOKENS]
    other[BLOCK_SIZE] = 99
    mine, his = names(digests, TOKENS, 3), names(digests, other, 3)
    assert [a == b for a, b in zip(mine, his, strict=True)] == [True, False, False]
    assert len(set(mine)) == 3


def test_a_name_stands_for_all_that_is_before_the_block() -> None:
    repeated = TOKENS[:BLOCK_SIZE] * 2
    first, second = names(BlockDigests(b"salt"), repeated, 2)
    assert first != second


def test_names_are_the_same_however_they_are_made_and_made_once() -> None:
    digests = BlockDigests(b"salt")
    made = names(digests, TOKENS, 1)
    digests.extend(made, TOKENS, 3)
    assert made == names(digests, TOKENS, 3)
    digests.extend(made, [], 2)
    assert len(made) == 3


def test_ids_are_not_confused_by_their_bytes() -> None:
    digests = BlockDigests(b"salt")
    low, high = [1] + [0] * 15, [256] + [0] * 15
    assert names(digests, low, 1) != names(digests, high, 1)


def test_a_begun_block_is_named_by_what_is_before_it_and_by_all_of_its_tokens() -> None:
    digests, size = BlockDigests(b"salt"), BLOCK_SIZE
    full, changed = names(digests, TOKENS, 3), [99, *TOKENS[1:]]
    begun = [digests.of_begun(full[:2], TOKENS, end) for end in range(2 * size + 1, 3 * size)]
    assert len({*begun, *full}) == len(begun) + 3
    assert digests.of_begun(names(digests, changed, 2), changed, 2 * size + 1) != begun[0]
    assert digests.of_begun([], TOKENS, 5) == digests.of_begun([], TOKENS[:5], 5)
    assert digests.of_begun([], TOKENS, 5, "ada") != digests.of_begun([], TOKENS, 5, "bob")


def test_nobody_can_tell_the_names_of_another_process() -> None:
    assert names(BlockDigests(), TOKENS, 1) != names(BlockDigests(), TOKENS, 1)
    assert names(BlockDigests(b"salt"), TOKENS, 1) != names(BlockDigests(b"pepper"), TOKENS, 1)
    assert len(names(BlockDigests(), TOKENS, 1)[0]) * 8 >= 128


def test_each_owner_has_names_of_his_own() -> None:
    digests, mine, theirs = BlockDigests(b"salt"), list[bytes](), list[bytes]()
    digests.extend(mine, TOKENS, 1, "ada")
    digests.extend(theirs, TOKENS, 1, "bob")
    assert mine != theirs
