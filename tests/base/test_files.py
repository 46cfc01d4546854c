"""Files written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from keyauthority.base.process.files import check_folder, open_own, pending, settle, write_private


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


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o2775, 0o702])
def test_a_folder_that_others_may_write_to(tmp_path: Path, mode: int) -> None:
    """Nothing is made there, sticky or not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)

    attempts: list[Callable[[], object]] = [
        lambda: check_folder(folder),
        lambda: write_private(folder / "file", "x"),
        lambda: open_own(folder / "file"),
    ]
    for attempt in attempts:
        with pytest.raises(PermissionError) as refused:
            attempt()
        assert refused.value.strerror == f"others may write to the folder {folder}: chmod go-w it"
    assert [*folder.iterdir()] == []


def test_a_folder_of_its_owner(tmp_path: Path) -> None:
    """Others may look into it, and it may be root's."""
    for mode in (0o700, 0o755, 0o555):
        tmp_path.chmod(mode)
        check_folder(tmp_path)
    check_folder(Path("/"))
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    """Whoever owns it may put there what they like."""
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, 65534, -1)

    with pytest.raises(PermissionError, match="belongs to another user"):
        check_folder(folder)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """It is made if it is missing, and else as it was: nothing is cut off by looking."""
    os.close(open_own(tmp_path / "file"))
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    (tmp_path / "file").write_text("content")

    os.close(open_own(tmp_path / "file"))

    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize("kind", ["a link", "a link to nothing", "a pipe", "a folder"])
def test_what_was_put_in_the_place_of_a_file(tmp_path: Path, kind: str) -> None:
    """It is refused, not followed, not waited for."""
    victim, path = tmp_path / "victim", tmp_path / "file"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to(victim)
    if kind == "a link":
        victim.write_text("content")

    with pytest.raises(OSError, match=r"symbolic link|no file|Is a directory"):
        open_own(path)

    assert victim.exists() is (kind == "a link")
    assert not victim.exists() or victim.read_text() == "content"


def test_a_pending_file_gets_its_name_once(tmp_path: Path) -> None:
    """What has the name already stays; nothing pending is nothing to do."""
    path = tmp_path / "file"
    write_private(pending(path), "first")
    settle(path)
    settle(path)
    write_private(pending(path), "second")
    settle(path)

    assert path.read_text() == "first"
