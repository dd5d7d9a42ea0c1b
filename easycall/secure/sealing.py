"""Sealing: who has the private key can open it, we cannot."""

from __future__ import annotations

from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

__all__ = ["Seal"]


class Seal:
    """A public key of the configuration."""

    def __init__(self, pem: bytes) -> None:
        """``pem``: an RSA public key.  Raises ValueError."""
        key = load_pem_public_key(pem)
        if not isinstance(key, RSAPublicKey):
            raise ValueError("is no RSA key")
        self._key = key

    def __call__(self, text: str) -> str:
        """The text under RSA-OAEP with SHA-256, in base64.  The same text never gives the same token."""
        sealed = self._key.encrypt(text.encode(), OAEP(MGF1(SHA256()), SHA256(), None))
        return b64encode(sealed).decode()
