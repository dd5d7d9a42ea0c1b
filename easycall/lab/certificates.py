"""A certificate authority of a lab's own: what AMI over TLS needs, made in a moment and of no worth elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["Authority"]

VALID = timedelta(days=365)
"""Longer than any lab stays up."""


class Authority:
    """A CA, whose key is nowhere but in here."""

    def __init__(self, name: str) -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._signed(self._name, self._key, authority=True)

    def write(self, file: Path) -> None:
        """Write its certificate, by which others know whom it vouches for."""
        file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def vouch(self, file: Path, *hosts: str, valid: timedelta = VALID) -> None:
        """Write a certificate for these hosts with a new private key, for the owner only.

        Asterisk reads both from one file.  Without a host the certificate names none.
        """
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0] if hosts else "nameless")])
        certificate = self._signed(subject, key, hosts, valid=valid)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            target.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            target.write(certificate.public_bytes(Encoding.PEM))

    def _signed(
        self,
        subject: x509.Name,
        key: EllipticCurvePrivateKey,
        hosts: Sequence[str] = (),
        *,
        authority: bool = False,
        valid: timedelta = VALID,
    ) -> x509.Certificate:
        """A certificate from yesterday on, for clocks that are not set alike."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + valid)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, SHA256())
