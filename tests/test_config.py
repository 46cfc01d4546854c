"""Settings that can't be right are refused in a sentence that says what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyauthority.base.process.settings import SettingsError, host_and_port, is_local
from keyauthority.config import Settings, parse_duration
from keyauthority.server import run

DATA = Path("data")


def settings(listen: str = "127.0.0.1:0", **given: Any) -> Settings:
    return Settings(
        **{
            "listen": listen,
            "data_dir": DATA,
            "database": DATA / "keyauthority.db",
            "keyring": DATA / "keyring.json",
            **given,
        }
    )


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:0", "localhost:50051", "[::1]:50051", "127.8.8.8:1", "unix:/run/a.sock"]
)
def test_plaintext_stays_on_this_machine(listen: str) -> None:
    """Loopback and Unix sockets need no TLS."""
    assert settings(listen).listen == listen
    assert is_local(listen)


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:1", "localhost.example.com:1", "*:50051"]
)
def test_the_network_needs_tls(listen: str) -> None:
    """Anything else is refused without a certificate, and fine with one."""
    with pytest.raises(SettingsError, match="give --tls-cert and --tls-key"):
        settings(listen)
    assert settings(listen, tls_cert=Path("c"), tls_key=Path("k")).listen == listen


@pytest.mark.parametrize(
    "listen",
    ["", "50051", ":50051", "host", "host:", "host:x", "host:65536", "::1:50051", "h:-1", "h:٣"],
)
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    """The sentence names the flag."""
    with pytest.raises(SettingsError, match=r"^--listen "):
        settings(listen)


def test_host_and_port_are_told_apart() -> None:
    """IPv6 hosts come without their brackets."""
    assert host_and_port("[::1]:80", "--x") == ("::1", 80)
    assert host_and_port("a.example:0", "--x") == ("a.example", 0)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
        ("0s", timedelta()),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    """A number and a unit."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    ["", "30", "d", "-1d", "1.5h", "1 d", "1d12h", "1w", "٣d", "36501d", "9" * 12 + "d", "1d\n"],
)
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused, however large."""
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


def test_a_wrong_log_level_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever calls `run` without the command line is told in a sentence, too."""
    assert run(settings(log_level="x")) == 1
    assert capsys.readouterr().err == (
        "keyauthority: --log-level must be one of debug, info, warning, error, not 'x'\n"
    )
