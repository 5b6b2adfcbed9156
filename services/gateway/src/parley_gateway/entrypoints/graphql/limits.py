"""Bounds on what one document may ask, checked before validation, whose own cost grows with the square of some of them.

Fragments count where they are spread, so that a few lines cannot stand for a million fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

MAX_TOKENS = 10_000
MAX_COMMENTS = 1000
MAX_DEPTH = 20
MAX_ALIASES = 60
MAX_FIELDS = 500
MAX_DIRECTIVES = 50
MAX_FRAGMENTS = 50


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a selection asks for. Depth counts fields in fields."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: Extent) -> Extent:
        return Extent(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
        )


def check_limits(document: DocumentNode) -> list[GraphQLError]:
    """One error for each limit exceeded. Fragments that are written out count even when nothing spreads them."""
    fragments = sum(isinstance(node, FragmentDefinitionNode) for node in document.definitions)
    if fragments > MAX_FRAGMENTS:
        return [GraphQLError(f"the document defines too many fragments: at most {MAX_FRAGMENTS} are allowed")]
    try:
        return [GraphQLError(message) for message in _excesses(_extent(document))]
    except RecursionError:
        return [GraphQLError("the document nests fragments too deeply")]


def _extent(document: DocumentNode) -> Extent:
    measure = _Measure(document)
    whole = Extent()
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            own = Extent(directives=len(definition.directives or ()))
            whole = whole.beside(own).beside(measure.of_set(definition.selection_set))
        elif isinstance(definition, FragmentDefinitionNode):
            whole = whole.beside(measure.of_fragment(definition.name.value))
    return whole


def _excesses(extent: Extent) -> list[str]:
    checks = (
        ("nests fields too deeply", extent.depth, MAX_DEPTH),
        ("selects too many fields", extent.fields, MAX_FIELDS),
        ("has too many aliases", extent.aliases, MAX_ALIASES),
        ("has too many directives", extent.directives, MAX_DIRECTIVES),
    )
    return [f"the document {what}: at most {limit} are allowed" for what, value, limit in checks if value > limit]


class _Measure:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Extent] = {}

    def of_set(self, selections: SelectionSetNode | None) -> Extent:
        total = Extent()
        for selection in selections.selections if selections else ():
            total = total.beside(self._of(selection))
        return total

    def of_fragment(self, name: str) -> Extent:
        if name not in self._known:
            self._known[name] = Extent()  # what a cycle counts: validation refuses it
            fragment = self._fragments.get(name)
            if fragment is not None:
                own = Extent(directives=len(fragment.directives or ()))
                self._known[name] = own.beside(self.of_set(fragment.selection_set))
        return self._known[name]

    def _of(self, selection: SelectionNode) -> Extent:
        directives = Extent(directives=len(selection.directives or ()))
        if isinstance(selection, FieldNode):
            below = self.of_set(selection.selection_set)
            own = Extent(below.depth + 1, 1, 1 if selection.alias else 0)
            return directives.beside(own).beside(below)
        if isinstance(selection, FragmentSpreadNode):
            return directives.beside(self.of_fragment(selection.name.value))
        if isinstance(selection, InlineFragmentNode):
            return directives.beside(self.of_set(selection.selection_set))
        return directives
