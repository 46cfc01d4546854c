"""Whom a caller acts for: named with a call, believed of those who may, and written down."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from keyauthority.client import person_metadata
from keyauthority.domain.callers import Role
from keyauthority.v1.audit_service_pb2 import AuditEntry, ListAuditEntriesRequest
from keyauthority.v1.caller_service_pb2 import CreateCallerRequest, ListCallersRequest
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    ImportedKey,
    ImportKeysRequest,
    IssueKeyRequest,
    ListKeysRequest,
    LookupKeyRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    RevokePresentedRequest,
    VerifyRequest,
)
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest
from tests.rpc.parts import Api, Authority, LeaseClock, invalid_field, issue, reason, refusal

FIELD = "x-opentoken-person-bin"
ALICE = person_metadata("person_1", "alice@example.com")[0]
BOB = person_metadata("person_2", "bob@example.com")[0]


@pytest.fixture
async def console(authority: Authority) -> Api:
    """A caller with the right to act for people, and every role."""
    return await authority.caller(*Role, acts_for_people=True)


def issuing(workspace: str, **fields: Any) -> IssueKeyRequest:
    return IssueKeyRequest(**{"workspace_id": workspace, "name": "ci", **fields})


async def entries(root: Api, **which: Any) -> list[AuditEntry]:
    """Newest first."""
    return list((await root(ListAuditEntriesRequest(page_size=1_000, **which))).entries)


async def newest(root: Api) -> AuditEntry:
    return (await entries(root))[0]


async def keys(api: Api, **which: Any) -> list[str]:
    """Their ids, newest first, of all pages."""
    ids: list[str] = []
    token = ""
    while True:
        page = await api(ListKeysRequest(page_size=1, page_token=token, **which))
        ids += [key.id for key in page.keys]
        token = page.next_page_token
        if not token:
            return ids


class TestTheAudit:
    async def test_names_the_person_beside_the_caller(
        self, authority: Authority, console: Api, workspace: str
    ) -> None:
        """Whatever the method: who asked for it, through whom."""
        key_id = (await issue(authority.root, workspace)).key.id
        requests: list[Message] = [
            issuing(workspace),
            UpdateKeyRequest(key=Key(id=key_id, name="renamed")),
            RotateKeyRequest(key_id=key_id),
            RevokeKeyRequest(key_id=key_id),
            RevokePresentedRequest(secret=(await issue(authority.root, workspace)).secret),
            CreateWorkspaceRequest(name="w"),
        ]
        for request in requests:
            await console(request, ALICE)
            entry = await newest(authority.root)
            assert (entry.person_id, entry.person_name) == ("person_1", "alice@example.com")
            assert entry.caller_id == console.caller_id
            assert not entry.refused

    async def test_names_nobody_if_the_caller_acts_for_itself(
        self, authority: Authority, console: Api, workspace: str
    ) -> None:
        """A person is of one call, not of the calls after it."""
        await console(issuing(workspace), ALICE)
        await console(issuing(workspace))
        entry = await newest(authority.root)
        assert (entry.caller_id, entry.person_id, entry.person_name) == (console.caller_id, "", "")

    @pytest.mark.parametrize("name", ["김하나 <hana@example.com>", "", "é" * 254, "a, b; c=d"])
    async def test_has_the_name_as_it_was_then(
        self, authority: Authority, console: Api, workspace: str, name: str
    ) -> None:
        """In any script, or none at all; a later name changes nothing that was written before."""
        (before,) = person_metadata("person_1", name)
        await console(issuing(workspace), before)
        await console(issuing(workspace), ALICE)
        later, earlier, *_ = await entries(authority.root, person_id="person_1")
        assert (earlier.person_name, later.person_name) == (name, "alice@example.com")

    async def test_is_filtered_by_person_and_action(
        self, authority: Authority, console: Api, workspace: str
    ) -> None:
        """One person's doings, one kind of doing, and both; exactly."""
        one = (await console(issuing(workspace), ALICE)).key.id
        two = (await console(issuing(workspace), BOB)).key.id
        await console(RevokeKeyRequest(key_id=two), ALICE)
        root = authority.root

        async def subjects(**which: Any) -> list[str]:
            return [entry.subject for entry in await entries(root, **which)]

        assert await subjects(person_id="person_1") == [two, one]
        assert await subjects(person_id="person_2") == [two]
        assert await subjects(action="KeyService.RevokeKey") == [two]
        assert await subjects(person_id="person_1", action="KeyService.IssueKey") == [one]
        assert await subjects(person_id="person_") == []
        assert await subjects(action="KeyService") == []


