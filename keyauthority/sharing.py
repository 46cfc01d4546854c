"""The authority as several processes that share one port and one PostgreSQL database: `--workers`."""

from __future__ import annotations

import sys

import structlog

from keyauthority.binding import cannot_listen
from keyauthority.config import Settings, host_and_port, joined
from keyauthority.workers import Workers, reserve


def serve_with_workers(settings: Settings) -> int:
    """Runs the workers until SIGTERM or SIGINT; returns the exit code.

    Each has a server, a cache and a session of its own; the kernel deals out the connections.
    Raises `StartError` if the port can't be had, `WorkerError` if a worker could not start and has
    said why.
    """
    log = structlog.get_logger()
    host, port = host_and_port(settings.listen, "--listen")
    try:
        reserved = reserve(host, port)
    except OSError:
        raise cannot_listen(settings.listen) from None
    with reserved:
        address = joined(*reserved.getsockname()[:2])

        def command(index: int) -> list[str]:
            # The last of two equal flags counts.
            own = ["--workers", "1", "--listen", address, "--share-port"]
            if settings.metrics_listen is not None:
                own += ["--metrics-listen", _further(settings.metrics_listen, index)]
            return [sys.executable, "-m", "keyauthority", *sys.argv[1:], *own]

        code = Workers(
            command,
            settings.workers,
            on_started=lambda: log.info(
                "workers_serving",
                listen=settings.listen,
                port=reserved.getsockname()[1],
                workers=settings.workers,
            ),
            on_death=lambda index, code: log.error("worker_died", worker=index, exit_code=code),
            on_stop=lambda: log.info("workers_stopping"),
        ).run()
    log.info("workers_stopped")
    return code


def _further(address: str, index: int) -> str:
    host, port = host_and_port(address, "--metrics-listen")
    return joined(host, port + index if port else 0)
