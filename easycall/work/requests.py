"""Everything that is asked of agents without a call: stored before it is promised, in its old place after a restart.

Requests come over the API; each voice mail and fax whose box has a queue becomes one too.  What is done is thrown away: its
contact's record tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.acd.desk_work import DeskAssignment
from easycall.defer import shielded, unattended
from easycall.events import (
    Answered,
    ContactEnded,
    DataAttached,
    Event,
    FaxReceived,
    OfferEnded,
    QueueAmended,
    Queued,
    TalkEnded,
    VoicemailLeft,
)
from easycall.live import attach
from easycall.model import Contact, EndedBy, OfferOutcome, Queue, Request
from easycall.policy import AT_DESK, Channel
from easycall.ports import StoreUnavailable
from easycall.stats.journey import Step
from easycall.stats.record import WITH_AGENT, Record, SegmentKind
from easycall.stats.time_line import Segment
from easycall.verbs import NotNow

__all__ = ["Requests", "Shelf"]

log = Logger()

AGAIN_SECONDS = 5.0
"""How long after the database was away what is not stored is tried again."""

ROOM = 10_000
"""So many may be asked for and not done; whoever asks for more hears that."""


class Shelf(Protocol):
    """Where requests outlive the daemon.  Every method raises StoreUnavailable."""

    async def clean(self) -> None:
        """Forget those whose contact has ended."""

    async def all(self) -> Iterable[Request]:
        """Those that are not done, the oldest first."""

    async def put(self, request: Request) -> None:
        """Store one, in the place of an older form of it."""

    async def remove(self, request: str) -> None:
        """Forget one."""


class History(Protocol):
    """The journal."""

    def record(self, event: Event) -> None:
        """Note something that happened."""

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        """Call ``listener(sequence, event)`` for each event from now on; returns how to stop it."""

    async def resume(self, contact: str) -> None:
        """A contact from before the start goes on.  Raises StoreUnavailable."""

    async def record_of(self, contact: str) -> tuple[Record, list[Step]] | None:
        """A contact's record and story.  Raises StoreUnavailable."""


class Carriers(Protocol):
    """The live contacts."""

    @property
    def live(self) -> Mapping[str, Contact]:
        """The contacts of now, by id."""

    def request(self, request: Request, *, restored: bool = False, had: DeskAssignment | None = None) -> Contact:
        """Let the contact of a request begin, or go on after a restart: in line, or with the agent who had it."""

    def still_with(self, request: Request, agent: str, attempt: int) -> DeskAssignment | None:
        """The agent had it when the process before us ended, and has it still; None: not any more."""


