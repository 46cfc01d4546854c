"""Hosts that are namespaces of this machine's network, on one bridge, and silent cuts between them.

A cut is a wrong address in a neighbour's table: frames go to nobody, nothing is refused and nothing
is reported, as when a cable or a switch dies. Done at one end it cuts one direction.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NOBODY = "02:00:00:00:00:99"
PORT = "eth0"


def missing() -> str:
    """Why no such network can be made here; empty if it can."""
    if shutil.which("ip") is None:
        return "needs ip, and root for it: install iproute2"
    name = f"probe-{uuid.uuid4().hex[:8]}"
    for arguments in (
        ["netns", "add", name],
        ["-n", name, "link", "add", PORT, "type", "veth", "peer", "name", "eth1"],
        ["-n", name, "link", "add", "bridge", "type", "bridge"],
    ):
        tried = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            break
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return (
        f"needs network namespaces, which root may make: {tried.stderr.strip()}"
        if tried.returncode
        else ""
    )


class Host:
    """One namespace, with one address on the bridge and a loopback of its own."""

    def __init__(self, namespace: str, address: str) -> None:
        self.address = address
        self.prefix = ("ip", "netns", "exec", namespace)
        """What goes before a command to run it here: the process stays the same one."""
        self._namespace = namespace

    def knows(self, hosts: dict[str, list[Host]]) -> None:
        """Makes names known here, each with the addresses of several hosts, in order."""
        folder = Path("/etc/netns") / self._namespace
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost"]
        lines += [f"{host.address} {name}" for name, many in hosts.items() for host in many]
        (folder / "hosts").write_text("\n".join(lines) + "\n")

    def lose(self, peer: Host) -> None:
        """From now on nothing that is sent here reaches *peer*."""
        ip("-n", self._namespace, "neigh", "replace", peer.address, "lladdr", NOBODY,
           "dev", PORT, "nud", "permanent")  # fmt: skip

    def find(self, peer: Host) -> None:
        """The end of `lose`."""
        ip("-n", self._namespace, "neigh", "del", peer.address, "dev", PORT)


class Network:
    """A bridge in a namespace of its own. Made by `network`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._name = f"keyauthority-{uuid.uuid4().hex[:8]}"
        self._hosts = 0
        self._namespace(self._name)
        ip("-n", self._name, "link", "add", "bridge", "type", "bridge")
        ip("-n", self._name, "link", "set", "bridge", "up")

    def host(self, name: str) -> Host:
        """A new host on the bridge."""
        self._hosts += 1
        namespace, address = f"{self._name}-{name}", f"10.77.0.{self._hosts}"
        self._namespace(namespace)
        plug = f"port{self._hosts}"
        ip("-n", self._name, "link", "add", plug, "type", "veth",
           "peer", "name", PORT, "netns", namespace)  # fmt: skip
        ip("-n", self._name, "link", "set", plug, "master", "bridge", "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", PORT)
        ip("-n", namespace, "link", "set", PORT, "up")
        ip("-n", namespace, "link", "set", "lo", "up")
        self._stack.callback(_forget, namespace)
        return Host(namespace, address)

    def _namespace(self, name: str) -> None:
        ip("netns", "add", name)
        self._stack.callback(ip, "netns", "del", name)


@contextmanager
def network() -> Iterator[Network]:
    """A network that is gone at the end, with all its hosts."""
    with ExitStack() as stack:
        yield Network(stack)


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


def _forget(namespace: str) -> None:
    # What is above stays: another run may be about to use it.
    shutil.rmtree(Path("/etc/netns") / namespace, ignore_errors=True)
