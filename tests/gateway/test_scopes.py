"""What scopes allow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from posixpath import normpath
from unicodedata import normalize
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyauthority.edge.paths import check_path
from keyauthority.edge.scopes import ScopeRules
from keyauthority.scopes.catalogue import (
    ScopeRulesError,
    default_catalogue,
    load_catalogue,
    parse_catalogue,
)

RULES = ScopeRules(
    parse_catalogue("""
[[scope]]
name = "images"
description = "Pictures"
allow = ["GET,POST /v1/images", "* /v1/Sketches/"]

[[scope]]
name = "files:read"
description = "Files"
allow = ["GET /v1/files"]

[[scope]]
name = "four"
description = "One family of models"
allow = ["* /v1/models/gpt-4"]
""")
)


def allowed(path: str, *scopes: str, method: str = "POST") -> bool:
    """Whether the gateway would forward it for a key with *scopes*."""
    return check_path(path) is None and RULES.allow(scopes or ("images",), method, path)


@pytest.mark.parametrize(
    "path",
    ["/v1/images", "/v1/images/", "/v1/images/edits", "/v1/Sketches/a%20b", "/v1/images/caf%C3%A9",
     "/v1/images/a.png", "/v1/images/x%3fy", "/v1/images/.x"],
)  # fmt: skip
def test_a_scope_allows_its_path_and_all_below(path: str) -> None:
    """However what is below is written."""
    assert allowed(path)
    assert not allowed(path, "files:read")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/IMAGES", "/v1/Images/edits", "/v1/images%00", "/v1/images%00.png", "/v1/images%3f",
        "/v1/images%3Fx/y", "/v1/images%23", "/v1/images%23x", "/v1/%69mages", "/v1/%2569mages",
        "/v1/images;a/x", "/v1/images%20", "/v1/images%20x", "/v1/%20images", "/v1/images+",
        "/v1/images.", "/v1/images...", "/v1/images%2e", "/v1/images.%20.", "/v1/images.json",
        "/v1/images%3bx", "/v1/x%252f..%252fimages", "/v1/%252e%252e/v1/images",
        "/v1/x/%252e%252e/images", "/v1%252fimages", "/v1/%255cimages", "/v1%252f%252fimages",
        "/v1/;x/images", "/v1/%ef%bd%89mages", "/v1/images%ef%bc%8fedits", "/v1/image%c5%bf",
        "/v1/im%e2%80%8bages", "/v1/images%c0%afx", "/v1/%u0069mages", "/v1/%ffimages",
        "/v1/im%09ages", "/v1/images%0d%0a", "/v1/images%7f", "/v1/sketches",
        "/v1/imagesque", "/v1", "/v1/models", "/v1/image", "/v1/x/images", "/v1/.images",
        "/v1/images/%252e%252e/files", "/v1/images/x%252f%252e%252e%252f%252e%252e%252ffiles",
        "/v1/images/%252e%252e%253b/files", "/v1/images/..%255cfiles", "/v1/images/...json/files",
        "/v1/images/%20..%20/files", "/v1/images/.../files", "/v1/images/%ff", "/v1/images/%0a",
        "/v1/images/" + "%" + "25" * 20 + "2e",
    ],
)  # fmt: skip
def test_a_scope_allows_nothing_that_an_upstream_may_read_as_another_path(path: str) -> None:
    """Not what is spelt in another way than the rule, nor what may lead out of it again."""
    assert not allowed(path)
    assert not allowed(path, "images", method="GET")


def test_a_scope_allows_its_methods() -> None:
    """GET stands for HEAD too; their names have capitals."""
    assert allowed("/v1/files", "files:read", method="GET")
    assert allowed("/v1/files", "files:read", method="HEAD")
    assert allowed("/v1/Sketches", "images", method="PATCH")
    for method in ("POST", "DELETE", "get", "OPTIONS", ""):
        assert not allowed("/v1/files", "files:read", method=method)


def test_scopes_add_up() -> None:
    """None takes away what another allows, and one that no rule names allows nothing."""
    assert allowed("/v1/images", "files:read", "images")
    assert not allowed("/v1/images", "image", "images:read", "*", "ima*")


def test_a_model_of_a_family_is_not_the_family() -> None:
    """Digits behind a dot are no extension."""
    assert allowed("/v1/models/gpt-4", "four")
    assert not allowed("/v1/models/gpt-4.1", "four")


def test_what_is_missing_is_said() -> None:
    """Each scope that would do, or that none would."""
    assert RULES.missing("POST", "/v1/images/edits") == "images"
    assert RULES.missing("DELETE", "/v1/files") == "only a key without scopes may make it"


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
@example(["images", "/", "..", ".json"], [CLEANERS[9], CLEANERS[11]])
def test_however_an_upstream_reads_a_path_it_is_one_that_the_scope_allows(
    pieces: list[str], steps: list[Callable[[str], str]]
) -> None:
    """Any decoding and cleaning, in any order and number: what is allowed is never read as another path."""
    path = read = "/v1/images" + "".join(pieces)
    for step in steps:
        read = step(read)
    if allowed(path):
        within = read.rstrip("/") == "/v1/images" or read.startswith("/v1/images/")
        assert within, f"{path} may be read as {read}"


def test_the_rules_that_ship_are_rules() -> None:
    """Each endpoint of the README, and a key for reading alone that changes nothing."""
    rules = ScopeRules(default_catalogue())

    assert rules.allow(("chat:write",), "POST", "/v1/chat/completions")
    assert rules.allow(("models:read",), "GET", "/v1/models/google/gemini-3-flash")
    for method, path in (("POST", "/v1/chat/completions"), ("DELETE", "/v1/models/x")):
        assert not rules.allow(("models:read", "files:read", "batches:read"), method, path)


ONE = "[[scope]]\nname = 'a'\ndescription = 'A'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[scope", "not TOML"),
        ("", "no [[scope]]"),
        ("scope = 'a'", "in double brackets"),
        ("[scope]\nname = 'a'", "in double brackets"),
        ("allow = []", "'allow', where only [[scope]] may be"),
        ("[[scope]]\ndescription = 'A'", "scope 1 has no name"),
        ("[[scope]]\nname = 'a b'", "scope 1: 'a b' is not 1 to 128 characters"),
        (ONE + "allows = []", "scope 'a' has 'allows'"),
        (ONE, "scope 'a' has no list of what it allows"),
        (ONE + "allow = []", "scope 'a' has no list of what it allows"),
        (ONE + "allow = 'GET /v1'", "scope 'a' has no list of what it allows"),
        (ONE + "allow = [1]", "scope 'a' allows 1, which is not METHODS PATH"),
        (ONE + "allow = ['/v1']", "is not METHODS PATH"),
        (ONE + "allow = ['GET  /v1']", "is not METHODS PATH"),
        (ONE + "allow = ['get /v1']", "the methods 'get'"),
        (ONE + "allow = ['GET, POST /v1']", "is not METHODS PATH"),
        (ONE + "allow = ['*,GET /v1']", "the methods '*,GET'"),
        *[
            (ONE + f"allow = ['GET {path}']", f"the path '{path}'")
            for path in ("v1", "/v1/*", "/v1/{id}", "/v1/%69", "/v1/../a", "/v1//a", "/v1/a;b",
                         "/v1/a?b", "/v1/a#b", "/v1/é", "/v1/.", "/v1/a/...")
        ],
        ("[[scope]]\nname = 'a'\nallow = ['GET /v1']", "scope 'a' has no description"),
        (
            "[[scope]]\nname = 'a'\ndescription = ''\nallow = ['GET /v1']",
            "scope 'a' has no description",
        ),
        (
            "[[scope]]\nname = 'a'\ndescription = \"a\\nb\"\nallow = ['GET /v1']",
            "scope 'a' has no description",
        ),
        ((ONE + "allow = ['GET /v1']\n") * 2, "two scopes have the name 'a'"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text: str, words: str) -> None:
    """With its place, and what to write instead."""
    with pytest.raises(ScopeRulesError, match=re.escape(words)):
        parse_catalogue(text)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or in another encoding."""
    (tmp_path / "latin").write_bytes(b"\xe9")
    for name in ("missing", "", "latin"):
        with pytest.raises(ScopeRulesError, match=str(tmp_path / name)):
            load_catalogue(str(tmp_path / name))
    assert load_catalogue("off") is None
