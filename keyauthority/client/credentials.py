"""Who calls, for whom, and who answers: tokens, people and certificates."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TypeAlias

import grpc

from keyauthority.domain.secrets import Secret
from keyauthority.v1.person_pb2 import Person
from keyauthority.v1.wire import AUTHORIZATION, PERSON

ClientCertificate: TypeAlias = tuple[Path, Path]
"""PEM files of a client's certificate chain and of its private key."""

_is_one_word = re.compile(r"[!-~]+").fullmatch


class SecretFileError(Exception):
    """A file that holds no usable secret. The message is one sentence for the operator."""


def load_token(path: Path) -> Secret:
    """Returns the one secret in the file *path*, such as a service token or an upstream's key.

    White space around the secret is ignored.

    Raises:
        SecretFileError: The file is missing, unreadable, open to every user, or holds no single word.
    """
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read().strip()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SecretFileError(f"cannot read {path}: {reason}") from None
    except UnicodeDecodeError:
        text = ""
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise SecretFileError(f"{path} is open to every user of this machine: chmod 600 it")
    if not _is_one_word(text):
        raise SecretFileError(f"{path} does not hold one secret in plain ASCII")
    return Secret(text)


def bearer_metadata(token: Secret) -> tuple[tuple[str, str]]:
    """Returns the call metadata that presents *token* to the authority."""
    return ((AUTHORIZATION, f"Bearer {token.reveal()}"),)


def person_metadata(person_id: str, name: str) -> tuple[tuple[str, bytes]]:
    """Returns the call metadata that names the person for whom a call is made.

    It stands beside that of `bearer_metadata`, of a caller that may act for people. The contract's
    `Person` has the limits of both texts.
    """
    return ((PERSON, Person(id=person_id, name=name).SerializeToString()),)


def client_certificate(chain: Path | None, key: Path | None) -> ClientCertificate | None:
    """Returns the two as one; None if either is missing."""
    return None if chain is None or key is None else (chain, key)


def tls_credentials(
    ca: Path, client_certificate: ClientCertificate | None
) -> grpc.ChannelCredentials:
    """Returns the credentials for an authority whose certificate comes from *ca*.

    *client_certificate* is for an authority that refuses clients without a certificate
    (`--tls-client-ca`). Raises `OSError`.
    """
    pem = ca.read_bytes()
    if client_certificate is None:
        return grpc.ssl_channel_credentials(pem)
    chain, key = client_certificate
    return grpc.ssl_channel_credentials(pem, key.read_bytes(), chain.read_bytes())
