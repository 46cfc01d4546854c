"""What may be typed."""

from __future__ import annotations

import pytest

from console.people import FieldInvalid, WeakPassword, fields, passwords


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada@Example.com\n", "Ada@Example.com"),
        ("a@b", "a@b"),
        ("오픈@예시.한국", "오픈@예시.한국"),
        ("a" * 242 + "@example.com", "a" * 242 + "@example.com"),
    ],
)
def test_addresses(typed: str, kept: str) -> None:
    """An address is kept as it was typed, without what is around it."""
    assert fields.parse_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "ada",
        "@",
        "ada@",
        "@x",
        "a@b@c",
        "a b@c",
        "a@b\0",
        "a\u202e@b",
        "a@\ud800",
        "a\u2028@b",
        "a" * 243 + "@example.com",
    ],
)
def test_what_is_no_address(typed: str) -> None:
    """What nobody can have as an address is refused in its field, and compares to nobody's."""
    with pytest.raises(FieldInvalid) as refused:
        fields.parse_email(typed)

    assert refused.value.field == "email"
    assert fields.email_key(typed) == ""


@pytest.mark.parametrize(
    "typed",
    [
        "\u0430da@example.com",
        "\u0430\u0501\u0430@example.com",
        "ada@ex\u0430mple.com",
        "ada@example.c\u043em",
        "\u0251da@example.com",
        "\uff41da@example.com",
        "ad\u03b1@example.com",
        "ada.l\u043evelace@example.com",
        "\u3164ada@example.com",
        "ada\u200b@example.com",
        "ada\u2060@example.com",
    ],
)
def test_addresses_that_look_like_anothers(typed: str) -> None:
    """Nobody has an account under an address that a reader takes for another, or sees only part of."""
    with pytest.raises(FieldInvalid):
        fields.parse_email(typed)


@pytest.mark.parametrize(
    "typed", ["иванов@почта.рф", "\u00e9va@x", "홍길동@예시.한국", "j\u00f6rg@example.com"]
)
def test_addresses_in_other_alphabets(typed: str) -> None:
    """An address that passes for no ASCII one is as good as any."""
    assert fields.parse_email(typed) == typed


@pytest.mark.parametrize("typed", ["\u017fam@x", "\u212aim@x", "stra\u00dfe@x", "o\ufb03ce@x"])
def test_addresses_that_would_be_anothers(typed: str) -> None:
    """A letter that is an ASCII one but for case would open another mailbox's account: refused."""
    assert typed.casefold().isascii()
    with pytest.raises(FieldInvalid):
        fields.parse_email(typed)


def test_addresses_are_compared_without_case() -> None:
    """Two people can't have one address in two cases, in any alphabet."""
    assert fields.email_key("ADA@Example.COM") == fields.email_key("ada@example.com")
    assert fields.email_key("\u00c9va@x") == fields.email_key("\u00e9va@x")


@pytest.mark.parametrize(
    "typed",
    ["Ada", "오픈 토큰", "O'Neill <b>", "x" * 100, "👩‍🔬", "♥", "9", "می‌خواهم", "葛\U000e0100城"],
)
def test_names(typed: str) -> None:
    """A name is any text that can be seen, without the spaces around it."""
    assert fields.parse_name(f" {typed} ") == typed


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "  ",
        "x" * 101,
        "a\nb",
        "a\0",
        "\u202egnp",
        "\ud800",
        "a\x9b",
        "\u200b",
        "\u3164",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "\u00a0",
        "\u2800",
        "A\u200bda",
        "A\u00adda",
        "A\u3164da",
        "Ada\u200e",
        "\ufeffAda",
    ],
)
def test_what_is_no_name(typed: str) -> None:
    """What can't be seen, is empty or long is no name, and is refused in its field."""
    with pytest.raises(FieldInvalid) as refused:
        fields.parse_name(typed)

    assert refused.value.field == "name"


@pytest.mark.parametrize("typed", ["", "UTC", "Asia/Seoul", "America/New_York"])
def test_time_zones(typed: str) -> None:
    """A time zone is one of the IANA's, or none."""
    assert fields.parse_time_zone(typed) == typed


@pytest.mark.parametrize(
    "typed", ["Mars", "America", "/etc/passwd", "../UTC", "a\0b", "\ud800", "x" * 9999]
)
def test_what_is_no_time_zone(typed: str) -> None:
    """Neither a folder, nor a file elsewhere, nor anything else passes for a time zone."""
    with pytest.raises(FieldInvalid):
        fields.parse_time_zone(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "two blue herons",
        "glacier-otter-mango",
        "오픈토큰은안전하고빠릅니다",
        "q7t!vz0pklm2",
        "my dog likes Ada's cheese",
        "plinth" + " orbit" * 20,
    ],
)
def test_passwords(typed: str) -> None:
    """Twelve to 128 characters of any kind are a password, if it takes long to guess."""
    passwords.check(typed, "ada@example.com", "Ada")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "eleven char",
        # Twelve until they are composed.
        "e\u0301" * 6,
        "abcd" * 32 + "x",
        "ADA@example.com",
        "ada lovelace",
        "ada@example.com2026",
        "Lovelace-Ada-1815",
        "lovelace.password",
        "l0vel4ce-ad4-99",
        "open-token-key7",
        "Password Password",
        "Summer2026!!",
        "changeme-now!",
        "Password1234",
        "Password1234!",
        "P@ssw0rd2024!",
        "owner1owner1",
        "letmein123456",
        "OpenToken2026!",
        "opentokenopentoken1",
        "aaaaaaaaaaaaaaaa",
        "123123123123",
        "x1y2x1y2x1y2",
        "            abc1",
        "qwertyuiop[]asdf",
    ],
)
def test_weak_passwords(typed: str) -> None:
    """Short, long, near one's own name or address or the product's, and what is tried first."""
    with pytest.raises(WeakPassword) as refused:
        passwords.check(typed, "ada@example.com", "Ada Lovelace")

    assert refused.value.field == "password"


def test_what_a_browser_says_is_made_fit() -> None:
    """What is shown of a browser has no control characters and an end."""
    assert fields.clip("Mozilla\x1b[31m\u202e/5.0" + "x" * 1000, 20) == "Mozilla[31m/5.0xxxxx"
