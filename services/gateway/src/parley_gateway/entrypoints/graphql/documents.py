"""Documents: parsed, within limits and valid, and kept, for most requests repeat one."""

from __future__ import annotations

from collections import OrderedDict

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules, validate
from graphql.validation import NoSchemaIntrospectionCustomRule

from parley_gateway.entrypoints.graphql.errors import (
    PARSE_FAILED,
    VALIDATION_FAILED,
    RequestRejected,
    format_request_errors,
)
from parley_gateway.entrypoints.graphql.limits import MAX_COMMENTS, MAX_TOKENS, check_limits

KEPT_DOCUMENTS = 500
KEPT_LENGTH = 20_000
MAX_ERRORS = 20


class Documents:
    """The cache is by the exact text, the least recently used goes first."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema = schema
        self._introspection = introspection
        self._rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        self._kept: OrderedDict[str, DocumentNode] = OrderedDict()

    def get(self, text: str) -> DocumentNode:
        """The valid document of `text`. Raises RequestRejected with every reason against it."""
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
            return document
        document = _parsed(text)
        self._check(document)
        if len(text) <= KEPT_LENGTH:
            self._keep(text, document)
        return document

    def _check(self, document: DocumentNode) -> None:
        errors = check_limits(document) or validate(
            self._schema,
            document,
            self._rules,
            max_errors=MAX_ERRORS,
            hide_suggestions=not self._introspection,
        )
        if errors:
            raise RequestRejected(format_request_errors(errors, VALIDATION_FAILED))

    def _keep(self, text: str, document: DocumentNode) -> None:
        self._kept[text] = document
        if len(self._kept) > KEPT_DOCUMENTS:
            self._kept.popitem(last=False)


def _parsed(text: str) -> DocumentNode:
    try:
        return parse(text, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_COMMENTS, allow_empty_selection_sets=False)
    except GraphQLError as error:
        raise RequestRejected(format_request_errors([error], PARSE_FAILED)) from None