class TestWithoutTheRight:
    async def test_a_call_is_refused_and_written_down(
        self, authority: Authority, workspace: str
    ) -> None:
        """No role stands for the right, and nothing that the caller claims is believed."""
        everything = await authority.caller(*Role)
        mine = ("x-request-id", "mine")
        refused = await refusal(everything(issuing(workspace), ALICE, mine))
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert (refused.reason, refused.request_id) == ("ACTING_NOT_ALLOWED", "mine")
        entry = await newest(authority.root)
        assert entry.refused
        assert (entry.action, entry.caller_id) == ("KeyService.IssueKey", everything.caller_id)
        assert (entry.person_id, entry.person_name, entry.request_id) == ("", "", "mine")
        assert await keys(authority.root, workspace_id=workspace) == []

    async def test_reading_is_refused_too(self, authority: Authority, workspace: str) -> None:
        """Who is no console finds out at once, not with the first change."""
        key_id = (await issue(authority.root, workspace)).key.id
        assert await reason(authority.root(GetKeyRequest(key_id=key_id), ALICE)) == (
            "ACTING_NOT_ALLOWED"
        )

    async def test_refusals_do_not_flood_the_audit(
        self, authority: Authority, lease_clock: LeaseClock
    ) -> None:
        """Ten a minute for a caller, whatever it was refused for."""
        lease_clock.begin_minute()
        verifier = await authority.caller(Role.VERIFIER)
        for _ in range(6):
            assert await reason(verifier(GetKeyRequest(), ALICE)) == "ACTING_NOT_ALLOWED"
            assert await reason(verifier(GetKeyRequest())) == "ROLE_MISSING"
        assert len(await entries(authority.root, caller_id=verifier.caller_id)) == 10

    async def test_verdicts_are_given_all_the_same(
        self, authority: Authority, workspace: str
    ) -> None:
        """From memory and from the books: for whom a verdict is, is never looked at."""
        issued = await issue(authority.root, workspace)
        verifier = await authority.caller(Role.VERIFIER)
        for malformed_too in (ALICE, (FIELD, b"\xff")):
            for fresh in (True, False, False):
                answer = await verifier(
                    VerifyRequest(secret=issued.secret, fresh=fresh), malformed_too
                )
                assert answer.key.id == issued.key.id
            batch = BatchVerifyRequest(secrets=[issued.secret], fresh=True)
            assert (await verifier(batch, malformed_too)).answers[0].key.id == issued.key.id

    async def test_revoking_what_was_presented_is_refused(
        self, authority: Authority, workspace: str
    ) -> None:
        """It is a change, though a verifier may make it."""
        issued = await issue(authority.root, workspace)
        verifier = await authority.caller(Role.VERIFIER)
        presented = RevokePresentedRequest(secret=issued.secret)
        assert await reason(verifier(presented, ALICE)) == "ACTING_NOT_ALLOWED"


async def test_the_right_is_no_role(authority: Authority) -> None:
    """What a call may do is what its caller may do; the refused attempt names the person."""
    bare = await authority.caller(Role.VERIFIER, acts_for_people=True)
    assert await reason(bare(RevokeKeyRequest(key_id="key_1"), ALICE)) == "ROLE_MISSING"
    entry = await newest(authority.root)
    assert entry.refused
    assert (entry.caller_id, entry.person_id) == (bare.caller_id, "person_1")


async def test_the_right_is_shown_and_audited(root: Api) -> None:
    """Only who was created with it has it, and its creation says so."""
    roles: Any = [2]
    with_it = (
        await root(CreateCallerRequest(name="console", roles=roles, acts_for_people=True))
    ).caller
    without = (await root(CreateCallerRequest(name="billing", roles=roles))).caller
    assert (with_it.acts_for_people, without.acts_for_people) == (True, False)
    listed = {one.name: one.acts_for_people for one in (await root(ListCallersRequest())).callers}
    assert listed == {"root": False, "console": True, "billing": False}
    [created] = await entries(root, subject=with_it.id)
    assert created.details["acts_for_people"] == "true"
    [created] = await entries(root, subject=without.id)
    assert "acts_for_people" not in created.details


@pytest.mark.parametrize(
    "named",
    [
        [(FIELD, b"")],
        [(FIELD, b"\xff")],
        [(FIELD, b"\x0a\x02\xff\xfe")],
        [person_metadata("", "alice")[0]],
        [person_metadata("x" * 65, "alice")[0]],
        [person_metadata("two words", "alice")[0]],
        [person_metadata("person_ü", "alice")[0]],
        [person_metadata("person_1\n", "alice")[0]],
        [person_metadata("caller_0123456789ABCDEF", "root")[0]],
        [person_metadata("person_1", "x" * 255)[0]],
        [person_metadata("person_1", "alice\x1b[2J")[0]],
        [person_metadata("person_1", "a\0b")[0]],
        [ALICE, BOB],
        [ALICE, ALICE],
    ],
)
async def test_a_malformed_person_is_refused(
    authority: Authority, console: Api, workspace: str, named: list[tuple[str, bytes]]
) -> None:
    """Before anything is done; it is a mistake, no attempt at something forbidden."""
    before = len(await entries(authority.root))
    with invalid_field(FIELD):
        await console(issuing(workspace), *named)
    assert await keys(console, workspace_id=workspace) == []
    assert len(await entries(authority.root)) == before


