"""Revokes keys at two gateways, of which one is frozen, and explains each step: `make story`.

Everything runs on free ports of loopback, with its files in a temporary folder, and has ended when this
returns. The exit code is 0 if everything happened as the authority promises.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from demo.processes import Processes
from demo.provisioning import token_of
from demo.settings import DemoError
from keyauthority.base.process.files import write_private
from keyauthority.cli.key_text import placed
from keyauthority.cli.output import spread
from keyauthority.client import connect_blocking, load_token
from keyauthority.client.admin import (
    AuthorityError,
    BlockingAdminClient,
    Changed,
    IssuedKey,
    Key,
    KeySettings,
    Role,
    keys,
    operations,
    workspaces,
)

VERIFIERS: Final = 3
PATIENCE: Final = 20.0
"""Seconds that any one step may take."""

_ANY_PORT: Final = "127.0.0.1:0"
_WAKING: Final = 0.05


class Story:
    """An authority and two gateways in *folder*, with two keys, `first` and `second`."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder, self._processes = folder, processes
        self.address = self._start("authority", "keyauthority", "--data-dir", str(folder), "serve")
        self._channel = connect_blocking(self.address)
        root = load_token(folder / "root.token")
        self._client = BlockingAdminClient(self._channel, root, changing=PATIENCE)
        self._issued = self._issue()
        upstream = self._start_upstream()
        token = str(folder / "gateway.token")
        self.gateways = {
            name: self._start(
                *(f"gateway {name}", "gateway", "--authority", self.address, "--token-file", token),
                *("--upstream", f"http://{upstream}", "--upstream-key-file", self._upstream_key),
            )
            for name in ("A", "B")
        }

    def _start(self, name: str, module: str, *arguments: str, listen: bool = True) -> str:
        command = [module, *arguments, *(("--listen", _ANY_PORT) if listen else ())]
        self._processes.start(name, command, _ANY_PORT, lambda: True)
        return f"127.0.0.1:{self._processes.port(name)}"

    def _start_upstream(self) -> str:
        file = self._folder / "upstream.key"
        write_private(file, secrets.token_urlsafe(32) + "\n")
        self._upstream_key = str(file)
        return self._start("upstream", "demo.upstream", _ANY_PORT, str(file), listen=False)

    def close(self) -> None:
        """Hangs up."""
        self._channel.close()

    def _issue(self) -> Mapping[str, IssuedKey]:
        token_of(self._client, self._folder / "gateway.token", [Role.VERIFIER])
        workspace = self._client.call(workspaces.create("story"))
        return {
            name: self._client.call(keys.issue(workspace.id, KeySettings(name)))
            for name in ("first", "second")
        }

    def wait_for_verifiers(self) -> None:
        """Returns when both gateways may answer from their caches, as the authority itself may."""
        deadline = time.monotonic() + PATIENCE
        while len(self._client.call(operations.sessions()).sessions) < VERIFIERS:
            if time.monotonic() > deadline:
                raise DemoError("the gateways have no leases")
            time.sleep(0.02)

    def revoke(self, key: str) -> Changed[Key]:
        """Revokes the key as the command line does, but at once: a process takes a while to start."""
        return self._client.call(keys.revoke(self._issued[key].key.id))

    def answer(self, gateway: str, key: str, *, thaw: bool = False) -> int:
        """Returns the status for a request with the key. *thaw*: the request is there before it wakes."""
        address = self.gateways[gateway]
        with closing(http.client.HTTPConnection(address, timeout=PATIENCE)) as connection:
            headers = {"Authorization": f"Bearer {self._issued[key].secret.reveal()}"}
            connection.request("GET", "/v1/models", headers=headers)
            if thaw:
                time.sleep(_WAKING)
                self._processes.send(f"gateway {gateway}", signal.SIGCONT)
            return connection.getresponse().status

    def freeze(self, gateway: str) -> None:
        """Stops the gateway where it is (SIGSTOP): it reads and says nothing."""
        self._processes.send(f"gateway {gateway}", signal.SIGSTOP)


def tell(story: Story) -> None:
    """Does and explains every step. Raises `DemoError` at the first that is not as promised."""
    _say(
        "Two gateways, A and B, answer from caches of their own; the authority has a cache, too.",
        "Those are three verifiers. There are two keys, first and second.",
    )
    story.wait_for_verifiers()
    _say("", "1. Both gateways accept both keys, and remember that they are good.")
    for gateway in "AB":
        _ask(story, gateway, first=200, second=200)
    _say("", "2. Revoke first. The command returns when every verifier has confirmed:")
    _revoke(story, "first")
    for gateway in "AB":
        _ask(story, gateway, first=401, second=200)
    _say(
        "",
        "3. Freeze B (kill -STOP), and revoke second. B hears nothing of it, and its cache says that",
        "   second is good. So the command waits until B's lease is over: without a lease B may not",
        "   answer from its cache.",
    )
    story.freeze("B")
    if _revoke(story, "second") == 0:
        raise DemoError(
            "no lease was waited out: this machine is so busy that B's was over before the revocation "
            "began. Try again"
        )
    _ask(story, "A", second=401)
    _say(
        "",
        "4. Send B a request with second, and thaw it (kill -CONT). The request is the first thing that",
        "   B sees; it knows nothing of the revocation, and refuses all the same:",
    )
    _ask(story, "B", thaw=True, second=401)
    _say("", "When a revocation returns, nothing accepts the key: not even what stood still.")


def _revoke(story: Story, key: str) -> int:
    # Returns how many leases were waited out.
    print(f"   $ keyauthority keys revoke {key}", flush=True)
    revoked = story.revoke(key)
    print(f"   Revoked {placed(revoked.record)}. {spread(revoked.receipt)}", flush=True)
    return revoked.receipt.leases_waited_out


def _ask(story: Story, gateway: str, *, thaw: bool = False, **promised: int) -> None:
    statuses = {key: story.answer(gateway, key, thaw=thaw) for key in promised}
    answers = ", ".join(f"{key} {status}" for key, status in statuses.items())
    print(f"   gateway {gateway}: {answers}", flush=True)
    if statuses != promised:
        raise DemoError(f"gateway {gateway} should have answered {promised}")


def _say(*lines: str) -> None:
    print("\n".join(lines), flush=True)


def main() -> int:
    """Tells the story once; returns the exit code."""
    # What is set for an authority of this machine must not reach the story's.
    for name in [name for name in os.environ if name.startswith(("KEYAUTHORITY_", "GATEWAY_"))]:
        del os.environ[name]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="opentoken-story-") as folder:
        processes = Processes(Path(folder) / "logs")
        try:
            with closing(Story(Path(folder), processes)) as story:
                tell(story)
        except KeyboardInterrupt:
            return 1
        except (DemoError, AuthorityError, OSError) as error:
            print(f"make story: {error}", file=sys.stderr)
            return 1
        finally:
            processes.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
