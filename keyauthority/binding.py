"""The address that the authority listens on, and the certificate it answers with."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import grpc.aio

from keyauthority.addresses import socket_path
from keyauthority.config import Settings
from keyauthority.files import check_folder


class StartError(Exception):
    """The authority can't start; the message is one sentence that says what to do about it."""


def bind(server: grpc.aio.Server, settings: Settings) -> int:
    """Binds *server* to where *settings* say and returns the port; raises `StartError`."""
    credentials = _credentials(settings)
    _check_socket(settings.listen)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.listen)
        return server.add_secure_port(settings.listen, credentials)
    except RuntimeError:
        raise cannot_listen(settings.listen) from None


def _check_socket(listen: str) -> None:
    path = socket_path(listen)
    if path is None:
        return
    try:
        check_folder(path.parent)
    except OSError as error:
        raise StartError(f"can't listen on {listen}: {error.strerror}") from None


def cannot_listen(listen: str) -> StartError:
    """What to say when the address can't be had; gRPC doesn't tell why."""
    return StartError(
        f"can't listen on {listen}: is it in use, not an address of this machine, or closed to this user?"
    )


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
        client_ca = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
        _check_tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    except OSError as error:
        raise StartError(f"{error.filename} can't be read: {error.strerror}") from None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _check_tls(cert: Path, key: Path, client_ca: Path | None) -> None:
    # gRPC says of unusable ones only that it can't bind.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except ssl.SSLError:
        files = ", ".join(str(path) for path in (cert, key, client_ca) if path is not None)
        raise StartError(f"not a certificate chain and its private key, in PEM: {files}") from None
