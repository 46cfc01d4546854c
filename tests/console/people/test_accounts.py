"""Accounts, and signing in with a password."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from console.people import (
    AnotherIdentity,
    EmailTaken,
    FieldInvalid,
    IdentityTaken,
    LastAdministrator,
    LinkInvalid,
    NotFound,
    OwnAccount,
    Password,
    People,
    Person,
    Role,
    StoreUnavailable,
    WeakPassword,
)
from keyauthority.base.relational.location import Location
from tests.console.people.parts import (
    ISSUER,
    NEW_PASSWORD,
    OPERATOR,
    PASSWORD,
    ManualClock,
    WatchedHasher,
    actions,
    by,
    identity,
    member,
    opened,
    outcomes,
    sql,
)


async def test_finding_people(people: People, ada: Person) -> None:
    """A person is found by id and by address, in whatever case and with spaces around it."""
    assert await people.accounts.get(ada.id) == ada
    assert await people.accounts.by_email(" aDA@EXAMPLE.com ") == ada
    assert await people.accounts.get("person_0") is None
    assert await people.accounts.by_email("nobody@example.com") is None
    assert await people.accounts.by_email("no address") is None
    assert await people.accounts.by_identity(ISSUER, "a") is None


async def test_several_people_at_once(people: People, ada: Person) -> None:
    """Those that there are, each once."""
    bob = await member(people, ada, "bob@example.com")

    persons = await people.accounts.get_all({bob.id, ada.id, "person_0"})

    assert sorted(persons, key=lambda one: one.id) == sorted((ada, bob), key=lambda one: one.id)
    assert await people.accounts.get_all([]) == []


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 10_000])
async def test_ids_that_cannot_be(people: People, ada: Person, text: str) -> None:
    """What no database can keep is unknown, like any other id that there isn't."""
    assert await people.accounts.get(text) is None
    assert await people.accounts.get_all([text, ada.id]) == [ada]
    assert await people.accounts.by_email(f"a@{text}") is None
    assert await people.accounts.by_identity(text, text) is None
    assert await people.accounts.check_password(f"a@{text}", text) is None
    assert await people.memberships.role(text, text) is None
    assert await people.sessions.find(text) is None
    assert await people.links.find(text) is None


