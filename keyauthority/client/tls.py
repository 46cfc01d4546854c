"""TLS to the authority: whom it must prove to be, and who the client proves to be."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import grpc

ClientCertificate: TypeAlias = tuple[Path, Path]
"""PEM files of a client's certificate chain and of its private key."""


def client_certificate(chain: Path | None, key: Path | None) -> ClientCertificate | None:
    """The two together; None if either is missing."""
    return None if chain is None or key is None else (chain, key)


def tls_credentials(
    ca: Path, client_certificate: ClientCertificate | None
) -> grpc.ChannelCredentials:
    """Credentials for an authority whose certificate comes from *ca*; raises OSError.

    *client_certificate* is for one that connects nobody without (`--tls-client-ca`).
    """
    pem = ca.read_bytes()
    if client_certificate is None:
        return grpc.ssl_channel_credentials(pem)
    chain, key = client_certificate
    return grpc.ssl_channel_credentials(pem, key.read_bytes(), chain.read_bytes())
