"""Conversations packed into rows of equal length, so that hardly a token of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from parley_train.dialogue import Dialogue
from parley_train.tokenizer import WINDOW, encode

ROW = 256
_OPEN_ROWS = 32
_Number = TypeVar("_Number", np.int16, np.bool_)


@dataclass(frozen=True)
class Batch:
    """Rows of ids [batch, time] and their positions, where attention may go [batch, 1, time, time], where the next
    token is learnt [batch, time], and these next tokens, one after the other."""

    ids: Tensor
    positions: Tensor
    mask: Tensor
    learnt: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Rows:
    """Packed [row, time]: ids, positions, number of the conversation inside the row (0: padding), what is learnt."""

    ids: NDArray[np.int16]
    positions: NDArray[np.int16]
    conversation: NDArray[np.int16]
    learnt: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """These rows as tensors. No token sees another conversation of its row."""
        ids = torch.from_numpy(self.ids[rows].astype(np.int64))
        conversation = torch.from_numpy(self.conversation[rows].astype(np.int64))
        same = conversation[:, :, None] == conversation[:, None, :]
        mask = (same & torch.ones(ROW, ROW, dtype=torch.bool).tril()).unsqueeze(1)
        positions = torch.from_numpy(self.positions[rows].astype(np.int64))
        learnt = torch.from_numpy(self.learnt[rows][:, 1:])  # a conversation begins with a role, which is never learnt
        return Batch(ids[:, :-1], positions[:, :-1], mask[:, :, :-1, :-1], learnt, ids[:, 1:][learnt])


def pack(tokenizer: Tokenizer, dialogues: Iterable[Dialogue], seed: int) -> Rows:
    """Rows of `ROW` tokens; each conversation goes whole into the fullest of the open rows that has room."""
    random = Random(seed)
    closed: list[_Row] = []
    open_rows: list[_Row] = []
    for dialogue in dialogues:
        ids, learnt, turns = encode(tokenizer, dialogue, ROW)
        fitting = [row for row in open_rows if len(row.ids) + len(ids) <= ROW]
        if not fitting:
            open_rows.append(_Row())
            fitting = open_rows[-1:]
        max(fitting, key=lambda row: len(row.ids)).add(ids, learnt, _positions(turns, random))
        if len(open_rows) > _OPEN_ROWS:
            fullest = max(open_rows, key=lambda row: len(row.ids))
            open_rows.remove(fullest)
            closed.append(fullest)
    return _stack(closed + open_rows)


class _Row:
    def __init__(self) -> None:
        self.ids: list[int] = []
        self.learnt: list[bool] = []
        self.positions: list[int] = []
        self.conversation: list[int] = []

    def add(self, ids: list[int], learnt: list[bool], positions: list[int]) -> None:
        number = self.conversation[-1] + 1 if self.conversation else 1
        self.ids += ids
        self.learnt += learnt
        self.positions += positions
        self.conversation += [number] * len(ids)


def _positions(turns: list[int], random: Random) -> list[int]:
    """Positions in the window. For every third conversation some turns lie further apart than they are, so that
    distances up to the whole window are met in training although the rows are short."""
    spread = random.random() < 0.33
    room = WINDOW - len(turns)
    shift, positions, last = 0, [], 0
    for index, turn in enumerate(turns):
        if spread and turn != last:
            jump = random.randint(0, min(room, 200))
            shift, room = shift + jump, room - jump
        last = turn
        positions.append(index + shift)
    return positions


def _stack(rows: list[_Row]) -> Rows:
    return Rows(
        ids=_padded([row.ids for row in rows], np.int16),
        positions=_padded([row.positions for row in rows], np.int16),
        conversation=_padded([row.conversation for row in rows], np.int16),
        learnt=_padded([row.learnt for row in rows], np.bool_),
    )


def _padded(rows: Sequence[Sequence[int]], dtype: type[_Number]) -> NDArray[_Number]:
    out = np.zeros((len(rows), ROW), dtype=dtype)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return out
