"""What conduct asks of fax: a free line, a document to send, a fax to receive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from attrs import field, frozen, mutable
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.config import FaxSettings
from easycall.defer import shielded, unattended
from easycall.events import Event, FaxEnded, FaxProgress, FaxReceived, FaxStarted
from easycall.fax.documents import Document, Documents
from easycall.fax.inbox import Inbox, ReceivedFax
from easycall.ivr.prompt import Prompt
from easycall.model import HUNG_UP_EARLY, Contact, FaxOutcome, FaxResult
from easycall.ports import Channel, HungUp, Taken
from easycall.verbs import NotNow

__all__ = ["FaxDesk", "Job", "Line"]

CLEAN_SECONDS = 3600.0
"""How often what is too old is looked for."""

BROKEN_OFF = FaxResult(FaxOutcome.CANCELLED)
LEFT = FaxResult(FaxOutcome.FAILED, error=HUNG_UP_EARLY)
LOST = FaxResult(FaxOutcome.FAILED, error="the line was lost")


@mutable(eq=False)
class Line:
    """A fax line that somebody has."""

    _free: Callable[[], None]
    _over: bool = field(default=False, init=False)

    def free(self) -> None:
        """Others may have it.  A second time does nothing."""
        if not self._over:
            self._over = True
            self._free()


@frozen(kw_only=True)
class Job:
    """One fax with a contact's machine: a document to send, or one to receive into a box."""

    contact: Contact
    record: Callable[[Event], None]
    now: Callable[[], float]
    document: Document | None = None
    box: str = ""
    agent: str = ""
    """The agent who asked for it; empty: a flow."""

    def tell(self, event: type[Event], **facts: object) -> None:
        """Record what happened, also of a contact that has ended meanwhile."""
        self.record(event(at=self.now(), contact=self.contact.id, agent=self.agent, **facts))

    @property
    def facts(self) -> dict[str, str]:
        """What is done with what."""
        if self.document is None:
            return {"operation": "receive"}
        return {"operation": "send", "document": self.document.id}


class FaxDesk:
    """The fax resources of the site, counted in one place."""

    def __init__(self, settings: FaxSettings, documents: Documents, inbox: Inbox, clock: IReactorTime) -> None:
        self._settings = settings
        self.documents = documents
        self.inbox = inbox
        self._clock = clock
        self._busy: Counter[str] = Counter()
        self._cleaning: IDelayedCall | None = None

    async def open(self) -> None:
        """Find what is there, and remove from now on what is too old.  Raises OSError."""
        await self.documents.open()
        await self.inbox.open()
        self._cleaning = self._clock.callLater(CLEAN_SECONDS, self._clean)

    async def close(self) -> None:
        """Remove nothing more."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            self._cleaning = None

    def _clean(self) -> None:
        self._cleaning = self._clock.callLater(CLEAN_SECONDS, self._clean)
        unattended(self.documents.clean())
        unattended(self.inbox.clean())

    @property
    def start_prompt(self) -> Prompt:
        """What a customer hears before the machine must be started."""
        return Prompt(texts=tuple(self._settings.start.items()))

    def box_of(self, dialled: str) -> str:
        """The box for machines that call this number and are known by their tone; ``""``: nobody listens for it."""
        return self._settings.detect.get(dialled, "")

    def document(self, name: str) -> Document:
        """The document of that id.  Raises NotNow."""
        document = self.documents.get(name)
        if document is None:
            raise NotNow(f"there is no document {name!r}")
        return document

    def take_line(self, pbx: str) -> Line:
        """A fax line of that Asterisk.  Raises NotNow when none is free."""
        if self._busy[pbx] >= self._settings.lines:
            raise NotNow("no fax line is free")
        self._busy[pbx] += 1
        return Line(lambda: self._busy.subtract((pbx,)))

    async def carry(self, job: Job, channel: Channel, sounds: Sequence[str] = ()) -> FaxResult:
        """Play ``sounds`` to a leg at home, send or receive there, tell all of it, and keep what came.

        However it ends, its end is told; being cancelled is raised.
        """

        def at_page(page: int) -> None:
            job.tell(FaxProgress, page=page)

        result, fax = LOST, ""
        job.tell(FaxStarted, **job.facts, pages=job.document.pages if job.document else 0)
        try:
            await _play(channel, sounds)
            if job.document is not None:
                file = self.documents.seen(job.document)
                result = await channel.send_fax(file, self._settings.station, self._settings.header, at_page)
            else:
                fax, file = self.inbox.expect()
                result = await channel.receive_fax(file, self._settings.station, at_page)
        except HungUp:
            result = LEFT
        except Taken:
            pass
        except CancelledError:
            result = BROKEN_OFF
            raise
        finally:
            job.contact.faxes += job.document is None and result.outcome is FaxOutcome.DONE
            job.tell(
                FaxEnded,
                **job.facts,
                outcome=result.outcome,
                pages=result.pages,
                error=result.error,
                station=result.station,
                rate=result.rate,
            )
        if fax:
            await shielded(self._keep(job, fax, result))  # the machine hangs up, which cancels us
        return result

    async def _keep(self, job: Job, fax: str, result: FaxResult) -> None:
        kept = await self.inbox.keep(
            ReceivedFax(
                id=fax,
                at=job.now(),
                box=job.box,
                contact=job.contact.id,
                caller=job.contact.caller,
                station=result.station,
                pages=result.pages,
                complete=result.outcome is FaxOutcome.DONE,
                agent=job.agent,
            )
        )
        if kept is not None:
            job.tell(FaxReceived, fax=kept.id, box=kept.box, pages=kept.pages, station=kept.station)


async def _play(channel: Channel, sounds: Sequence[str]) -> None:
    """Play, from the beginning again when the leg comes home anew."""
    while sounds:
        try:
            await channel.play(sounds)
            return
        except Taken:
            await channel.home()
