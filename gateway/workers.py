"""The gateway as several processes that share one port: `--workers`."""

from __future__ import annotations

import sys

import structlog

from gateway.config import Settings, host_and_port, joined
from gateway.listen import reserve
from keyauthority.workers import Workers


def serve_with_workers(settings: Settings) -> int:
    """Run the gateway's workers until SIGTERM or SIGINT; return the exit code.

    Each listens with a socket of its own, and the kernel deals connections out evenly. (From one
    socket that all accept from, whichever worker wakes first takes all that wait: a client that
    opens its connections in one go would be served by a single process.)

    Raises:
        StartError: The port cannot be had.
        WorkerError: A worker could not start, and has said why.
    """
    log = structlog.get_logger("gateway")
    with reserve(settings.listen) as reserved:
        host, port = reserved.getsockname()[:2]

        def command(index: int) -> list[str]:
            # The last of two equal flags counts.
            own = ["--workers", "1", "--listen", joined(host, port), "--share-port"]
            if settings.metrics_listen is not None:
                own += ["--metrics-listen", metrics_listen(settings.metrics_listen, index)]
            return [sys.executable, "-m", "gateway", *sys.argv[1:], *own]

        code = Workers(
            command,
            settings.workers,
            on_started=lambda: log.info(
                "gateway started",
                listen=settings.listen,
                port=port,
                upstream=settings.upstream,
                workers=settings.workers,
            ),
            on_death=lambda index, code: log.error("worker died", worker=index, exit_code=code),
            on_stop=lambda: log.info("gateway stopping"),
        ).run()
    log.info("gateway stopped")
    return code


def metrics_listen(address: str, index: int) -> str:
    """Where the worker of number *index* serves its metrics: *address*, that many ports further."""
    host, port = host_and_port(address, "--metrics-listen")
    return joined(host, port + index if port else 0)
