"""Logs and metrics, the same in every process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

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
from keyauthority.base.process.settings import LOG_LEVELS, SettingsError, host_and_port


def configure_logging(level: str, redact: Callable[[str], str]) -> None:
    """Sets up logging, of our events and those of libraries, as JSON objects to standard error.

    *level* is the least severe level of our own events: debug, info, warning or error. Libraries log
    from warning on, since their debug output shows requests. *redact* removes secrets from a
    finished line. Raises `SettingsError` for another *level*.
    """
    if level not in LOG_LEVELS:
        raise SettingsError(f"--log-level must be one of {', '.join(LOG_LEVELS)}, not {level!r}")
    render = _RedactingRenderer(redact)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
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
    """Returns a registry with the metrics of the process itself."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


@contextmanager
def serve_metrics(listen: str, registry: CollectorRegistry) -> Iterator[int]:
    """Serves *registry* to Prometheus at *listen* (`HOST:PORT`) while the context lasts.

    Yields the port, since port 0 takes any free one. Raises `StartError`.
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
    # A log without a reader, such as a closed pipe, must not end the service.
    with suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


class _StandardError:
    # Structlog writes a finished line by calling the method of its level.

    def msg(self, line: str) -> None:
        _write(line)

    debug = info = warning = error = critical = msg


class _LibraryHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _write(self.format(record))


class _RedactingRenderer:
    # Redacts the finished line, so that no key, nested value or traceback can reveal a secret.

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._render = structlog.processors.JSONRenderer()
        self._redact = redact

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        rendered: Any = self._render(logger, method, event)
        return self._redact(rendered)
