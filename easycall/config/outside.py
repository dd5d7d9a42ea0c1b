"""Services outside and public keys, as the configuration names them: read, and found right, before anybody calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificates

from easycall.config.settings import ServiceSettings
from easycall.config.toml import Document, read_secret

__all__ = ["read_ca", "read_key", "read_service"]

SHORTEST_KEY = 2048
"""Bits."""
FILE_LIMIT = 256 * 1024


def read_service(document: Document, name: str, base: Path) -> ServiceSettings:
    """One section of ``services``; what is wrong with it becomes a fault of the document."""
    section: dict[str, Any] = document.section(f"services.{name}")
    ca, token = b"", ""
    if "ca" in section:
        try:
            ca = read_ca(base / section["ca"])
        except ValueError as error:
            document.fault(f"services.{name}.ca", str(error))
    if "token_file" in section:
        try:
            token = read_secret(base / section["token_file"])
        except ValueError as error:
            document.fault(f"services.{name}.token_file", str(error))
    return ServiceSettings(section.get("url", ""), section.get("timeout", 10.0), ca, token)


def read_ca(file: Path) -> bytes:
    """The CA certificates (PEM) in a file.  Raises ValueError, which says what would be right."""
    try:
        pem = _read(file)
        load_pem_x509_certificates(pem)
        return pem
    except ValueError as error:
        raise ValueError(f"must be a file of CA certificates (PEM): {error}") from error


def read_key(document: Document, name: str, file: Path) -> bytes:
    """The public key in a file; what is wrong with it becomes a fault of the document."""
    try:
        pem = _read(file)
        if b"PRIVATE KEY" in pem:
            raise ValueError("is a private key: the daemon needs only the public one (openssl pkey -pubout)")
        key = load_pem_public_key(pem)
        if not isinstance(key, RSAPublicKey) or key.key_size < SHORTEST_KEY:
            raise ValueError(f"is no RSA key of {SHORTEST_KEY} bits or more")
        return pem
    except ValueError as error:
        document.fault(f"keys.{name}", f"must be a file with a public RSA key (PEM): {error}")
        return b""


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(FILE_LIMIT)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error
