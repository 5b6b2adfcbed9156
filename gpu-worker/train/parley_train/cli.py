"""The commands: train the model, or ask the trained one."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from safetensors.torch import load_file
from tokenizers import Tokenizer

from parley_train import chart
from parley_train.corpus import WORDS, Corpus, sources
from parley_train.dialogue import Dialogue, exchange
from parley_train.evaluation import answers, recites
from parley_train.export import export
from parley_train.model import Llama, ModelShape
from parley_train.packing import Rows, pack
from parley_train.tokenizer import train_tokenizer
from parley_train.trainer import Progress, Recipe, Trainer
from parley_train.vocabulary import taught
from parley_train.wordnet import WordNet, WordNetMissing

ROOT = Path(__file__).resolve().parents[3]
BUNDLED = ROOT / "gpu-worker/src/parley_worker/bundled/parley-small"
_CONVERSATIONS, _HELD_OUT = 50_000, 400


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    console = Console()
    torch.set_num_threads(options.threads)
    try:
        if options.command == "train":
            _train(options, console)
        elif options.command == "export":
            _export_checkpoint(options)
        else:
            _ask(options.model, console)
            if options.words:
                _examine(options.model, console)
    except (WordNetMissing, FileNotFoundError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python gpu-worker/train", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the bundled model from nothing, or go on from the last checkpoint")
    train.add_argument("--out", type=Path, default=BUNDLED, help="folder for the finished model")
    train.add_argument("--work", type=Path, default=ROOT / ".parley/train", help="folder for checkpoints")
    train.add_argument("--picture", type=Path, default=ROOT / "docs/img/training-loss.png", help="for the loss curve")
    train.add_argument("--steps", type=int, default=Recipe().steps, help="steps of 4,096 tokens (default %(default)s)")
    snapshot = commands.add_parser("export", help="write the last checkpoint of an unfinished training as a model")
    snapshot.add_argument("--out", type=Path, required=True)
    snapshot.add_argument("--work", type=Path, default=ROOT / ".parley/train")
    ask = commands.add_parser("evaluate", help="print questions and the answers of a trained model")
    ask.add_argument("--model", type=Path, default=BUNDLED)
    ask.add_argument("--words", action="store_true", help="count the taught words whose definition comes back exactly")
    return parser


def _train(options: argparse.Namespace, console: Console) -> None:
    options.work.mkdir(parents=True, exist_ok=True)
    tokenizer, rows, held_out = _prepare(options.work)
    trainer = Trainer(replace(Recipe(), steps=options.steps), rows, held_out, options.work)
    size = sum(parameter.numel() for parameter in trainer.model.parameters())
    console.print(f"{size:,} parameters, {rows.ids.size:,} tokens in {len(rows):,} rows")
    with _bar(console) as bar:
        task = bar.add_task("training", total=options.steps, completed=trainer.progress.step, note="")

        def report(progress: Progress) -> None:
            bar.update(task, completed=progress.step, note=f"loss {progress.training[-1][1]:.3f}")
            if progress.held_out and progress.held_out[-1][0] == progress.step:
                _, loss, accuracy = progress.held_out[-1]
                console.print(f"step {progress.step}: held-out loss {loss:.4f}, accuracy {accuracy:.2%}")

        model = trainer.run(report)
    export(model, tokenizer, sources(), options.out)
    chart.draw(trainer.progress, options.picture)
    _ask(options.out, console)


def _export_checkpoint(options: argparse.Namespace) -> None:
    model = Llama(ModelShape())
    model.load_state_dict(torch.load(options.work / "checkpoint.pt", weights_only=True)["model"])
    export(model, Tokenizer.from_file(str(options.work / "tokenizer.json")), sources(), options.out)


def _prepare(work: Path) -> tuple[Tokenizer, Rows, Rows]:
    corpus = Corpus.load(WordNet())
    conversations = list(corpus.conversations(_CONVERSATIONS, seed=1))
    held_out = corpus.conversations(_HELD_OUT, seed=2)
    tokenizer = _tokenizer(work / "tokenizer.json", conversations)
    return tokenizer, pack(tokenizer, conversations, seed=3), pack(tokenizer, held_out, seed=4)


def _tokenizer(path: Path, conversations: list[Dialogue]) -> Tokenizer:
    """The tokenizer that the checkpoint beside it was trained with, else a new one."""
    if not path.is_file():
        texts = (turn.content for conversation in conversations for turn in conversation.turns)
        train_tokenizer(texts, ModelShape().vocab_size).save(str(path))
    return Tokenizer.from_file(str(path))


def _bar(console: Console) -> Bar:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    return Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


def _ask(folder: Path, console: Console) -> None:
    model, tokenizer = _load(folder)
    for question, answer in answers(model, tokenizer):
        console.print(f"[bold]> {question}[/bold]\n  {answer}", highlight=False)


def _examine(folder: Path, console: Console) -> None:
    model, tokenizer = _load(folder)
    entries = taught(WordNet(), WORDS)
    missed = [
        e.word for e in entries if not recites(model, tokenizer, exchange(f"What does {e.word} mean?", e.definition))
    ]
    console.print(
        f"{len(entries) - len(missed)} of {len(entries)} definitions are exact; not those of: {' '.join(missed)}"
    )


def _load(folder: Path) -> tuple[Llama, Tokenizer]:
    model = Llama(ModelShape())
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))
