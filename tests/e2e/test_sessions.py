"""Sessions: signing in and out, and the life of a refresh token."""

from __future__ import annotations

from support.graphql import Http
from support.people import ME, PASSWORD, REFRESH, SIGN_IN, SIGN_OUT, SIGN_UP, Person, new_email, person_of, sign_up


async def test_signing_in_makes_another_session_of_the_same_user(ada: Person) -> None:
    again = person_of(ada.http, (await ada.http.data(SIGN_IN, {"input": credentials(ada.email.upper())}))["session"])
    assert again.id == ada.id
    assert again.refresh_token != ada.refresh_token
    assert (await again.data(ME)) == (await ada.data(ME))


async def test_wrong_password_and_unknown_email_look_the_same(ada: Person) -> None:
    wrong = await ada.http.post(SIGN_IN, {"input": credentials(ada.email, "not her password")})
    unknown = await ada.http.post(SIGN_IN, {"input": credentials(new_email())})
    for answer in (wrong, unknown):
        answer["errors"][0]["extensions"].pop("requestId", None)
    assert wrong == unknown
    assert wrong["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_email_has_one_account(ada: Person) -> None:
    details = {**credentials(ada.email), "displayName": "Another"}
    assert await ada.http.code(SIGN_UP, {"input": details}) == "CONFLICT"


async def test_a_refresh_gives_new_tokens_and_spends_the_old_one(ada: Person) -> None:
    first = ada.refresh_token
    second = person_of(ada.http, (await ada.http.data(REFRESH, {"token": first}))["session"])
    third = person_of(ada.http, (await ada.http.data(REFRESH, {"token": second.refresh_token}))["session"])
    assert len({first, second.refresh_token, third.refresh_token}) == 3
    assert (await third.data(ME))["me"]["id"] == ada.id
    assert await ada.http.code(REFRESH, {"token": first}) == "UNAUTHENTICATED"
    assert await ada.http.code(REFRESH, {"token": third.refresh_token}) == "UNAUTHENTICATED"
    assert await third.code(ME) == "UNAUTHENTICATED"


async def test_a_refresh_whose_answer_was_lost_can_be_done_again(ada: Person) -> None:
    lost = person_of(ada.http, (await ada.http.data(REFRESH, {"token": ada.refresh_token}))["session"])
    retried = person_of(ada.http, (await ada.http.data(REFRESH, {"token": ada.refresh_token}))["session"])
    assert retried.refresh_token != lost.refresh_token
    assert (await retried.data(ME))["me"]["id"] == ada.id
    assert "errors" not in await ada.http.post(REFRESH, {"token": retried.refresh_token})


async def test_signing_out_ends_that_session_alone(http: Http) -> None:
    ada = await sign_up(http)
    other = person_of(http, (await http.data(SIGN_IN, {"input": credentials(ada.email)}))["session"])
    for _ in range(2):
        assert (await http.data(SIGN_OUT, {"token": ada.refresh_token}))["signOut"] is True
    assert await ada.code(ME) == "UNAUTHENTICATED"
    assert await http.code(REFRESH, {"token": ada.refresh_token}) == "UNAUTHENTICATED"
    assert (await other.data(ME))["me"]["id"] == ada.id
    assert (await http.data(SIGN_OUT, {"token": "never was a token"}))["signOut"] is True


async def test_a_token_that_was_tampered_with_is_refused(ada: Person) -> None:
    header, payload, signature = ada.token.split(".")
    flipped = "A" if signature[10] != "A" else "B"
    for forged in (f"{header}.{payload}.{signature[:10]}{flipped}{signature[11:]}", f"{header}.{payload}.", "nonsense"):
        assert await ada.http.code(ME, token=forged) == "UNAUTHENTICATED"


def credentials(email: str, password: str = PASSWORD) -> dict[str, str]:
    return {"email": email, "password": password}
