"""A web server over TLS, for tests."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL
from twisted.internet.ssl import ContextFactory

__all__ = ["Certified"]


class Certified(ContextFactory):
    """TLS with the certificate and the key in one file.  (Twisted's own options warn of pyOpenSSL's changes.)"""

    def __init__(self, file: Path) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.use_certificate_chain_file(str(file))
        self._context.use_privatekey_file(str(file))

    def getContext(self) -> SSL.Context:
        return self._context
