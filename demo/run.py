"""Starts authority, gateway, console and a demo upstream, and says what to type: `make run`."""

from __future__ import annotations

import http.client
import secrets
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from demo.processes import Processes
from demo.provisioning import DemoKey, provision
from demo.settings import DemoError, Settings
from keyauthority.base.process.files import write_private
from keyauthority.client import SecretFileError


def main() -> int:
    """Runs until it is told to stop or one of its children ends. Returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    processes: Processes | None = None
    try:
        settings = Settings.from_environment()
        settings.check_ports()
        processes = Processes(settings.data_dir / "logs")
        key = _start(settings, processes)
        print(_welcome(settings, key), flush=True)
        while not stop.wait(0.2):
            processes.check()
    except (DemoError, SecretFileError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"make run: {error.filename} can't be used: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        if processes is not None:
            processes.stop()
    print("\nStopped.")
    return 0


def _start(settings: Settings, processes: Processes) -> DemoKey:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    serve = ["--data-dir", str(settings.data_dir), "serve", "--listen", settings.authority]
    processes.start(
        "authority",
        ["keyauthority", *serve],
        settings.authority,
        lambda: _healthy(settings.authority),
    )
    made = provision(settings.authority, settings.data_dir)
    upstream = settings.upstream_url or f"http://{settings.upstream}"
    upstream_key = _upstream_key(settings)
    if settings.upstream_url is None:
        processes.start(
            "demo upstream",
            ["demo.upstream", settings.upstream, str(upstream_key)],
            settings.upstream,
            lambda: _answers(settings.upstream_port, "/") > 0,
        )
    gateway = ["gateway", "--listen", settings.gateway, "--authority", settings.authority]
    gateway += ["--token-file", str(made.gateway_token), "--upstream", upstream]
    if upstream_key is not None:
        gateway += ["--upstream-key-file", str(upstream_key)]
    processes.start("gateway", gateway, settings.gateway, lambda: _ready(settings.gateway_port))
    console = ["console", "--listen", settings.console, "--authority", settings.authority]
    console += ["--token-file", str(made.console_token), "--database"]
    console += [str(settings.data_dir / "console.db"), "--api-url", f"http://{settings.gateway}"]
    console += ["--setup-link-file", str(_setup_link(settings))]
    processes.start("console", console, settings.console, lambda: _ready(settings.console_port))
    return made.key


def _setup_link(settings: Settings) -> Path:
    return settings.data_dir / "console.link"


def _upstream_key(settings: Settings) -> Path | None:
    path = settings.data_dir / "upstream.key"
    if settings.upstream_url is None:
        write_private(path, secrets.token_urlsafe(32) + "\n")
    elif settings.upstream_api_key is not None:
        write_private(path, settings.upstream_api_key + "\n")
    else:
        return None
    return path


def _healthy(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        health: Any = HealthStub(channel)
        try:
            answer = health.Check(HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


def _ready(port: int) -> bool:
    return _answers(port, "/readyz") == http.client.OK


def _answers(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _welcome(settings: Settings, key: DemoKey) -> str:
    command = [str(Path(sys.executable).with_name("keyauthority")), "--address", settings.authority]
    revoke = shlex.join([*command, "--data-dir", str(settings.data_dir), "keys", "revoke", key.id])
    note = "\nThe key of the last run no longer works; this is a new one.\n" if key.fresh else ""
    return f"""
OpenToken is running.

  authority  {settings.authority}  (gRPC)
  gateway    http://{settings.gateway}
  console    http://{settings.console}
  upstream   {settings.upstream_url or f"http://{settings.upstream}  (demo)"}
  data       {settings.data_dir}
{note}
{_invitation(settings)}
Call the API with the demo key, from another shell:

  curl http://{settings.gateway}/v1/chat/completions \\
    -H "Authorization: Bearer $(cat {shlex.quote(str(key.file))})" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "google/gemini-3-flash", "messages": [{{"role": "user", "content": "Hello"}}]}}'

Revoke the key; from then on the same curl answers 401 invalid_key:

  {revoke}

Ctrl-C stops all of it."""


def _invitation(settings: Settings) -> str:
    try:
        link = _setup_link(settings).read_text().strip()
    except FileNotFoundError:
        return f"Sign in to the console: http://{settings.console}\n"
    return f"""Become the owner of the console, and make a key of your own there (the link works once):

  {link}
"""


if __name__ == "__main__":
    sys.exit(main())
