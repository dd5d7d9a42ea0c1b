"""Everything that is asked of agents without a call: stored before it is promised, in its old place after a restart.

Requests come over the API; each voice mail and fax whose box has a queue becomes one too.  What is done is thrown away: its
contact's record tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.defer import shielded, unattended
from easycall.events import (
    Answered,
    ContactEnded,
    DataAttached,
    Event,
    FaxReceived,
    OfferEnded,
    Queued,
    TalkEnded,
    VoicemailLeft,
)
from easycall.live import attach
from easycall.model import Contact, EndedBy, OfferOutcome, Queue, Request
from easycall.policy import Channel
from easycall.ports import StoreUnavailable
from easycall.stats.journey import Step
from easycall.stats.record import WITH_AGENT, Record, SegmentKind
from easycall.verbs import NotNow

__all__ = ["Requests", "Shelf"]

log = Logger()

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

    def request(self, request: Request, *, restored: bool = False) -> Contact:
        """Let the contact of a request begin, or begin again after a restart."""


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
        self._stop_listening: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """What was not done waits again.  Raises StoreUnavailable."""
        await self._shelf.clean()
        for request in await self._shelf.all():
            if request.queue not in self._queues:
                log.error(
                    "request {request} is of queue {queue}, which is no more: it stays in the database",
                    request=request.id,
                    queue=request.queue,
                )
                continue
            await self._journal.resume(request.id)
            await self._part(request)
            self.live[request.id] = request
            self._contacts.request(request, restored=True)
        self._stop_listening = self._journal.subscribe(self._told)

    async def stop(self) -> None:
        """Store what is being stored, and nothing more."""
        self._stop_listening()
        await self._one_by_one.run(lambda: None)

    async def ask(self, request: Request) -> Contact:
        """A request is stored and waits from then on.  The id may be empty: it gets one.

        Who asks may go away: what is stored always holds.  Raises NotNow when there are too many, StoreUnavailable, and then
        nothing was asked for.
        """
        if len(self.live) >= ROOM:
            raise NotNow(f"{ROOM} requests are not done yet")
        request = evolve(request, id=request.id or self._new_id())

        async def in_turn() -> Contact:
            await self._one_by_one.run(self._stored, self._shelf.put, request)
            return self._begin(request)

        return await shielded(in_turn())

    def _begin(self, request: Request) -> Contact:
        self.live[request.id] = request
        return self._contacts.request(request)

    async def _part(self, request: Request) -> None:
        """Whoever had it when the daemon died has it no more."""
        found = await self._journal.record_of(request.id)
        if found is None or not found[0].segments:
            return
        last, now = found[0].segments[-1], self._clock.seconds()
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

        unattended(in_turn())

    @staticmethod
    def _stored(verb: Callable[[Any], Any], what: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(verb(what))
