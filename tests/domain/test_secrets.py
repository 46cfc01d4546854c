"""The strings that callers present."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
import string
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.domain import secrets
from keyauthority.domain.secrets import ALPHABET, KEY_PREFIX, TOKEN_PREFIX, Secret, mint, new_id

HIDDEN = "a secret that must not be seen"

bodies = st.text(ALPHABET, min_size=secrets.ID_LENGTH, max_size=secrets.ID_LENGTH)
randoms = st.text(ALPHABET, min_size=secrets.RANDOM_LENGTH, max_size=secrets.RANDOM_LENGTH)


@st.composite
def whole(draw: st.DrawFn) -> str:
    """A secret as `mint` makes them, of any id and any random part."""
    stem = KEY_PREFIX + draw(bodies) + draw(randoms)
    return stem + secrets.checksum(stem)


@given(bodies, st.sampled_from([("key", KEY_PREFIX), ("caller", TOKEN_PREFIX)]))
def test_a_minted_secret_tells_its_record(body: str, kind: tuple[str, str]) -> None:
    """Whatever the id, the secret minted for it leads back to it."""
    record_id = f"{kind[0]}_{body}"

    assert secrets.record_id(mint(record_id, kind[1]).reveal(), *kind) == record_id


def test_the_shape_of_a_secret() -> None:
    """Prefix, id, 43 characters of entropy and 6 of checksum, all base62; no two are alike."""
    minted = {mint(new_id("key")).reveal() for _ in range(200)}

    assert len(minted) == 200
    assert {len(secret) for secret in minted} == {8 + 16 + 43 + 6}
    assert all(secret.startswith("sk-optk-") for secret in minted)
    assert set("".join(secret.removeprefix("sk-optk-") for secret in minted)) == set(ALPHABET)
    assert set(ALPHABET) == set(string.ascii_letters + string.digits)


@pytest.mark.parametrize("kind", ["key", "ws", "caller"])
def test_the_shape_of_an_id(kind: str) -> None:
    """The kind, an underscore, 16 base62 characters."""
    found, _, body = new_id(kind).partition("_")

    assert found == kind
    assert len(body) == 16
    assert set(body) <= set(ALPHABET)


# Made by hand, with a bitwise CRC-32 (0xCBF43926 for "123456789"), not taken from this code.
@pytest.mark.parametrize(
    ("stem", "checksum"),
    [
        ("", "000000"),
        ("123456789", "3jZRME"),
        ("a", "4GEHKN"),
        ("sk-optk-" + "0" * 59, "2nW049"),
        ("sk-optk-" + "z" * 59, "0zMNcV"),
    ],
)
def test_checksums_by_hand(stem: str, checksum: str) -> None:
    """The checksum is CRC-32 in six base62 digits, and stays so for all secrets ever minted."""
    assert secrets.checksum(stem) == checksum


@given(whole(), st.data())
def test_one_wrong_character(secret: str, data: st.DataObject) -> None:
    """A character replaced by any other is noticed, wherever it is."""
    place = data.draw(st.integers(0, len(secret) - 1))
    other = data.draw(st.sampled_from(ALPHABET) | st.characters())
    wrong = secret[:place] + other + secret[place + 1 :]

    assert (secrets.record_id(wrong) is None) == (other != secret[place])


def test_every_wrong_character() -> None:
    """Of one secret, all of its neighbours a single base62 character away are malformed."""
    secret = mint("key_0123456789abcdef").reveal()
    for place, right in enumerate(secret):
        for other in set(ALPHABET) - {right}:
            assert secrets.record_id(secret[:place] + other + secret[place + 1 :]) is None


@given(whole(), st.data())
def test_one_character_more_or_less(secret: str, data: st.DataObject) -> None:
    """A secret cut short, or with a character too many, is malformed."""
    cut = data.draw(st.integers(0, len(secret) - 1))
    more = data.draw(st.characters())

    assert secrets.record_id(secret[:cut]) is None
    assert secrets.record_id(secret[cut + 1 :]) is None
    assert secrets.record_id(secret[:cut] + secret[cut + 1 :]) is None
    assert secrets.record_id(secret[:cut] + more + secret[cut:]) is None
    assert secrets.record_id(secret + more) is None


@given(st.text() | st.text().map(KEY_PREFIX.__add__) | st.from_regex(r"sk-optk-[ -~]{65}\Z"))
def test_any_text_is_malformed(text: str) -> None:
    """Text that nobody minted is malformed and raises nothing, surrogates and all."""
    assert secrets.record_id(text) is None


def test_unpaired_surrogates_and_look_alikes_are_malformed() -> None:
    """Characters that no encoder takes, or that only look like digits, raise nothing either."""
    secret = mint("key_0123456789abcdef").reveal()
    for odd in ("\ud800", "\u0660", "\uff11", "\0", "\n"):
        assert secrets.record_id(secret[:-1] + odd) is None
        assert secrets.record_id(secret[:20] + odd + secret[21:]) is None


def test_a_token_is_no_key_and_a_key_no_token() -> None:
    """Each kind is taken only for what it is."""
    key, token = mint("key_0123456789abcdef"), mint("caller_0123456789abcdef", TOKEN_PREFIX)

    assert secrets.record_id(token.reveal()) is None
    assert secrets.record_id(key.reveal(), "caller", TOKEN_PREFIX) is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=256))
def test_a_foreign_secret(text: str) -> None:
    """Any 16 to 256 visible ASCII characters, unless they begin like ours; and never one of ours."""
    assert secrets.is_foreign(text) is not text.startswith((KEY_PREFIX, TOKEN_PREFIX))
    assert not (secrets.is_foreign(text) and secrets.record_id(text))


@pytest.mark.parametrize("one", ["", " ", "\n", "\0", "\x7f", "é", "\ud800", "\uff41"])
def test_what_is_not_even_foreign(one: str) -> None:
    """Too short, too long, or with a character that can't be seen or isn't ASCII."""
    assert secrets.is_foreign("x" * 16)
    for text in ("x" * 15 + one * 2, "x" * 256 + (one or "x"), one + "x" * 15, one):
        assert not secrets.is_foreign(text)


def test_the_hint_is_too_little_to_guess_by() -> None:
    """It shows the prefix, four characters of the id, which is no secret, and the last four."""
    secret = mint("key_0123456789abcdef")

    assert secret.hint == f"sk-optk-0123…{secret.reveal()[-4:]}"


@dataclasses.dataclass
class Holder:
    secret: Secret


def _fail(secret: Secret) -> None:
    raise ValueError(secret)


def _traceback() -> str:
    try:
        _fail(Secret(HIDDEN))
    except ValueError as error:
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(trace.format())
    raise AssertionError


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>200}",
        "{}".format,
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # another way to show it
        lambda secret: repr(Holder(secret)),
        lambda secret: repr([secret]),
        lambda secret: repr({"secret": secret}),
        lambda secret: repr(dataclasses.asdict(Holder("kept")) | {"secret": secret}),  # type: ignore[arg-type]
        lambda _: _traceback(),
    ],
)
def test_a_secret_does_not_show_itself(shown: object) -> None:
    """No way of turning it into text gives the text away."""
    assert callable(shown)
    assert HIDDEN not in shown(Secret(HIDDEN))


def test_a_logged_secret_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A careless log line does no harm."""
    logging.getLogger("careless").error("got %s and %r", Secret(HIDDEN), Secret(HIDDEN))

    assert "Secret(…)" in caplog.text
    assert HIDDEN not in caplog.text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    """It can't be sent or stored by accident, alone or within something, nor deep-copied."""
    for held in (Secret(HIDDEN), [Secret(HIDDEN)], Holder(Secret(HIDDEN))):
        with pytest.raises(TypeError, match="not to be pickled"):
            pickle.dumps(held, protocol)
        with pytest.raises(TypeError, match="not to be pickled"):
            copy.deepcopy(held)


def test_a_secret_has_nothing_to_look_into() -> None:
    """No `__dict__` for a debugger or an encoder to walk."""
    assert not hasattr(Secret(HIDDEN), "__dict__")