async def test_pages(people: People, ada: Person, clock: ManualClock) -> None:
    """People are listed newest first, page after page, also those of the same moment."""
    everybody = [ada]
    for n in range(4):
        clock.pass_by(seconds=n // 2)
        everybody.append(await member(people, ada, f"{n}@example.com"))
    in_order = sorted(everybody, key=lambda person: (person.create_time, person.id), reverse=True)

    first = await people.accounts.page(3)
    second = await people.accounts.page(3, first[-1].id)

    assert first + second == in_order
    assert await people.accounts.page(3, second[-1].id) == []


async def test_any_administrator(people: People) -> None:
    """There is an administrator once somebody was set up."""
    assert not await people.accounts.any_administrator()

    token = (await people.links.new_setup()).reveal()
    await people.links.accept_setup(token, "a@x", "A", Password(PASSWORD), [], "")

    assert await people.accounts.any_administrator()


async def test_checking_a_password(people: People, ada: Person) -> None:
    """The right password of the right address gives the person, and nothing else does."""
    assert await people.accounts.check_password("ada@EXAMPLE.com", PASSWORD) == ada
    for email, password in [
        (ada.email, PASSWORD.upper()),
        (ada.email, ""),
        (ada.email, PASSWORD + " " * 1_000_000),
        ("bob@example.com", PASSWORD),
        ("no address", PASSWORD),
    ]:
        assert await people.accounts.check_password(email, password) is None


async def test_a_password_typed_another_way(people: People, ada: Person) -> None:
    """What a keyboard composes and what it doesn't is the same password."""
    await people.accounts.set_password(by(ada), ada.id, "h\u00e9rons of the north")

    assert await people.accounts.check_password(ada.email, "he\u0301rons of the north") == ada


async def test_an_unknown_address_takes_the_same_work(
    people: People, ada: Person, location: Location, clock: ManualClock
) -> None:
    """The hasher works once, at the same cost, whether there is an account, a password, or not."""
    await people.links.invite(by(ada), "ws_1", "carol@example.com", Role.VIEWER)
    hashes: list[str] = []
    hasher = WatchedHasher()
    hasher.before_verifying = hashes.append
    async with opened(location, clock, hasher=hasher) as watched:
        for email in (ada.email, "nobody@example.com", "carol@example.com", "no address", ""):
            assert await watched.accounts.check_password(email, "wrong wrong wrong") is None

    costs = [text.rpartition("$")[0].rpartition("$")[0] for text in hashes]

    assert len(costs) == 5
    assert len(set(costs)) == 1
    assert costs[0].startswith("$argon2id$")


async def test_who_has_no_password_signs_in_with_none(people: People) -> None:
    """Of an account of an OpenID provider, no password is right, not even an empty one."""
    token = (await people.links.new_setup()).reveal()
    ada = await people.links.accept_setup(token, "a@x", "A", identity(), [], "")

    assert await people.accounts.check_password(ada.email, "") is None
    await people.accounts.set_password(by(ada), ada.id, PASSWORD)
    person = await people.accounts.check_password(ada.email, PASSWORD)
    assert person is not None
    assert person.has_password


async def test_stronger_parameters_reach_who_signs_in(
    people: People, ada: Person, location: Location, clock: ManualClock
) -> None:
    """A password that is right is kept anew if it was hashed with other parameters than now."""
    stronger = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    async with opened(location, clock, hasher=stronger) as later:
        await later.accounts.check_password(ada.email, "wrong wrong wrong")
        [(password_hash,)] = await sql(location, "SELECT password FROM people")
        assert "m=8,t=1" in password_hash
        assert await later.accounts.check_password(ada.email, PASSWORD) == ada

    [(password_hash,)] = await sql(location, "SELECT password FROM people")
    assert "m=16,t=2" in password_hash
    assert stronger.verify(password_hash, PASSWORD)


async def test_a_hash_that_cannot_be_read(people: People, ada: Person, location: Location) -> None:
    """A damaged hash is an outage, not a wrong password."""
    await sql(location, "UPDATE people SET password = 'damaged'")

    with pytest.raises(StoreUnavailable):
        await people.accounts.check_password(ada.email, PASSWORD)


async def test_changing_the_password(people: People, ada: Person) -> None:
    """It ends the other sessions, and makes a recovery link that is still open useless."""
    mine, token = await people.sessions.begin(ada.id, "", "", "password")
    _, others = await people.sessions.begin(ada.id, "", "", "password")
    recovery = await people.links.new_recovery(by(ada), ada.id)

    await people.accounts.set_password(by(ada), ada.id, NEW_PASSWORD, keep_session_id=mine.id)

    assert await people.accounts.check_password(ada.email, PASSWORD) is None
    assert await people.accounts.check_password(ada.email, NEW_PASSWORD) == ada
    assert await people.sessions.find(token.reveal()) == mine
    assert await people.sessions.find(others.reveal()) is None
    with pytest.raises(LinkInvalid):
        await people.links.accept_recovery(recovery.reveal(), PASSWORD, "")
    assert (await actions(people))[0] == "password.change"


async def test_a_weak_password_changes_nothing(people: People, ada: Person) -> None:
    """Neither one's address nor what is tried first becomes a password."""
    for weak in ("ADA@example.com", "password1234"):
        with pytest.raises(WeakPassword):
            await people.accounts.set_password(by(ada), ada.id, weak)

    assert await people.accounts.check_password(ada.email, PASSWORD) == ada


async def test_updating(people: People, ada: Person) -> None:
    """Name and time zone are changed each by itself; what isn't given stays."""
    await people.accounts.update(by(ada), ada.id, name=" Ada L. ")
    changed = await people.accounts.update(by(ada), ada.id, time_zone="Asia/Seoul")

    assert (changed.name, changed.time_zone) == ("Ada L.", "Asia/Seoul")
    assert await people.accounts.get(ada.id) == changed
    [event, *_] = await people.history.page(limit=1)
    assert (event.action, event.details) == ("person.update", {"time_zone": "Asia/Seoul"})


@pytest.mark.parametrize(
    ("field", "values"),
    [("name", {"name": "\x1b[1m"}), ("time_zone", {"time_zone": "../../etc/passwd"})],
)
async def test_an_update_names_its_field(
    people: People, ada: Person, field: str, values: dict[str, str]
) -> None:
    """What can't be kept is refused with the field it was typed in, and not repeated."""
    with pytest.raises(FieldInvalid) as refused:
        await people.accounts.update(by(ada), ada.id, **values)

    assert refused.value.field == field
    assert values[field] not in str(refused.value)
    assert await people.accounts.get(ada.id) == ada


async def test_who_isnt_there_isnt_changed(people: People, ada: Person) -> None:
    """Changing an unknown person is `NotFound`, and leaves nothing in the history."""
    before = await actions(people)

    for change in (
        people.accounts.set_password(by(ada), "person_0", PASSWORD),
        people.accounts.update(by(ada), "person_0", name="X"),
        people.accounts.set_administrator(by(ada), "person_0", True),
        people.accounts.set_disabled(by(ada), "person_0", True),
        people.accounts.link_identity(by(ada), "person_0", ISSUER, "a"),
        people.links.new_recovery(by(ada), "person_0"),
    ):
        with pytest.raises(NotFound):
            await change

    assert await actions(people) == before


async def test_administrators(people: People, ada: Person) -> None:
    """Somebody else is made administrator, then one may stop being one, but not both."""
    bob = await member(people, ada, "bob@example.com")
    with pytest.raises(LastAdministrator):
        await people.accounts.set_administrator(by(ada), ada.id, False)
    await people.accounts.set_administrator(by(ada), bob.id, True)

    await people.accounts.set_administrator(by(ada), ada.id, False)

    with pytest.raises(LastAdministrator):
        await people.accounts.set_administrator(by(bob), bob.id, False)
    assert await people.accounts.any_administrator()
    assert (await actions(people))[:2] == ["person.administrator"] * 2


async def test_the_last_administrator_stays(people: People, other: People, ada: Person) -> None:
    """Of two administrators who dismiss each other, or themselves, at once, one remains."""
    bob = await member(people, ada, "bob@example.com")
    for n in range(6):
        await people.accounts.set_administrator(OPERATOR, ada.id, True)
        await people.accounts.set_administrator(OPERATOR, bob.id, True)
        one, two = (ada, bob) if n % 2 else (bob, ada)

        results = await outcomes(
            people.accounts.set_administrator(by(ada), one.id, False),
            other.accounts.set_administrator(by(bob), two.id, False),
        )

        refused = LastAdministrator if n % 2 else NotFound
        assert [type(result) for result in results if result is not None] == [refused]
        assert await people.accounts.any_administrator()


async def test_disabling(people: People, ada: Person) -> None:
    """Who is disabled is out at once, and nothing they had lets them or a friend of theirs in."""
    bob = await member(people, ada, "bob@example.com", Role.OWNER)
    _, token = await people.sessions.begin(bob.id, "", "", "password")
    recovery = await people.links.new_recovery(by(ada), bob.id)
    _, invitation = await people.links.invite(by(bob), "ws_1", "bob2@example.com", Role.OWNER)

    await people.accounts.set_disabled(by(ada), bob.id, True)
    await people.accounts.set_disabled(by(ada), bob.id, True)

    assert await people.sessions.find(token.reveal()) is None
    assert await people.accounts.check_password(bob.email, PASSWORD) is None
    assert await people.links.find(recovery.reveal()) is None
    assert await people.links.find(invitation.reveal()) is None
    with pytest.raises(NotFound):
        await people.sessions.begin(bob.id, "", "", "oidc")
    with pytest.raises(NotFound):
        await people.links.new_recovery(by(ada), bob.id)
    assert (await actions(people))[:2] == ["person.disable", "invitation.create"]
    await people.accounts.set_disabled(by(ada), bob.id, False)
    assert await people.accounts.check_password(bob.email, PASSWORD) == bob
    assert await people.sessions.find(token.reveal()) is None
    assert (await actions(people))[0] == "person.enable"


async def test_who_is_not_disabled(people: People, other: People, ada: Person) -> None:
    """Nobody disables themselves; of two administrators who do it to each other, one remains."""
    bob = await member(people, ada, "bob@example.com")
    with pytest.raises(OwnAccount):
        await people.accounts.set_disabled(by(ada), ada.id, True)
    with pytest.raises(LastAdministrator):
        await people.accounts.set_disabled(OPERATOR, ada.id, True)
    await people.accounts.set_administrator(by(ada), bob.id, True)

    results = await outcomes(
        people.accounts.set_disabled(by(ada), bob.id, True),
        other.accounts.set_disabled(by(bob), ada.id, True),
    )

    # The second is none any more.
    assert [type(result) for result in results if result is not None] == [NotFound]
    remaining = ada if results[0] is None else bob
    # A disabled one doesn't count.
    with pytest.raises(LastAdministrator):
        await people.accounts.set_administrator(by(remaining), remaining.id, False)


async def test_identities(people: People, ada: Person) -> None:
    """An account of a provider opens one account here; linking it again changes nothing."""
    bob = await member(people, ada, "bob@example.com")

    await people.accounts.link_identity(by(ada), ada.id, ISSUER, "a")
    await people.accounts.link_identity(by(ada), ada.id, ISSUER, "a")

    with pytest.raises(IdentityTaken):
        await people.accounts.link_identity(by(bob), bob.id, ISSUER, "a")
    person = await people.accounts.by_identity(ISSUER, "a")
    assert person is not None
    assert person.id == ada.id
    assert await people.accounts.by_identity("https://other.example.com", "a") is None
    assert (await actions(people)).count("identity.link") == 1


async def test_the_providers_word_takes_the_place_of_a_password(
    people: People, ada: Person
) -> None:
    """Linked by its address, an account has no password, session or recovery link any more."""
    _, token = await people.sessions.begin(ada.id, "", "", "password")
    recovery = await people.links.new_recovery(by(ada), ada.id)

    await people.accounts.link_identity(by(ada), ada.id, ISSUER, "a")

    assert await people.accounts.check_password(ada.email, PASSWORD) is None
    assert await people.sessions.find(token.reveal()) is None
    assert await people.links.find(recovery.reveal()) is None
    assert (await actions(people))[:2] == ["identity.link", "password.remove"]
    with pytest.raises(NotFound):
        await people.sessions.begin(ada.id, "", "", "password")
    _, token = await people.sessions.begin(ada.id, "", "", "oidc")
    await people.accounts.link_identity(by(ada), ada.id, ISSUER, "a")
    assert await people.sessions.find(token.reveal()) is not None


async def test_one_account_of_each_provider(people: People, ada: Person) -> None:
    """A second account of the same provider is refused and changes nothing; one elsewhere isn't."""
    await people.accounts.link_identity(by(ada), ada.id, ISSUER, "a")
    before = await actions(people)

    with pytest.raises(AnotherIdentity):
        await people.accounts.link_identity(by(ada), ada.id, ISSUER, "b")

    assert await people.accounts.by_identity(ISSUER, "b") is None
    assert await actions(people) == before
    await people.accounts.link_identity(by(ada), ada.id, "https://other.example.com", "b")


async def test_an_address_is_one_account(people: People, other: People, ada: Person) -> None:
    """Of two invitations of one address accepted at once, one makes the account."""
    await people.memberships.add(by(ada), "ws_2", ada.id, Role.OWNER)
    tokens = [
        (await people.links.invite(by(ada), workspace_id, email, Role.VIEWER))[1].reveal()
        for workspace_id, email in [("ws_1", "bob@example.com"), ("ws_2", "BOB@example.com")]
    ]

    results = await outcomes(
        *(
            books.links.accept_invitation(token, "Bob", Password(PASSWORD), "")
            for books, token in zip((people, other), tokens, strict=True)
        )
    )

    assert sum(isinstance(result, Person) for result in results) == 1
    assert sum(isinstance(result, EmailTaken) for result in results) == 1
