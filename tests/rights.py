"""Other rights than those of whoever runs the tests: fewer of them, or another user's.

Root may read and write everything, so what a file's mode forbids is tried without root's
privileges. The user stays the same one, so that the code is within reach wherever it lies.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.leftovers import new_folder


def without_rights(command: Sequence[str]) -> list[str]:
    """*command*, for a process that may do to files what their modes allow their owner.

    Skips the test where root can't do without its privileges.
    """
    if os.geteuid() != 0:
        return list(command)
    prefix = _unprivileged()
    if not prefix:
        pytest.skip("root can't give up its privileges here: run the tests as another user")
    return [*prefix, *command]


@functools.cache
def _unprivileged() -> list[str]:
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    return prefix if shutil.which(prefix[0]) and _ends_well([*prefix, "true"]) else []


@functools.cache
def other_user() -> pwd.struct_passwd | None:
    """Whom programs run as that refuse to run as root; None: as whoever runs the tests.

    Skips the test where root can become nobody else.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    users = [known[name] for name in ("postgres", "nobody") if name in known]
    for user in users:
        if _ends_well(["true"], **become(user)):
            return user
    pytest.skip("root can't become postgres or nobody here: run the tests as another user")


def become(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """What makes a `subprocess` run as *user*, from a folder that everybody can enter."""
    if user is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def folder_of(user: pwd.struct_passwd | None, *parents: Path) -> Path:
    """A new folder for *user*, in the first of *parents* where that user can write in one.

    Skips the test if there is none.
    """
    for parent in parents:
        folder = new_folder(parent)
        if user is None:
            return folder
        os.chown(folder, user.pw_uid, user.pw_gid)
        if _ends_well(["test", "-w", str(folder)], **become(user)):
            return folder
        folder.rmdir()
    pytest.skip(f"nobody but root can enter {parents[-1]}: set TMPDIR to a folder that all can")


def can_run(program: Path, user: pwd.struct_passwd | None) -> bool:
    """Whether *user* can reach and start *program*."""
    return _ends_well([str(program), "--version"], **become(user))


def _ends_well(command: Sequence[str], **options: Any) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=30, **options)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
