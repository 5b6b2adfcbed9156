"""File descriptors: each socket is one, and the usual 1,024 are fewer than a gateway holds sockets."""

from __future__ import annotations

import resource

from parley_kit.logs import get_logger

log = get_logger(__name__)


def allow_descriptors(wanted: int) -> None:
    """Let this process open `wanted` descriptors, or as many as the system's hard limit has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    log.info("descriptors_allowed", before=soft, now=allowed)
