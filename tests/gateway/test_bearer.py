"""The grammar of the Authorization header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bearer import Presented, parse_authorization
from keyauthority.client import digest_of

tokens = st.from_regex(r"[A-Za-z0-9\-._~+/]+=*", fullmatch=True)
schemes = st.sampled_from(["Bearer", "bearer", "BEARER", "bEaReR"])
not_in_tokens = st.characters().filter(
    lambda c: not (c.isascii() and c.isalnum()) and c not in "-._~+/= "
)


@given(schemes, st.integers(1, 5), tokens)
def test_a_token_is_returned_as_it_was_sent(scheme: str, spaces: int, token: str) -> None:
    """Any case of the scheme, one or more spaces, one token: RFC 6750 and RFC 9110."""
    presented = parse_authorization([scheme + " " * spaces + token])

    assert presented is not None
    assert (presented.secret, presented.digest) == (token, digest_of(token))


@given(tokens, tokens)
def test_two_tokens_are_none(first: str, second: str) -> None:
    """Which of two tokens was meant is not guessed, however they are separated."""
    for separator in (" ", ",", ", ", "\t"):
        assert parse_authorization([f"Bearer {first}{separator}{second}"]) is None


@given(tokens, tokens)
def test_two_headers_are_none(first: str, second: str) -> None:
    """Several headers are refused, also if they are the same."""
    both = [f"Bearer {first}", f"Bearer {second}"]

    assert parse_authorization(both) is None


@given(tokens, not_in_tokens, tokens)
def test_a_character_outside_the_grammar_is_refused(first: str, stray: str, second: str) -> None:
    """No character is skipped, folded or normalised."""
    assert parse_authorization([f"Bearer {first}{stray}{second}"]) is None


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    """Whatever is sent, the result is a token that stood there literally, or a refusal."""
    result = parse_authorization([text])

    assert result is None or text.endswith(result.secret)


def test_a_presented_secret_is_not_shown() -> None:
    """Neither by `repr` nor in a text that it is put into."""
    presented = parse_authorization(["Bearer sesame"])

    assert isinstance(presented, Presented)
    assert "sesame" not in f"{presented!r} {presented}"


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer=", "Bearer =", "Basic abc", "Bearerabc", "Token abc", "abc"],
)
def test_what_is_no_bearer_credential_is_refused(value: str) -> None:
    """Other schemes and empty credentials are no credential."""
    assert parse_authorization([value]) is None


def test_no_header_is_refused() -> None:
    """Without a header nothing was presented."""
    assert parse_authorization([]) is None