class Requests:
    """All that are not done.  ``await start()`` when the journal and the agents are there."""

    def __init__(
        self,
        contacts: Carriers,
        shelf: Shelf,
        journal: History,
        clock: IReactorTime,
        new_id: Callable[[], str],
        *,
        queues: Mapping[str, Queue],
        voicemail: Mapping[str, str],
        fax: Mapping[str, str],
    ) -> None:
        """``voicemail``, ``fax``: box -> the queue that its messages, or faxes, wait in; of others nobody is told."""
        self.live: dict[str, Request] = {}
        """By id."""
        self._contacts = contacts
        self._shelf = shelf
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._queues = queues
        self._voicemail = voicemail
        self._fax = fax
        self._one_by_one = DeferredLock()
        self._unstored: dict[str, bool] = {}
        """Requests of which the latest is not stored, as the database was away -> whether that is that it is done."""
        self._again: IDelayedCall | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._began: set[str] | None = None
        """Those of this process while the others are not read; None: they are."""

    async def start(self) -> None:
        """What was not done waits again, unless it goes on as a call.

        Raises StoreUnavailable, and can be tried again: until then nothing can be asked for.
        """
        if self._stop_listening is None:
            self._stop_listening = self._journal.subscribe(self._told)
        self._began = self._began or set()
        await self._shelf.clean()
        for request in await self._shelf.all():
            if request.id in self._began:
                continue
            if request.queue not in self._queues:
                log.error(
                    "request {request} is of queue {queue}, which is no more: it stays in the database",
                    request=request.id,
                    queue=request.queue,
                )
                continue
            await self._journal.resume(request.id)
            carried = request.id in self._contacts.live
            last = None if carried else await self._last(request)
            self._began.add(request.id)
            self.live[request.id] = request
            if not carried:
                had = self._still_with(request, last)
                if had is None and last is not None:
                    self._part(request, last)
                self._contacts.request(request, restored=True, had=had)
        self._began = None

    async def stop(self) -> None:
        """Store what is being stored, and nothing more."""
        if self._stop_listening is not None:
            self._stop_listening()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        await self._one_by_one.run(lambda: None)

    async def ask(self, request: Request) -> Contact:
        """A request is stored and waits from then on.  The id may be empty: it gets one.

        Who asks may go away: what is stored always holds.  Raises NotNow when there are too many, StoreUnavailable, and then
        nothing was asked for.
        """
        if self._began is not None:
            raise StoreUnavailable("what was asked for before could not be read yet")
        if len(self.live) >= ROOM:
            raise NotNow(f"{ROOM} requests are not done yet")
        request = evolve(request, id=request.id or self._new_id())

        async def in_turn() -> Contact:
            await self._one_by_one.run(self._stored, self._shelf.put, request)
            return self._begin(request)

        return await shielded(in_turn(), StoreUnavailable)

    def _begin(self, request: Request) -> Contact:
        if self._began is not None:
            self._began.add(request.id)
        self.live[request.id] = request
        return self._contacts.request(request)

    async def _last(self, request: Request) -> Segment | None:
        """What the request was doing when the daemon ended."""
        found = await self._journal.record_of(request.id)
        return found[0].segments[-1] if found is not None and found[0].segments else None

    def _still_with(self, request: Request, last: Segment | None) -> DeskAssignment | None:
        at_desk = request.channel in AT_DESK and last is not None and last.kind in WITH_AGENT
        return self._contacts.still_with(request, last.agent, last.attempt) if at_desk and last is not None else None

    def _part(self, request: Request, last: Segment) -> None:
        """Whoever had it when the daemon ended has it no more."""
        now = self._clock.seconds()
        if last.kind in WITH_AGENT:
            self._journal.record(TalkEnded(at=now, contact=request.id, agent=last.agent, ended_by=EndedBy.SYSTEM))
        elif last.kind is SegmentKind.OFFER and last.outcome is None:
            lost = OfferEnded(at=now, contact=request.id, agent=last.agent, attempt=last.attempt, outcome=OfferOutcome.LOST)
            self._journal.record(lost)

    # What becomes of them

    def _told(self, sequence: int, event: Event) -> None:
        request = self.live.get(event.contact)
        match event:
            case VoicemailLeft() if event.box in self._voicemail:
                self._left(event, Channel.VOICEMAIL, self._voicemail[event.box], event.message, event.box)
            case FaxReceived() if event.box in self._fax:
                self._left(event, Channel.FAX, self._fax[event.box], event.fax, event.box)
            case ContactEnded() if request is not None:
                del self.live[request.id]
                self._keep(request, done=True)
            case Answered() if request is not None and request.channel is Channel.CALL_ME:
                self._keep(request, done=True)  # the customer is there, and is not called again after a restart
            case Queued() if request is not None and (event.queue, event.since) != (request.queue, request.since):
                self._keep(evolve(request, queue=event.queue, since=event.since))
            case QueueAmended() if request is not None:
                self._keep(evolve(request, skills=event.skills, priority_seconds=event.priority))
            case DataAttached() if request is not None:
                data = dict(request.data)
                attach(data, event.data)
                if data != request.data:
                    self._keep(evolve(request, data=data))

    def _left(self, event: Event, channel: Channel, queue: str, about: str, box: str) -> None:
        """What a caller left is work from now on, whether it can be stored or not."""
        caller = self._contacts.live.get(event.contact)
        request = Request(
            self._new_id(),
            channel,
            queue,
            since=event.at,
            created=event.at,
            number=caller.customer if caller is not None else "",
            name=caller.caller_name if caller is not None else "",
            data={channel.value: about, "box": box, "contact": event.contact},
            about=about,
        )
        self._keep(request)
        self._clock.callLater(0, self._begin, request)  # whoever told it is not done

    def _keep(self, request: Request, *, done: bool = False) -> None:
        """Store what has become of one, or that it is done; nobody waits for it."""
        if request.id in self.live:
            self.live[request.id] = request
        what = (self._shelf.remove, request.id) if done else (self._shelf.put, request)

        async def in_turn() -> None:
            try:
                await self._one_by_one.run(self._stored, *what)
            except StoreUnavailable as why:
                log.error("request {request} is carried on and not stored: {why}", request=request.id, why=str(why))
                self._try_again(request.id, done)

        unattended(in_turn())

    def _try_again(self, request: str, done: bool) -> None:
        """Store it when the database may be back; what has ended meanwhile is forgotten at the next start."""
        self._unstored[request] = done or self._unstored.get(request, False)
        if self._again is None:
            self._again = self._clock.callLater(AGAIN_SECONDS, self._store_again)

    def _store_again(self) -> None:
        self._again = None
        unstored, self._unstored = self._unstored, {}
        for request, done in unstored.items():
            if request in self.live:
                self._keep(self.live[request], done=done)

    @staticmethod
    def _stored(verb: Callable[[Any], Any], what: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(verb(what))
