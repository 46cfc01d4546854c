"""The handshake of a websocket (RFC 6455, section 4): what a client asks for, and what an upstream answers."""

from __future__ import annotations

import base64
import re
from hashlib import sha1
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.bearer import parse_authorization
from gateway.field_names import named_by_connection
from gateway.key_headers import KeyHeaders
from gateway.request import WEBSOCKET, EdgeRequest, asks_for_websocket
from keyauthority.base.http.answer import byte_head, write
from keyauthority.base.http.request import REQUEST_ID
from keyauthority.client import secret_within
from keyauthority.edge.envelope import Refusal

KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""Begins the subprotocol in which a page sends its key, since it can't set header fields."""

_VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_is_nonce = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch


def read_handshake(
    request: EdgeRequest, key_headers: KeyHeaders, *, served: bool
) -> Refusal | None:
    """Reads what *request* says of a websocket, if it asks for one; returns why that is refused, if it is.

    Its `handshake` is then what goes on, and a key in a subprotocol what it presents: that goes no further.
    *key_headers* are the fields that may have a key; *served*: websockets are forwarded here.
    """
    if not asks_for_websocket(request):
        return None
    if not served:
        return Refusal.WEBSOCKETS_OFF
    refusal = _take_key(request, key_headers)
    if refusal is not None:
        return refusal
    lines = _lines(request.headers) if _is_plain(request) else None
    if lines is None:
        return Refusal.BAD_REQUEST
    request.handshake = tuple(line.encode(errors="surrogateescape") for line in lines)
    return None


def _is_plain(request: EdgeRequest) -> bool:
    # Whether it asks for a websocket and for nothing else: the parser goes on to other bytes only then.
    headers = request.headers
    return (
        [offer.lower() for offer in headers.getall(hdrs.UPGRADE, [])] == [WEBSOCKET]
        and _switches(headers)
        and request.method == hdrs.METH_GET
        and request.version == HttpVersion11
    )


def _switches(headers: CIMultiDictProxy[str]) -> bool:
    # Whether the upgrade concerns this connection, as it has to.
    return hdrs.CONNECTION in headers and hdrs.UPGRADE.lower() in named_by_connection(headers)


def _lines(headers: CIMultiDictProxy[str]) -> list[str] | None:
    # What goes on; None if it is no handshake.
    nonces = headers.getall(hdrs.SEC_WEBSOCKET_KEY, ())
    if len(nonces) != 1 or not _is_nonce(nonces[0]):
        return None
    if list(headers.getall(hdrs.SEC_WEBSOCKET_VERSION, ())) != [_VERSION]:
        return None
    if hdrs.CONTENT_LENGTH in headers or hdrs.TRANSFER_ENCODING in headers:
        return None
    protocols = [name for name in _protocols(headers) if not _has_key(name)]
    if any(map(secret_within, protocols)):
        return None
    extensions = headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())
    return [
        "Connection: Upgrade",
        f"Upgrade: {WEBSOCKET}",
        f"{hdrs.SEC_WEBSOCKET_KEY}: {nonces[0]}",
        f"{hdrs.SEC_WEBSOCKET_VERSION}: {_VERSION}",
        *(f"{hdrs.SEC_WEBSOCKET_EXTENSIONS}: {value}" for value in extensions),
        *([f"{hdrs.SEC_WEBSOCKET_PROTOCOL}: {', '.join(protocols)}"] if protocols else []),
    ]


def is_accepted(request: EdgeRequest, headers: CIMultiDictProxy[str]) -> bool:
    """Returns whether *headers*, of an answer 101, open the websocket that *request* asks for."""
    nonce = request.headers[hdrs.SEC_WEBSOCKET_KEY].encode()
    digest = sha1(nonce + _GUID).digest()  # noqa: S324 - the protocol's, which rests nothing on it
    return (
        headers.get(hdrs.UPGRADE, "").lower() == WEBSOCKET
        and _switches(headers)
        and headers.getall(hdrs.SEC_WEBSOCKET_ACCEPT, ()) == [base64.b64encode(digest).decode()]
    )


class Switched(web.StreamResponse):
    """The answer 101, with *headers* of the upstream's; what follows on the connection are frames."""

    def __init__(self, headers: CIMultiDict[str]) -> None:
        headers.popall(hdrs.CONTENT_LENGTH, None)
        super().__init__(status=101, headers=headers)
        self.headers[hdrs.CONNECTION] = "Upgrade"
        self.headers[hdrs.UPGRADE] = WEBSOCKET
        self.force_close()

    def begin(self, request: EdgeRequest) -> None:
        """Sends its head. Raises `ConnectionError` if the client has left."""
        self.headers[REQUEST_ID] = request.id
        write(request, byte_head("HTTP/1.1 101 Switching Protocols", self._headers))
        self._eof_sent = True


def _take_key(request: EdgeRequest, key_headers: KeyHeaders) -> Refusal | None:
    # Pages may call only where somebody has let them; others have a header field for the key.
    keys = [name for name in _protocols(request.headers) if _has_key(name)]
    if not keys:
        return None
    if not request.from_page or len(keys) > 1 or key_headers.are_in(request.headers):
        return Refusal.MISSING_AUTH
    request.presented = parse_authorization([f"Bearer {keys[0][len(KEY_PROTOCOL) :]}"])
    return None if request.presented is not None else Refusal.MISSING_AUTH


def _protocols(headers: CIMultiDictProxy[str]) -> list[str]:
    text = ",".join(headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()))
    return [name for part in text.split(",") if (name := part.strip())]


def _has_key(protocol: str) -> bool:
    return protocol.lower().startswith(KEY_PROTOCOL)
