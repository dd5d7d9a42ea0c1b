"""Who may ask: bearer tokens (RFC 6750), known only by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from easycall.api.problems import Problem

__all__ = ["Tokens"]

LONGEST = 512
"""Characters of an Authorization header we look at."""


class Tokens:
    """The tokens of the configuration."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """``tokens``: name -> SHA-256 of the token in hexadecimal."""
        # A digest tells nothing about its token, so looking it up in a dict gives nothing away by its time.
        self._names = {digest.lower(): name for name, digest in tokens.items()}

    def name_of(self, authorization: str | None) -> str:
        """The name of the token in an Authorization header.  Raises Problem (401), always in the same words."""
        scheme, _, token = (authorization or "")[:LONGEST].partition(" ")
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        name = self._names.get(digest)
        if scheme.lower() != "bearer" or name is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send a valid token in the header: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="easycall"'},
            )
        return name
