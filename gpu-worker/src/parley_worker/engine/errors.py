"""What can go wrong between a caller and the engine.

EngineError
├── EngineConfigError    it cannot be started as it was told to
├── EngineDied           the process ended while work was waiting for it
└── NonFiniteScores      one request went numerically wrong
"""

from __future__ import annotations


class EngineError(ValueError):
    """The root. Messages are one line."""


class EngineConfigError(EngineError):
    """A setting or a checkpoint that the engine cannot serve; trying again does not help."""


class EngineDied(EngineError):
    """The engine is gone or is starting; the same request may succeed later."""


class NonFiniteScores(EngineError):
    """The model computed scores that are not finite for this request."""
