"""The command: settings from flags and environment, and errors in one sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main, settings_of
from gateway.config import Limits, Settings, Timeouts
from keyauthority.scopes.catalogue import default_catalogue
from tests.ports import free_port


@pytest.fixture(autouse=True)
def _log(restored_logging: None) -> None:
    # The log of this process is not the gateway's.
    pass


def settings_by(*arguments: str, env: dict[str, str] | None = None) -> Settings:
    """What the gateway is started with."""
    with (
        CliRunner().isolation(env=env),
        main.make_context("keyauthority-gateway", list(arguments)) as context,
    ):
        return settings_of(**context.params)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def refused(*arguments: str, code: int = 2) -> str:
    """The one sentence said by a gateway that does not start."""
    result = run(*arguments)
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def names_of(group: type[Limits | Timeouts] | Limits | Timeouts) -> list[str]:
    return [field.name for field in fields(group) if field.name not in FIXED]


UPSTREAM = ("--upstream", "http://127.0.0.1:9090")
FIXED = ("body_rate_grace", "doubt_timeout", "usage_timeout", "max_read_on")
"""No operator has a reason to change these: only tests do, since they would wait for too long."""


NEW_SCOPE = """
[[scope]]
name = "rerank:write"
description = "Order documents"
allow = ["POST /v1/rerank"]
"""


def test_settings_have_defaults() -> None:
    """Only the upstream and the token are nobody's guess."""
    settings = settings_by(*UPSTREAM, "--token-file", "t")

    assert (settings.listen, settings.authority) == ("127.0.0.1:8080", "127.0.0.1:50051")
    assert (settings.limits, settings.timeouts) == (Limits(), Timeouts())
    # The SDKs wait 600 s.
    assert (settings.timeouts.first_byte_timeout, settings.timeouts.idle_timeout) == (900, 900)
    assert settings.access_log
    assert (settings.cache, settings.on_revoke, settings.workers) == (True, "drain", 1)
    assert settings.scope_rules == default_catalogue()


def test_every_setting_has_a_flag() -> None:
    """Named like the field it sets."""
    texts: dict[str, Any] = {
        "listen": "127.0.0.1:1",
        "authority": "unix:/run/authority",
        "token-file": "t",
        "tls-ca": "ca",
        "upstream": "https://api.example.com",
        "upstream-key-file": "u",
        "tls-cert": "c",
        "tls-key": "k",
        "metrics-listen": "127.0.0.1:2",
        "on-revoke": "drain",
        "billing": "off",
        "spool": "s",
        "unpriced": "default",
        "hold": "full",
        "exhausted-status": "429",
        "workers": "1",
        "log-level": "warning",
    }
    numbers = {
        name.replace("_", "-"): number
        for names in (names_of(Limits), names_of(Timeouts))
        for number, name in enumerate(names, start=1)
    }
    flags = [
        text for flag, value in {**texts, **numbers}.items() for text in (f"--{flag}", str(value))
    ]

    switches = (
        "--scope-rules",
        "off",
        "--access-log",
        "off",
        "--cache",
        "off",
    )
    settings = settings_by(*flags, *switches)

    for flag, value in texts.items():
        assert str(getattr(settings, flag.replace("-", "_"))) == value
    for group in (settings.limits, settings.timeouts):
        assert [getattr(group, name) for name in names_of(group)] == [
            numbers[name.replace("_", "-")] for name in names_of(group)
        ]
    assert settings.scope_rules is None
    assert not settings.access_log
    assert not settings.cache


@pytest.mark.parametrize("name", FIXED)
def test_what_is_fixed_has_no_flag(name: str) -> None:
    """Nor is it read from the environment."""
    common = (*UPSTREAM, "--token-file", "t")
    result = run(*common, f"--{name.replace('_', '-')}", "9")
    settings = settings_by(*common, env={f"GATEWAY_{name.upper()}": "9"})

    assert (result.exit_code, "No such option" in result.stderr) == (2, True)
    assert (settings.limits, settings.timeouts) == (Limits(), Timeouts())


