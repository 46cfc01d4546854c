"""Peppers from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.parts import Cli, serving


def test_a_pepper_is_added_activated_and_the_old_one_retired(tmp_path: Path) -> None:
    """The whole way, with its refusals: a version still needed can't be retired."""
    with serving(tmp_path / "data") as cli:
        assert _states(cli) == ["active"]

        assert "peppers activate 2" in cli.text("peppers", "add")
        assert cli.refusal("peppers", "add").startswith("pepper version 2 awaits activation")
        assert cli.text("peppers", "activate", "2") == "Pepper version 2 is active.\n"
        assert _states(cli) == ["superseded", "active"]
        assert "is still needed by 1 secrets" in cli.refusal("peppers", "retire", "1")

        activated = cli.json("peppers", "activate", "1")
        assert activated["pepper"]["state"] == "PEPPER_STATE_ACTIVE"
        assert cli.text("peppers", "retire", "2") == "Pepper version 2 is retired.\n"
        assert _states(cli) == ["active", "retired"]
        assert cli.json("peppers", "retire", "2")["pepper"]["state"] == "PEPPER_STATE_RETIRED"


def test_an_unknown_version_is_named(cli: Cli) -> None:
    """The sentence says which version there isn't; what is no version is a usage error."""
    assert cli.refusal("peppers", "activate", "7") == "pepper version 7 does not exist"
    assert "'x'" in cli.refusal("peppers", "retire", "x", exit_code=2)


def _states(cli: Cli) -> list[str]:
    rows = cli.text("peppers", "list").splitlines()[1:]
    document = cli.json("peppers", "list")["peppers"]
    states = [row.split()[1] for row in rows]
    assert [f"PEPPER_STATE_{state.upper()}" for state in states] == [
        one["state"] for one in document
    ]
    return states
