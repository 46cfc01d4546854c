"""The authority as the commands see it: a deadline on every call, errors as sentences."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click
import grpc
from google.protobuf.message import Message

from keyauthority.base.process.settings import is_local
from keyauthority.cli.failures import failure
from keyauthority.cli.options import Options
from keyauthority.client.addresses import AddressError, parse_addresses
from keyauthority.client.admin import AuthorityError, BlockingAdminClient, Call
from keyauthority.client.admin.calling import Result
from keyauthority.client.channel import connect_blocking
from keyauthority.client.credentials import SecretFileError, client_certificate, load_token
from keyauthority.domain.secrets import Secret

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")


class Authority:
    """The authority that the options point at."""

    def __init__(self, client: BlockingAdminClient, options: Options) -> None:
        self._client = client
        self._options = options

    def call(self, call: Call[Result]) -> tuple[Message, Result]:
        """The reply to *call*, which is the document of `--json`, and its result. Raises `Failure`."""
        try:
            reply = self._client.reply(call)
        except AuthorityError as error:
            raise failure(error, self._options) from None
        return reply, call.read(reply)


def with_authority(
    command: Callable[Concatenate[Authority, Arguments], Outcome],
) -> Callable[Arguments, Outcome]:
    """Hands the command the authority, connected while it runs."""

    @functools.wraps(command)
    def connected(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Outcome:
        context = click.get_current_context()
        authority = context.with_resource(_connect(context.obj))
        return command(authority, *args, **kwargs)

    return connected


@contextmanager
def _connect(options: Options) -> Iterator[Authority]:
    seconds = options.timeout.total_seconds()
    with _channel(options) as channel:
        client = BlockingAdminClient(channel, _token(options), reading=seconds, changing=seconds)
        yield Authority(client, options)


def _token(options: Options) -> Secret | None:
    if not _may_be_there(options.token_file):
        if options.tls_client_cert is not None:
            return None
        raise click.ClickException(
            f"there is no token at {options.token_file}: the authority writes one there when it "
            "first starts with that data directory, or point --token-file "
            "(KEYAUTHORITY_TOKEN_FILE) at yours"
        )
    try:
        return load_token(options.token_file)
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
