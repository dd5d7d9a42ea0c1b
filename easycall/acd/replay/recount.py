"""A day as a fold over its events.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod

from attrs import evolve

from easycall.acd.replay.day import Day, Duty, Ending, Fate, Stay, Unanswered
from easycall.acd.replay.rota import Busy, Rota
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    OfferEnded,
    PbxDown,
    PbxUp,
    Queued,
    QueueLeft,
    QueueOverflowed,
)
from easycall.model import EndedBy, OfferOutcome

__all__ = ["READ", "Recount"]

READ: tuple[type[Event], ...] = (
    *(AgentAssigned, AgentChanged, Answered, ContactArrived, ContactEnded, OfferEnded),
    *(PbxDown, PbxUp, Queued, QueueLeft, QueueOverflowed),
)
"""The events that tell of a day; the others may be left out."""


class Recount:
    """Takes every event of :data:`READ`, in order; those before the day tell what the agents are when it begins."""

    def __init__(
        self,
        first: float,
        end: float,
        skills: Mapping[str, Mapping[str, int]],
        refused_seconds: Mapping[OfferOutcome, float],
        usual_seconds: float = 30.0,
    ) -> None:
        """``skills``: agent -> what each can do of whom the journal tells nothing else; ``refused_seconds``: how long a
        contact is not offered again to an agent after such an outcome; after any other ``usual_seconds``."""
        self._refused_seconds = refused_seconds
        self._usual_seconds = usual_seconds
        self._first = first
        self._end = end
        self._rota = Rota(first, end, skills)
        self._stays: dict[str, Stay] = {}
        self._fates: dict[str, Fate] = {}
        self._unanswered: dict[str, list[Unanswered]] = {}
        self._rung: dict[str, float] = {}
        self._unsettled: set[str] = set()
        """Stays that wait, or whose agent is not done."""
        self._open: dict[str, str] = {}
        """Contact -> its stay that goes on."""
        self._latest: dict[str, tuple[str, int]] = {}
        """Contact -> its latest stay, and how many it had."""
        self._pbx_of: dict[str, str] = {}
        self._links: list[tuple[float, str, bool]] = []
        self._kept_out = 0
        self._last = first

    @property
    def settled(self) -> bool:
        """Nothing goes on any more of what came within the day."""
        return not self._unsettled

    @singledispatchmethod
    def take(self, event: Event) -> None:
        """One more event."""

    def day(self) -> Day:
        """What is known now."""
        for busy in self._rota.stop(self._last):
            self._done(busy, self._last, known=False)
        for name in self._open.values():
            self._fates[name] = Fate(Ending.WAITING, self._last)
        stays = self._of_the_day()
        return Day(
            first=self._first,
            end=self._end,
            last=self._last,
            stays=tuple(evolve(stay, follows=stay.follows if stay.follows in stays else "") for stay in stays.values()),
            fates={name: self._fates[name] for name in stays},
            unanswered={name: vain for name, vain in self._unanswered.items() if name in stays},
            rung={name: rung for name, rung in self._rung.items() if name in stays},
            agents=self._rota.days,
            clocked=self._rota.clocked,
            links=tuple(self._links),
            kept_out=self._kept_out,
        )

    def _of_the_day(self) -> dict[str, Stay]:
        """The stays that count, and those that waited when the day began; of others an agent may still be busy then."""
        found = {}
        for name, stay in self._stays.items():
            fate = self._fates[name]
            if stay.at >= self._first:
                found[name] = stay
            elif fate.how is Ending.ANSWERED and fate.reserved < self._first:
                left = fate.freed - self._first
                if left > 0:
                    self._rota.duty(fate.agent, Duty(self._first, left, talked=True))
            elif fate.how is not Ending.WAITING and fate.at >= self._first:
                found[name] = evolve(stay, carried=True)
        return found

    # Contacts

    @take.register
    def _(self, event: ContactArrived) -> None:
        self._pbx_of[event.contact] = event.pbx

    @take.register
    def _(self, event: Queued) -> None:
        contact = event.contact
        stay = self._stays.get(self._open.get(contact, ""))
        if stay is not None and stay.queue == event.queue:
            return  # told again, by a daemon that was restarted
        self._close(contact, Ending.LEFT, event.at)
        if event.at >= self._end:
            return
        before, number = self._latest.get(contact, ("", 0))
        name = f"{contact} ({number + 1})" if number else contact
        self._stays[name] = Stay(
            id=name,
            contact=contact,
            queue=event.queue,
            at=event.at,
            since=event.since or event.at,
            channel=event.channel,
            skills=event.skills,
            offset=event.offset,
            owner=event.owner,
            owner_until=event.owner_until,
            pbx=self._pbx_of.get(contact, ""),
            follows=before,
        )
        self._open[contact] = name
        self._latest[contact] = name, number + 1
        self._last = max(self._last, event.at)
        if event.at >= self._first:
            self._unsettled.add(name)

    def _close(self, contact: str, how: Ending, at: float) -> None:
        stay = self._open.pop(contact, None)
        if stay is not None:
            self._fates[stay] = Fate(how, at)
            self._unsettled.discard(stay)

    @take.register
    def _(self, event: QueueLeft) -> None:
        self._close(event.contact, Ending.LEFT, event.at)

    @take.register
    def _(self, event: QueueOverflowed) -> None:
        if event.contact not in self._open and self._first <= event.at < self._end:
            self._kept_out += 1
        self._close(event.contact, Ending.LEFT, event.at)

    @take.register
    def _(self, event: Answered) -> None:
        stay = self._open.pop(event.contact, None)
        if stay is None:
            return
        busy = self._rota.busy(event.agent, event.contact)
        reserved = event.at
        if busy is not None:
            busy.stay, reserved = stay, busy.since
        else:
            self._unsettled.discard(stay)
        self._fates[stay] = Fate(Ending.ANSWERED, event.at, event.agent, reserved)

    @take.register
    def _(self, event: OfferEnded) -> None:
        busy, stay = self._rota.busy(event.agent, event.contact), self._open.get(event.contact, "")
        if busy is None:
            return
        if event.outcome is OfferOutcome.CALLER_LEFT:
            busy.caller_left = bool(stay)
            if stay:
                self._rung[stay] = event.at - busy.since
        elif event.outcome is not OfferOutcome.ANSWERED:
            busy.offered, busy.refused = stay, self._refused_seconds.get(event.outcome, self._usual_seconds)

    @take.register
    def _(self, event: ContactEnded) -> None:
        self._close(event.contact, Ending.ABANDONED if event.ended_by is EndedBy.CALLER else Ending.LEFT, event.at)
        self._latest.pop(event.contact, None)
        self._pbx_of.pop(event.contact, None)

    # Asterisks

    @take.register
    def _(self, event: PbxDown) -> None:
        self._links.append((event.at, event.pbx, False))

    @take.register
    def _(self, event: PbxUp) -> None:
        self._links.append((event.at, event.pbx, True))

    # Agents

    @take.register
    def _(self, event: AgentAssigned) -> None:
        self._rota.assigned(event)

    @take.register
    def _(self, event: AgentChanged) -> None:
        self._last = max(self._last, event.at)
        done = self._rota.changed(event)
        if done is not None:
            self._done(done, event.at, known=True)

    def _done(self, busy: Busy, at: float, *, known: bool) -> None:
        """An agent is done with it; ``known``: that was told, and is not only the end of what is known."""
        if busy.stay:
            self._unsettled.discard(busy.stay)
            parted = busy.parted or (at if known else 0.0)
            self._fates[busy.stay] = evolve(self._fates[busy.stay], parted=parted, freed=at if known else 0.0)
        elif busy.offered:
            if busy.since >= self._first:
                self._unanswered.setdefault(busy.offered, []).append(Unanswered(at - busy.since, busy.refused))
        elif at > busy.since and not busy.caller_left:
            self._rota.duty(busy.agent, Duty(busy.since, at - busy.since, not busy.supervises, busy.talked))
