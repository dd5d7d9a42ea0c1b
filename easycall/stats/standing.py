"""What stands open at a moment: a fold over the numbered events.  Pure.

It is what a new process takes up: the contacts that have not ended, with their stories, and what each agent was doing.  The
few events it depends on can be carried (:meth:`Standing.carried`), so that nobody need read all that was before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from attrs import evolve, frozen

from easycall.acd.agent import BUSY
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    DispositionSet,
    Event,
    TalkEnded,
)
from easycall.model import AgentState

__all__ = ["AgentStands", "Numbered", "Standing"]

Numbered = tuple[int, Event]

PER_CONTACT = 1_000
"""Events kept of one contact; of a longer story the decisive ones."""

DECISIVE = (Answered, TalkEnded, DispositionSet, ContactEnded)


@frozen
class _Trail:
    """The few events of an agent that say the same as all.

    To see when a state began, a fold needs the event and the one before it; and the last in which the agent was busy, or it
    would take one who is back from a contact for one who has just become ready.
    """

    assigned: tuple[Numbered, ...] = ()
    busy: tuple[Numbered, ...] = ()
    began: tuple[Numbered, ...] = ()
    idled: tuple[Numbered, ...] = ()
    latest: tuple[Numbered, ...] = ()

    def after(self, seq: int, event: AgentChanged, *, began: bool, idled: bool) -> _Trail:
        now = ((seq, event),)
        return _Trail(
            self.assigned,
            now if event.state in BUSY else self.busy,
            self.busy + self.latest + now if began else self.began,
            self.latest + now if idled else self.idled,
            now,
        )

    def __iter__(self) -> Iterator[Numbered]:
        return chain(self.assigned, self.began, self.idled, self.latest)


@frozen
class AgentStands:
    """What an agent's last events say: the :class:`~easycall.model.Agent` of the process that told them."""

    latest: AgentChanged | None = None
    since: float = 0.0
    """When the present state began."""
    idle_since: float = 0.0
    """When the agent became ready, not back from a contact, or was last given a contact without a call."""
    assigned: AgentAssigned | None = None
    """The latest change of queues or skills."""
    trail: _Trail = _Trail()
    """The events all this follows from."""

    @property
    def state(self) -> AgentState:
        """What the agent is doing."""
        return self.latest.state if self.latest is not None else AgentState.OFFLINE

    def changed(self, seq: int, event: AgentChanged) -> AgentStands:
        """What holds after one more event, by the rules of :class:`~easycall.acd.staff.Staff` and its desk work."""
        was, work = self.state, self.latest.work if self.latest is not None else {}
        began = event.state is not was
        ready = event.state is AgentState.READY and was not in (AgentState.READY, *BUSY)
        idled = ready or not event.work.keys() <= work.keys()
        return AgentStands(
            event,
            event.at if began else self.since,
            event.at if idled else self.idle_since,
            self.assigned,
            self.trail.after(seq, event, began=began, idled=idled),
        )

    def was_assigned(self, seq: int, event: AgentAssigned) -> AgentStands:
        """What holds after one more event."""
        return evolve(self, assigned=event, trail=evolve(self.trail, assigned=((seq, event),)))


class Standing:
    """See the module.  ``take`` each event in the order of its number."""

    def __init__(self, per_contact: int = PER_CONTACT) -> None:
        """``per_contact``: events kept of one contact."""
        self._per_contact = per_contact
        self.stories: dict[str, list[Numbered]] = {}
        """Contact -> its events, of those that have not ended, the oldest contact first."""
        self.agents: dict[str, AgentStands] = {}
        """Agent -> what this one is doing."""
        self.last: Numbered | None = None
        """The last event of all."""

    @classmethod
    def of(cls, events: Iterable[Numbered], per_contact: int = PER_CONTACT) -> Standing:
        """What these say, in whatever order they come, and how often each."""
        standing = cls(per_contact)
        told = dict(events)
        for seq in sorted(told):  # of the numbers alone: in a thread, nothing else runs while it sorts
            standing.take(seq, told[seq])
        return standing

    @property
    def at(self) -> float:
        """The time of the last event, 0 when there is none."""
        return self.last[1].at if self.last is not None else 0.0

    def take(self, seq: int, event: Event) -> None:
        """One more event."""
        self.last = seq, event
        if isinstance(event, ContactArrived):
            self.stories.setdefault(event.contact, [])
        story = self.stories.get(event.contact)
        if story is not None:
            if isinstance(event, ContactEnded):
                del self.stories[event.contact]
            elif len(story) < self._per_contact or isinstance(event, DECISIVE):
                story.append((seq, event))
        if isinstance(event, AgentChanged):
            self.agents[event.agent] = self.agents.get(event.agent, AgentStands()).changed(seq, event)
        elif isinstance(event, AgentAssigned):
            self.agents[event.agent] = self.agents.get(event.agent, AgentStands()).was_assigned(seq, event)

    def copy(self) -> Standing:
        """The same, which goes its own way from here."""
        other = Standing(self._per_contact)
        other.stories = {contact: list(story) for contact, story in self.stories.items()}
        other.agents = dict(self.agents)
        other.last = self.last
        return other

    def carried(self) -> Iterator[Numbered]:
        """The events that give the same again, as it stands when this is called: see :meth:`of`.

        They come in no order, and one may come twice.  What is told meanwhile does not disturb it.
        """
        stories = [(story, len(story)) for story in self.stories.values()]
        agents = list(self.agents.values())
        return _carried(stories, agents, self.last)


def _carried(
    stories: list[tuple[list[Numbered], int]], agents: list[AgentStands], last: Numbered | None
) -> Iterator[Numbered]:
    for stands in agents:
        yield from stands.trail
    for story, length in stories:
        yield from story[:length]
    if last is not None:
        yield last
