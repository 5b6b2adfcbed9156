"""How the layers of one decoder differ: which rotate, and which see no further back than a sliding window."""

from __future__ import annotations

from parley_worker.models.architectures import Architecture, Sliding
from parley_worker.models.files import JsonFile

_FULL, _SLIDING = "full_attention", "sliding_attention"


def read_rotations(config: JsonFile, family: Architecture, layers: int) -> tuple[bool, ...]:
    """For each layer, whether queries and keys are rotated by their positions."""
    given = config.get("no_rope_layers")
    if not family.skips_rotation:
        if given is not None and (not isinstance(given, list) or not all(given)):
            raise config.error("no_rope_layers", f"{given!r} is not supported by {family.name}")
        return (True,) * layers
    if given is None:
        interval = config.integer("no_rope_layer_interval", 4)
        return tuple((index + 1) % interval != 0 for index in range(layers))
    # Against its name, a 1 is a layer that rotates.
    if not isinstance(given, list) or len(given) < layers or not all(item in (0, 1) for item in given):
        raise config.error("no_rope_layers", f"must be a 0 or a 1 for each of {layers} layers, not {given!r}")
    return tuple(bool(item) for item in given[:layers])


def read_windows(config: JsonFile, family: Architecture, rotations: tuple[bool, ...]) -> tuple[int | None, ...]:
    """For each layer, how many tokens a token attends to, itself included; None: all before it."""
    size = _window_size(config, family)
    derived = tuple(size if slides else None for slides in _slides(config, family, rotations))
    types = config.get("layer_types")
    if types is None:
        return derived
    known = isinstance(types, list) and all(kind in (_FULL, _SLIDING) for kind in types)
    if not known or len(types) != len(rotations):
        kinds = f"{_FULL} or {_SLIDING} for each of {len(rotations)} layers"
        raise config.error("layer_types", f"must be {kinds}, not {types!r}")
    if size is None and _SLIDING in types:
        raise config.error("layer_types", f"has {_SLIDING}, and there is no sliding window")
    given = tuple(size if kind == _SLIDING else None for kind in types)
    if family.sliding is Sliding.ALWAYS and given != derived:
        raise config.error("layer_types", f"other than {_SLIDING} in all layers is not supported by {family.name}")
    return given


def _window_size(config: JsonFile, family: Architecture) -> int | None:
    """The sliding window if it is in use."""
    size = config.optional_integer("sliding_window", family.sliding_window)
    used = config.get("use_sliding_window")
    if family.sliding in (Sliding.LATE_LAYERS, Sliding.UNROTATED_LAYERS):
        return size if config.flag("use_sliding_window") else None
    if family.sliding is Sliding.NEVER and (size is not None or used):
        key = "use_sliding_window" if used else "sliding_window"
        raise config.error(key, f"{config.get(key)!r} is not supported by {family.name}")
    if used is not None and used != (size is not None):
        raise config.error("use_sliding_window", f"{used!r} does not go with a sliding_window of {size}")
    return size


def _slides(config: JsonFile, family: Architecture, rotations: tuple[bool, ...]) -> list[bool]:
    if family.sliding is Sliding.LATE_LAYERS:
        first = config.integer("max_window_layers", 28, least=0)
        return [index >= first for index in range(len(rotations))]
    if family.sliding is Sliding.UNROTATED_LAYERS:
        return [not rotates for rotates in rotations]
    return [family.sliding is Sliding.ALWAYS] * len(rotations)
