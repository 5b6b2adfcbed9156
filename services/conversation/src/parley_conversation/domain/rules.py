"""What may be asked: sizes and ranges, checked once, at the door. A refusal names the field as clients spell it."""

from __future__ import annotations

from dataclasses import dataclass

from parley_conversation.domain.generation import Parameters
from parley_kit.errors import BadInput

MAX_PAGE = 200
MAX_IDS = 200
MAX_REQUEST_ID = 64
MAX_SEARCH = 1_000
MAX_MODEL_NAME = 200
MAX_TOKENS = 100_000
MAX_TEMPERATURE = 2.0
MAX_STOPS = 8
MAX_STOP = 1_000
MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Sizes:
    """Limits that an operator may set, in characters (code points)."""

    content: int = 100_000
    title: int = 200
    system_prompt: int = 100_000


def check_content(content: str, sizes: Sizes) -> None:
    """A message is kept byte for byte, so it is refused rather than mended."""
    if not content.strip():
        raise BadInput("content is empty", "content")
    _check_text(content, sizes.content, "content")


def check_title(title: str, sizes: Sizes) -> None:
    _check_text(title, sizes.title, "title")


def check_system_prompt(prompt: str, sizes: Sizes) -> None:
    _check_text(prompt, sizes.system_prompt, "systemPrompt")


def check_request_id(request_id: str) -> None:
    if not request_id:
        raise BadInput("requestId is empty: leave it out or give 1 to 64 characters", "requestId")
    _check_text(request_id, MAX_REQUEST_ID, "requestId")


def check_search(search: str) -> None:
    _check_text(search, MAX_SEARCH, "search")


def check_page(size: int, field: str) -> None:
    if not 1 <= size <= MAX_PAGE:
        raise BadInput(f"{field} is {size}, not within 1..{MAX_PAGE}", field)


def check_id_count(count: int) -> None:
    if count > MAX_IDS:
        raise BadInput(f"{count} ids at once, at most {MAX_IDS}", "ids")


def check_parameters(parameters: Parameters) -> None:
    """Ranges of the sampler's settings. NaN is in no range."""
    _check_range(parameters.max_tokens, 1, MAX_TOKENS, "maxTokens")
    _check_range(parameters.temperature, 0, MAX_TEMPERATURE, "temperature")
    _check_range(parameters.top_p, 0, 1, "topP")
    _check_range(parameters.top_k, 0, MAX_INT64, "topK")
    _check_range(parameters.seed, -MAX_INT64 - 1, MAX_INT64, "seed")
    if len(parameters.stop) > MAX_STOPS:
        raise BadInput(f"stop has {len(parameters.stop)} strings, at most {MAX_STOPS}", "stop")
    for stop in parameters.stop:
        if not stop:
            raise BadInput("a stop string is empty", "stop")
        _check_text(stop, MAX_STOP, "stop")


def _check_range(value: float | None, least: float, most: float, field: str) -> None:
    if value is not None and not least <= value <= most:
        raise BadInput(f"{field} is {value}, not within {least}..{most}", field)


def _check_text(text: str, most: int, field: str) -> None:
    if len(text) > most:
        raise BadInput(f"{field} has {len(text)} characters, at most {most}", field)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{field} holds half a surrogate pair", field) from None
