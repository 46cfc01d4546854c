"""Secrets that must turn up nowhere, the places they are searched in, and what leaves a process."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from keyauthority.domain import secrets

MINTED = ("secret", "token")
"""Fields of the answers that show a secret, once: the only place where it may be seen."""

LENGTH = 20
"""Characters of a secret that already are too many."""


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """*secret* as it would look if it leaked."""
    digest = hashlib.sha256(secret)
    yield "itself", secret
    yield "its beginning", secret[:LENGTH]
    yield "backwards", secret[::-1]
    yield "hex", secret.hex().encode()
    yield "SHA-256", digest.digest()
    yield "SHA-256 in hex", digest.hexdigest().encode()
    yield "SHA-256 in base64", base64.b64encode(digest.digest()).rstrip(b"=")
    # In base64 by itself, and within something longer: from the first whole group of three bytes
    # on, wherever in a group it begins.
    for skipped in range(3):
        aligned = secret[skipped : skipped + (len(secret) - skipped) // 3 * 3]
        yield f"base64 +{skipped}", base64.b64encode(aligned)
        yield f"base64url +{skipped}", base64.urlsafe_b64encode(aligned)
    minted = (secrets.KEY_PREFIX.encode(), secrets.TOKEN_PREFIX.encode())
    if secret.startswith(minted) and len(secret) >= secrets.BODY_LENGTH:
        # Without its prefix and the id, which is no secret.
        chance = secret[-secrets.RANDOM_LENGTH - secrets.CHECKSUM_LENGTH :]
        yield "its random part", chance[:LENGTH]


@dataclass
class Search:
    """What to look for and where: both grow while a test runs."""

    canaries: dict[str, bytes] = field(default_factory=dict, repr=False)
    places: dict[str, bytes] = field(default_factory=dict, repr=False)

    def hide(self, name: str, secret: str | bytes) -> None:
        encoded = secret.encode() if isinstance(secret, str) else secret
        assert len(encoded) >= LENGTH, "too short to be told from chance"
        self.canaries[name] = encoded

    def look_into(self, place: str, content: str | bytes) -> None:
        encoded = content.encode() if isinstance(content, str) else content
        self.places[place] = self.places.get(place, b"") + encoded + b"\n"

    def finds(self) -> list[str]:
        return [
            f"{name} in {place}: {form}"
            for name, secret in self.canaries.items()
            for form, text in forms(secret)
            for place, content in self.places.items()
            if text in content
        ]


class Eavesdropper(grpc.UnaryUnaryClientInterceptor):
    """Hands all that comes back from a call to *search*; what was minted is taken out first."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], details: Any, request: Any
    ) -> Any:
        call = continuation(details, request)
        method = details.method.rpartition("/")[2]
        told = [*(call.initial_metadata() or ()), *(call.trailing_metadata() or ())]
        for key, value in told:
            self._search.look_into(f"metadata of {method}", key)
            self._search.look_into(f"metadata of {method}", value)
        if call.code() is grpc.StatusCode.OK:
            self._search.look_into(f"answer of {method}", _without_minted(call.result()))
        else:
            self._search.look_into(f"error of {method}", call.details())
            self._search.look_into(f"error of {method}", call.debug_error_string())
        return call


def _without_minted(answer: Any) -> bytes:
    copy = type(answer).FromString(answer.SerializeToString())
    for name in MINTED:
        if name in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(name)
    told: bytes = copy.SerializeToString()
    return told
