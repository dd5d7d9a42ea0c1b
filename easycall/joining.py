"""How a contact joins a queue: what it asks for, whose it is, and the place in line of a call that broke off.

What comes of it is one :class:`~easycall.policy.WorkItem`; who gets that is the distributor's.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from easycall.acd.asking import wanted
from easycall.acd.last_agents import ANY_QUEUE, LastAgents
from easycall.acd.redials import Redials
from easycall.callback.desk import CallbackDesk
from easycall.events import AskIgnored, DataAttached, QueueResumed, SessionJoined
from easycall.live import LiveContact, attach
from easycall.model import AgentState, Callback, Direction, Queue
from easycall.policy import Asked, WorkItem
from easycall.skills import ANYBODY
from easycall.talk import Wait

__all__ = ["OWNER", "Joining"]

OWNER = "owner"
"""Attached data of this name is the agent whose contact it is."""


class Joining:
    """See the module.  One for all contacts: it knows their last agents, and who broke off."""

    def __init__(
        self,
        number_of: Callable[[str], str] = str,
        last_agents: LastAgents | None = None,
        redials: Redials | None = None,
    ) -> None:
        """``number_of``: the number a customer is known by, of one as shown; empty: withheld.
        ``last_agents``, ``redials``: None: nothing is known of them."""
        self._number_of = number_of
        self._last_agents = last_agents
        self._redials = Redials() if redials is None else redials
        self._callbacks: CallbackDesk | None = None

    def use_callbacks(self, desk: CallbackDesk) -> None:
        """A caller who is to be called back has the place of the callback, which is over."""
        self._callbacks = desk

    async def item(self, live: LiveContact, wait: Wait, queue: Queue) -> WorkItem:
        """What waits; the contact is of this queue from now on."""
        contact = live.contact
        joined = live.now() if wait.enqueued is None else wait.enqueued
        had = contact.agent
        named = self._takes_up(live, wait, queue)
        owner, seconds = "", 0.0
        if wait.enqueued is None:
            owner, seconds = await self._owner(live, queue, named, from_flow=wait.asked is not None)
        if owner == had or not seconds:
            owner = ""  # who gave the contact away just now is not waited for
        return WorkItem(
            contact.id,
            queue.id,
            joined,
            contact.pbx,
            contact.channel,
            contact.skills,
            contact.priority,
            owner,
            live.now() + seconds if owner else 0.0,
            wait.refused,
            contact.attempts,
        )

    def resumed(self, live: LiveContact, item: WorkItem, queue: Queue) -> WorkItem:
        """The same with the place in line of a call that this caller broke off, if there is one."""
        contact = live.contact
        if contact.direction is Direction.OUTBOUND:
            return item
        if self._callbacks is not None and (number := self._number_of(contact.caller)):
            callback = self._callbacks.take_over(number, queue.id)
            if callback is not None:
                return self._of_callback(live, item, callback)
        if not queue.redial_seconds:
            return item
        place = self._redials.resume(self._number_of(contact.caller), queue.id, live.now())
        if place is None:
            return item
        live.tell(QueueResumed, queue=queue.id, of=place.contact, since=place.enqueued)
        return evolve(item, enqueued=place.enqueued)

    def _of_callback(self, live: LiveContact, item: WorkItem, callback: Callback) -> WorkItem:
        """The customer would have been called: what is known of that goes along."""
        contact = live.contact
        contact.session, contact.waited = callback.session or callback.id, contact.waited + callback.waited
        live.tell(SessionJoined, session=contact.session, callback=callback.id, waited=contact.waited)
        if new := {key: value for key, value in callback.data.items() if key not in contact.data}:
            attach(contact.data, new)
            live.tell(DataAttached, data=new)
        if not callback.since:
            return item
        live.tell(QueueResumed, queue=item.queue, of=contact.session, since=callback.since)
        return evolve(item, enqueued=callback.since)

    def _takes_up(self, live: LiveContact, wait: Wait, queue: Queue) -> str:
        """What the flow asks for is the contact's; the owner it names."""
        contact = live.contact
        before, contact.queue, contact.agent = contact.queue, queue.id, ""
        if wait.asked is None:
            if before != queue.id:
                contact.skills = ANYBODY
            return ""
        found = wanted(wait.asked, live.staff.agents)
        contact.skills = found.requires
        if found.priority is not None:
            contact.priority = found.priority
        for what, why in found.faults:
            live.tell(AskIgnored, queue=queue.id, what=what, why=why)
        return found.owner

    async def _owner(self, live: LiveContact, queue: Queue, named: str, *, from_flow: bool) -> tuple[str, float]:
        """Whose contact it is, and for how long."""
        if not named and (attached := live.contact.data.get(OWNER, "")):
            found = wanted(Asked(owner=attached), live.staff.agents)
            named = found.owner
            for what, why in found.faults:
                live.tell(AskIgnored, queue=queue.id, what=what, why=why)
        if named:
            return (named, queue.owner_seconds) if self._serves(live, named, queue) else ("", 0.0)
        if not from_flow or self._last_agents is None or not queue.last_agent_seconds:
            return "", 0.0
        of = ANY_QUEUE if queue.last_agent_any_queue else queue.id
        last = await self._last_agents.of(self._number_of(live.contact.customer), of, queue.last_agent_days)
        return (last, queue.last_agent_seconds) if self._serves(live, last, queue) else ("", 0.0)

    def _serves(self, live: LiveContact, agent_id: str, queue: Queue) -> bool:
        """Whether it makes sense to wait for an agent: one who is logged in for the queue."""
        agent = live.staff.agents.get(agent_id)
        return agent is not None and agent.state is not AgentState.OFFLINE and queue.id in agent.queues
