"""Where callbacks outlive the daemon: what :mod:`easycall.callback.callbacks` asks of a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from attrs import frozen

from easycall.model import Callback, CallbackState

__all__ = ["Filter", "Shelf", "Taken"]


class Taken(Exception):
    """There is an open callback of this queue and number already."""


@frozen
class Filter:
    """Which callbacks are looked for."""

    queue: str = ""
    """Empty: of any."""
    number: str = ""
    """In full form; empty: any."""
    states: Collection[CallbackState] = ()
    """Empty: all."""
    before: str = ""
    """The last id of the page before; empty: the latest ones."""


class Shelf(Protocol):
    """Every method raises StoreUnavailable."""

    async def open(self) -> Sequence[Callback]:
        """Those in which something is still to be done, the oldest first."""

    async def put(self, callback: Callback) -> None:
        """Store one, in the place of an older form of it.  Raises Taken."""

    async def one(self, callback: str) -> Callback | None:
        """The one of that id, open or not."""

    async def find(self, wanted: Filter, limit: int) -> Sequence[Callback]:
        """Open or not, the latest first (ids rise with time), so many at most."""

    async def asked(self, number: str, since: float) -> int:
        """How many were made of a number after that time."""
