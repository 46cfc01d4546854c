"""Files written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from keyauthority.files import write_private


def test_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    """A new file has mode 0600 and its content, and nothing lies beside it."""
    write_private(tmp_path / "file", "content\n")

    assert (tmp_path / "file").read_text() == "content\n"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_an_open_file_is_closed_by_replacing_it(tmp_path: Path) -> None:
    """One that others may read gives way to one that they may not."""
    (tmp_path / "file").write_text("before")
    (tmp_path / "file").chmod(0o644)

    write_private(tmp_path / "file", "after")

    assert (tmp_path / "file").read_text() == "after"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_what_a_crash_left_is_no_obstacle(tmp_path: Path) -> None:
    """A half-written file of a process of the same id, as in a container, is written anew."""
    litter = tmp_path / f".file.{os.getpid()}.tmp"
    litter.write_text("half of a much longer conte")
    litter.chmod(0o644)

    write_private(tmp_path / "file", "content")

    assert (tmp_path / "file").read_text() == "content"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_on_the_disk_before_it_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is synced, then renamed, then the folder is synced: a power cut finds it whole."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    def replaced(fresh: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(fresh, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_private(tmp_path / "file", "content")

    assert steps == ["content", "replace", "folder"]
