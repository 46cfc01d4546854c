"""The authority that the commands call: its address, a token and a deadline for every call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, TypeVar

import click
import grpc
from google.protobuf.message import Message

from keyauthority.base.process.settings import SettingsError, check_client_tls
from keyauthority.cli.failures import failure
from keyauthority.cli.names import found
from keyauthority.cli.options import Options
from keyauthority.client.addresses import parse_addresses
from keyauthority.client.admin import AuthorityError, BlockingAdminClient, Call
from keyauthority.client.admin.calling import Result
from keyauthority.client.channel import PlaintextError, connect_blocking
from keyauthority.client.credentials import SecretFileError, client_certificate, load_token
from keyauthority.domain.secrets import Secret

Outcome = TypeVar("Outcome")


class Authority:
    """The authority that the options name."""

    def __init__(self, client: BlockingAdminClient, options: Options) -> None:
        self._client = client
        self._options = options

    def call(self, call: Call[Result]) -> tuple[Message, Result]:
        """Returns the reply, which is the document of `--json`, and the result. Raises `Failure`."""
        try:
            reply = self._client.reply(call)
        except AuthorityError as error:
            raise failure(error, self._options) from None
        return reply, call.read(reply)


def with_authority(
    command: Callable[Concatenate[Authority, ...], Outcome],
) -> Callable[..., Outcome]:
    """Hands the command the authority, connected while it runs, and ids in place of names."""

    @functools.wraps(command)
    def called(*args: Any, **kwargs: Any) -> Outcome:
        context = click.get_current_context()
        authority = context.with_resource(connected(context.obj))
        return command(authority, *args, **found(context.command, kwargs, authority))

    return called


@contextmanager
def connected(options: Options) -> Iterator[Authority]:
    """Yields the authority. Raises `click.ClickException` without a token, or a certificate."""
    seconds = options.timeout.total_seconds()
    with _channel(options) as channel:
        client = BlockingAdminClient(channel, _token(options), reading=seconds, changing=seconds)
        yield Authority(client, options)


def _token(options: Options) -> Secret | None:
    if _may_exist(options.token_file):
        try:
            return load_token(options.token_file)
        except SecretFileError as error:
            raise click.ClickException(str(error)) from None
    if options.tls_client_cert is not None:
        return None
    raise click.ClickException(
        f"there is no token at {options.token_file}: the authority writes one there when it "
        "first starts with that data directory, or point --token-file "
        "(KEYAUTHORITY_TOKEN_FILE) at yours"
    )


def _may_exist(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # The folder is closed to this user: opening the file says so.
        return True


def _channel(options: Options) -> grpc.Channel:
    files = options.tls_client_cert, options.tls_client_key
    try:
        parse_addresses(options.address, "--address")
        check_client_tls(options.tls_ca, *files)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    try:
        return connect_blocking(
            options.address, tls_ca=options.tls_ca, client_certificate=client_certificate(*files)
        )
    except PlaintextError as error:
        raise click.ClickException(
            f"{error}: name the file with its certificate authority with --tls-ca "
            "(KEYAUTHORITY_TLS_CA)"
        ) from None
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from None
