"""The chat template of a checkpoint: messages become the text that the model was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from parley_worker.core import ChatMessage
from parley_worker.models.errors import CheckpointError
from parley_worker.models.files import JsonFile, read_optional_json, read_text

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class ChatTemplate:
    """A compiled template with the checkpoint's special-token variables."""

    def __init__(self, source: str, variables: dict[str, str], origin: Path) -> None:
        try:
            self._template = _environment().from_string(source)
        except TemplateSyntaxError as error:
            raise CheckpointError(f"{origin}: chat_template line {error.lineno}: {error.message}") from error
        self._variables = variables

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """The prompt that asks for the next answer. Raises ValueError if the template refuses the messages."""
        values = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(
                messages=values, add_generation_prompt=True, tools=None, documents=None, **self._variables
            )
        except (TemplateError, TypeError, ValueError, LookupError) as error:
            raise ValueError(f"the chat template refuses these messages: {error}") from error


def read_chat_template(folder: Path) -> ChatTemplate | None:
    """The template in chat_template.jinja, else in tokenizer_config.json; None for a model without one."""
    config = read_optional_json(folder / "tokenizer_config.json")
    file = folder / "chat_template.jinja"
    source = read_text(file) if file.exists() else _default_template(config)
    variables = _special_tokens(read_optional_json(folder / "special_tokens_map.json")) | _special_tokens(config)
    return None if source is None else ChatTemplate(source, variables, file if file.exists() else config.path)


def _default_template(config: JsonFile) -> str | None:
    """The template itself, or the one called `default` in a list of them."""
    value = config.get("chat_template")
    if isinstance(value, list):
        named = {item.get("name"): item.get("template") for item in value if isinstance(item, dict)}
        value = named.get("default")
    if value is not None and not isinstance(value, str):
        raise config.error("chat_template", "must be a template or a list of named templates")
    return value


def _special_tokens(config: JsonFile) -> dict[str, str]:
    values = {name: config.get(name) for name in _SPECIAL_TOKENS}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in values.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationBlock]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


class _GenerationBlock(Extension):
    """`{% generation %}` marks what the model says in training; here it is only its content."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, **options: Any) -> str:
    # Not jinja2's own: that one escapes HTML.
    return json.dumps(value, **{"ensure_ascii": False, **options})


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(format_string: str) -> str:
    return datetime.now().strftime(format_string)  # noqa: DTZ005 - the model's day is the local one
