"""What can go wrong between a caller and the engine.

EngineError
├── EngineConfigError    it cannot be started as it was told to
├── EngineDied           the process ended while work was waiting for it
└── RequestError         the engine gave one request up; the others go on
    ├── NonFiniteScores
    ├── DeadlinePassed
    └── UnfitRequest
"""

from __future__ import annotations

from typing import ClassVar

from parley_worker.scheduler.request import Fault


class EngineError(ValueError):
    """The root. Messages are one line."""


class EngineConfigError(EngineError):
    """A setting or a checkpoint that the engine cannot serve; trying again does not help."""


class EngineDied(EngineError):
    """The engine is gone or is starting; the same request may succeed later."""


class RequestError(EngineError):
    """The engine gave one request up."""

    fault: ClassVar[Fault]


class NonFiniteScores(RequestError):
    """The model computed scores that are not finite for this request."""

    fault = Fault.NOT_FINITE


class DeadlinePassed(RequestError):
    """The request's deadline came before its answer's end."""

    fault = Fault.DEADLINE


class UnfitRequest(RequestError):
    """The engine can never compute this request: whoever sent it should have refused it."""

    fault = Fault.UNFIT


def request_error(fault: str) -> RequestError:
    """The error that `Output.error` stands for."""
    match Fault(fault):
        case Fault.DEADLINE:
            return DeadlinePassed("the deadline came before the end of the answer")
        case Fault.UNFIT:
            return UnfitRequest("the request does not fit into the engine's window or cache")
        case Fault.NOT_FINITE:
            return NonFiniteScores("the model computed scores that are not finite")
