"""The package as others get it: what is in the wheel, and what its page says."""

from __future__ import annotations

import importlib.util
import re
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "https://opentoken.kr/keyauthority"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """As the build backend makes it."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling: make setup")
    from hatchling.builders.wheel import WheelBuilder  # noqa: PLC0415 - it may be missing

    [path] = WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]
    )
    return ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    [name] = [one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_it_holds_the_programs_and_their_files_alone(wheel: ZipFile) -> None:
    """With templates, migrations and types; no test, demo or example."""
    names = set(wheel.namelist())
    folders = {name.partition("/")[0] for name in names if ".dist-info/" not in name}

    assert folders == {"keyauthority", "gateway", "console"}
    assert {"keyauthority/py.typed", "console/templates/keys.html"} <= names
    assert any(name.startswith("keyauthority/storage/migrations/versions/0") for name in names)


def test_each_command_is_one_that_names_its_extra(wheel: ZipFile) -> None:
    """All of them begin in `keyauthority.programs`."""
    [name] = [one for one in wheel.namelist() if one.endswith("/entry_points.txt")]

    assert re.findall(r"^(\S+) = (\S+)$", wheel.read(name).decode(), re.MULTILINE) == [
        ("keyauthority", "keyauthority.programs:keyauthority"),
        ("keyauthority-console", "keyauthority.programs:console"),
        ("keyauthority-gateway", "keyauthority.programs:gateway"),
    ]


def test_its_page_has_addresses_that_lead_somewhere_from_anywhere(metadata: Message) -> None:
    """README's links and images are absolute, and each is that of a file that there is."""
    page = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)", page)
    assert links
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    ours = [link.removeprefix(f"{SOURCE}/") for link in links if link.startswith(SOURCE)]
    assert "docs/images/secret.png" in ours
    assert [link for link in ours if not (ROOT / link.partition("#")[0]).exists()] == []


def test_its_metadata_say_where_it_is_from_and_what_it_runs_on(metadata: Message) -> None:
    urls = dict(one.split(", ", 1) for one in metadata.get_all("Project-URL", []))
    classifiers = metadata.get_all("Classifier", [])

    assert urls["Source"] == SOURCE
    assert urls.keys() == {"Homepage", "Source", "Documentation", "Changelog"}
    assert "Programming Language :: Python :: 3.13" in classifiers
