"""A failed call in one sentence, which says what to do."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

import grpc

from keyauthority.cli.faults import Fault
from keyauthority.cli.flags import with_flag
from keyauthority.cli.options import Options
from keyauthority.client.admin import (
    AuthorityError,
    MissingError,
    Reason,
    RefusedError,
    TransportError,
)

_ADVICE: Final = {
    Reason.CREDENTIAL_INVALID: "; the token is that of {token_file}: point --token-file "
    "(KEYAUTHORITY_TOKEN_FILE) at a good one",
    Reason.ROLE_MISSING: "; the token is that of {token_file}",
    Reason.ETAG_MISMATCH: ": look at it again, then decide again",
    Reason.OVERLOADED: ": try again in a moment",
    Reason.SHUTTING_DOWN: ": try again when it is back",
    Reason.REVOCATION_SPREADING: " (a longer --timeout waits for it)",
    Reason.INTERNAL: "; the authority's log has the details under request id {request_id}",
}

_is_refused: Final = re.compile(r".*\bipv[46]:(\S+): .*Connection refused.*", re.DOTALL).fullmatch


class Failure(Fault):
    """A call that failed with *error*, in a sentence."""

    def __init__(self, message: str, error: AuthorityError) -> None:
        super().__init__(message, error.code.name, _details(error))
        self.error = error


def failure(error: AuthorityError, options: Options) -> Failure:
    """Returns *error* in a sentence."""
    if isinstance(error, TransportError):
        return Failure(_unanswered(error, options), error)
    sentence = error.message.rstrip(".")
    if isinstance(error, RefusedError):
        sentence = with_flag(sentence, error.field)
    if isinstance(error, MissingError) and sentence.startswith("no such") and error.id:
        sentence += f": {error.id}"
    advice = "" if error.reason is None else _ADVICE.get(error.reason, "")
    advice = advice.format(token_file=options.token_file, request_id=error.request_id)
    return Failure(sentence + advice, error)


def _details(error: AuthorityError) -> dict[str, Any]:
    details = {
        "reason": "" if error.reason is None else error.reason.name,
        "metadata": dict(error.metadata),
        "request_id": error.request_id,
    }
    return {name: value for name, value in details.items() if value}


def _unanswered(error: TransportError, options: Options) -> str:
    # The authority gives every error a reason: these come from gRPC itself.
    where = options.address
    if error.code is grpc.StatusCode.UNAVAILABLE:
        if (refused := _is_refused(error.message)) is not None:
            several = f" (of {where}, the last that was tried)" if "," in where else ""
            return (
                f"connection refused at {unquote(refused[1])}{several}: no authority listens there; start it "
                "with `keyauthority serve`, or point --address (KEYAUTHORITY_ADDRESS) at it"
            )
        if options.tls_ca is not None:
            return (
                f"no authority could be reached at {where} whose certificate is for that name and "
                f"comes from {options.tls_ca}: check that it runs there, with TLS"
            )
        # A TLS server hangs up on plaintext.
        hung_up = "Socket closed" in error.message
        tls = "; if it speaks TLS, also give --tls-ca (KEYAUTHORITY_TLS_CA)" if hung_up else ""
        return (
            f"no authority answers at {where}: start it with `keyauthority serve`, or point "
            f"--address (KEYAUTHORITY_ADDRESS) at it{tls}"
        )
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        seconds = options.timeout.total_seconds()
        return (
            f"no answer from {where} within {seconds:g} s, so a change may or may not have been "
            "made: look before repeating it, or wait longer with --timeout"
        )
    return f"what answers at {where} is no key authority of this version ({error.code.name})"
