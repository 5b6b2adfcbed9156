"""Documents: parsed, within limits and valid, and kept, for most requests repeat one."""

from __future__ import annotations

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules, validate
from graphql.validation import NoSchemaIntrospectionCustomRule

from parley_gateway.entrypoints.graphql.errors import (
    PARSE_FAILED,
    VALIDATION_FAILED,
    RequestRejected,
    format_request_errors,
)
from parley_gateway.entrypoints.graphql.limits import MAX_COMMENTS, MAX_TOKENS, check_limits
from parley_kit.lru import LruCache

KEPT_DOCUMENTS = 500
KEPT_LENGTH = 20_000
MAX_ERRORS = 20


class Documents:
    """The cache is by the exact text, the least recently used goes first."""

    def __init__(self, schema: GraphQLSchema, introspection: bool) -> None:
        self._schema = schema
        self._introspection = introspection
        self._rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        self._kept = LruCache[str, DocumentNode](KEPT_DOCUMENTS)

    def get(self, text: str) -> DocumentNode:
        """The valid document of `text`. Raises RequestRejected with every reason against it."""
        document = self._kept.get(text)
        if document is not None:
            return document
        document = _parsed(text)
        self._check(document)
        if len(text) <= KEPT_LENGTH:
            self._kept.put(text, document)
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


def _parsed(text: str) -> DocumentNode:
    try:
        return parse(text, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_COMMENTS, allow_empty_selection_sets=False)
    except GraphQLError as error:
        raise RequestRejected(format_request_errors([error], PARSE_FAILED)) from None
