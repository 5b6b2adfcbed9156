"""Traces: W3C traceparent in and out of every hop, spans by OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("parley")  # of whichever provider `configure_telemetry` sets


def configure_telemetry(service: str) -> None:
    """Once, at the start of a process: spans get ids. Where they are exported to is added here by a later step."""
    trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": service})))


@contextmanager
def span(name: str, carrier: Mapping[str, str] | None = None) -> Iterator[trace.Span]:
    """A span around the block; `carrier` (headers or metadata) names its parent, else the current span is."""
    context = _propagator.extract(dict(carrier)) if carrier else None
    with _tracer.start_as_current_span(name, context=context) as current:
        yield current


def outgoing() -> dict[str, str]:
    """The headers that carry the current span to the next hop: `traceparent`, and `tracestate` if any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier
