"""Where the books are said to be."""

from pathlib import Path

import pytest

from keyauthority.base.relational.location import Host, PostgresUrl, hosts_in, parse_location


def test_a_path_is_a_path() -> None:
    """Whatever has no scheme is the path of a file."""
    assert parse_location("/var/lib/books.db") == Path("/var/lib/books.db")
    assert parse_location("postgres") == Path("postgres")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgres://user:pw@host:5433/db?sslmode=require", "postgresql://user@host:5433/db"),
        ("postgresql+asyncpg://user:p%40w@a,b:1/db?password=pw", "postgresql://user@a,b:1/db"),
        ("postgresql://user@/db?host=/run/pg&password=pw", "postgresql://user@/run/pg/db"),
        ("postgresql://user:pw@[::1]:5432/db", "postgresql://user@[::1]:5432/db"),
    ],
)
def test_a_url_is_shown_without_its_password(text: str, shown: str) -> None:
    """Neither its text nor its representation holds the password; the driver gets it."""
    location = parse_location(text)

    assert isinstance(location, PostgresUrl)
    assert str(location) == shown
    assert repr(location) == f"PostgresUrl('{shown}')"
    assert location.reveal() == text.replace("+asyncpg", "")


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///x.db",
        "file:/x.db",
        "mysql://user:secret@host/db",
        "postgresql://user:sec/ret@host/db",
        "postgresql://user:sec?ret@host/db",
        "postgresql://user:sec#ret@host/db",
        "postgresql://user:sec@ret@host/db",
        "postgresql://user:secret@[::1/db",
    ],
)
def test_what_is_no_such_url_is_refused_and_not_repeated(text: str) -> None:
    """A URL of something else, and one whose password would be taken for something else."""
    with pytest.raises(ValueError, match=r"^must ") as refusal:
        parse_location(text)

    assert "secret" not in str(refusal.value)
    assert "ret@" not in str(refusal.value)


A, B = Host("a", None), Host("b", None)


@pytest.mark.parametrize(
    ("text", "environment", "hosts"),
    [
        ("postgresql://u:p@a,b/db", {}, [A, B]),
        ("postgresql://u@a:1,b:2/db?port=7", {}, [Host("a", 1), Host("b", 2)]),
        ("postgresql://a:1,b/db", {}, [Host("a", 1), B]),
        ("postgresql://[::1]:1,[fe80::1],%2Frun/db", {}, [
            Host("::1", 1), Host("fe80::1", None), Host("/run", None),
        ]),
        ("postgresql:///db?host=a,b", {}, [A, B]),
        ("postgresql://u@/db?host=a,b&port=1,2", {}, [Host("a", 1), Host("b", 2)]),
        ("postgresql:///db?host=a,b&port=3", {}, [Host("a", 3), Host("b", 3)]),
        ("postgresql:///db", {"PGHOST": "a,b", "PGPORT": "1,2"}, [Host("a", 1), Host("b", 2)]),
        ("postgresql://a,b/db", {"PGHOST": "c,d"}, [A, B]),
        ("postgresql://a/db", {"PGHOST": "c,d"}, []),
        ("postgresql:///db", {}, []),
    ],
)  # fmt: skip
def test_the_hosts_of_a_url(text: str, environment: dict[str, str], hosts: list[Host]) -> None:
    """As libpq reads them, if there are several."""
    assert hosts_in(PostgresUrl(text), environment) == hosts


@pytest.mark.parametrize(
    "text",
    ["postgresql://u:secret@a:x,b/db", "postgresql://u:secret@a:1:2,b/db",
     "postgresql://u:secret@/db?host=a,b&port=1,2,3"],
)  # fmt: skip
def test_hosts_that_cannot_be_read(text: str) -> None:
    """It is said without the URL."""
    with pytest.raises(ValueError, match="must") as raised:
        hosts_in(PostgresUrl(text), {})
    assert "secret" not in str(raised.value)
