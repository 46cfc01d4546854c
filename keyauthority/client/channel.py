"""Channels to the authority: tuned to notice a dead peer in seconds, encrypted beyond loopback."""

from __future__ import annotations

from pathlib import Path

import grpc

from keyauthority.addresses import is_local


class PlaintextError(ValueError):
    """A channel that would carry tokens and secrets in plaintext over a network."""


def channel_options() -> list[tuple[str, int]]:
    """The gRPC channel arguments every client of the authority uses.

    A silent cut is noticed after keepalive time + timeout, also without calls, and a healed one
    is used again within a second: with gRPC's own defaults either takes minutes.
    """
    return [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 3_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # The answer about a thousand keys is far beyond gRPC's 4 MB.
        ("grpc.max_receive_message_length", 64 << 20),
        # A proxy named in the environment is for the web, not for tokens and secrets.
        ("grpc.enable_http_proxy", 0),
    ]


def connect(address: str, *, tls_ca: Path | None = None) -> grpc.aio.Channel:
    """Open a channel to the authority at *address*, `HOST:PORT` or `unix:/PATH`.

    Args:
        address: Where the authority listens.
        tls_ca: PEM file of the certificate authority that its certificate is checked against.
            None means plaintext, which only loopback and Unix sockets allow.

    Raises:
        PlaintextError: *address* is on a network and *tls_ca* is None.
        OSError: *tls_ca* cannot be read.
    """
    credentials = _credentials(address, tls_ca)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=channel_options())
    return grpc.aio.secure_channel(address, credentials, options=channel_options())


def connect_blocking(address: str, *, tls_ca: Path | None = None) -> grpc.Channel:
    """Open such a channel for code without an event loop; as `connect` in all else."""
    credentials = _credentials(address, tls_ca)
    if credentials is None:
        return grpc.insecure_channel(address, options=channel_options())
    return grpc.secure_channel(address, credentials, options=channel_options())


def _credentials(address: str, tls_ca: Path | None) -> grpc.ChannelCredentials | None:
    if tls_ca is not None:
        return grpc.ssl_channel_credentials(tls_ca.read_bytes())
    if not is_local(address):
        raise PlaintextError(f"{address} is not on this machine: name its certificate's CA")
    return None
