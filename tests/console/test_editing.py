"""Changing a key: its name, scopes and end; pausing it and letting it go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from console.paths import url
from console.people import Role
from keyauthority.v1.key_pb2 import KEY_STATE_DISABLED
from tests.console.keys_in_it import key_of, made_key, taken_over, told
from tests.console.people_in_it import NOBODY, Cast
from tests.console.visiting import Shown, Visitor
from tests.e2e.processes import eventually

SEOUL = ZoneInfo("Asia/Seoul")


class Editing:
    """A member in Seoul, and a key of theirs that ends in ninety days."""

    def __init__(self, cast: Cast, browser: Visitor) -> None:
        self.cast, self.browser, self.edge = cast, browser, cast.console.edge
        self.key_id, self.secret = made_key(cast, browser, "billing", scopes="chat:write")
        self.path = self._url("key_edit")

    def _url(self, name: str) -> str:
        return url(name, workspace=self.cast.workspace, key=self.key_id)

    @property
    def form(self) -> Shown:
        return self.browser.get(self.path)

    def save(self, **typed: str | list[str]) -> Shown:
        return self.send(self.form, **typed)

    def send(self, page: Shown, **typed: str | list[str]) -> Shown:
        """The form of *page*, which may be from before."""
        return self.browser.submit(page, self.path, **typed)

    def saved(self, **typed: str | list[str]) -> Shown:
        """The key's page after a change that was taken."""
        done = self.save(**typed)
        assert done.location == self._url("key") + "?done=saved", done.text
        return self.browser.follow(done)

    def press(self, name: str) -> Shown:
        """The key's page after its button `pause` or `resume` was pressed."""
        page = self.browser.get(self._url("key"))
        return self.browser.follow(self.browser.submit(page, self._url(f"key_{name}")))

    @property
    def end(self) -> datetime | None:
        key = key_of(self.edge, self.key_id)
        return key.expire_time.ToDatetime(tzinfo=UTC) if key.HasField("expire_time") else None


@pytest.fixture
async def editing(cast: Cast) -> Editing:
    person = await cast.person(Role.MEMBER)
    await cast.books.accounts.update(NOBODY, person.id, time_zone="Asia/Seoul")
    return Editing(cast, await cast.signed_in(person))


async def test_the_form_shows_what_the_key_is(editing: Editing) -> None:
    """Name, scopes, and the last day as the reader's calendar has it."""
    end = editing.end
    assert end is not None
    fields = dict(editing.form.form(editing.path).fields)
    assert (fields["name"], fields["access"], fields["scope"], fields["expires"]) == (
        "billing",
        "limited",
        "chat:write",
        "date",
    )
    # Its only scope has a box of its own.
    assert fields["scopes"] == ""
    assert fields["expire_date"] == end.astimezone(SEOUL).date().isoformat()


async def test_no_day_is_promised_that_the_key_does_not_last(editing: Editing) -> None:
    """An end within its day is told to the minute; only a day that was chosen lasts until its end."""
    end = editing.end
    assert end is not None
    shown = editing.form
    local = end.astimezone(SEOUL)
    assert f"{local:%H:%M} KST" in shown.element("expire_date-hint")
    assert "until the end of this day" not in shown.text
    day = datetime.now(UTC).date() + timedelta(days=40)
    editing.saved(expires="date", expire_date=day.isoformat())
    hint = editing.form.element("expire_date-hint")
    assert hint == "The key works until the end of this day, in Asia/Seoul."


async def test_another_name_and_other_scopes(editing: Editing) -> None:
    """Both hold at once; the secret and the end to the microsecond stay as they are."""
    end = editing.end
    shown = editing.saved(name="  invoices ", scopes="chat:write, models:read\nfiles:*")
    assert "Saved." in shown.text
    assert "invoices" in shown.text
    key = key_of(editing.edge, editing.key_id)
    assert (key.name, list(key.scopes)) == ("invoices", ["chat:write", "models:read", "files:*"])
    assert editing.end == end
    assert told(editing.edge, editing.secret)[0] == 200
    form = editing.form.form(editing.path).fields
    assert [value for name, value in form if name == "scope"] == ["models:read", "chat:write"]
    assert dict(form)["scopes"] == "files:*"
    editing.saved(name="bills")
    assert list(key_of(editing.edge, editing.key_id).scopes) == list(key.scopes)
    editing.saved(access="full")
    assert list(key_of(editing.edge, editing.key_id).scopes) == []
    assert dict(editing.form.form(editing.path).fields)["access"] == "full"


async def test_another_last_day_lasts_until_it_is_over(editing: Editing) -> None:
    """The key ends with the day where its keeper lives; never and back again are taken too."""
    day = datetime.now(UTC).date() + timedelta(days=40)
    editing.saved(expires="date", expire_date=day.isoformat())
    after = datetime.combine(day + timedelta(days=1), datetime.min.time(), SEOUL)
    assert editing.end == after.astimezone(UTC)
    assert dict(editing.form.form(editing.path).fields)["expire_date"] == day.isoformat()
    shown = editing.saved(expires="never")
    assert "Expires Never" in shown.text
    assert editing.end is None
    for preset, days in (("30d", 30), ("90d", 90), ("1y", 365)):
        editing.saved(expires=preset)
        assert editing.end is not None
        away = editing.end - datetime.now(UTC)
        assert timedelta(days=days, minutes=-1) < away <= timedelta(days=days)


