"""CONTRIBUTING's recipes and the tables of the documents say what is so."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from keyauthority.domain.callers import Role
from keyauthority.domain.keys import KEY_SETTINGS, Key, KeySettings
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.edge.envelope import REFUSALS
from keyauthority.rpc.convert import time_of
from keyauthority.rpc.services import SERVICES
from keyauthority.storage import key_tables
from keyauthority.v1 import caller_service_pb2, verification_service_pb2
from keyauthority.v1 import key_pb2 as v1
from keyauthority.v1.key_service_pb2 import ImportedKey, IssueKeyRequest
from keyauthority.v1.key_settings import settings_of, write

HOUSE: Final = Path(__file__).parents[1]
RECIPES: Final = (
    "An RPC",
    "An attribute of a key",
    "A verdict",
    "A service with tables of its own",
    "A page of the console",
)


def recipes() -> dict[str, str]:
    """What CONTRIBUTING says of each, by its heading."""
    text = (HOUSE / "CONTRIBUTING.md").read_text()
    [chapter] = re.findall(r"^## Recipes\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    _, *parts = re.split(r"^### (.*)\n", chapter, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def files(recipe: str) -> list[str]:
    """The files it names: what stands in backticks and has an ending."""
    return [one for one in re.findall(r"`([^`\s]+)`", recipe) if re.search(r"\.[a-z]+$", one)]


def table(document: str, heading: str) -> list[list[str]]:
    """The rows below *heading* in *document*, without their backticks."""
    lines = (HOUSE / document).read_text().splitlines()
    below = lines[next(n for n, line in enumerate(lines) if line.strip() == heading) + 2 :]
    rows = []
    for line in below:
        if not line.strip().startswith("|"):
            break
        rows.append([cell.strip(" `") for cell in line.strip().strip("|").split("|")])
    return rows


def test_there_is_a_recipe_for_each_kind_of_thing() -> None:
    assert tuple(recipes()) == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_each_file_of_a_recipe_is_there(name: str) -> None:
    """Whoever follows it finds what it names; and a recipe is short enough to follow."""
    named = files(recipes()[name])
    assert [one for one in named if not (HOUSE / one).is_file()] == []
    assert 6 <= len(named) <= 20


def test_an_attribute_of_a_key_takes_eight_files() -> None:
    """What it is beyond them follows from the one value: see below."""
    rows, _, more = recipes()["An attribute of a key"].partition("\n\nAn update")
    assert len(files(rows)) == 8
    assert more


# Each setting has another value than it has by itself: a new one fails the test below until it has.
SETTINGS: Final = KeySettings(
    name="a key",
    disabled=True,
    expire_time=datetime(2027, 1, 1, tzinfo=UTC),
    scopes=("a",),
    labels={"b": "c"},
)


def test_the_settings_of_a_key_are_everywhere() -> None:
    """By one name: in the messages, in the table, in what a person sees; and none gets lost between."""
    assert KeySettings("").differing(SETTINGS) == list(KEY_SETTINGS)
    SETTINGS.check(KEY_SETTINGS, datetime(2026, 1, 1, tzinfo=UTC))
    for kind, missing in (
        (v1.Key, set()),
        (IssueKeyRequest, {"disabled"}),
        (ImportedKey, {"disabled"}),
    ):
        assert set(KEY_SETTINGS) - set(kind.DESCRIPTOR.fields_by_name) == missing
        message = kind()
        write(SETTINGS, message)
        assert SETTINGS.differing(settings_of(message, time_of)) == sorted(missing)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    key = Key("key_1", "ws_1", SETTINGS, time, time, None, 1, ())
    assert key_tables.key_with_people(SimpleNamespace(**key_tables.new_key_row(key)), ()) == key
    told = {field.name for field in fields(VerifiedKey)} - {"id", "workspace_id"}
    assert told < set(KEY_SETTINGS)
    *_, cli, page = files(recipes()["An attribute of a key"].partition("\n\nAn update")[0])
    for one in (cli, page):
        # Whether a key is disabled is said by its state.
        text = (HOUSE / one).read_text()
        assert [name for name in KEY_SETTINGS if name not in text] in ([], ["disabled"])


def test_the_services_are_those_of_the_list() -> None:
    """docs/architecture.md has each, who may call it and where its calls take their places."""
    rows = table("docs/architecture.md", "| service | access | room |")
    assert rows == [[one.name, one.access.name.lower(), one.room.name] for one in SERVICES]


@pytest.mark.parametrize(
    ("ours", "contract", "prefix"),
    [
        (Role, caller_service_pb2.CallerRole, "CALLER_ROLE_"),
        (Verdict, verification_service_pb2.Verdict, "VERDICT_"),
    ],
)
def test_roles_and_verdicts_are_those_of_the_contract(
    ours: type[Role | Verdict], contract: object, prefix: str
) -> None:
    """A member that only one of the two has would be found by the first call with it."""
    numbers: dict[str, int] = dict(contract.items())  # type: ignore[attr-defined]
    assert numbers == {
        f"{prefix}UNSPECIFIED": 0,
        **{prefix + one.name: one.value for one in ours},
    }


def test_every_verdict_is_named_where_it_is_explained_and_answered() -> None:
    """In the words of docs/architecture.md in their order, at the edge, and to those who call it."""
    [(_, meaning)] = [
        row for row in table("docs/architecture.md", "| word | meaning |") if row[0] == "verdict"
    ]
    assert re.findall(r"[A-Z]{3,}(?:_[A-Z]+)*", meaning) == [one.name for one in Verdict]
    assert REFUSALS.keys() == set(Verdict) - {Verdict.VALID}
    readme, openapi = ((HOUSE / one).read_text() for one in ("README.md", "docs/openapi.yaml"))
    for refusal in REFUSALS.values():
        assert f"`{refusal.code}`" in readme
        assert refusal.code in openapi
