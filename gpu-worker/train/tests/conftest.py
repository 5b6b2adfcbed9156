"""A miniature WordNet, and the training package (a tool of the repository, not an installed library) on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

# part of speech, lexicographer file, lemmas, gloss
SYNSETS = [
    ("n", "06", ["lantern"], "light in a transparent protective case"),
    ("n", "12", ["courage", "bravery"], 'a quality of spirit; "he showed courage in the storm"'),
    ("v", "38", ["wander", "roam"], 'move about without any destination; "They wandered through the woods"'),
    ("a", "00", ["brave"], "possessing or displaying bravery"),
    ("r", "02", ["slowly"], "without speed; (used of time or of (slow) things)"),
    ("n", "18", ["scoundrel"], "an offensive name for a person"),
    ("n", "06", ["oddment"], "a thing"),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads would only wait for each other in models as small as those of these tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def wordnet_folder(tmp_path: Path) -> Path:
    """Database files as in wndb(5WN), for the synsets above; each lemma was tagged as often as it comes early."""
    names = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
    tags = []
    for pos, name in names.items():
        data, index = "  1 licence\n", ["  1 licence"]
        for place, (kind, domain, lemmas, gloss) in enumerate(SYNSETS):
            if kind == pos:
                offset = len(data)
                words = " ".join(f"{lemma} 0" for lemma in lemmas)
                data += f"{offset:08d} {domain} {pos} {len(lemmas):02x} {words} 000 | {gloss}  \n"
                index += [f"{lemma} {pos} 1 0 1 1 {offset:08d}  " for lemma in lemmas]
                tags += [f"{lemma}%{'nvar'.index(pos) + 1}:{domain}:00:: 1 {20 - place}" for lemma in lemmas]
        (tmp_path / f"data.{name}").write_text(data)
        (tmp_path / f"index.{name}").write_text("\n".join(sorted(index)) + "\n")
    (tmp_path / "cntlist.rev").write_text("\n".join(tags) + "\n")
    return tmp_path
