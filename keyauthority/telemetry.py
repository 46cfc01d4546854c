"""Logs and metrics, set up the same way in every process."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from structlog.typing import EventDict, Processor, WrappedLogger

from keyauthority.domain.secrets import KEY_PREFIX, TOKEN_PREFIX, percent_decoded

REDACTED: Final = "[redacted]"

# Five characters and up, so that the hint a person recognises a key by (four) stays readable.
_SECRET: Final = re.compile(
    rf"(?:{re.escape(KEY_PREFIX)}|{re.escape(TOKEN_PREFIX)})[0-9A-Za-z_\-]{{5,}}"
)
_WORD: Final = re.compile(r"[0-9A-Za-z_%\-]+")
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def redact(text: str) -> str:
    """Return *text* without anything that looks like a key's secret or a service token.

    Also if it is percent-encoded, several times too: then without the whole word that it is in.
    """
    redacted = _SECRET.sub(REDACTED, text)
    return _WORD.sub(_redact_encoded, redacted) if "%" in redacted else redacted


def _redact_encoded(word: re.Match[str]) -> str:
    hidden = "%" in word[0] and _SECRET.search(percent_decoded(word[0])) is not None
    return REDACTED if hidden else word[0]


def configure_logging(level: str = "info") -> None:
    """Log one JSON object a line to standard error, for this process and all its libraries.

    Args:
        level: The least severe of our own events that is logged: debug, info, warning or error.
            Libraries log from warning on whatever it is, since their debug output shows requests.
    """
    render = _RedactingRenderer()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _StandardError(),
    )
    handler = _LibraryHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


@contextmanager
def serve_metrics(listen: str, registry: CollectorRegistry = REGISTRY) -> Iterator[int]:
    """Serve *registry* to Prometheus at *listen* (`HOST:PORT`) as long as the context lasts.

    Yields:
        The port, which is of interest when *listen* asked for any (0).

    Raises:
        OSError: The address is in use or not this machine's.
    """
    host, _, port = listen.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"), registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _write(line: str) -> None:
    # A log that nobody reads any more, such as a closed pipe, must not end the service.
    with suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class _StandardError:
    # What structlog hands finished lines to, by the name of their level.

    def msg(self, line: str) -> None:
        _write(line)

    debug = info = warning = error = critical = msg


class _LibraryHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _write(self.format(record))


class _RedactingRenderer:
    # Redacts the finished line, so that nothing can bring a secret in behind its back: no key, no
    # nested value, no traceback.

    def __init__(self) -> None:
        self._render = structlog.processors.JSONRenderer()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        rendered: Any = self._render(logger, method, event)
        return redact(rendered)