@pytest.mark.parametrize(
    ("typed", "field", "error"),
    [
        ({"name": ""}, "name", "A key needs a name."),
        ({"name": "x" * 101}, "name", "The name is longer than 100 characters."),
        ({"scopes": "chat write!"}, "scopes", "Scopes must each be"),
        ({"scopes": "a a"}, "scopes", "Scopes names a scope twice."),
        ({"scope": [], "scopes": ""}, "access", "Choose at least one scope, or let the key do"),
        ({"access": ""}, "access", "Choose what the key may do."),
        ({"expires": "date", "expire_date": "2020-01-01"}, "expire_date", "That day is over"),
        ({"expires": "date", "expire_date": ""}, "expire_date", "Give a date as"),
        ({"expires": "date", "expire_date": "31.12.2030"}, "expire_date", "Give a date as"),
        (
            {"expires": "date", "expire_date": "2099-01-01"},
            "expire_date",
            "That day is more than 10 years away.",
        ),
        ({"expires": "whenever"}, "expires", "Choose when the key expires."),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field(
    typed: dict[str, Any], field: str, error: str, editing: Editing
) -> None:
    """Nothing is changed, and what was typed stays. Who unticks all does not get more by it."""
    before = key_of(editing.edge, editing.key_id)
    shown = editing.save(**typed)
    assert shown.status == 422
    assert error in shown.element(f"{field}-error")
    kept = dict(shown.form(editing.path).fields)
    texts = {
        name: value for name, value in typed.items() if name in ("name", "scopes", "expire_date")
    }
    assert {name: kept[name] for name in texts} == texts
    assert ("scope" in kept) == ("scope" not in typed)
    assert key_of(editing.edge, editing.key_id) == before


async def test_what_somebody_else_changed_is_not_overwritten(editing: Editing) -> None:
    """The later form is told so with all that was typed; sent once more, it is taken."""
    page = editing.form
    editing.saved(name="theirs")
    shown = editing.send(page, name="mine", scopes="models:read")
    assert shown.status == 422
    assert "Somebody else changed this key while you were typing" in shown.text
    fields = shown.form(editing.path).fields
    assert {("name", "mine"), ("scope", "models:read")} <= set(fields)
    assert key_of(editing.edge, editing.key_id).name == "theirs"
    assert editing.send(shown).status == 303
    assert key_of(editing.edge, editing.key_id).name == "mine"


async def test_the_same_change_twice_is_no_quarrel(editing: Editing) -> None:
    """Whoever sends the form again because no answer came is told that it is saved."""
    page = editing.form
    for _ in range(2):
        assert editing.send(page, name="mine").location.endswith("?done=saved")


async def test_two_who_save_at_once(editing: Editing) -> None:
    """One of two different changes is taken, and the other one is told."""
    page = editing.form
    answers = await asyncio.gather(
        *(asyncio.to_thread(editing.send, page, name=name) for name in ("mine", "theirs"))
    )
    assert sorted(shown.status for shown in answers) == [303, 422]


async def test_a_paused_key_is_refused_until_it_is_resumed(editing: Editing) -> None:
    """Really, by the gateway, and before the page is there."""
    editing.saved(access="full")
    assert told(editing.edge, editing.secret)[0] == 200
    shown = editing.press("pause")
    assert told(editing.edge, editing.secret)[0] == 401
    assert "The key is paused: requests with it are refused" in shown.text
    assert "Paused" in shown.text
    shown = editing.press("resume")
    assert told(editing.edge, editing.secret)[0] == 200
    assert "The key works again." in shown.text


async def test_editing_leaves_a_paused_key_paused(editing: Editing) -> None:
    """Another name doesn't let it go on."""
    editing.press("pause")
    editing.saved(name="still paused")
    assert key_of(editing.edge, editing.key_id).state == KEY_STATE_DISABLED


async def test_a_revoked_key_never_changes_again(editing: Editing) -> None:
    """Its form leads to its page; a form from before is refused, and so are pause and resume."""
    page = editing.form
    editing.edge.operator.revoke(editing.key_id)
    shown = editing.browser.follow(editing.browser.get(editing.path))
    assert "Revoked" in shown.text
    assert "/edit" not in shown.html
    refused = editing.send(page, name="back from the dead")
    assert refused.status == 422
    assert "The key is revoked, and a revoked key never changes again." in refused.text
    csrf = dict(page.form(editing.path).fields)["csrf"]
    for name in ("pause", "resume"):
        done = editing.browser.post(editing.path.replace("edit", name), {"csrf": csrf})
        assert done.location == editing.path.removesuffix("/edit")
    assert key_of(editing.edge, editing.key_id).name == "billing"
    assert editing.edge.operator.is_revoked(editing.key_id)


async def test_an_expired_key_keeps_its_end_when_it_is_renamed(cast: Cast) -> None:
    """A last day that is over is no error while nobody changes it; a later one brings it back."""
    browser = await cast.visitor(Role.MEMBER)
    edge = cast.console.edge
    key, secret = edge.operator.issue(cast.workspace, lasting=timedelta(seconds=1))
    path = url("key_edit", workspace=cast.workspace, key=key.id)
    eventually("it expires", lambda: edge.operator.verify(secret) == "VERDICT_EXPIRED")
    assert browser.submit(browser.get(path), path, name="over").status == 303
    assert key_of(edge, key.id).expire_time == key.expire_time
    browser.submit(browser.get(path), path, expires="never")
    assert told(edge, secret)[0] == 200


async def test_labels_and_what_the_form_does_not_show_stay(cast: Cast) -> None:
    """A change in the console takes nothing away that was set elsewhere."""
    browser = await cast.visitor(Role.MEMBER)
    [key] = taken_over(cast.console.edge, cast.workspace, ["one"], labels={"team": "search"})
    path = url("key_edit", workspace=cast.workspace, key=key.id)
    assert browser.submit(browser.get(path), path, name="two").status == 303
    assert dict(key_of(cast.console.edge, key.id).labels) == {"team": "search"}
