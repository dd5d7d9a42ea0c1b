"""Faxes that machines have sent us: the pages as they came, and as PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.config import FaxSettings
from easycall.fax.files import Folder, InThread, convert, new_id, pages_of
from easycall.ivr.prompts import CommandFailed

__all__ = ["Inbox", "ReceivedFax"]

log = Logger()

MAX_PAGES = 2000
ROOM = 100_000
"""Faxes kept; of more the oldest go."""


@frozen
class ReceivedFax:
    """A fax that came in."""

    id: str
    at: float
    """When its last page was there."""
    box: str
    contact: str
    caller: str
    """The calling number."""
    station: str
    """What the machine calls itself."""
    pages: int
    complete: bool
    """False when the machine broke off: some pages came."""
    agent: str = ""
    """The agent who let the customer send it; empty: a flow."""


class Inbox:
    """All that came in and was not thrown away."""

    def __init__(self, settings: FaxSettings, clock: IReactorTime, reactor: Any, in_thread: InThread) -> None:
        self._settings = settings
        self._clock = clock
        self._reactor = reactor
        self._in_thread = in_thread
        # Whoever is on the machine may put files in, nobody but us may list or remove them: Asterisk writes here.
        self._folder = Folder(settings.directory / "received", f"{settings.asterisk_directory}/received", 0o1733)
        self._faxes: dict[str, ReceivedFax] = {}

    async def open(self) -> None:
        """Find what is there.  Raises OSError."""
        # A fax that Asterisk received while we were not there, or receives now, is not ours to throw away.
        found = await self._in_thread(self._folder.prepare, ReceivedFax, "tiff")
        self._faxes = {fax.id: fax for fax in sorted(found, key=lambda fax: fax.at)}
        await self.clean()

    async def clean(self) -> None:
        """Remove what is older than it may be, or too much."""
        days = self._settings.received_days
        oldest = self._clock.seconds() - days * 86_400 if days else 0.0
        surplus = len(self._faxes) - ROOM
        for number, fax in enumerate(list(self._faxes.values())):
            if fax.at < oldest or number < surplus:
                await self.remove(fax.id)

    def latest(self, limit: int, before: str = "", box: str = "", agent: str = "") -> list[ReceivedFax]:
        """A page of the faxes, the latest first; only those before fax ``before``, of a box, of an agent."""
        newest: Iterable[ReceivedFax] = reversed(self._faxes.values())
        faxes = [fax for fax in newest if box in ("", fax.box) and agent in ("", fax.agent)]
        place = next((number for number, fax in enumerate(faxes, 1) if fax.id == before), 0)
        return faxes[place : place + limit]

    def of(self, wanted: Callable[[ReceivedFax], bool]) -> list[ReceivedFax]:
        """All faxes that are wanted, the oldest first."""
        return [fax for fax in self._faxes.values() if wanted(fax)]

    def get(self, fax: str) -> ReceivedFax | None:
        """The fax of that id."""
        return self._faxes.get(fax)

    async def read(self, fax: ReceivedFax, kind: str) -> bytes:
        """Its pages as ``pdf``, or as they came, as ``tiff``.  Raises OSError, also when no PDF could be made of them."""
        return await self._in_thread(self._folder.file(fax.id, kind).read_bytes)

    async def remove(self, fax: str) -> bool:
        """Throw a fax away; False when there is none."""
        found = self._faxes.pop(fax, None)
        if found is not None:
            await self._in_thread(self._folder.remove, fax)
        return found is not None

    def expect(self) -> tuple[str, str]:
        """The id of a fax that is to come, and the file for Asterisk to write."""
        fax = new_id()
        return fax, self._folder.seen(fax, "tiff")

    async def keep(self, fax: ReceivedFax) -> ReceivedFax | None:
        """Keep what Asterisk has written, with as many pages as there really are; None when there is none."""
        tiff = self._folder.file(fax.id, "tiff")
        try:
            pages = await self._in_thread(pages_of, tiff, MAX_PAGES)
        except ValueError as why:
            if fax.pages:
                log.error("a fax of {pages} pages lies in {file}: {why}", pages=fax.pages, file=str(tiff), why=str(why))
                return None
            pages = 0
        if not pages or not fax.pages:
            await self._in_thread(self._folder.remove, fax.id)
            return None
        try:
            await convert(
                self._settings.to_pdf, self._reactor, input=str(tiff), output=str(self._folder.file(fax.id, "pdf"))
            )
        except CommandFailed as why:
            log.error("the fax {fax} is kept as TIFF only: {why}", fax=str(tiff), why=str(why))
        await self._in_thread(self._folder.note, fax)
        self._faxes[fax.id] = fax
        return fax
