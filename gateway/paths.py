"""Path hygiene: which request targets may go on to the upstream, byte for byte."""

import re
from urllib.parse import unquote

from gateway.envelope import Refusal
from keyauthority.client import SECRET_MARK, secret_within

_ROOT = "/v1"
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c)", re.IGNORECASE)


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into its path and its query string (without the `?`)."""
    path, _, query = target.partition("?")
    return path, query


def holds_secret(target: str) -> bool:
    """Tell whether a key's secret or a token stands in *target*, also percent-encoded.

    There it would end in the logs of everybody on the way.
    """
    # Few targets hold either, so the search is seldom paid for.
    return (SECRET_MARK in target or "%" in target) and secret_within(target) is not None


def check_path(path: str) -> Refusal | None:
    """Return why *path*, a raw request path, is not forwarded; None if it may be.

    Refused as `BAD_REQUEST` is whatever two parsers could read as two different paths:
    absolute-form and other forms than RFC 9112's origin-form, a fragment, dot segments (also
    percent-encoded), empty segments, backslashes, and encoded slashes and backslashes.
    A clean path that is not under `/v1` is `NOT_FOUND`.
    """
    if not is_unambiguous(path):
        return Refusal.BAD_REQUEST
    if path == _ROOT or path.startswith(_ROOT + "/"):
        return None
    return Refusal.NOT_FOUND


def is_unambiguous(path: str) -> bool:
    """Tell whether every parser reads *path*, a raw request path, the same way."""
    if not path.startswith("/") or not path.isascii():
        return False
    if "//" in path or "\\" in path or "#" in path:
        return False
    if "%" in path and _ENCODED_SEPARATOR.search(path):
        return False
    return not _has_dot_segment(path)


def _has_dot_segment(path: str) -> bool:
    # Most paths hold neither spelling of a leading dot, so the split is seldom paid for.
    if "/." not in path and "%2" not in path:
        return False
    return any(_is_dot_segment(segment) for segment in path.split("/"))


def _is_dot_segment(segment: str) -> bool:
    # Some servers drop ";parameters" before they resolve dots.
    return unquote(segment).partition(";")[0] in (".", "..")
