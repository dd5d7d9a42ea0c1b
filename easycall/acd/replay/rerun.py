"""Lets a day pass again, in virtual time, through the waiting room that the daemon uses.  Pure.

The waiting room hears of agents by the same :class:`~easycall.acd.attendance.Attendance` as in the daemon: what an agent may
be offered, and who is idle longest, is decided there and nowhere else.  Here people only do what they did that day.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from attrs import frozen

from easycall.acd.attendance import Attendance
from easycall.acd.replay.day import Clocked, Day, Doing, Duty, Ending, Fate, Presence, Stay
from easycall.acd.replay.desk import Changed, Desk
from easycall.acd.replay.patience import Conduct
from easycall.acd.waiting_room import Pair, WaitingRoom
from easycall.model import Agent, AgentState
from easycall.policy import QueuePolicy, WorkItem
from easycall.skills import Requirement, parse

__all__ = ["Passed", "Rerun"]

TELL_EVERY = 10_000
"""Steps between two words of how far it is."""
REMEMBERED = 1
"""Nobody asks for the reason of a decision here."""

LEAVES, PRESENCE, SKILLS, FREE, DUTY, ANSWER, LINK, ARRIVES = range(8)
"""What comes first of what happens at one moment: who ends a wrap-up by going for a break is not idle in between.

