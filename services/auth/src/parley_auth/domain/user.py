"""Users, and what an e-mail, a password and a display name may be."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime

from parley_kit.errors import BadInput
from parley_kit.ids import new_id

MAX_EMAIL = 254
MAX_LOCAL_PART = 64
MIN_PASSWORD = 8
MAX_PASSWORD = 1024
MAX_DISPLAY_NAME = 100


@dataclass(frozen=True, slots=True)
class User:
    """email is in its canonical form."""

    id: str
    email: str
    display_name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A user and the hash of the password, which only this service sees."""

    user: User
    password_hash: str = field(repr=False)


def new_user(email: str, display_name: str, now: datetime) -> User:
    """A user as of now, to the millisecond: what every store keeps, so that no later reading differs."""
    return User(new_id(), email, display_name, now.replace(microsecond=now.microsecond // 1000 * 1000))


def canonical_email(text: str) -> str:
    """The form under which an e-mail is stored and looked up: no space around it, lower case, NFC."""
    return unicodedata.normalize("NFC", text.strip().lower())


def parse_email(text: str) -> str:
    """The canonical form of an address that somebody could have (RFC 5321 lengths). Raises BadInput."""
    email = canonical_email(text)
    local, _, domain = email.partition("@")
    plausible = (
        0 < len(local) <= MAX_LOCAL_PART
        and all(domain.split("."))
        and "@" not in domain
        and all(character.isprintable() and not character.isspace() for character in email)
    )
    if not plausible or len(email) > MAX_EMAIL:
        raise BadInput("email is not an e-mail address", "email")
    return email


def check_password(password: str) -> str:
    """`password` if its length will do; of any characters, in any mixture (NIST SP 800-63B). Raises BadInput."""
    _refuse_broken_text(password, "password")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise BadInput(f"password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters", "password")
    return password


def check_display_name(name: str) -> str:
    """`name` as it came, when there is something to see. Raises BadInput."""
    _refuse_broken_text(name, "displayName")
    if not name.strip() or len(name) > MAX_DISPLAY_NAME:
        raise BadInput(f"displayName must have 1 to {MAX_DISPLAY_NAME} characters and not be blank", "displayName")
    return name


def _refuse_broken_text(text: str, field: str) -> None:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise BadInput(f"{field} must not have NUL characters or lone surrogates", field)
