"""Asks the upstream for the usage of a stream, where the client did not."""

from __future__ import annotations

from typing import Final

from gateway.metering.endpoints import Endpoint
from gateway.metering.members import members, values_by_name
from gateway.metering.request import Asked

_ASKING: Final = b'"include_usage":true'


def lacks_usage(asked: Asked) -> bool:
    """Returns whether a stream has to be asked for its usage: OpenAI's completions, chat or not."""
    if not asked.streams or asked.includes_usage:
        return False
    return asked.place in (Endpoint.CHAT, Endpoint.COMPLETIONS)


def ask_for_usage(body: bytes) -> bytes:
    """Returns the JSON object *body* with `stream_options.include_usage` set to true.

    For a body that `read_request` took and of which `lacks_usage` holds. The field is inserted; one that
    is there, and null or false, gets another value. All else stays, byte for byte.
    """
    if _lacks_options(body) or "stream_options" not in values_by_name(body):
        opening = body.index(b"{") + 1
        return b"%b%b,%b" % (body[:opening], b'"stream_options":{%b}' % _ASKING, body[opening:])
    start, value = members(body)["stream_options"]
    if value == b"null":
        return _replaced(body, start, value, b"{%b}" % _ASKING)
    inside = members(value)
    if flag := inside.get("include_usage"):
        return _replaced(body, start + flag.start, flag.value, b"true")
    comma = b"," if inside else b""
    return _replaced(body, start, b"{", b"{" + _ASKING + comma)


def _lacks_options(body: bytes) -> bool:
    # Where nothing is escaped, a name stands as it is read.
    return b"stream_options" not in body and b"\\" not in body


def _replaced(body: bytes, start: int, old: bytes, new: bytes) -> bytes:
    return body[:start] + new + body[start + len(old) :]
