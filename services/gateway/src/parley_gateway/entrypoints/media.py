"""Which media type a response takes."""

from __future__ import annotations

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"

NAMED = 2


def preferred(accept: str | None, offered: tuple[str, ...]) -> str | None:
    """The offer that an Accept header likes best; None when it likes none.

    Of equals that it names, the last: offers go from the one that anybody takes to the one that only those who know it
    ask for. Of equals that only a wildcard covers, the first.
    """
    if not accept or not accept.strip():
        return offered[0]
    ranges = [_parse(part) for part in accept.split(",")]
    ranked = [(_weight(offer, ranges), index) for index, offer in enumerate(offered)]
    (weight, _), best = max(ranked, key=lambda rank: (rank[0], rank[1] if rank[0][1] == NAMED else -rank[1]))
    return offered[best] if weight > 0 else None


def _parse(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


def _weight(offer: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """The weight by the most specific range that matches, and how specific that is."""
    family = f"{offer.partition('/')[0]}/*"
    for specificity, name in ((NAMED, offer), (1, family), (0, "*/*")):
        weights = [weight for range_, weight in ranges if range_ == name]
        if weights:
            return max(weights), specificity
    return 0.0, 0