def test_flags_win_over_the_environment() -> None:
    """And the environment wins over defaults, under the names of the flags."""
    env = {
        "GATEWAY_UPSTREAM": "http://127.0.0.1:1",
        "GATEWAY_TOKEN_FILE": "env",
        "GATEWAY_MAX_BODY_BYTES": "7",
        "GATEWAY_SCOPE_RULES": "off",
        "GATEWAY_TRUSTED_PROXIES": "192.0.2.1 10.0.0.0/8 2001:db8::/32",
        "GATEWAY_ACCESS_LOG": "off",
        "GATEWAY_CACHE": "off",
    }

    settings = settings_by("--token-file", "flag", env=env)

    assert settings.upstream == "http://127.0.0.1:1"
    assert settings.token_file == Path("flag")
    assert settings.limits.max_body_bytes == 7
    assert settings.scope_rules is None
    assert [str(network) for network in settings.trusted_proxies] == [
        "192.0.2.1/32",
        "10.0.0.0/8",
        "2001:db8::/32",
    ]
    assert not settings.access_log
    assert not settings.cache


@pytest.mark.parametrize(
    ("level", "events"), [("info", ["serving", "stopping", "stopped"]), ("warning", [])]
)
def test_it_serves_by_its_settings_until_it_is_stopped(
    token_file: Path, level: str, events: list[str]
) -> None:
    """Where it was told to, with the log that it was told to write; then it ends with 0."""
    address = f"127.0.0.1:{free_port()}"
    common = (*UPSTREAM, "--token-file", str(token_file), "--grace", "0", "--access-log", "off")

    with ThreadPoolExecutor(1) as stopping:
        health = stopping.submit(stop_when_healthy, f"http://{address}/healthz")
        result = run(*common, "--listen", address, "--log-level", level)

    assert health.result() == 200
    assert (result.exit_code, result.stdout) == (0, "")
    # gRPC may log, too, where a process has had several event loops.
    lines = [line for line in map(json.loads, result.stderr.splitlines()) if "program" in line]
    assert [line["event"] for line in lines] == events
    assert all(line["program"] == "gateway" for line in lines)
    assert all(line["listen"] == address for line in lines[:1])


def stop_when_healthy(url: str) -> int:
    """Stops this process's gateway once it answers at *url*, and returns the status."""
    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                status: int = response.status
        except URLError:
            assert time.monotonic() < end
            time.sleep(0.02)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
            return status


def test_without_an_upstream_it_does_not_start() -> None:
    """There is nothing to guard."""
    assert refused("--token-file", "t") == (
        "Error: no upstream: give --upstream URL, or set GATEWAY_UPSTREAM"
    )


