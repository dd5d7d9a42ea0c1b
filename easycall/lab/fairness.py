"""I9 as a fold over the events: has an agent who is chosen been given whoever waited longest?  Pure.

An independent second opinion on the distributor: it knows nothing but the events, and keeps each line by itself.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping

from attrs import define, field

from easycall.events import (
    AgentChanged,
    Answered,
    ConsultEnded,
    ContactArrived,
    ContactEnded,
    Event,
    Offered,
    OfferEnded,
    PbxDown,
    PbxUp,
    Picked,
    QueueAmended,
    Queued,
    QueueLeft,
)
from easycall.model import AgentState, OfferOutcome

__all__ = ["Fairness"]

TIE_SECONDS = 0.05
"""A refusal is said a moment before it counts: at its very end nothing is judged."""
MEANT = frozenset({OfferOutcome.ANSWERED, OfferOutcome.CALLER_LEFT})
"""How an offer ends after which the agent may be asked again at once."""


@define
class _Waiting:
    """A contact in line."""

    since: float
    contact: str
    queue: str
    pbx: str
    refused: dict[str, float]
    """Agent -> until when it is not offered to them."""
    rung: set[str] = field(factory=set)
    """Agents who are rung for it."""
    owner: str = ""
    owner_until: float = 0.0
    skills: str = ""
    """What it asks for beside what its queue does."""
    priority: float = 0.0
    """By how much it is ahead, in :attr:`since` already."""


class Fairness:
    """Takes every event, in order."""

    def __init__(
        self,
        refused_seconds: Mapping[OfferOutcome, float],
        usual_seconds: float = 30.0,
        *,
        ahead: Mapping[str, float] | None = None,
    ) -> None:
        """``refused_seconds``: how long a contact is not offered again to an agent after such an outcome; after any other
        ``usual_seconds``.  ``ahead``: queue -> how many seconds its contacts are ahead of those of others."""
        self._ahead = ahead or {}
        self._refused_seconds = refused_seconds
        self._usual_seconds = usual_seconds
        self._pbx_of: dict[str, str] = {}
        self._down: set[str] = set()
        self._waiting: dict[str, _Waiting] = {}
        self._lines: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        self._reserved: dict[str, str] = {}
        self._by_name: dict[str, dict[str, float]] = {}
        """Contact -> who did not take it when asked by name, in a transfer or a consultation, before it waits."""
        self.choices = 0
        """How many choices were judged."""

    def take(self, event: Event) -> str:
        """One more event; what is unfair in it, in words, or nothing."""
        match event:
            case AgentChanged():
                return self._changed(event)
            case ContactArrived():
                self._pbx_of[event.contact] = event.pbx
            case Queued():
                self._forget(event.contact)
                pbx = self._pbx_of.get(event.contact, "")
                since = (event.since or event.at) - event.offset - self._ahead.get(event.queue, 0.0)
                refused = self._by_name.pop(event.contact, {})
                self._waiting[event.contact] = one = _Waiting(since, event.contact, event.queue, pbx, refused)
                one.owner, one.owner_until, one.skills = event.owner, event.owner_until, event.skills
                one.priority = event.offset
                self._stand(event.contact)
            case QueueAmended():
                self._amended(event)
            case Offered():
                if event.contact in self._waiting:
                    self._waiting[event.contact].rung.add(event.agent)
            case OfferEnded():
                self._offer_ended(event)
            case ConsultEnded() if event.outcome not in MEANT:
                self._by_name[event.contact] = {event.to: self._until(event)}
            case Answered() | Picked() | QueueLeft():
                self._forget(event.contact)
            case ContactEnded():
                self._forget(event.contact)
                self._pbx_of.pop(event.contact, None)
                self._by_name.pop(event.contact, None)
            case PbxDown():
                self._down.add(event.pbx)
            case PbxUp():
                self._down.discard(event.pbx)
        return ""

    def _amended(self, event: QueueAmended) -> None:
        one = self._waiting.get(event.contact)
        if one is not None:
            stands = (one.since, one.contact) in self._lines[one.queue]
            self._leave(event.contact)
            one.since += one.priority - event.priority
            one.priority, one.skills = event.priority, event.skills
            if stands:
                self._stand(event.contact)

    def _offer_ended(self, event: OfferEnded) -> None:
        one = self._waiting.get(event.contact)
        if one is not None:
            one.rung.discard(event.agent)
        if event.outcome in MEANT:
            return
        if one is None:
            self._by_name[event.contact] = {event.agent: self._until(event)}
            return
        one.refused[event.agent] = self._until(event)
        if not one.rung:
            self._stand(event.contact)

    def _until(self, event: OfferEnded | ConsultEnded) -> float:
        """Until when the contact is not offered to that agent again."""
        return event.at + self._refused_seconds.get(event.outcome, self._usual_seconds)

    def _changed(self, event: AgentChanged) -> str:
        """An agent who is reserved already and asks for something is told of again: that is no choice."""
        before = self._reserved.pop(event.agent, None)
        if event.state is not AgentState.RESERVED:
            return ""
        self._reserved[event.agent] = event.contact
        return "" if before == event.contact else self._chosen(event)

    def _chosen(self, event: AgentChanged) -> str:
        """An agent is reserved for a contact: nobody whom the agent could have had may have waited longer."""
        self.choices += 1
        if event.contact not in self._pbx_of:
            return f"agent {event.agent} is reserved for {event.contact}, which is not there"
        chosen = self._waiting.get(event.contact)
        if chosen is None or (chosen.since, event.contact) not in self._lines[chosen.queue]:
            return ""  # asked for by name: a consultation, a transfer
        self._leave(event.contact)
        for queue in event.queues:
            first = self._first(queue, event.agent, event.at)
            if first is not None and first < (chosen.since, chosen.contact):
                return f"{event.contact} gets agent {event.agent} before {first[1]}, who waits since {first[0]:.3f}"
        return ""

    def _first(self, queue: str, agent: str, now: float) -> tuple[float, str] | None:
        """The first in line whom the agent can have."""
        for place in self._lines[queue]:
            one = self._waiting[place[1]]
            until = one.refused.get(agent)
            if one.skills or (one.owner not in ("", agent) and now < one.owner_until + TIE_SECONDS):
                continue  # whether the agent may have it is not judged here
            if one.pbx not in self._down and (until is None or until <= now - TIE_SECONDS):
                return place
        return None

    def _stand(self, contact: str) -> None:
        """Stand in line; a contact that was offered has its old place."""
        one = self._waiting[contact]
        self._leave(contact)
        insort(self._lines[one.queue], (one.since, contact))

    def _forget(self, contact: str) -> None:
        """It does not wait any more."""
        self._leave(contact)
        self._waiting.pop(contact, None)

    def _leave(self, contact: str) -> None:
        one = self._waiting.get(contact)
        if one is None:
            return
        line, place = self._lines[one.queue], (one.since, contact)
        index = bisect_left(line, place)
        if index < len(line) and line[index] == place:
            del line[index]
