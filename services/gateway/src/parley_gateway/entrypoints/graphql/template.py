"""The token path: a subscription's selection compiled, once, to a template of the bytes that a TokenDelta becomes.

graphql-core takes some 80 µs for each event, a hundred times what the bytes cost. What the template cannot express
(directives, several root selections) runs on graphql-core, and every other event does so anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from parley_gateway.entrypoints.graphql.subscription import TokenDelta

_MATCHING = ("TokenDelta", "GenerationEvent")


@dataclass(frozen=True, slots=True)
class DeltaTemplate:
    """`shape` is the response with a slot for each of `fields`, in order."""

    shape: bytes
    fields: tuple[str, ...]

    def render(self, delta: TokenDelta) -> bytes:
        """The response for `delta`, byte for byte what graphql-core's result encodes to."""
        return self.shape % tuple([orjson.dumps(getattr(delta, field)) for field in self.fields])


class _NotPlain(Exception):
    """The selection has something that only graphql-core can evaluate."""


def compile_template(document: DocumentNode, operation: OperationDefinitionNode) -> DeltaTemplate | None:
    """The template of a valid subscription to `generation`; None when its selection is not plain."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    roots = operation.selection_set.selections
    root = roots[0]
    if operation.directives or len(roots) != 1 or not isinstance(root, FieldNode) or root.directives:
        return None
    try:
        keys = dict(_fields(root.selection_set, fragments))
    except _NotPlain:
        return None
    slots = b",".join(_slot(key, field) for key, field in keys.items())
    shape = b'{"data":{"' + _key(root).encode() + b'":{' + slots + b"}}}"
    return DeltaTemplate(shape, tuple(field for field in keys.values() if field != "__typename"))


def _fields(
    selections: SelectionSetNode | None, fragments: dict[str, FragmentDefinitionNode]
) -> Iterator[tuple[str, str]]:
    """Response keys and field names that apply to a TokenDelta, in order; a key that comes again is the same field."""
    for node in selections.selections if selections else ():
        if node.directives:
            raise _NotPlain
        if isinstance(node, FieldNode):
            yield _key(node), node.name.value
            continue
        fragment = node if isinstance(node, InlineFragmentNode) else fragments[_name(node)]
        if fragment.directives:
            raise _NotPlain
        if fragment.type_condition is None or fragment.type_condition.name.value in _MATCHING:
            yield from _fields(fragment.selection_set, fragments)


def _slot(key: str, field: str) -> bytes:
    value = b'"TokenDelta"' if field == "__typename" else b"%b"
    return b'"' + key.encode() + b'":' + value


def _key(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _name(node: object) -> str:
    assert isinstance(node, FragmentSpreadNode)  # noqa: S101 - there are three kinds of selections
    return node.name.value
