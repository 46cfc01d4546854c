"""Finding the key of a secret that turned up where it should not be."""

from __future__ import annotations

import grpc
import pytest

from keyauthority.domain.secrets import mint
from keyauthority.v1.key_service_pb2 import (
    LookupKeyRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
)
from tests.rpc.parts import Api, invalid_field, issue, refusal


async def test_a_secret_leads_to_its_key(root: Api, workspace: str) -> None:
    """The record as it is, of the one key among others that the secret belongs to."""
    issued = [await issue(root, workspace, str(number)) for number in range(3)]
    found = await root(LookupKeyRequest(secret=issued[1].secret))
    assert found.key == issued[1].key


async def test_a_retired_secret_and_a_revoked_key_are_found(root: Api, workspace: str) -> None:
    """Who finds an old secret learns whose it was, and that it is over."""
    issued = await issue(root, workspace)
    await root(RotateKeyRequest(key_id=issued.key.id))
    revoked = await root(RevokeKeyRequest(key_id=issued.key.id))
    assert (await root(LookupKeyRequest(secret=issued.secret))).key == revoked.key


async def test_a_secret_nobody_minted_is_not_found(root: Api, workspace: str) -> None:
    """A made-up secret finds nothing, not even with the id of a key that exists."""
    issued = await issue(root, workspace)
    for secret in (mint("key_0123456789ABCDEF"), mint(issued.key.id)):
        refused = await refusal(root(LookupKeyRequest(secret=secret.reveal())))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert refused.reason == "KEY_NOT_FOUND"
        assert issued.key.id not in str(refused)


@pytest.mark.parametrize("text", ["sk-optk-", "noise", "ключ", "sk-optk-" + "a" * 65, "\0"])
async def test_what_is_no_secret_is_told_apart(root: Api, text: str) -> None:
    """A typing error is the caller's to correct."""
    refused = await refusal(root(LookupKeyRequest(secret=text)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "SECRET_MALFORMED"


@pytest.mark.parametrize("secret", ["", "x" * 8_193, "ü" * 4_097])
async def test_nothing_and_too_much_are_refused(root: Api, secret: str) -> None:
    """A secret to look up has 1 to 8,192 bytes."""
    with invalid_field("secret"):
        await root(LookupKeyRequest(secret=secret))


async def test_a_callers_token_is_no_key(root: Api) -> None:
    """Tokens of callers are not looked up among keys."""
    refused = await refusal(root(LookupKeyRequest(secret=root.token)))
    assert refused.reason == "SECRET_MALFORMED"
