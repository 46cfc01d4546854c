"""What went wrong with a call, in one sentence that says what to do."""

from __future__ import annotations

from typing import Final

import click
import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from keyauthority.cli.options import Options

_ADVICE: Final = {
    "CREDENTIAL_INVALID": "; the token is that of {token_file}: point --token-file "
    "(KEYAUTHORITY_TOKEN_FILE) at a good one",
    "ROLE_MISSING": "; the token is that of {token_file}",
    "ETAG_MISMATCH": ": look at it again, then decide again",
    "OVERLOADED": ": try again in a moment",
    "SHUTTING_DOWN": ": try again when it is back",
    "REVOCATION_SPREADING": " (a longer --timeout waits for it)",
    "INTERNAL": "; the authority's log has the details under request id {call_id}",
}


class Failure(click.ClickException):
    """What the authority refused, with its reason and the metadata of that."""

    def __init__(self, message: str, info: ErrorInfo | None = None) -> None:
        super().__init__(message)
        self.reason = info.reason if info is not None else ""
        self.metadata = dict(info.metadata) if info is not None else {}


def failure(error: grpc.RpcError, options: Options, call_id: str) -> Failure:
    """The sentence for what a call to the authority raised."""
    if not isinstance(error, grpc.Call):
        return Failure("the call failed")
    info = _info(error)
    if info is None:
        return Failure(_without_reason(error, options))
    message = (error.details() or info.reason).rstrip(".")
    if error.code() is grpc.StatusCode.NOT_FOUND and message.startswith("no such"):
        message += "".join(f": {value}" for value in info.metadata.values() if value)
    advice = _ADVICE.get(info.reason, "")
    told = message + advice.format(token_file=options.token_file, call_id=call_id)
    return Failure(told, info)


def _info(error: grpc.Call) -> ErrorInfo | None:
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return None
    for detail in status.details if status is not None else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            return info
    return None


def _without_reason(error: grpc.Call, options: Options) -> str:
    # The authority gives every error a reason: these come from gRPC itself.
    code, where = error.code(), options.address
    if code is grpc.StatusCode.UNAVAILABLE:
        if options.tls_ca is not None:
            return (
                f"no authority could be reached at {where} whose certificate is for that name and "
                f"comes from {options.tls_ca}: check that it runs there, with TLS"
            )
        # Something is there and hangs up: what a TLS server does to plaintext.
        there = "Socket closed" in (error.details() or "")
        return (
            f"no authority answers at {where}: start it with `keyauthority serve`, or point "
            "--address (KEYAUTHORITY_ADDRESS) at it"
            + "; if it speaks TLS, also give --tls-ca (KEYAUTHORITY_TLS_CA)"
            * there
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        seconds = options.timeout.total_seconds()
        return (
            f"no answer from {where} within {seconds:g} s, so a change may or may not have been "
            "made: look before repeating it, or wait longer with --timeout"
        )
    return f"what answers at {where} is no key authority of this version ({code.name})"
