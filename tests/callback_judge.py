"""What must hold of callbacks, judged by what is told of them: a model of its own, simple and slow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from attrs import define, field

from easycall.acd.staff import REFUSED_SECONDS
from easycall.callback.pacing import predicted_free
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    CallAnswered,
    CallbackAsked,
    CallbackChanged,
    CallbackEnded,
    CallbackSettled,
    CallDialled,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueResumed,
)
from easycall.lab.evidence import Evidence, held
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import lasting, violations
from easycall.model import AgentState, CallbackSource, CallbackState, Direction
from easycall.policy import Channel

from .callback_town import BERLIN, CUSTOMERS, IN_ALL, OPEN, PER_DAY, SPANS, Town

SLACK = 100.0
"""So long after it expired one may be open: it is looked at once a minute, and a customer who is dialled is waited for."""


@define
class Entry:
    """A callback, as it was told."""

    id: str
    queue: str
    number: str
    due: float
    expires: float
    joined: float
    """Since when it is one of this queue's."""
    since: float = 0.0
    contact: str = ""
    dialled: list[float] = field(factory=list)


@define
class Talk:
    """A live contact."""

    number: str
    inbound: bool
    callback: str = ""
    dialled: bool = False
    there: bool = False
    """Somebody has answered whom it dialled."""
    since: float = 0.0
    joined: float = 0.0
    came: dict[str, float] = field(factory=dict)
    """Queue -> when it came there first: who is given back to it does not call in anew."""


def open_at(spans: tuple[str, ...], zone: Any, now: float) -> bool:
    """Whether the clock on the wall shows a time in one of the spans."""
    wall = f"{datetime.fromtimestamp(now, zone):%H:%M}"
    return any(first <= wall < last for first, last in (span.split("-") for span in spans))