def test_without_a_token_it_does_not_start() -> None:
    """The authority answers nobody it does not know."""
    assert "--token-file" in refused(*UPSTREAM)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--listen", "0.0.0.0:8080"], "plaintext"),
        (["--listen", "gateway.example.com:8080"], "plaintext"),
        (["--listen", ":8080"], "HOST:PORT"),
        (["--listen", "127.0.0.1"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "port"),
        (["--metrics-listen", "9100"], "--metrics-listen"),
        (["--authority", "authority.example.com:50051"], "--tls-ca"),
        (["--authority", "127.0.0.1:1,10.0.0.1:1"], "10.0.0.1:1 would be sent keys in plaintext"),
        (
            ["--authority", "127.0.0.1:1,nowhere"],
            "must be HOST:PORT, an IPv6 host in brackets, not 'nowhere'",
        ),
        (["--authority", "127.0.0.1:1,127.0.0.1:1"], "twice"),
        (["--upstream", "api.example.com"], "--upstream"),
        (["--upstream", "ftp://api.example.com"], "--upstream"),
        (["--upstream", "https://user:pass@api.example.com"], "--upstream"),
        (["--upstream", "https://api.example.com/v1?x=1"], "--upstream"),
        (["--upstream", "http://[::1"], "--upstream"),
        (["--tls-cert", "c"], "--tls-key"),
        (["--tls-key", "k"], "--tls-cert"),
        (["--header-timeout", "0"], "--header-timeout"),
        (["--max-body-bytes", "-1"], "--max-body-bytes"),
        (["--grace", "-1"], "--grace"),
        (["--send-timeout", "0"], "--send-timeout"),
        (["--max-requests-per-key", "0"], "--max-requests-per-key"),
        (["--max-unread-bytes", "0"], "--max-unread-bytes"),
        (["--workers", "0"], "--workers"),
        (["--on-revoke", "cut", "--cache", "off"], "--on-revoke"),
        (["--billing", "enforce", "--spool", "s", "--cache", "off"], "--cache on"),
        (["--billing", "observe", "--cache", "off"], "--cache on"),
        (["--billing", "enforce"], "--spool FOLDER"),
        (["--max-metered-body-bytes", "0"], "--max-metered-body-bytes"),
        (["--workers", "3", "--metrics-listen", "127.0.0.1:65534"], "--metrics-listen"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(arguments: list[str], word: str) -> None:
    """By name, before anything is opened."""
    assert word in refused(*UPSTREAM, "--token-file", "t", *arguments)


@pytest.mark.parametrize("text", [None, "allow = []", "\xff"])
def test_scope_rules_that_are_none_are_a_usage_error(text: str | None, tmp_path: Path) -> None:
    """It names the flag, the file, and what is wrong."""
    file = tmp_path / "rules.toml"
    if text is not None:
        file.write_text(text, encoding="latin-1")

    result = run(*UPSTREAM, "--token-file", "t", "--scope-rules", str(file))

    assert result.exit_code == 2
    assert "--scope-rules" in result.stderr
    assert str(file) in result.stderr


def test_the_rules_that_ship_are_printed_and_a_file_of_them_is_taken(tmp_path: Path) -> None:
    """An operator begins with them."""
    file = tmp_path / "rules.toml"
    file.write_text(run("scope-rules").stdout + NEW_SCOPE, encoding="utf-8")

    settings = settings_by(*UPSTREAM, "--token-file", "t", "--scope-rules", str(file))
    listed = run("scope-rules", str(file)).stdout.splitlines()

    assert settings.scope_rules is not None
    assert settings.scope_rules[:-1] == default_catalogue()
    assert settings.scope_rules[-1].name == "rerank:write"
    assert listed[0] == "models:read: List models and read what they are"
    assert listed[-1] == "rerank:write: Order documents"


def test_a_file_of_rules_can_be_checked(tmp_path: Path) -> None:
    """Before a gateway is started with it."""
    file = tmp_path / "rules.toml"
    file.write_text("[[scope]]\nname = 'a b'", encoding="utf-8")

    result = run("scope-rules", str(file))

    assert result.exit_code == 1
    assert "'a b'" in result.stderr


@pytest.mark.parametrize("network", ["proxy.example.com", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_a_proxy_that_is_no_network_is_a_usage_error(network: str) -> None:
    """A name could come to mean anybody; bits beyond the mask are a slip."""
    result = run(*UPSTREAM, "--token-file", "t", "--trusted-proxies", network)

    assert result.exit_code == 2
    assert "--trusted-proxies" in result.stderr


def test_a_missing_token_file_is_one_sentence(tmp_path: Path) -> None:
    """With the path and what is wrong with it."""
    path = str(tmp_path / "none")

    assert refused(*UPSTREAM, "--token-file", path, code=1) == (
        f"Error: cannot read {path}: No such file or directory"
    )


def test_a_token_file_open_to_all_is_refused(token_file: Path) -> None:
    """It says what to do."""
    token_file.chmod(0o644)

    assert "chmod 600" in refused(*UPSTREAM, "--token-file", str(token_file), code=1)


def test_a_port_in_use_is_one_sentence(token_file: Path) -> None:
    """Also for the metrics, which listen elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        common = (*UPSTREAM, "--token-file", str(token_file))

        assert "in use" in refused(*common, "--listen", address, code=1)
        listen = ("--listen", "127.0.0.1:0", "--metrics-listen", address)
        assert "metrics" in refused(*common, *listen, code=1)


def test_an_unusable_certificate_is_one_sentence(token_file: Path, tmp_path: Path) -> None:
    """Ours and the authority's."""
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    common = (*UPSTREAM, "--token-file", str(token_file), "--listen", "127.0.0.1:0")

    ours = refused(*common, "--tls-cert", str(garbage), "--tls-key", str(garbage), code=1)
    theirs = refused(*common, "--tls-ca", str(tmp_path / "none"), code=1)

    assert "--tls-cert" in ours
    assert "none" in theirs
