"""CONTRIBUTING's recipes and the tables of the documents say what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from gateway.authorize import REFUSALS
from keyauthority.domain.callers import Role
from keyauthority.domain.verdicts import Verdict
from keyauthority.rpc.services import SERVICES
from keyauthority.v1 import caller_service_pb2, verification_service_pb2

HOUSE: Final = Path(__file__).parents[1]
RECIPES: Final = (
    "An RPC",
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
