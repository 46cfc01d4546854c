"""Channels to the authority: they notice a dead peer in seconds, and encrypt beyond loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from keyauthority.base.process.settings import is_local
from keyauthority.client.addresses import Address, parse_addresses
from keyauthority.client.attempts import CHECKED_WITHIN
from keyauthority.client.credentials import ClientCertificate, tls_credentials
from keyauthority.client.names import Target
from keyauthority.client.replicas import Replicas
from keyauthority.client.several import RETIRED_WITHIN, SeveralChannel
from keyauthority.client.several_blocking import SeveralBlockingChannel

Options = list[tuple[str, int | str]]


class PlaintextError(ValueError):
    """A channel that would carry tokens and secrets in plaintext over a network."""


def channel_options() -> Options:
    """Returns the gRPC channel arguments of every client of the authority.

    A silent cut is noticed within 8 seconds (keepalive time and ping time-out), also without calls,
    and a healed connection is used again within a second: gRPC's defaults take minutes for either. A
    call goes to another replica long before (see `attempts`).
    """
    return [
        ("grpc.keepalive_time_ms", 5_000),
        ("grpc.keepalive_timeout_ms", 3_000),
        # Without this a ping has a minute, whatever the keepalive time-out says.
        ("grpc.http2.ping_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # The time to connect. The network tries again each second meanwhile.
        ("grpc.min_reconnect_backoff_ms", 2_000),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Shared subchannels would be those of the process before a fork, dead in its child.
        ("grpc.use_local_subchannel_pool", 1),
        # The answer about a thousand keys is far beyond gRPC's 4 MB.
        ("grpc.max_receive_message_length", 64 << 20),
        # A proxy named in the environment is for the web, not for tokens and secrets.
        ("grpc.enable_http_proxy", 0),
    ]


def connect(
    addresses: str,
    *,
    tls_ca: Path | None = None,
    client_certificate: ClientCertificate | None = None,
) -> grpc.aio.Channel:
    """Opens a channel to the authority at *addresses*, for unary calls.

    Args:
        addresses: Where the authority listens, `HOST:PORT` or `unix:/PATH`; several replicas
            separated by commas, or as the addresses of one name.
        tls_ca: PEM file of the authority's certificate authority. None means plaintext, which only
            loopback and Unix sockets allow.
        client_certificate: PEM files of a certificate chain and its private key, for an authority
            that refuses clients without a certificate.

    Raises:
        AddressError: *addresses* names no address.
        PlaintextError: An address is on a network and *tls_ca* is None.
        OSError: *tls_ca* or *client_certificate* cannot be read.
    """
    parsed = parse_addresses(addresses)
    credentials = _credentials(parsed, tls_ca, client_certificate)
    if _is_fixed(parsed):
        channel: grpc.aio.Channel = _dial(grpc.aio, Target(parsed[0].text), credentials)
        return channel
    retiring: set[asyncio.Task[None]] = set()

    async def close(channel: grpc.aio.Channel) -> None:
        # A channel refuses calls while it closes, and a task may be about to call by it.
        await asyncio.sleep(2 * CHECKED_WITHIN)
        await channel.close(RETIRED_WITHIN)

    def retire(channel: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(close(channel))
        retiring.add(task)
        task.add_done_callback(retiring.discard)

    replicas = Replicas(parsed, lambda target: _dial(grpc.aio, target, credentials), retire)
    return SeveralChannel(replicas)


def connect_blocking(
    addresses: str,
    *,
    tls_ca: Path | None = None,
    client_certificate: ClientCertificate | None = None,
) -> grpc.Channel:
    """Opens such a channel for code without an event loop; see `connect`."""
    parsed = parse_addresses(addresses)
    credentials = _credentials(parsed, tls_ca, client_certificate)
    if _is_fixed(parsed):
        channel: grpc.Channel = _dial(grpc, Target(parsed[0].text), credentials)
        return channel

    def retire(channel: grpc.Channel) -> None:
        timer = threading.Timer(RETIRED_WITHIN, channel.close)
        timer.daemon = True
        timer.start()

    replicas = Replicas(parsed, lambda target: _dial(grpc, target, credentials), retire)
    return SeveralBlockingChannel(replicas)


def _is_fixed(addresses: Sequence[Address]) -> bool:
    # One replica, at an address that no look-up changes.
    return len(addresses) == 1 and not addresses[0].name


def _dial(api: Any, target: Target, credentials: grpc.ChannelCredentials | None) -> Any:
    # *api* is grpc or grpc.aio, which make their channels alike.
    options = channel_options()
    if target.name:
        # The certificate is for the name, not for its address of the moment.
        options.append(("grpc.default_authority", target.name))
        options.append(("grpc.ssl_target_name_override", target.name.rpartition(":")[0]))
    if credentials is None:
        return api.insecure_channel(target.address, options=options)
    return api.secure_channel(target.address, credentials, options=options)


def _credentials(
    addresses: Sequence[Address],
    tls_ca: Path | None,
    client_certificate: ClientCertificate | None,
) -> grpc.ChannelCredentials | None:
    if tls_ca is not None:
        return tls_credentials(tls_ca, client_certificate)
    for address in addresses:
        if not is_local(address.text):
            raise PlaintextError(
                f"{address.text} is another machine, and tokens don't travel in plaintext"
            )
    return None
