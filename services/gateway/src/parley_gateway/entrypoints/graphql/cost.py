"""How many objects an operation may return at most, by the page sizes that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from parley_gateway.entrypoints.graphql.arguments import MAX_PAGE

MAX_OBJECTS = 150_000
"""One page of 200 conversations with 200 messages each fits, two do not."""

_PAGES = {"conversations": ("first", 20), "messages": ("last", 50)}


def count_objects(document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
    """An upper bound: each page is full, and each page in a page is so every time."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    return _Count(fragments, variables).of_set(operation.selection_set)


class _Count:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables

    def of_set(self, selections: SelectionSetNode | None) -> int:
        total = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                total += self._page(node) * (1 + self.of_set(node.selection_set)) if node.selection_set else 0
            elif isinstance(node, InlineFragmentNode):
                total += self.of_set(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                total += self.of_set(self._fragments[node.name.value].selection_set)
        return total

    def _page(self, field: FieldNode) -> int:
        if field.name.value not in _PAGES:
            return 1
        name, default = _PAGES[field.name.value]
        value = next((argument.value for argument in field.arguments or () if argument.name.value == name), None)
        size: object = default
        if isinstance(value, IntValueNode):
            size = int(value.value)
        elif isinstance(value, VariableNode):
            size = self._variables.get(value.name.value, MAX_PAGE)
        # Numbers: graphql-core takes 200.0 for an Int too.
        return int(min(size, MAX_PAGE)) if isinstance(size, int | float) and size > 0 else default
