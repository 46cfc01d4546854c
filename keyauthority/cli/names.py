"""Names where ids go: a record may be named if exactly one has the name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TypeVar

import click

from keyauthority.cli.failures import Failure
from keyauthority.cli.faults import Fault
from keyauthority.cli.listing import LARGE_PAGE, Calling, pages
from keyauthority.cli.output import printable, word
from keyauthority.client.admin import Call, CredentialError, Key, KeyState, Page, Reason
from keyauthority.client.admin import callers as caller_calls
from keyauthority.client.admin import keys as key_calls
from keyauthority.client.admin import workspaces as workspace_calls

Record = TypeVar("Record")

_SHOWN: Final = 10
_NO_CALLERS: Final = ("operator", "authority")


class Filled(click.ParamType[str]):
    """A text that is not empty.

    An option that is absent means everywhere, everything or unconditionally; one with the empty text comes
    of a script's variable that is not set, and must not mean the same.
    """

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("is empty; is a variable not set?", param, ctx)
        return value


class Named(Filled):
    """A record by its id, which begins with *prefix*, or by its name."""

    def __init__(self, noun: str, prefix: str, role: str) -> None:
        self.name = f"{noun}"
        self._noun, self._prefix, self._role = noun, prefix, role

    def find(self, authority: Calling, text: str, workspace_id: str) -> str:
        """Returns the id of the record that *text* names, in the workspace if there is one.

        Raises `Fault` if there is none, or several: nothing is done to a record by a guess.
        """
        if text.startswith(self._prefix):
            return self._checked(authority, text, workspace_id)
        try:
            candidates = self._candidates(authority, text, workspace_id)
        except Failure as failure:
            raise self._explained(failure) from None
        if len(candidates) != 1:
            self._refuse(text, candidates)
        return candidates[0][0]

    def _checked(self, authority: Calling, record_id: str, workspace_id: str) -> str:
        return record_id

    def _candidates(
        self, authority: Calling, name: str, workspace_id: str
    ) -> list[tuple[str, str]]:
        # The ids of those called *name*, and what tells them apart.
        raise NotImplementedError

    def _explained(self, failure: Failure) -> Failure:
        error = failure.error
        if not (isinstance(error, CredentialError) and error.reason is Reason.ROLE_MISSING):
            return failure
        sentence = f"only the role {self._role} may look up a {self._noun} by its name"
        return Failure(f"{sentence}: give its id, {self._prefix}…", error)

    def _refuse(self, name: str, candidates: Sequence[tuple[str, str]]) -> NoReturn:
        name = printable(name)
        if not candidates:
            raise Fault(f'no {self._noun} is called "{name}"', "NAME_UNKNOWN")
        shown = ", ".join(f"{one} ({what})" for one, what in candidates[:_SHOWN])
        more = f" and {len(candidates) - _SHOWN:,} more" if len(candidates) > _SHOWN else ""
        raise Fault(
            f'{len(candidates):,} {self._noun}s are called "{name}", so give the id: {shown}{more}',
            "NAME_AMBIGUOUS",
            {"candidates": [one for one, _ in candidates]},
        )


class WorkspaceName(Named):
    """A workspace. `only_narrows`: it says where a key of that name is, and is no argument itself."""

    def __init__(self, *, only_narrows: bool = False) -> None:
        super().__init__("workspace", "ws_", "admin")
        self.only_narrows = only_narrows

    def _candidates(
        self, authority: Calling, name: str, workspace_id: str
    ) -> list[tuple[str, str]]:
        return [
            (one.id, "suspended" if one.suspended else "active")
            for one in _records(authority, workspace_calls.page)
            if one.name == name
        ]


class CallerName(Named):
    """A caller. The name of a revoked one may be that of another, and is refused then."""

    def __init__(self) -> None:
        super().__init__("caller", "caller_", "admin")

    def _candidates(
        self, authority: Calling, name: str, workspace_id: str
    ) -> list[tuple[str, str]]:
        return [
            (one.id, "active" if one.revoke_time is None else "revoked")
            for one in _records(authority, caller_calls.page)
            if one.name == name
        ]


class ActorName(CallerName):
    """Whom the audit names: a caller, or the authority itself, or who works at its machine."""

    def find(self, authority: Calling, text: str, workspace_id: str) -> str:
        return text if text in _NO_CALLERS else super().find(authority, text, workspace_id)


class KeyName(Named):
    """A key. Of several in one workspace, of which one is not revoked, the name means that one.

    `among_revoked`: a revoked key of that name counts, too. What ends a key or its secret for good asks for
    this: the second time, the name may be that of the key's successor.
    `checks_workspace`: a key that is given by its id has to be in the workspace.
    """

    def __init__(self, *, among_revoked: bool = False, checks_workspace: bool = True) -> None:
        super().__init__("key", "key_", "issuer")
        self._among_revoked = among_revoked
        self._checks_workspace = checks_workspace

    def _checked(self, authority: Calling, record_id: str, workspace_id: str) -> str:
        if workspace_id and self._checks_workspace:
            _, key = authority.call(key_calls.get(record_id))
            if key.workspace_id != workspace_id:
                raise Fault(f"{key.id} is in {key.workspace_id}, not in {workspace_id}")
        return record_id

    def _candidates(
        self, authority: Calling, name: str, workspace_id: str
    ) -> list[tuple[str, str]]:
        def page(**place: Any) -> Call[Page[Key]]:
            return key_calls.page(workspace_id, name_contains=name[:100], **place)

        keys = [one for one in _records(authority, page) if one.settings.name == name]
        # The name of a key that was revoked may be that of another workspace's key.
        one_place = len({one.workspace_id for one in keys}) == 1
        if one_place and not self._among_revoked:
            keys = [one for one in keys if one.state is not KeyState.REVOKED] or keys
        return [(one.id, f"{word(one.state)}, in {one.workspace_id}") for one in keys]


TEXT: Final = Filled()
WORKSPACE: Final = WorkspaceName()
NARROWING: Final = WorkspaceName(only_narrows=True)
CALLER: Final = CallerName()
ACTOR: Final = ActorName()
KEY: Final = KeyName()
ENDED_KEY: Final = KeyName(among_revoked=True)
CHARGED_KEY: Final = KeyName(checks_workspace=False)


def found(command: click.Command, values: dict[str, Any], authority: Calling) -> dict[str, Any]:
    """Returns *values* of the parameters of *command* with ids in place of names. Raises `Fault`.

    What is absent is the empty text, as in the contracts.
    """
    for param in command.params:
        if isinstance(param.type, Filled) and values.get(str(param.name)) is None:
            values[str(param.name)] = ""
    named = {
        str(param.name): param.type for param in command.params if isinstance(param.type, Named)
    }
    workspace_id = ""
    # A key may be in a workspace that is named, too.
    for name, kind in sorted(named.items(), key=lambda one: isinstance(one[1], KeyName)):
        if not values.get(name):
            continue
        if isinstance(values[name], tuple):
            values[name] = tuple(kind.find(authority, one, workspace_id) for one in values[name])
        else:
            values[name] = kind.find(authority, values[name], workspace_id)
        if isinstance(kind, WorkspaceName) and isinstance(values[name], str):
            workspace_id = values[name]
    narrowing = {
        name
        for name, kind in named.items()
        if isinstance(kind, WorkspaceName) and kind.only_narrows
    }
    return {name: value for name, value in values.items() if name not in narrowing}


def _records(authority: Calling, page: Callable[..., Call[Page[Record]]]) -> Iterator[Record]:
    for _, records in pages(authority, page, LARGE_PAGE):
        yield from records
