"""Queues and skills of agents as they were changed while the daemon ran: stored before they hold, and back after a restart.

The configuration gives the beginnings: what was never changed of an agent is what stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from easycall.acd.staff import Staff
from easycall.defer import shielded
from easycall.model import Profile
from easycall.ports import StoreUnavailable

__all__ = ["Profiles", "Shelf"]

Queues = tuple[str, ...]


class Shelf(Protocol):
    """Where profiles outlive the daemon.  Every method raises StoreUnavailable."""

    async def all(self) -> Iterable[Profile]:
        """Every profile there is."""

    async def put(self, profile: Profile) -> None:
        """Store one, in the place of the agent's older one."""

    async def remove(self, agent: str) -> None:
        """Forget an agent's."""


class Profiles:
    """The profiles of all agents.  ``await start()`` before the first contact.

    A change is done when it is stored, and holds from then on for contacts that wait already.  It raises KeyError for an
    unknown agent, and StoreUnavailable, and then nothing was changed.
    """

    def __init__(self, staff: Staff, shelf: Shelf, clock: IReactorTime) -> None:
        self._staff = staff
        self._shelf = shelf
        self._clock = clock
        self._configured = {agent.id: Profile(agent.id, agent.own_queues, agent.skills) for agent in staff.agents.values()}
        self._changed: dict[str, Profile] = {}
        self._unread = self._late = False
        self._one_by_one = DeferredLock()

    async def start(self) -> None:
        """Read them.  An agent or a queue that is configured no more is passed over.

        Raises StoreUnavailable, and can be tried again: until then nothing can be changed.
        """
        self._unread, self._late = True, self._unread
        for profile in await self._shelf.all():
            agent = self._staff.agents.get(profile.agent)
            if agent is None:
                continue
            if profile.queues is not None:
                profile = evolve(profile, queues=tuple(queue for queue in profile.queues if queue in self._staff.queues))
            self._changed[agent.id] = profile
            queues = agent.own_queues if profile.queues is None else profile.queues
            skills = agent.skills if profile.skills is None else profile.skills
            if self._late:  # contacts wait already, and the journal has it otherwise
                chosen = agent.queues != agent.own_queues  # at the log-in
                serves = tuple(queue for queue in agent.queues if queue in queues) if chosen else queues
                self._staff.assign(agent.id, queues, serves, skills, profile.changed_by)
            else:
                agent.own_queues = agent.queues = queues
                agent.skills = skills
        self._unread = False

    async def set_queues(self, agent_id: str, queues: Queues, by: str) -> None:
        """The agent's queues are these.  Raises ValueError when one is unknown."""
        await self._change_queues(agent_id, queues, lambda served: queues, by)

    async def join(self, agent_id: str, queue: str, by: str) -> None:
        """The agent serves this queue too.  Raises ValueError when it is unknown."""
        await self._change_queues(agent_id, (queue,), lambda served: (*served, *({queue} - set(served))), by)

    async def leave(self, agent_id: str, queue: str, by: str) -> None:
        """The agent serves this queue no more.  Raises ValueError when it is unknown."""
        await self._change_queues(agent_id, (queue,), lambda served: tuple(one for one in served if one != queue), by)

    async def set_skills(self, agent_id: str, skills: Mapping[str, int], by: str) -> None:
        """The agent's skills are these."""
        await self._carry_out(agent_id, lambda profile: evolve(profile, skills=dict(skills)), lambda served: served, by)

    async def reset(self, agent_id: str, by: str) -> None:
        """The agent's queues and skills are those of the configuration again."""
        configured = self._configured[agent_id]
        await self._carry_out(agent_id, lambda profile: None, lambda served: configured.queues or (), by)

    async def _change_queues(self, agent_id: str, named: Queues, change: Callable[[Queues], Queues], by: str) -> None:
        self._staff.check_queues(named)
        agent = self._staff.agents[agent_id]
        await self._carry_out(agent_id, lambda profile: evolve(profile, queues=change(agent.own_queues)), change, by)

    async def _carry_out(
        self, agent_id: str, change: Callable[[Profile], Profile | None], serves: Callable[[Queues], Queues], by: str
    ) -> None:
        """One after another, or one change could undo another; who asks may go away: what is stored always holds."""
        self._staff.agents[agent_id]
        if self._unread:
            raise StoreUnavailable("what was changed of agents could not be read yet")

        async def in_turn() -> None:
            await self._one_by_one.run(self._store, agent_id, change, serves, by)

        await shielded(in_turn(), StoreUnavailable)

    async def _store(
        self, agent_id: str, change: Callable[[Profile], Profile | None], serves: Callable[[Queues], Queues], by: str
    ) -> None:
        agent, configured = self._staff.agents[agent_id], self._configured[agent_id]
        new = change(self._changed.get(agent_id, Profile(agent_id)))
        if new is None:
            await self._shelf.remove(agent_id)
            self._changed.pop(agent_id, None)
        else:
            new = evolve(new, changed=self._clock.seconds(), changed_by=by)
            await self._shelf.put(new)
            self._changed[agent_id] = new
        holds = new or configured
        queues = configured.queues if holds.queues is None else holds.queues
        skills = configured.skills if holds.skills is None else holds.skills
        self._staff.assign(agent_id, queues or (), serves(agent.queues), skills or {}, by)
