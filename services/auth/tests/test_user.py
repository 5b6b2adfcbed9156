"""What an e-mail, a password and a display name may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_auth.domain.user import canonical_email, check_display_name, check_password, parse_email
from parley_kit.errors import BadInput


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ada@example.org", "ada@example.org"),
        ("  Ada.L+tag@Example.ORG\n", "ada.l+tag@example.org"),
        ("ada@localhost", "ada@localhost"),
        ("zoe\u0308@example.org", "zo\u00eb@example.org"),
        ("a" * 64 + "@" + "d" * 189, "a" * 64 + "@" + "d" * 189),
    ],
)
def test_an_email_has_one_form(text: str, email: str) -> None:
    assert parse_email(text) == email


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@@example.org",
        "ada@example@org",
        "ada@.org",
        "ada@example.",
        "ada@example..org",
        "a da@example.org",
        "ada@exam\u2028ple.org",
        "ada\0@example.org",
        "ada\ud800@example.org",
        "a" * 65 + "@example.org",
        "a@" + "d" * 253,
    ],
)
def test_what_is_no_email_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_email(text)
    assert caught.value.field == "email"


@given(st.text())
def test_the_canonical_form_is_stable(text: str) -> None:
    """An e-mail that was stored is found again, however often it is brought into form."""
    once = canonical_email(text)
    assert canonical_email(once) == once


@pytest.mark.parametrize("password", ["12345678", " " * 8, "x" * 1024, "\U0001f511" * 8])
def test_a_password_may_be_anything_long_enough(password: str) -> None:
    assert check_password(password) == password


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025, "1234567\0", "12345678\ud800"])
def test_a_bad_password_is_refused(password: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_password(password)
    assert caught.value.field == "password"
    assert password not in caught.value.message or not password


@pytest.mark.parametrize("name", ["A", " Ada ", "x" * 100, "\u674e"])
def test_a_display_name_stays_as_it_came(name: str) -> None:
    assert check_display_name(name) == name


@pytest.mark.parametrize("name", ["", " \t\u00a0", "x" * 101, "a\0", "a\udfff"])
def test_a_bad_display_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_display_name(name)
    assert caught.value.field == "displayName"
