"""Logs and metrics, set up the same way in every process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from structlog.typing import EventDict, Processor, WrappedLogger

from keyauthority.base.process.lifecycle import start_errors
from keyauthority.base.process.settings import host_and_port

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(level: str, redact: Callable[[str], str]) -> None:
    """Logs one JSON object a line to standard error, for this process and all its libraries.

    *level* is the least severe of our own events that is logged: debug, info, warning or error.
    Libraries log from warning on whatever it is, since their debug output shows requests. *redact*
    takes what must not be seen out of a finished line.
    """
    render = _RedactingRenderer(redact)
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


def process_registry() -> CollectorRegistry:
    """A registry that tells of the process itself already."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


@contextmanager
def serve_metrics(listen: str, registry: CollectorRegistry) -> Iterator[int]:
    """Serves *registry* to Prometheus at *listen* (`HOST:PORT`) as long as the context lasts.

    Yields the port, which is of interest when *listen* asked for any (0). Raises `StartError` if the
    address is in use or not this machine's.
    """
    host, port = host_and_port(listen, "--metrics-listen")
    with start_errors(f"serve metrics on {listen}"):
        server, thread = start_http_server(port, host, registry)
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

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._render = structlog.processors.JSONRenderer()
        self._redact = redact

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        rendered: Any = self._render(logger, method, event)
        return self._redact(rendered)
