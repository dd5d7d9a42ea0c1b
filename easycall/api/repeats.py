"""What was asked for with an Idempotency-Key: asked again within a day, it is not done again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from http import HTTPStatus

import msgspec

from easycall.api.problems import Problem

__all__ = ["Repeats"]

REPEAT_SECONDS = 24 * 3600.0
"""How long the same Idempotency-Key means the same thing."""
REPEATS = 10_000
"""So many keys are remembered."""


class Repeats:
    """The contacts of the last day that were asked for with an Idempotency-Key."""

    def __init__(self, what: str) -> None:
        """``what``: what is asked for, in a word."""
        self._what = what
        self._made: OrderedDict[tuple[str, str], tuple[float, str, str]] = OrderedDict()

    def contact(self, token: str, key: str, body: msgspec.Struct, now: float) -> str | None:
        """The contact that was made with this key; None: none was.

        Raises Problem (422) when the key was used for something else.
        """
        at, digest, contact = self._made.get((token, key), (0.0, "", ""))
        if not contact or now - at > REPEAT_SECONDS:
            return None
        if digest != _digest(body):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"this Idempotency-Key was used for another {self._what}")
        return contact

    def made(self, token: str, key: str, body: msgspec.Struct, contact: str, now: float) -> None:
        """Remember one."""
        self._made[token, key] = now, _digest(body), contact
        while len(self._made) > REPEATS:
            self._made.popitem(last=False)


def _digest(body: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()
