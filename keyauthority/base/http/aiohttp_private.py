"""All that we use of aiohttp beside its documented interface: each name, and its purpose.

aiohttp may change these in any release, so `pyproject.toml` pins its minor version. A test fails
when a name has moved, and when the code uses a name that is not listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import TCPConnector, web, web_protocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import _serialize_headers
from aiohttp.web_protocol import RequestHandler, _ErrInfo

ErrInfo = _ErrInfo
"""What aiohttp queues where its parser could not read a request."""

serialize_headers = _serialize_headers
"""Writes a head; raises `ValueError` at a line break within a field."""

PRIVATE: Final[Mapping[type, Mapping[str, str]]] = {
    RequestHandler: {
        "_keepalive_handle": "Tells whether the connection is watched for how long it idles.",
        "_loop": "Timers of heads and deliveries run on it.",
        "_messages": "Tells that a head has arrived, and is answered at once; one that is refused "
        "early is queued there.",
        "_next_keepalive_close_time": "An answer that was given at once ends an idle time.",
        "_parser": "Is told that a head was answered, and reads on.",
        "_task_handler": "Is cancelled at the stop, so that the handler can still end its answer.",
        "_upgraded": "Nothing may be written directly once the connection has another protocol.",
        "_waiter": "Tells an idle connection from a busy one, and wakes it for a refused head.",
        "data_received": "Is overridden to count and time heads.",
        "finish_response": "Is overridden to write whole answers in one piece, and to linger.",
        "force_close": "Ends an idle connection.",
        "handle_error": "Is overridden to answer unreadable requests with our own words.",
        "log_exception": "Is overridden: the rest of a body after its answer is no error.",
        "pause_writing": "Is overridden to count the bytes that wait for the client.",
        "resume_writing": "Is overridden for the same.",
        "set_parser": "Takes what a client sends once the connection has another protocol.",
        "writing_paused": "Tells whether the client has to be waited for.",
    },
    web.Server: {
        "_connections": "Counts the connections without a copy of their list.",
        "_loop": "The request, the listening and the drain need it.",
        "_make_request": "Is overridden to make requests of our own class.",
    },
    web.BaseRequest: {
        "ATTRS": "Our attributes are added, or debug mode would refuse them.",
        "_message": "Tells whether the body comes in chunks, which may have a trailer, and whether the "
        "client offers another protocol.",
        "_prepare_hook": "Is overridden to complete the head of a streamed response.",
    },
    web.StreamResponse: {
        "_eof_sent": "Says that an answer is written, so that it is not written twice.",
        "_headers": "The head is completed without the checks of a response that may yet change.",
        "_keep_alive": "Is decided when the head is written.",
        "_real_headers": "Takes over header fields without a copy.",
        "_reason": "Part of the status line.",
        "_req": "The request of a streamed response, whose head is written.",
        "_status": "Part of the status line.",
        "_write_headers": "Is overridden to write bytes that are no UTF-8.",
        "prepare": "Is overridden to write a whole answer where aiohttp streams.",
    },
    ResponseHandler: {
        "_loop": "Timers and the writing of bodies run on it.",
        "_parser": "Is asked for a head that it has begun to read where none may follow.",
        "_payload": "Tells whether the body of the response has ended, and that it is late.",
        "abort": "Ends a connection whose last bytes can't be sent.",
        "_reading_paused": "A connection that is not read can't be known to be quiet, nor be late.",
        "close": "Is overridden to stop what belongs to the connection.",
        "data_received": "Is overridden to refuse bytes that no request asked for.",
        "connection_lost": "Is overridden to take what is left of the response, and tell if it was cut.",
        "feed_data": "Is overridden to refuse a second response to one request.",
        "force_close": "Keeps a connection from having another request.",
        "is_connected": "A connection that is gone is not quiet.",
        "pause_reading": "Is overridden to note the pause.",
        "resume_reading": "Is overridden to do nothing where reading was never paused.",
        "set_exception": "Tells whoever waits for the response, or is about to use the connection.",
        "set_parser": "Takes what the upstream sends once the connection has another protocol.",
        "set_response_params": "Makes the parser of the next response.",
        "should_close": "Tells whether the connection may have another request.",
    },
    TCPConnector: {
        "_create_connection": "Opens a connection: names, several addresses, TLS.",
        "_factory": "Makes connections of our own class.",
        "_loop": "They need it.",
        "close": "Is overridden to end them.",
    },
}
"""What we use of each of aiohttp's classes."""

READ_AHEAD: Final = 2
"""Heads that are read of a connection while one of its requests is under way."""


def limit_read_ahead() -> None:
    """Makes aiohttp read `READ_AHEAD` heads ahead on new connections.

    Its default, 32, would let anybody fill some MB of memory per connection. There is no setting:
    `RequestHandler` copies `MAX_MSG_QUEUE_SIZE` when it is created.
    """
    web_protocol.MAX_MSG_QUEUE_SIZE = READ_AHEAD