class Judge:
    """A listener of a town."""

    def __init__(self, town: Town) -> None:
        self.town = town
        town.hears.append(self.take)
        self.wrong: list[str] = []
        self.entries: dict[str, Entry] = {}
        self.over: dict[str, CallbackState] = {}
        self.contacts: dict[str, Talk] = {}
        self.every_dialled: set[str] = set()
        self.ended: list[str] = []
        self.agents: dict[str, tuple[str, ...]] = {}
        """Agent who is logged in -> the queues served."""
        self.fairness = Fairness(REFUSED_SECONDS)
        self.ahead = self.owned = 0
        self.healthy_since = 0.0
        """Since when the database is as it should be."""
        self.pending = self.forgetful = False
        """Another process has begun, and not read all; and something may not have been stored."""

    def say(self, what: str) -> None:
        self.wrong.append(f"{self.town.now:.3f}: {what}")

    def take(self, event: Event) -> None:
        unfair = self.fairness.take(event)
        if unfair and not any(f" {name}," in unfair and self._excused(one, event) for name, one in self.contacts.items()):
            self.say(f"I9: {unfair}")
        match event:
            case ContactArrived():
                self._arrived(event)
            case ContactEnded():
                self.contacts.pop(event.contact, None)
                self.ended.append(event.contact)
            case AgentChanged():
                self._staff(event.agent, event.state, event.queues)
            case AgentAssigned():
                if event.agent in self.agents:
                    self.agents[event.agent] = event.queues
            case Queued():
                self._queued(event)
            case CallAnswered() if event.contact in self.contacts:
                self.contacts[event.contact].there = True
            case CallDialled(purpose="customer"):
                self._dialled(event)
            case CallbackAsked():
                self._asked(event)
            case CallbackSettled():
                if (entry := self._entry(event.callback, "settled")) is not None:
                    entry.contact, entry.due = "", event.due
                    entry.since = 0.0 if event.dialled and event.outcome.value != "cancelled" else entry.since
            case CallbackChanged():
                if (entry := self._entry(event.callback, "changed")) is not None:
                    entry.joined = event.at if event.queue != entry.queue else entry.joined
                    entry.queue, entry.due, entry.expires, entry.contact = event.queue, event.due, event.expires, ""
            case CallbackEnded():
                if self._entry(event.callback, "ended") is not None:
                    del self.entries[event.callback]
                    self.over[event.callback] = event.state
            case QueueResumed():
                pass

    def _excused(self, overtaken: Talk, event: Event) -> bool:
        """Who joins in the moment of a choice may come behind it, and a callback that is read from the database still."""
        return overtaken.joined == event.at or (self.pending and bool(overtaken.callback))

    def _entry(self, callback: str, what: str) -> Entry | None:
        if callback in self.over and self.pending and self.forgetful:
            self._adopt(callback)
        elif callback in self.over:
            self.say(f"{callback} is {self.over[callback]} and is {what}")
        return self.entries.get(callback)

    # What is told

    def _arrived(self, event: ContactArrived) -> None:
        inbound = event.direction is Direction.INBOUND
        talk = Talk(event.caller if inbound else event.dialled, inbound, event.callback)
        self.contacts[event.contact] = talk
        if self.pending and event.callback:
            self._adopt(event.callback)
        entry = self._entry(event.callback, "in line") if event.callback else None
        if entry is not None:
            if entry.contact not in ("", event.contact) and entry.contact in self.contacts:
                self.say(f"{entry.id} is in line as {entry.contact} and as {event.contact}")
            entry.contact = event.contact

    def _staff(self, agent: str, state: AgentState, queues: tuple[str, ...]) -> None:
        if state is AgentState.OFFLINE:
            self.agents.pop(agent, None)
        else:
            self.agents[agent] = queues

    def _queued(self, event: Queued) -> None:
        if event.contact not in self.contacts:  # a process before died before it told
            known = self.town.daemon.joined.contacts.live[event.contact]
            inbound = known.direction is Direction.INBOUND
            self.contacts[event.contact] = Talk(known.caller if inbound else known.dialled, inbound, known.callback)
        talk = self.contacts[event.contact]
        talk.since, talk.joined = event.since, event.at
        talk.came.setdefault(event.queue, event.at)
        line = self.town.daemon.joined.distributor.waiting(event.queue)
        place = event.since - event.offset
        before = sum(item.enqueued - item.offset < place for item in line)
        beside = sum(item.enqueued - item.offset == place for item in line)
        if not before < event.position <= before + beside + 1:
            self.say(f"{event.contact} has place {event.position}, and {before} are before it")
        entry = self.entries.get(talk.callback)
        if event.channel is Channel.CALLBACK and entry is not None and not talk.dialled:
            if entry.since and entry.since != event.since:
                self.say(f"{entry.id} had the place of {entry.since:.3f} and has that of {event.since:.3f}")
            entry.since = event.since

    def _asked(self, event: CallbackAsked) -> None:
        which = event.queue, event.number
        if any((one.queue, one.number) == which and one.id != event.callback for one in self.entries.values()):
            self.say(f"{event.callback} is the second one open of {event.number} in {event.queue}")
        if self._entry(event.callback, "asked for") is not None and not self.pending:
            self.say(f"{event.callback} is asked for twice")
        entry = Entry(event.callback, event.queue, event.number, event.due, event.expires, event.at, event.since)
        self.entries[event.callback] = entry
        caller = self.contacts.get(event.contact)
        if event.source is CallbackSource.ASKED and caller is not None and event.since != caller.since:
            self.say(f"{event.callback} has the place of {event.since:.3f}, its caller that of {caller.since:.3f}")

    # Somebody is dialled

    def _dialled(self, event: CallDialled) -> None:
        talk = self.contacts.get(event.contact)
        if talk is None or not talk.callback:
            return
        for wrong in self._wrong_to_dial(event, talk):
            self.say(f"{event.contact} of {talk.callback} dials {event.number}: {wrong}")
        self.every_dialled.add(event.contact)
        talk.dialled = True
        if (entry := self.entries.get(talk.callback)) is not None:
            entry.dialled.append(event.at)
        self.ahead += not event.agent
        self.owned += bool(event.agent)

    def _wrong_to_dial(self, event: CallDialled, talk: Talk) -> Iterator[str]:
        now, entry = event.at, self.entries.get(talk.callback)
        if event.contact in self.every_dialled:
            yield "for the second time"
        if entry is None or entry.contact != event.contact:
            yield "the callback is over, or was put off"
            return
        if not entry.due <= now < entry.expires:
            yield f"not between {entry.due:.3f} and {entry.expires:.3f}"
        zone = CUSTOMERS[entry.number]
        if entry.queue == "sales" and not open_at(SPANS, zone, now):
            yield f"in quiet hours, {datetime.fromtimestamp(now, zone)}"
        if entry.queue == "support" and not open_at(OPEN, BERLIN, now):
            yield f"support is closed, {datetime.fromtimestamp(now, BERLIN)}"
        today = datetime.fromtimestamp(now, zone).date()
        if sum(datetime.fromtimestamp(at, zone).date() == today for at in entry.dialled) >= PER_DAY:
            yield "more often than may be on a day"
        if len(entry.dialled) >= IN_ALL:
            yield "more often than may be"
        yield from self._others(event, entry)
        if not any(entry.queue in served for served in self.agents.values()):
            yield f"nobody is logged in for {entry.queue}"
        if not event.agent:
            yield from self._too_many(event.queue)
        book = self.town.callbacks._book  # a change that is being stored, or was refused with its answer lost, does not hold
        if self._stored(entry.id) != ("in_line", event.contact) and not (
            book._one_by_one.locked or entry.id in book._unstored
        ):
            yield f"what is stored is {self._stored(entry.id)}"

    def _others(self, event: CallDialled, entry: Entry) -> Iterator[str]:
        for name, other in self.contacts.items():
            if name != event.contact and other.number == entry.number and (other.inbound or other.dialled):
                yield f"the customer is on the line in {name}"

    def _too_many(self, queue: str) -> Iterator[str]:
        conduct = self.town.daemon.conduct
        predicted = predicted_free(
            lambda ahead: conduct.waits.after(queue, ahead), conduct.ahead._answers.seconds(queue), 100
        )
        dialled = [name for name, one in conduct.ahead._dialled.items() if one == queue and name in self.contacts]
        # What was learnt fades, and when nobody can tell any more what was told before counts until it is asked again.
        if len(dialled) > predicted and conduct.waits.after(queue, 0) is not None:
            yield f"{dialled} are dialled ahead, and {predicted} agents will be free"

    def _stored(self, callback: str) -> tuple[Any, ...]:
        sql = "SELECT state, contact FROM callbacks WHERE id = ?"
        found: list[tuple[Any, ...]] = self.town.shelves._open.execute(sql, (callback,)).fetchall()
        return found[0] if found else ()

    # At any moment

    def look(self) -> None:
        """What does not hold now."""
        callbacks, town = self.town.callbacks, self.town
        if not callbacks._promises._ready:
            return
        if self.pending:
            self._resumes()
        live = town.daemon.joined.contacts.live
        for one in callbacks.live.values():
            if one.state is CallbackState.IN_LINE and one.contact not in live:
                self.say(f"{one.id} is in line as {one.contact}, which is not live")
            looked_at = one.id in callbacks._timetable._times or one.id in callbacks._beginning
            if one.state is CallbackState.SCHEDULED and not looked_at:
                self.say(f"{one.id} is forgotten")
            if town.now > one.expires + SLACK and not one.is_dialled:
                self.say(f"{one.id} expired at {one.expires:.3f} and is open")
        told = {(one.id, one.queue, one.number) for one in self.entries.values()}
        if (known := {(one.id, one.queue, one.number) for one in callbacks.live.values()}) != told:
            self.say(f"told is {sorted(told - known)}, there is {sorted(known - told)}")
        self._called_in()
        if town.now - self.healthy_since > 15.0:
            rows = dict(town.shelves._open.execute("SELECT id, state FROM callbacks WHERE ended = 0"))
            there = {one.id: one.state.value for one in callbacks.live.values()}
            soon = callbacks._book._unstored.keys()  # stored in the next turn of the reactor
            different = {name for name, _ in rows.items() ^ there.items()} - soon
            if self.forgetful:  # what a process was storing when it died, and promised nobody, may be stored after its death
                different &= self.entries.keys() | self.over.keys()
            if different:
                self.say(f"stored is {rows}, and there is {callbacks.live}")

    def _called_in(self) -> None:
        """Who was to be called back, and waits in line as a caller, is not to be called back any more: but for who called in
        a moment before they answered."""
        for queue in ("sales", "support"):
            for item in self.town.daemon.joined.distributor.waiting(queue):
                talk = self.contacts.get(item.contact)
                for entry in self.entries.values() if talk is not None and talk.inbound else ():
                    attempt = self.contacts.get(entry.contact)
                    same = (entry.queue, entry.number) == (queue, talk.number) and entry.joined < talk.came[queue]
                    if same and not (attempt is not None and attempt.there):
                        self.say(f"{entry.number} waits in {queue} as {item.contact}, and {entry.id} is open")

    def evidence(self) -> Evidence:
        daemon = self.town.daemon
        callers = frozenset(caller.line.id for caller in self.town.callers.values() if caller.line.up)
        return Evidence(channels=daemon.channels(), held=held(daemon.joined), callers=callers)

    def look_around(self) -> None:
        """What of the call centre does not hold, and goes on not to hold for two seconds."""
        found = violations(self.evidence())
        for _ in range(8 if found else 0):
            self.town.reactor.advance(0.25)
            found = lasting(found, violations(self.evidence()))
        for one in found:
            self.say(one)

    def restarted(self, *, forgetful: bool) -> None:
        """Another process begins.  ``forgetful``: something may not have been stored: what was over may come back."""
        self.pending, self.forgetful = True, forgetful

    def _resumes(self) -> None:
        """What the new process has read counts: the one before may have died before it told of it."""
        self.pending = False
        there: Mapping[str, Any] = self.town.callbacks.live
        for name in there:
            self._adopt(name)
        for name in self.entries.keys() - there.keys():
            if not self.forgetful:
                self.say(f"{name} was lost")
            del self.entries[name]

    def _adopt(self, callback: str) -> None:
        one = self.town.callbacks.live.get(callback)
        if one is None:
            return
        if callback in self.over and not self.forgetful:
            self.say(f"{callback} was {self.over[callback]} and is open")
        self.over.pop(callback, None)
        known = self.entries.get(callback)
        dialled = [attempt.at for attempt in one.attempts]
        if known is not None and len(known.dialled) > len(dialled):
            self.say(f"{callback} was dialled at {known.dialled}, and remembers {dialled}")
        since = known.since if known is not None and one.contact == known.contact else one.since
        times = one.due, one.expires, known.joined if known is not None else self.town.now, since
        self.entries[callback] = Entry(one.id, one.queue, one.number, *times, one.contact, dialled)