Moments are compared exactly: those of the journal, and sums of one and differences of others, are all multiples of the same
power of two.
"""


@frozen
class Passed:
    """What came of it."""

    fates: Mapping[str, Fate]
    """Stay -> what became of it."""
    clocked: Mapping[str, Clocked]
    """Agent -> the time spent."""


class Rerun:
    """Make one, and :meth:`pass_again` once."""

    def __init__(
        self,
        day: Day,
        conducts: Mapping[str, Conduct],
        policies: Iterable[QueuePolicy],
        changed: Mapping[str, Changed] | None = None,
    ) -> None:
        """``conducts``: stay -> what its contact does by itself; ``changed``: agent -> what is different.

        Every queue of the day's stays must have a policy.
        """
        self._day = day
        self._conducts = conducts
        self._room = WaitingRoom(REMEMBERED)
        self._attendance = Attendance(self._room)
        self._requires: dict[str, Requirement] = {}
        self._stays = {stay.id: stay for stay in day.stays}
        self._fates: dict[str, Fate] = {}
        self._tried: dict[str, int] = {}
        """Stay -> how many of its offers that come to nothing were made."""
        self._desks = {
            agent: Desk.of(agent, told, (changed or {}).get(agent, Changed()), day.first, day.end)
            for agent, told in day.agents.items()
        }
        self._heard: dict[str, Agent] = {}
        """Agents of whom the waiting room has not heard yet."""
        self._order = count()
        self._plan: list[tuple[float, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._now = day.first
        for policy in policies:
            self._room.set_queue(policy, day.first)
        self._plan_all()

    # The plan

    def _plan_all(self) -> None:
        for stay in self._day.stays:
            self._at(max(stay.at, self._day.first), ARRIVES, self._arrives, stay)
        for at, pbx, up in self._day.links:
            self._at(max(at, self._day.first), LINK, self._link, pbx, up)
        for agent, told in self._day.agents.items():
            desk = self._desks[agent]
            for presence in told.presence:
                self._at(presence.at, PRESENCE, self._presence, desk, presence)
            for duty in told.duties:
                self._at(duty.at, DUTY, self._duty, desk, duty)
            for at, skills in told.skills if desk.changed.skills is None else ():
                if at > self._day.first:
                    self._at(at, SKILLS, self._skills, desk, skills)

    def _at(self, at: float, rank: int, do: Callable[..., None], *what: Any) -> None:
        heapq.heappush(self._plan, (at, rank, next(self._order), do, what))

    def pass_again(self, tell: Callable[[float], None] = lambda share: None) -> Passed:
        """Let the day pass.  ``tell`` hears now and then which share of it has."""
        day, steps = self._day, 0
        while (moment := self._next()) < math.inf:
            self._now = max(self._now, moment)
            if self._plan and self._plan[0][0] <= moment:
                *_, do, what = heapq.heappop(self._plan)
                do(*what)
            self._match()
            steps += 1
            if steps % TELL_EVERY == 0 and day.last > day.first:
                tell(min(1.0, (self._now - day.first) / (day.last - day.first)))
        for stay in day.stays:
            self._fates.setdefault(stay.id, Fate(Ending.WAITING, self._now))
        for desk in self._desks.values():
            desk.clocked.turn(Doing.ELSE, max(self._now, day.last))
        return Passed(self._fates, {agent: desk.clocked for agent, desk in self._desks.items()})

    def _next(self) -> float:
        due = self._room.next_due()
        return min(self._plan[0][0] if self._plan else math.inf, math.inf if due is None else due)

    # Meeting

    def _hear(self) -> list[Pair]:
        """Let the waiting room know what happened to agents."""
        heard, self._heard = self._heard, {}
        return self._attendance.update(heard.values(), self._now) if heard else []

    def _match(self) -> None:
        pairs = self._hear()
        self._reserve(pairs + self._room.due(self._now))

    def _reserve(self, pairs: Iterable[Pair]) -> None:
        for stay, agent in pairs:
            desk = self._desks[agent]
            desk.reserved = self._now
            self._becomes(desk, AgentState.RESERVED, stay)
            conduct, tried = self._conducts[stay], self._tried.get(stay, 0)
            if tried < len(conduct.unanswered):
                self._tried[stay] = tried + 1
                vain = conduct.unanswered[tried]
                self._at(self._now + vain.seconds, ANSWER, self._refuses, desk, stay, vain.refused)
            else:
                self._at(self._now + conduct.handling.ring, ANSWER, self._answers, desk, stay)

    def _becomes(self, desk: Desk, state: AgentState, contact: str = "") -> None:
        desk.becomes(state, contact, self._now)
        self._heard[desk.agent.id] = desk.agent

    # Contacts

    def _arrives(self, stay: Stay) -> None:
        if self._spared(stay.follows):
            self._fates[stay.id] = Fate(Ending.SPARED, self._now)
            return
        pairs = self._hear()
        item = WorkItem(
            contact=stay.id,
            queue=stay.queue,
            enqueued=stay.since,
            pbx=stay.pbx,
            channel=stay.channel,
            requires=self._requirement(stay.skills),
            offset=stay.offset,
            owner=stay.owner,
            owner_until=stay.owner_until,
        )
        self._reserve(pairs + self._room.enter(item, self._now))
        if (leaves := self._conducts[stay.id].leaves) < math.inf:
            self._at(leaves, LEAVES, self._leaves, stay)

    def _requirement(self, text: str) -> Requirement:
        found = self._requires.get(text)
        if found is None:
            found = self._requires[text] = parse(text)
        return found

    def _spared(self, before: str) -> bool:
        """An earlier stay of the contact ended otherwise than that day, so that this one does not come of it."""
        if not before:
            return False
        then, now = self._day.fates[before], self._fates.get(before)
        return now.how is not then.how if now is not None else then.how is not Ending.ANSWERED

    def _leaves(self, stay: Stay) -> None:
        if stay.id in self._fates:
            return
        agent, ends = self._room.agent_of(stay.id), self._conducts[stay.id].ends
        if agent is not None and ends is Ending.LEFT:
            return  # a rule of the queue takes nobody away for whom a phone rings
        self._goes(stay.id, ends)

    def _goes(self, stay: str, ends: Ending) -> None:
        agent = self._room.agent_of(stay)
        self._room.leave(stay)
        self._fates[stay] = Fate(ends, self._now)
        if agent is not None:
            self._settles(self._desks[agent], rested=False)

    def _answers(self, desk: Desk, stay: str) -> None:
        if stay in self._fates:
            return  # the caller left while the phone rang
        self._room.leave(stay)
        handling = self._conducts[stay].handling
        parted = self._now + handling.talk
        self._fates[stay] = Fate(Ending.ANSWERED, self._now, desk.agent.id, desk.reserved, parted, parted + handling.wrap_up)
        self._becomes(desk, AgentState.TALKING, stay)
        self._at(parted, FREE, self._parts, desk, stay, handling.wrap_up)

    def _refuses(self, desk: Desk, stay: str, seconds: float) -> None:
        if stay in self._fates:
            return
        pairs = self._hear()
        conduct = self._conducts[stay]
        if conduct.leaves <= self._now:  # what was to happen when the ringing came to nothing
            self._reserve(pairs)
            self._goes(stay, conduct.ends)
            return
        self._reserve(pairs + self._room.refused(stay, desk.agent.id, self._now + seconds, self._now))
        self._settles(desk, rested=False)

    def _parts(self, desk: Desk, stay: str, wrap_up: float) -> None:
        self._becomes(desk, AgentState.WRAP_UP, stay)
        self._at(self._now + wrap_up, FREE, self._settles, desk)

    # Agents

    def _settles(self, desk: Desk, rested: bool = True) -> None:
        """Nothing is to be done any more: the agent takes up what was put off, or is what was asked for.

        ``rested``: how long the agent is idle is counted from now.
        """
        if desk.wish.state is AgentState.OFFLINE:
            desk.duties.clear()
        if desk.duties:
            self._begins(desk, desk.duties.popleft())
            return
        if desk.wish.state is AgentState.READY and rested:
            desk.agent.idle_since = self._now
        self._becomes(desk, desk.wish.state)

    def _presence(self, desk: Desk, presence: Presence) -> None:
        agent = desk.agent
        desk.wishes(presence)
        self._heard[agent.id] = agent
        if not desk.busy:
            begins = presence.at <= self._day.first and agent.idle_since > 0
            self._settles(desk, rested=agent.state is not AgentState.READY and not begins)

    def _skills(self, desk: Desk, skills: Mapping[str, int]) -> None:
        desk.agent.skills = skills
        self._heard[desk.agent.id] = desk.agent

    def _duty(self, desk: Desk, duty: Duty) -> None:
        if desk.busy or desk.duties:
            desk.duties.append(duty)
        else:
            self._begins(desk, duty)

    def _begins(self, desk: Desk, duty: Duty) -> None:
        """Something that no queue gave out: as that day, but not before the agent is free, and as long as it was."""
        state = AgentState.TALKING if duty.contact else AgentState.SUPERVISING
        name = f"duty {next(self._order)}" if duty.contact else ""
        self._becomes(desk, state, name)
        self._at(self._now + duty.seconds, FREE, self._settles, desk, duty.talked)

    # Asterisks

    def _link(self, pbx: str, up: bool) -> None:
        if up:
            self._reserve(self._hear() + self._room.resume("pbx", pbx, self._now))
        else:
            self._room.suspend("pbx", pbx, "its link is down")
