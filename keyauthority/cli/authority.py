"""The authority as the commands see it: stubs, a deadline on every call, errors as sentences."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click
import grpc

from keyauthority.base.process.settings import is_local
from keyauthority.cli.failures import failure
from keyauthority.cli.options import Options
from keyauthority.client.addresses import AddressError, parse_addresses
from keyauthority.client.channel import connect_blocking
from keyauthority.client.credentials import SecretFileError, bearer_metadata, load_token
from keyauthority.client.tls import client_certificate
from keyauthority.v1.audit_service_pb2_grpc import AuditServiceStub
from keyauthority.v1.caller_service_pb2_grpc import CallerServiceStub
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub
from keyauthority.v1.operations_service_pb2_grpc import OperationsServiceStub
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.v1.workspace_service_pb2_grpc import WorkspaceServiceStub

Metadata = tuple[tuple[str, str], ...]

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Authority:
    """The services of the authority that the options point at."""

    def __init__(self, channel: grpc.Channel, credential: Metadata, options: Options) -> None:
        self.keys = KeyServiceStub(channel)
        self.verification = VerificationServiceStub(channel)
        self.workspaces = WorkspaceServiceStub(channel)
        self.callers = CallerServiceStub(channel)
        self.audit = AuditServiceStub(channel)
        self.operations = OperationsServiceStub(channel)
        self._credential = credential
        self._options = options

    def call(self, method: grpc.UnaryUnaryMultiCallable[Request, Reply], request: Request) -> Reply:
        """The reply to *request*. Raises `Failure`."""
        call_id = uuid.uuid4().hex
        try:
            return method(
                request,
                timeout=self._options.timeout.total_seconds(),
                metadata=(*self._credential, ("x-request-id", call_id)),
            )
        except grpc.RpcError as error:
            raise failure(error, self._options, call_id) from None


def with_authority(
    command: Callable[Concatenate[Authority, Arguments], Result],
) -> Callable[Arguments, Result]:
    """Hands the command the authority, connected while it runs."""

    @functools.wraps(command)
    def connected(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        context = click.get_current_context()
        authority = context.with_resource(_connect(context.obj))
        return command(authority, *args, **kwargs)

    return connected


@contextmanager
def _connect(options: Options) -> Iterator[Authority]:
    with _channel(options) as channel:
        yield Authority(channel, _credential(options), options)


def _credential(options: Options) -> Metadata:
    if not _may_be_there(options.token_file):
        if options.tls_client_cert is not None:
            return ()
        raise click.ClickException(
            f"there is no token at {options.token_file}: the authority writes one there when it "
            "first starts with that data directory, or point --token-file "
            "(KEYAUTHORITY_TOKEN_FILE) at yours"
        )
    try:
        return bearer_metadata(load_token(options.token_file))
    except SecretFileError as error:
        raise click.ClickException(str(error)) from None


def _may_be_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # In a folder closed to this user: reading it says so.
        return True


def _channel(options: Options) -> grpc.Channel:
    try:
        addresses = parse_addresses(options.address)
    except AddressError as error:
        raise click.UsageError(f"--address {error}") from None
    if options.tls_client_cert is not None and options.tls_ca is None:
        raise click.UsageError("--tls-client-cert needs --tls-ca")
    if (options.tls_client_cert is None) != (options.tls_client_key is None):
        raise click.UsageError("--tls-client-cert and --tls-client-key need one another")
    for address in addresses:
        if options.tls_ca is None and not is_local(address.text):
            raise click.ClickException(
                f"{address.text} is another machine, and tokens don't travel in plaintext: name "
                "the file with its certificate authority with --tls-ca (KEYAUTHORITY_TLS_CA)"
            )
    certificate = client_certificate(options.tls_client_cert, options.tls_client_key)
    try:
        return connect_blocking(
            options.address, tls_ca=options.tls_ca, client_certificate=certificate
        )
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from None
