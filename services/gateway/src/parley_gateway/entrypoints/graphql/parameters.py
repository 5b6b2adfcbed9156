"""The parameters of a GraphQL request, whichever transport brought them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from parley_gateway.entrypoints.graphql.errors import PARSE_FAILED, RequestRejected

MAX_BODY_BYTES = 1_310_720
"""100,000 characters outside of the BMP, each escaped in JSON as two surrogates, and room for the rest."""

MAX_NESTING = 64

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Parameters:
    query: str
    variables: Mapping[str, Any] | None
    operation_name: str | None


def parse_json(text: str | bytes) -> Any:
    """The JSON value. Raises ValueError for what is no JSON, and for NaN, the infinities and deep nesting."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_nesting(value)
    return value


def to_parameters(body: object) -> Parameters:
    """The parameters in a request's body. Raises RequestRejected naming what is wrong with them."""
    if not isinstance(body, dict):
        raise RequestRejected.because("the request must be one JSON object; batches are not supported")
    query, variables, name = body.get("query"), body.get("variables"), body.get("operationName")
    if not isinstance(query, str):
        raise RequestRejected.because("`query` must be a string")
    if variables is not None and not isinstance(variables, dict):
        raise RequestRejected.because("`variables` must be an object")
    if name is not None and not isinstance(name, str):
        raise RequestRejected.because("`operationName` must be a string")
    if not isinstance(body.get("extensions"), dict | None):
        raise RequestRejected.because("`extensions` must be an object")
    if _SURROGATE.search(query):
        raise RequestRejected.because("the document holds a lone surrogate", PARSE_FAILED)
    return Parameters(query, variables, name)


def holds_surrogate(value: object) -> bool:
    """Whether a lone surrogate, which is no text, is anywhere in a JSON value."""
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, list):
        return any(map(holds_surrogate, value))
    if isinstance(value, dict):
        return any(map(holds_surrogate, value)) or any(map(holds_surrogate, value.values()))
    return False


def _check_nesting(value: object) -> None:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [child for one in level for child in _children(one)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
