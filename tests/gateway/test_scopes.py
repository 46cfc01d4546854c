"""Scopes that paths ask for."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import normpath
from unicodedata import normalize
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.paths import ScopeRule, ScopeRules, check_path

RULES = ScopeRules([ScopeRule.parse("/v1/images=images"), ScopeRule.parse("/v1/files/=files:read")])


@pytest.mark.parametrize(
    "path", ["/v1/images", "/v1/images/", "/v1/images/edits", "/v1/%69mages", "/v1/images;a/x"]
)
def test_a_rule_covers_its_prefix_and_all_below(path: str) -> None:
    """Also when letters of the path are percent-encoded."""
    assert not RULES.satisfied(path, ())
    assert RULES.satisfied(path, ("images",))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/IMAGES", "/v1/Images/edits", "/v1/images%00", "/v1/images%00.png", "/v1/images%3f",
        "/v1/images%3Fx/y", "/v1/images%23", "/v1/images%23x", "/v1/%2569mages", "/v1/%252569mages",
        "/v1/images%20", "/v1/images%20x", "/v1/%20images", "/v1/images+", "/v1/images.",
        "/v1/images...", "/v1/images%2e", "/v1/images.%20.", "/v1/images.json", "/v1/images%3bx",
        "/v1/x%252f..%252fimages", "/v1/%252e%252e/v1/images", "/v1/x/%252e%252e/images",
        "/v1%252fimages", "/v1/%255cimages", "/v1%252f%252fimages", "/v1/;x/images",
        "/v1/%ef%bd%89mages", "/v1/%e2%93%98mages", "/v1/images%ef%bc%8fedits", "/v1/%c4%b1mages",
        "/v1/image%c5%bf", "/v1/im%e2%80%8bages", "/v1/im%c2%adages", "/v1/%cc%88images",
        "/v1/%c1%a9mages", "/v1/x%c0%afimages", "/v1/%u0069mages", "/v1/%ffimages",
        "/v1/im%09ages", "/v1/images%0d%0a", "/v1/images%7f", "/v1/images%e2%81%84x",
        "/v1/%ef%bc%85%36%39mages", "/v1/" + "%" + "25" * 20 + "69mages",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_steps_around_a_rule(path: str) -> None:
    """Case, encodings of encodings, cuts, parameters, dots and spaces, code pages."""
    assert not RULES.satisfied(path, ("files:read",))
    assert RULES.satisfied(path, ("images", "files:read"))


@pytest.mark.parametrize(
    "path", ["/v1/imagesque", "/v1", "/v1/models", "/v1/file", "/v1/my%20images", "/v1/x%3f/images",
             "/v1/models/gpt-4.1", "/v1/.images", "/v1/caf%C3%A9/a%20b", "/v1/100%25", "/v1/x.images"]
)  # fmt: skip
def test_a_rule_covers_nothing_beside_its_prefix(path: str) -> None:
    """A prefix is of whole path segments."""
    assert RULES.satisfied(path, ())


def test_every_rule_that_covers_a_path_has_to_be_satisfied() -> None:
    """Rules add up; none overrides another."""
    rules = ScopeRules([ScopeRule.parse("/v1=api"), ScopeRule.parse("/v1/files=files")])

    assert not rules.satisfied("/v1/files", ("files",))
    assert rules.satisfied("/v1/files", ("files", "api"))


def test_without_rules_every_key_may_do_everything() -> None:
    """No scopes means full access as long as nobody asks for any."""
    assert ScopeRules().satisfied("/v1/anything", ())


def test_a_model_of_a_family_is_not_the_family() -> None:
    """Digits behind a dot are no extension."""
    rules = ScopeRules([ScopeRule.parse("/v1/models/gpt-4=four")])

    assert rules.satisfied("/v1/models/gpt-4.1", ())
    assert not rules.satisfied("/v1/models/GPT-4", ())


PIECES = (
    "/", "v1", "images", "IMAGES", "i", "mages", "%69", "%2569", "%252569", "%00", "%3f", "%253f",
    "%23", "%20", "%2520", "+", ".", "..", "%2e", "%252e", ";", ";x", "%3b", "\\", "%5c", "%255c",
    "%2f", "%252f", "%25252f", "%c0%af", "%c1%a9", "%ef%bc%8f", "%ef%bc%8e", "%ef%bd%89", "%c4%b1",
    "%e2%80%8b", "%09", "%0a", "%u0069", "%u002f", "%ff", "%c5%bf", "x", ".json", "edits", "%",
)  # fmt: skip


def lenient(text: str) -> str:
    """Percent-decode as a server that takes overlong UTF-8 and `%uXXXX`."""
    text = re.sub("%u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)
    text = text.replace("%c0%af", "/").replace("%c1%a9", "i")
    return unquote(text, errors="replace")


def same(text: str) -> str:
    return text


DECODERS = (same, unquote, lenient)
FOLDERS: tuple[Callable[[str], str], ...] = (
    same,
    str.lower,
    lambda text: text.upper().lower(),
    lambda text: normalize("NFKC", text).casefold(),
)
CLEANERS: tuple[Callable[[str], str], ...] = (
    same,
    lambda text: re.split("[?#]", text)[0],
    lambda text: text.split("\0")[0],
    lambda text: re.split(r"\s", text)[0],
    lambda text: text.replace("+", " "),
    lambda text: text.replace("\\", "/"),
    lambda text: re.sub(r"[\t\r\n\u200b]", "", text),
    lambda text: re.sub(";[^/]*", "", text),
    lambda text: re.sub(r"[. ]+(?=/|$)", "", text),
    lambda text: re.sub(r"\.[a-z]+$", "", text),
    lambda text: re.sub("/+", "/", text),
    lambda text: normpath(text) if text else text,
)


@given(
    st.lists(st.sampled_from(PIECES), max_size=8),
    st.lists(st.sampled_from((*DECODERS, *FOLDERS, *CLEANERS)), max_size=8),
)
@example(["%", "2569", "mages"], [unquote, unquote])
def test_however_an_upstream_reads_a_path_its_rule_is_asked_for(
    pieces: list[str], steps: list[Callable[[str], str]]
) -> None:
    """Any decoding and cleaning, in any order and number: or the path is refused."""
    path = read = "/v1/" + "".join(pieces)
    for step in steps:
        read = step(read)
    if read == "/v1/images" or read.startswith("/v1/images/"):
        refused = check_path(path) is not None or not RULES.satisfied(path, ("files:read",))
        assert refused, f"{path} may be read as {read}"


@pytest.mark.parametrize(
    "text",
    ["", "images", "=images", "/v1/images", "/v1/images=", "v1=x", "/v1/%69mages=x", "/v1/../a=x",
     "/v1//a=x", "/v1/a b=x", "/v1/a;b=x", "/v1/a?b=x"],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text: str) -> None:
    """A rule that could never match is a mistake, not a setting."""
    with pytest.raises(ValueError, match="PREFIX=SCOPE"):
        ScopeRule.parse(text)
