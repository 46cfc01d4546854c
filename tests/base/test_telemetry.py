"""Logs and metrics, as every process sets them up."""

from __future__ import annotations

import json
import logging
import sys
import urllib.request

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.process.settings import SettingsError
from keyauthority.base.process.telemetry import configure_logging, serve_metrics
from keyauthority.domain import secrets
from keyauthority.domain.secrets import redact, secret_within


@pytest.fixture(autouse=True)
def _log(restored_logging: None) -> None:
    # Each test sets it up.
    pass


@given(st.text(), st.sampled_from([secrets.KEY_PREFIX, secrets.TOKEN_PREFIX]), st.text())
def test_no_secret_survives_wherever_it_stands(before: str, prefix: str, after: str) -> None:
    """Keys and service tokens, glued to anything."""
    secret = secrets.mint(secrets.new_id("key"), prefix).reveal()

    assert secret not in redact(before + secret + after)


@given(
    st.text(),
    st.sampled_from([secrets.KEY_PREFIX, secrets.TOKEN_PREFIX]),
    st.sets(st.integers(0, 80)),
    st.integers(1, 12),
    st.text(),
)
def test_no_encoded_secret_survives(
    before: str, prefix: str, places: set[int], times: int, after: str
) -> None:
    """Any of its characters may be percent-encoded, and that again."""
    secret = secrets.mint(secrets.new_id("key"), prefix).reveal()
    encoded = "".join(
        f"%{'25' * (times - 1)}{ord(character):02x}" if place in places | {2} else character
        for place, character in enumerate(secret)
    )

    redacted = redact(before + "/" + encoded + "/" + after)

    assert encoded[-20:] not in redacted
    assert secret_within(before + encoded + after)


def test_what_is_encoded_and_no_secret_stays_readable() -> None:
    """As the paths of most requests."""
    line = '{"path": "/v1/a%20b/100%25/%7Ee?x=%2F..%2f", "hint": "sk-optk-ab12%E2%80%A6wxyz"}'

    assert redact(line) == line


def test_nobody_makes_redaction_take_long() -> None:
    """Encodings of encodings are undone together, and words are looked at once."""
    for text in ("%" + "25" * 200_000, "%2%35" * 100_000, "a" * 500_000 + "/%41", "%" * 500_000):
        redact(text)


def test_a_hint_stays_readable() -> None:
    """People recognise a key by it, and it opens nothing."""
    hint = secrets.mint(secrets.new_id("key")).hint

    assert redact(hint) == hint


def test_events_are_json_lines_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """In the event, in values however deep, in names, in the exception and its cause."""
    configure_logging("info", redact)
    secret = secrets.mint(secrets.new_id("key")).reveal()
    log = structlog.get_logger()
    values = {"nested": [{"a": (secret,)}], secret: 1, "raw": secret.encode()}
    try:
        int(secret)
    except ValueError:
        log.exception("bad thing", thing=secret, **values)
    log.debug("too small to mention")

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert secret not in line
    assert (event["event"], event["level"]) == ("bad thing", "error")
    assert event["thing"] == "[redacted]"
    assert "ValueError" in event["exception"]


def test_libraries_log_in_the_same_way_and_only_what_matters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their debug output shows requests, so it is off even when ours is on."""
    configure_logging("debug", redact)
    library = logging.getLogger("aiohttp.server")

    library.debug("sk-optk-%s", "x" * 40)
    library.warning("key sk-optk-%s is odd", "x" * 40)

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"]) == ("key [redacted] is odd", "warning")
    assert event["logger"] == "aiohttp.server"


@pytest.mark.parametrize("level", ["x", "INFO", "critical", "basicconfig", ""])
def test_a_wrong_level_is_refused_by_its_flag(level: str) -> None:
    """With those that there are."""
    with pytest.raises(SettingsError) as refused:
        configure_logging(level, redact)

    assert str(refused.value) == (
        f"--log-level must be one of debug, info, warning, error, not {level!r}"
    )


def test_a_closed_log_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that went away takes the log with it, not the service."""
    configure_logging("info", redact)

    class Gone:
        def write(self, _: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())

    structlog.get_logger().info("anybody there?")


def test_metrics_are_served_as_long_as_the_context_lasts() -> None:
    """On the port that was asked for, or any."""
    registry = CollectorRegistry()
    Counter("seen", "Things seen.", registry=registry).inc()

    with serve_metrics("127.0.0.1:0", registry) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url) as response:
            assert b"seen_total 1.0" in response.read()

    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)


def test_a_port_in_use_is_an_error() -> None:
    """Said in a sentence that names the address."""
    registry = CollectorRegistry()
    with (
        serve_metrics("127.0.0.1:0", registry) as port,
        pytest.raises(StartError, match="in use"),
        serve_metrics(f"127.0.0.1:{port}", registry),
    ):
        pass
