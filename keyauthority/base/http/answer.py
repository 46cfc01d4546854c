"""Responses that are complete, and written in one piece."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict

from keyauthority.base.http.aiohttp_private import serialize_headers
from keyauthority.base.http.request import REQUEST_ID, Request, request_id

_BODILESS: Final = frozenset({204, 304})

_has_control = re.compile(r"[\x00-\x08\n-\x1f\x7f]").search


class Answer(web.StreamResponse):
    """A response of which status, header fields and body are known.

    aiohttp's own response takes many more steps, since it may be changed, compressed or streamed.
    The answer takes over *headers*, which lack the fields that frame the body. They are ASCII, unless
    *is_ascii* says otherwise (`byte_head`).
    """

    _write = staticmethod(serialize_headers)

    def __init__(
        self,
        status: int,
        headers: CIMultiDict[str],
        body: bytes = b"",
        *,
        is_ascii: bool = True,
    ) -> None:
        super().__init__(status=status, _real_headers=headers)
        self._whole = body
        if not is_ascii:
            self._write = byte_head

    def send(self, request: Request) -> None:
        """Writes the answer to *request*, without waiting for the client to read what came before.

        Raises `ConnectionError` if the client has left.
        """
        write(request, self._head(request) + self._whole)
        self._eof_sent = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the answer. aiohttp calls this where `send` was not called."""
        if not self._eof_sent:
            self.send(cast(Request, request))
            await request.writer.drain()
        return None

    def _head(self, request: Request) -> bytes:
        headers, version = self._headers, request.version
        self._declare_length(request)
        if hdrs.DATE not in headers:
            headers[hdrs.DATE] = rfc822_formatted_time()
        headers[REQUEST_ID] = request.id
        self._declare_end(request)
        protocol = "1.1" if version == HttpVersion11 else "1.0"
        return self._write(f"HTTP/{protocol} {self._status} {self._reason}", headers)

    def _declare_length(self, request: web.BaseRequest) -> None:
        headers, size = self._headers, len(self._whole)
        if self._status in _BODILESS:
            headers.popall(hdrs.CONTENT_LENGTH, None)
            self._whole = b""
        elif request.method == hdrs.METH_HEAD:
            # The length of the answer to a GET, if it is known.
            if size and hdrs.CONTENT_LENGTH not in headers:
                headers[hdrs.CONTENT_LENGTH] = str(size)
            self._whole = b""
        else:
            if hdrs.CONTENT_LENGTH not in headers:
                headers[hdrs.CONTENT_LENGTH] = str(size)
            if size and hdrs.CONTENT_TYPE not in headers:
                headers[hdrs.CONTENT_TYPE] = "application/octet-stream"

    def _declare_end(self, request: Request) -> None:
        if request.client.leaving:
            self._keep_alive = False
        elif self._keep_alive is None:
            self._keep_alive = request.keep_alive
        if not self._keep_alive:
            if request.version == HttpVersion11:
                self._headers[hdrs.CONNECTION] = "close"
        elif request.version == HttpVersion10:
            self._headers[hdrs.CONNECTION] = "keep-alive"


class ByteStream(web.StreamResponse):
    """A response that is written as it comes, and whose fields are not ASCII (`byte_head`)."""

    async def _write_headers(self) -> None:
        request = cast(Request, self._req)
        protocol = "1.1" if request.version == HttpVersion11 else "1.0"
        write(request, byte_head(f"HTTP/{protocol} {self._status} {self._reason}", self._headers))


def write(request: Request, data: bytes) -> None:
    """Writes *data* to the client of *request* as it is. Raises `ConnectionError` if the client has left."""
    transport = request.client.transport
    if transport.is_closing():
        raise ConnectionResetError("the client has left")
    request.writer.output_size += len(data)
    transport.write(data)


def byte_head(status_line: str, headers: CIMultiDict[str]) -> bytes:
    """Returns a head whose fields have the bytes that came in.

    aiohttp's parser turns bytes that are no UTF-8 into surrogates, which its writer leaves out. Raises
    `ValueError` at a control character.
    """
    lines = [status_line, *(f"{name}: {value}" for name, value in headers.items())]
    if any(map(_has_control, lines)):
        raise ValueError("a control character in a head")
    return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")


def raw_answer(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """Returns the bytes of an answer to a client that has sent no request yet."""
    fields = {
        **headers,
        "Content-Length": str(len(body)),
        "Connection": "close",
        REQUEST_ID: request_id(None, ""),
    }
    lines = [f"HTTP/1.1 {status} Refused", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
