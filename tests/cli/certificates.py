"""Certificate authorities for a day, and what they sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates; `file` has its own."""

    file: Path
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def make_authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = Authority(folder / f"{name}.pem", subject, key)
    builder = _builder(subject, key, authority).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    _sign(builder, authority, authority.file)
    return authority


def make_certificate(authority: Authority, host: str) -> tuple[Path, Path]:
    """The files with a certificate for *host* and with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    builder = _builder(subject, key, authority).add_extension(
        x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
    )
    folder = authority.file.parent
    certificate, key_file = folder / f"{host}.pem", folder / f"{host}.key"
    _sign(builder, authority, certificate)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key_file


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: Authority
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _sign(builder: x509.CertificateBuilder, issuer: Authority, file: Path) -> None:
    certificate = builder.sign(issuer.key, hashes.SHA256())
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