class TestARequestId:
    async def test_is_each_persons_own(
        self, authority: Authority, console: Api, workspace: str
    ) -> None:
        """The same request with the same id by another person, or by the caller, is another one."""
        request = issuing(workspace, request_id="id-1")
        by = {"alice": [ALICE], "bob": [BOB], "console": []}
        first = {who: await console(request, *person) for who, person in by.items()}
        assert len({answer.secret for answer in first.values()}) == 3
        for who, person in by.items():
            again = await console(request, *person)
            assert (again.secret, again.key.id) == (first[who].secret, first[who].key.id)
        assert len(await keys(console, workspace_id=workspace)) == 3

    async def test_is_each_persons_own_in_a_rotation(self, console: Api, workspace: str) -> None:
        """Nobody is shown the secret that another one's rotation made."""
        key_id = (await console(issuing(workspace), ALICE)).key.id
        request = RotateKeyRequest(key_id=key_id, request_id="id-1")
        alices = await console(request, ALICE)
        assert (await console(request, BOB)).secret != alices.secret
        assert (await console(request, ALICE)).secret == alices.secret

    async def test_is_one_persons_under_any_name(self, console: Api, workspace: str) -> None:
        """A person that was renamed between two attempts is the same."""
        request = issuing(workspace, request_id="id-1")
        (renamed,) = person_metadata("person_1", "alice@new.example.com")
        first = await console(request, ALICE)
        assert (await console(request, renamed)).secret == first.secret

    async def test_stands_for_one_request_of_a_person(self, console: Api, workspace: str) -> None:
        """Another body is refused to who used the id, and no business of anybody else's."""
        await console(issuing(workspace, request_id="id-1"), ALICE)
        other = issuing(workspace, name="cd", request_id="id-1")
        assert await reason(console(other, ALICE)) == "REQUEST_ID_REUSED"
        assert (await console(other, BOB)).secret


class TestTheCreator:
    async def test_is_the_person_or_else_the_caller(
        self, authority: Authority, console: Api, workspace: str
    ) -> None:
        """Whoever reads the key sees it."""
        for_alice = (await console(issuing(workspace), ALICE)).key
        for_itself = (await console(issuing(workspace))).key
        assert (for_alice.creator_id, for_alice.creator_name) == ("person_1", "alice@example.com")
        assert for_itself.creator_id == console.caller_id
        assert for_itself.creator_name.startswith("caller ")
        for key in (for_alice, for_itself):
            assert (await authority.root(GetKeyRequest(key_id=key.id))).key == key

    async def test_stays(self, authority: Authority, console: Api, workspace: str) -> None:
        """Whatever others do to the key."""
        root = authority.root
        issued = await console(issuing(workspace), ALICE)
        key_id = issued.key.id
        pairs = [
            (UpdateKeyRequest(key=Key(id=key_id, name="new", creator_id="person_2")), BOB),
            (RotateKeyRequest(key_id=key_id), BOB),
            (RevokeKeyRequest(key_id=key_id), BOB),
        ]
        for request, person in pairs:
            answered = (await console(request, person)).key
            kept = (await root(GetKeyRequest(key_id=key_id))).key
            for key in (answered, kept):
                assert (key.creator_id, key.creator_name) == ("person_1", "alice@example.com")

    async def test_stays_when_its_secret_ends_it(self, console: Api, workspace: str) -> None:
        """Also where the key was found by its secret."""
        issued = await console(issuing(workspace), ALICE)
        assert (await console(LookupKeyRequest(secret=issued.secret))).key == issued.key
        await console(RevokePresentedRequest(secret=issued.secret), BOB)
        found = (await console(LookupKeyRequest(secret=issued.secret))).key
        assert (found.creator_id, found.creator_name) == ("person_1", "alice@example.com")

    async def test_of_an_imported_key_imported_it(self, console: Api, workspace: str) -> None:
        """Who took it over is who knows about it."""
        imported = ImportedKey(secret="of-another-system", name="laptop")
        request = ImportKeysRequest(workspace_id=workspace, keys=[imported])
        [key] = (await console(request, ALICE)).keys
        assert (key.creator_id, key.creator_name) == ("person_1", "alice@example.com")

    async def test_is_filtered_by(self, console: Api, workspace: str) -> None:
        """One person's keys, or one caller's, over pages."""
        alices = [(await console(issuing(workspace), ALICE)).key.id for _ in range(3)]
        itself = (await console(issuing(workspace))).key.id
        assert sorted(await keys(console, creator_id="person_1")) == sorted(alices)
        assert await keys(console, creator_id=console.caller_id) == [itself]
        assert await keys(console, creator_id="person_") == []

    async def test_is_part_of_the_question_that_a_page_token_is_for(
        self, console: Api, workspace: str
    ) -> None:
        """A token of one person's keys leads to nobody else's."""
        for _ in range(2):
            await console(issuing(workspace), ALICE)
        page = await console(ListKeysRequest(page_size=1, creator_id="person_1"))
        other = ListKeysRequest(page_token=page.next_page_token, creator_id="person_2")
        assert await reason(console(other)) == "PAGE_TOKEN_INVALID"
