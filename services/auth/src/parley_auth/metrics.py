"""What auth counts. Labels are bounded: outcomes are `ok` or an error's code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from parley_kit.errors import Internal, ParleyError

SIGN_UPS = Counter("parley_auth_sign_ups_total", "Attempts to sign up.", ["outcome"])
SIGN_INS = Counter("parley_auth_sign_ins_total", "Attempts to sign in.", ["outcome"])
REFRESHES = Counter("parley_auth_refreshes_total", "Attempts to refresh a session.", ["outcome"])
SIGN_OUTS = Counter("parley_auth_sign_outs_total", "Attempts to sign out.", ["outcome"])
SIBLINGS = Counter("parley_auth_refresh_siblings_total", "Refresh tokens used again in time, for a lost answer.")
REUSES = Counter("parley_auth_refresh_reuses_total", "Sessions ended because a refresh token was reused.")
REHASHES = Counter("parley_auth_password_rehashes_total", "Passwords hashed anew with today's parameters.")


@contextmanager
def counted(attempts: Counter) -> Iterator[None]:
    """Count the block by how it ends."""
    outcome = Internal.code
    try:
        yield
        outcome = "ok"
    except ParleyError as error:
        outcome = error.code
        raise
    finally:
        attempts.labels(outcome.lower()).inc()
