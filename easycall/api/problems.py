"""What went wrong, as ``application/problem+json`` (RFC 9457): one shape for every error of the API."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

__all__ = ["CONTENT_TYPE", "Problem", "unknown"]

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is an error: ``status``, a sentence of ``detail``, and the ``field`` it is about, if any."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The answer's body."""
        shape = {"type": "about:blank", "title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        if self.field:
            shape["field"] = self.field
        return msgspec.json.encode(shape)


def unknown(what: str, name: str) -> Problem:
    """There is no such thing."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no {what} {name[:100]!r}")
