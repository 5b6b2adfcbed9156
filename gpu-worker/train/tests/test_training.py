from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jinja2
import numpy as np
import pytest
import torch
from parley_train import chart
from parley_train.corpus import Corpus, sources
from parley_train.dialogue import Dialogue, Turn, exchange
from parley_train.evaluation import answers
from parley_train.export import export
from parley_train.model import Llama, ModelShape
from parley_train.packing import ROW, Rows, pack
from parley_train.tokenizer import CHAT_TEMPLATE, CONTROL_TOKENS, WINDOW, encode, train_tokenizer
from parley_train.trainer import Progress, Recipe, Trainer
from parley_train.wordnet import WordNet
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

SHAPE = ModelShape(
    vocab_size=400,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
)
RECIPE = Recipe(shape=SHAPE, steps=12, rows_per_step=2, warm_up=2, evaluate_every=6, save_every=4)


@pytest.fixture
def dialogues(wordnet_folder: Path) -> list[Dialogue]:
    return list(Corpus.load(WordNet(wordnet_folder)).conversations(300, seed=1))


@pytest.fixture
def tokenizer(dialogues: list[Dialogue]) -> Tokenizer:
    return train_tokenizer((turn.content for dialogue in dialogues for turn in dialogue.turns), SHAPE.vocab_size)


@pytest.fixture
def rows(tokenizer: Tokenizer, dialogues: list[Dialogue]) -> Rows:
    return pack(tokenizer, dialogues, seed=1)


def ignore(_: Progress) -> None:
    """Nobody watches the progress of a test."""


def test_tokens_are_those_of_the_chat_template(tokenizer: Tokenizer) -> None:
    dialogue = Dialogue((Turn("system", "Be kind."), *exchange("Hi <b>!", "Hello 42.").turns))
    template = jinja2.Environment(autoescape=False).from_string(CHAT_TEMPLATE)  # noqa: S701 (it makes a prompt, not a page)
    messages = [{"role": turn.role, "content": turn.content} for turn in dialogue.turns]

    ids, learnt, _ = encode(tokenizer, dialogue, ROW)

    assert ids == tokenizer.encode(template.render(messages=messages, add_generation_prompt=False)).ids
    assert tokenizer.decode([number for number, learns in zip(ids, learnt, strict=True) if learns]) == "Hello 42."
    assert [tokenizer.token_to_id(token) for token in CONTROL_TOKENS] == [0, 1, 2, 3, 4]


def test_packed_conversations_do_not_see_each_other(rows: Rows) -> None:
    batch = rows.batch(np.array([0]))
    conversation = torch.from_numpy(rows.conversation[0, :-1].astype(np.int64))
    query, key = batch.mask[0, 0].nonzero(as_tuple=True)

    assert conversation.max() > 1
    assert bool((conversation[query] == conversation[key]).all())
    assert bool((query >= key).all())
    assert rows.positions.max() < WINDOW
    assert (rows.conversation > 0).mean() > 0.9


def test_the_loss_falls(tmp_path: Path, rows: Rows) -> None:
    trainer = Trainer(replace(RECIPE, steps=20), rows, rows, tmp_path)
    before, _ = trainer.evaluate(rows)

    trainer.run(ignore)

    assert trainer.progress.held_out[-1][1] < before * 0.9


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path, rows: Rows) -> None:
    whole = Trainer(RECIPE, rows, rows, folder(tmp_path, "whole")).run(ignore)

    with pytest.raises(KeyboardInterrupt):
        Trainer(RECIPE, rows, rows, folder(tmp_path, "cut")).run(interrupt_at(7))
    second = Trainer(RECIPE, rows, rows, tmp_path / "cut")
    assert second.progress.step == 4
    resumed = second.run(ignore)

    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())
    assert [step for step, _ in second.progress.training] == list(range(12))


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return report


def test_transformers_computes_the_same_from_the_exported_folder(tmp_path: Path, tokenizer: Tokenizer) -> None:
    torch.manual_seed(1)
    model = Llama(SHAPE)
    export(model, tokenizer, sources(), tmp_path)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    oracle = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ids = torch.randint(5, 400, (1, 30))

    with torch.no_grad():
        ours = model.logits(model.hidden(ids, torch.arange(30)[None], torch.ones(30, 30, dtype=torch.bool).tril()))
        theirs = oracle(ids).logits

    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert oracle.generation_config.eos_token_id == [4]
    assert "Princeton" in (tmp_path / "NOTICE").read_text()


def test_the_trained_model_answers_in_text(tokenizer: Tokenizer) -> None:
    torch.manual_seed(1)

    said = list(answers(Llama(SHAPE), tokenizer, (("Hello!", "Who are you?"),)))

    assert [question for question, _ in said] == ["Hello!", "Who are you?"]
    assert all("<|" not in answer for _, answer in said)


def test_the_loss_curve_is_a_picture(tmp_path: Path) -> None:
    progress = Progress(3, [(0, 8.0), (1, 7.0), (2, 6.5)], [(3, 6.6, 0.1)])

    chart.draw(progress, tmp_path / "img" / "loss.png")

    assert (tmp_path / "img" / "loss.png").read_bytes().startswith(b"\x89PNG")
