"""What a request head must be before anything else about it counts."""

from __future__ import annotations

from itertools import chain
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs

from gateway.config import Limits
from gateway.envelope import Refusal
from gateway.request import EdgeRequest

# TRACE would echo the credential that the upstream gets back to the client.
_UNFIT_METHODS: Final = frozenset({"CONNECT", "TRACE"})
_VERSIONS: Final = (HttpVersion11, HttpVersion10)
_CONTINUE: Final = "100-continue"


def check_head(request: EdgeRequest, limits: Limits) -> Refusal | None:
    """Return why the head of *request* is not acceptable; None if it is.

    The parser has already refused what is not HTTP/1; this refuses what two parsers in a row may
    understand differently (RFC 9112, section 6.1), what would turn the connection into something
    else, and what is too large.
    """
    headers = request.headers
    if request.version not in _VERSIONS:
        return Refusal.BAD_REQUEST
    if request.method in _UNFIT_METHODS or hdrs.UPGRADE in headers:
        return Refusal.BAD_REQUEST
    if hdrs.TRANSFER_ENCODING in headers and not _is_plainly_chunked(request):
        return Refusal.BAD_REQUEST
    if hdrs.EXPECT in headers and headers[hdrs.EXPECT].lower() != _CONTINUE:
        return Refusal.BAD_REQUEST
    if request.client.large_head and _size(request) > limits.max_header_bytes:
        return Refusal.HEADERS_TOO_LARGE
    return None


def expects_continue(request: EdgeRequest) -> bool:
    """Tell whether the client waits for `100 Continue` before it sends the body."""
    return hdrs.EXPECT in request.headers and request.version >= HttpVersion11


def _is_plainly_chunked(request: EdgeRequest) -> bool:
    codings = [value.lower() for value in request.headers.getall(hdrs.TRANSFER_ENCODING)]
    alone = hdrs.CONTENT_LENGTH not in request.headers
    return codings == ["chunked"] and alone and request.version == HttpVersion11


def _size(request: EdgeRequest) -> int:
    fields = request.raw_headers
    # ": " and the line's end are part of a field.
    return len(request.raw_path) + sum(map(len, chain.from_iterable(fields))) + 4 * len(fields)
