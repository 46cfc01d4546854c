from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from jinja2 import UndefinedError

from console import words
from console.moments import ago, day, distance, moment, zone_of
from console.paths import url
from console.rendering import Assets, Rendering
from console.snippets import snippets
from keyauthority.client import Secret
from tests.console.sample_data import NOW, SECRET

SEOUL = zone_of("Asia/Seoul")


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (timedelta(), "just now"),
        (timedelta(seconds=-59), "just now"),
        (timedelta(seconds=59), "in less than a minute"),
        (timedelta(minutes=-1), "1 minute ago"),
        (timedelta(hours=-3, minutes=-10), "3 hours ago"),
        (timedelta(days=12), "in 12 days"),
        (timedelta(days=90, seconds=-3), "in 90 days"),
        (timedelta(days=365), "in 12 months"),
        (timedelta(days=-800), "2 years ago"),
    ],
)
def test_distances_are_told_as_people_would(away: timedelta, told: str) -> None:
    """How long ago or ahead is told in the largest unit that says enough."""
    assert distance(away) == told


def test_times_are_written_in_the_zone_of_the_reader() -> None:
    """The page has the reader's zone; what the script rewrites has UTC."""
    assert moment(NOW, SEOUL) == (
        '<time datetime="2026-11-25T03:39:00+00:00" data-moment="minute">'
        "25 Nov 2026, 12:39 KST</time>"
    )
    late = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
    assert "26 Nov 2026" in day(late, SEOUL)
    assert 'title="25 Nov 2026, 03:39 UTC">2 days ago<' in ago(NOW, UTC, NOW + timedelta(days=2))


@pytest.mark.parametrize("name", ["", "Not/AZone", "../../etc/passwd", "\0"])
def test_a_zone_that_is_none_is_utc(name: str) -> None:
    """A page is shown whatever zone a person's record names."""
    assert zone_of(name) is UTC


def test_a_part_of_a_path_stays_one_part() -> None:
    """What is filled into a path can't leave its segment."""
    assert url("key", workspace="ws_1", key="../a?b#c") == "/workspaces/ws_1/keys/..%2Fa%3Fb%23c"


def test_assets_are_found_by_the_name_that_pages_link_to() -> None:
    """The stylesheet is served under a name with its hash in it, and under no other."""
    assets = Assets()
    name = assets.href("console.css").removeprefix("/static/")
    found = assets.find(name)
    assert found is not None
    assert found.content_type == "text/css; charset=utf-8"
    assert found.body.startswith(b"/*")
    assert assets.find("console.css") is None


def test_a_page_without_what_it_shows_is_an_error() -> None:
    """A value that a handler forgot is never shown as nothing."""
    with pytest.raises(UndefinedError):
        Rendering(Assets(), lambda: NOW).render("error.html", status=404)


def test_snippets_are_programs_and_only_the_export_has_the_secret() -> None:
    """The lines to paste are filled in, and read the key from where it was exported to."""
    made = snippets("https://api.example/v1", Secret(SECRET))
    assert made.export == f'export OPENTOKEN_API_KEY="{SECRET}"'
    compile(made.python, "snippet", "exec")
    for text in (made.curl, made.python, made.node):
        assert "https://api.example/v1" in text
        assert "OPENTOKEN_API_KEY" in text
        assert SECRET not in text
    assert SECRET not in repr(made)


def test_what_has_no_label_is_called_by_its_value() -> None:
    """A choice that a newer version made is shown as it is."""
    assert words.label(words.STATES, "paused") == "Paused"
    assert words.label(words.STATES, "frozen") == "frozen"
