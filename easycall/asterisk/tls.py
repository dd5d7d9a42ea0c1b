"""TLS under an AMI link: a certificate Twisted lets pass by mistake, and what went wrong in words for an operator."""

from __future__ import annotations

from OpenSSL.crypto import X509
from OpenSSL.SSL import Error
from service_identity.pyopenssl import extract_patterns
from twisted.internet.ssl import VerificationError
from twisted.python.failure import Failure

__all__ = ["NAMELESS", "names_a_host", "why_lost"]

NAMELESS = "TLS: the certificate of Asterisk names no host: it needs a subjectAltName"


def names_a_host(certificate: X509 | None) -> bool:
    """Whether the certificate of a peer says whom it is for.

    If it names other hosts Twisted refuses it.  If it names none, or they cannot be read, Twisted 26.10 logs a failure,
    compares nothing and goes on: whoever has any such certificate of a CA we trust could play the Asterisk.
    """
    try:
        return certificate is not None and bool(extract_patterns(certificate))
    except Exception:  # whatever it is, Twisted met it too
        return False


def why_lost(failure: Failure) -> str:
    """The reason for the loss of a connection, in one line."""
    error = failure.value
    if isinstance(error, VerificationError):
        return "TLS: the certificate of Asterisk is for another host than the one we connect to"
    if not isinstance(error, Error):
        return failure.getErrorMessage()
    reasons = "; ".join(str(each[-1]) for each in error.args[0]) if error.args else "no reason given"
    if "certificate verify failed" in reasons:
        return "TLS: the certificate of Asterisk is not signed by a CA we trust (trustRoots), or is not valid today"
    return f"TLS: {reasons} (is this the port of AMI over TLS?)"
