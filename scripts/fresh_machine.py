"""Runs README's two commands, `make run` and `make test`, on a Debian that has nothing else.

    python3 scripts/fresh_machine.py

debootstrap makes it in a temporary folder, from this machine's source of packages, with Python,
venv, make, git and curl. The last commit is cloned into its root's home, which nobody else may
enter. Needs root, debootstrap and util-linux. The new machine shares this one's network, and what
reaches a package registry: pip's settings, certificates and proxies.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PACKAGES: Final = "python3,python3-venv,make,git,curl,ca-certificates"
LIMIT: Final = 3600
"""Seconds that all of it may take."""

HERE: Final = Path(__file__).parents[1]
CLONE: Final = "root/opentoken"
PASSED_ON: Final = ("PIP_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
CONFIGURATION: Final = (
    "/etc/pip.conf",
    "~/.config/pip/pip.conf",
    "~/.pip/pip.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/hosts",
    "/etc/resolv.conf",
)
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# In namespaces, so that mounts and processes end with the command, whatever happens.
ENTER: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def main() -> int:
    """Makes the machine, tries the commands, leaves nothing behind; returns the exit code."""
    if reason := _missing():
        print(f"no fresh machine can be made here: {reason}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="fresh-machine-"))
    # Not the folder itself, which only root may enter: the new machine has other users, too.
    machine = folder / "debian"
    try:
        command = [*ENTER, sys.executable, __file__, str(machine)]
        return subprocess.run(command, check=False, timeout=LIMIT).returncode
    except subprocess.TimeoutExpired:
        print(f"fresh machine: not over after {LIMIT} s", file=sys.stderr)
        return 1
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


def _missing() -> str:
    if os.geteuid() != 0:
        return "only root can"
    programs = ("debootstrap", "unshare", "chroot", "apt-get")
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        return f"install {', '.join(missing)}"
    if subprocess.run([*ENTER, "true"], check=False, capture_output=True).returncode:
        return "this root may not make namespaces"
    return "" if _source() else "this is no Debian with a source of packages"


def _source() -> tuple[str, str] | None:
    """Returns the release of this Debian and its source of packages."""
    release = platform.freedesktop_os_release()
    listing = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"]
    targets = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    suite = release.get("VERSION_CODENAME", "") if release["ID"] == "debian" else ""
    mirrors = [uri for name, uri in map(str.split, targets.splitlines()) if name == suite]
    return (suite, mirrors[0]) if mirrors else None


def within(machine: Path) -> int:
    """Makes the machine and tries the commands, in the namespaces; returns the exit code."""
    make(machine)
    subprocess.run(["mount", "-t", "proc", "proc", machine / "proc"], check=True)
    subprocess.run(["mount", "-t", "devpts", "devpts", machine / "dev/pts"], check=True)
    # The size that containers have.
    shm = ["mount", "-t", "tmpfs", "-o", "size=64m", "shm", str(machine / "dev/shm")]
    subprocess.run(shm, check=True)
    command = ["chroot", str(machine), "python3", f"/{CLONE}/scripts/newcomer.py"]
    environment = _passed_on() | {"HOME": "/root", "LANG": "C.UTF-8", "PATH": PATH}
    return subprocess.run(command, check=False, env=environment).returncode


def _passed_on() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)}


def make(machine: Path) -> None:
    """Makes a minimal Debian in the folder *machine*, with a clone in its root's home."""
    suite, mirror = _source() or ("", "")
    options = ["--variant=minbase", f"--include={PACKAGES}"]
    command = ["debootstrap", *options, suite, str(machine), mirror]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"debootstrap failed: {run.stdout[-1000:]}{run.stderr[-1000:]}")
    for name in (*CONFIGURATION, *_passed_on().values()):
        path = Path(name).expanduser()
        copy = machine / str(path).lstrip("/")
        if not path.is_absolute() or copy == machine:
            continue
        if path.is_dir():
            # Its links lead out of it: what they point to would be copied onto itself.
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(path, copy)
        elif path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copy(path, copy)
    (machine / "root").chmod(0o700)
    subprocess.run(
        ["git", "-c", "safe.directory=*", "clone", "--quiet", HERE, machine / CLONE], check=True
    )


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 1 else within(Path(sys.argv[1])))
