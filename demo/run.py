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

from demo.credits import CREDITS, PREMIUM
from demo.processes import Processes
from demo.provisioning import DemoKey, provision
from demo.settings import DemoError, Settings
from keyauthority.base.process.files import write_private
from keyauthority.client import SecretFileError


def main() -> int:
    """Runs until it is stopped or a child ends; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    processes: Processes | None = None
    try:
        settings = Settings.from_environment()
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
    data_dir, authority = settings.data_dir, settings.authority
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = ["keyauthority", "--data-dir", str(data_dir), "serve", "--listen", authority]
    processes.start("authority", command, authority, lambda: _healthy(authority))
    provisioned = provision(authority, data_dir)
    upstream, upstream_key = settings.upstream, _upstream_key(settings)
    if upstream is not None:
        command = ["demo.upstream", upstream, str(upstream_key)]
        processes.start("demo upstream", command, upstream, lambda: _status(upstream, "/") > 0)
    command = ["gateway", "--listen", settings.gateway, "--authority", authority]
    command += ["--token-file", str(provisioned.gateway_token)]
    command += ["--upstream", settings.upstream_url]
    if upstream_key is not None:
        command += ["--upstream-key-file", str(upstream_key)]
    spool = data_dir / "spool"
    spool.mkdir(mode=0o700, exist_ok=True)
    command += ["--billing", "enforce", "--spool", str(spool), "--unpriced", "default"]
    processes.start("gateway", command, settings.gateway, lambda: _ready(settings.gateway))
    command = ["console", "--listen", settings.console, "--authority", authority]
    command += ["--token-file", str(provisioned.console_token)]
    command += ["--database", str(data_dir / "console.db"), "--api-url"]
    command += [f"http://{settings.gateway}", "--setup-link-file", str(_setup_link(settings))]
    processes.start("console", command, settings.console, lambda: _ready(settings.console))
    return provisioned.key


def _setup_link(settings: Settings) -> Path:
    return settings.data_dir / "console.link"


def _upstream_key(settings: Settings) -> Path | None:
    path, key = settings.data_dir / "upstream.key", settings.upstream_api_key
    if settings.upstream is not None:
        key = secrets.token_urlsafe(32)
    if key is None:
        return None
    write_private(path, key + "\n")
    return path


def _healthy(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        health: Any = HealthStub(channel)
        try:
            answer = health.Check(HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


def _ready(address: str) -> bool:
    return _status(address, "/readyz") == http.client.OK


def _status(address: str, path: str) -> int:
    # 0 if nothing answers there.
    connection = http.client.HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _welcome(settings: Settings, key: DemoKey) -> str:
    command = [str(Path(sys.executable).with_name("keyauthority")), "--address", settings.authority]
    command += ["--data-dir", str(settings.data_dir)]
    entries = shlex.join([*command, "ledger", "entries", "--workspace", key.workspace_id])
    top_up = shlex.join([*command, "ledger", "top-up", key.workspace_id])
    revoke = shlex.join([*command, "keys", "revoke", key.id])
    note = "\nThe key of the last run no longer works; this is a new one.\n" if key.replaces else ""
    return f"""
OpenToken is running.

  authority  {settings.authority}  (gRPC)
  gateway    http://{settings.gateway}
  console    http://{settings.console}
  upstream   {settings.upstream_url}{"  (demo)" if settings.upstream else ""}
  data       {settings.data_dir}
{note}
{_invitation(settings)}
For README's commands, paste this into another shell:

{_exports(settings, key)}

Call the API with the demo key, from another shell:

  curl http://{settings.gateway}/v1/chat/completions \\
    -H "Authorization: Bearer $(cat {shlex.quote(str(key.file))})" \\
    -H "Content-Type: application/json" \\
    -d '{{"model": "google/gemini-3-flash", "messages": [{{"role": "user", "content": "Hello"}}]}}'

The workspace began with {CREDITS} credits. What each request cost, newest first:

  {entries}

A request for the model {PREMIUM} costs 4 credits. Once none are left, the curl answers
402 credit_balance_exhausted. More credits count when this returns:

  {top_up} --amount 10 --purchase ORDER-1

Revoke the key; from then on the same curl answers 401 invalid_key:

  {revoke}

Ctrl-C stops all of it."""


def _exports(settings: Settings, key: DemoKey) -> str:
    programs = shlex.quote(str(Path(sys.executable).parent))
    return f"""  export OPENTOKEN_BASE_URL=http://{settings.gateway}/v1
  export OPENTOKEN_API_KEY="$(cat {shlex.quote(str(key.file))})"
  export KEYAUTHORITY_ADDRESS={settings.authority}
  export KEYAUTHORITY_DATA_DIR={shlex.quote(str(settings.data_dir))}
  export PATH={programs}:"$PATH\""""


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
