"""The work that agents have without a call: chats, messages, voice mails, faxes.

It does not touch an agent's state: who has three chats is ready, or not ready, as before, and takes what there is room for.
An agent who logs out or loses the desktop has none of it any more: each contact hears so at once and waits again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from easycall.acd import routing
from easycall.acd.agent import BUSY, NotNow, Step
from easycall.acd.wrapup import WrapUpRules
from easycall.defer import Bell
from easycall.model import Agent, AgentState, Missed, OfferOutcome
from easycall.policy import Channel

if TYPE_CHECKING:
    from easycall.acd.staff import Staff

__all__ = ["DeskAssignment", "DeskWork", "described"]


class DeskAssignment:
    """One agent asked for a contact that does not wait; :class:`~easycall.acd.offers.Offer` is of one that does."""

    def __init__(self, staff: Staff, agent: str, contact: str, attempt: int) -> None:
        self._staff = staff
        self._contact = contact
        self.agent = agent
        self.attempt = attempt
        self.refusal: Mapping[str, float] = {}

    @property
    def stands(self) -> bool:
        """Whether the agent still has it."""
        return self._staff.desk_work.has(self.agent, self._contact)

    def ended(self, outcome: OfferOutcome) -> None:
        """It came to nothing: the agent is released."""
        self.refusal = self._staff.refusal(self.agent, outcome)
        self._staff.desk_work.end(self.agent, self._contact, outcome)

    def talks(self, queue: str) -> None:
        """The agent has accepted it."""

    def parted(self, wrap_up: WrapUpRules) -> None:
        """The agent has it no more."""
        self._staff.desk_work.end(self.agent, self._contact)


class DeskWork:
    """See the module."""

    def __init__(self, staff: Staff, clock: IReactorTime) -> None:
        self._staff = staff
        self._clock = clock
        self._bells: dict[tuple[str, str], Bell] = {}
        """Agent and contact -> rung when the agent has it no more without having ended it."""

    def has(self, agent_id: str, contact: str) -> bool:
        """Whether the agent is offered the contact or has it."""
        return contact in self._staff.agents[agent_id].work

    def reserve(self, agent_id: str, contact: str, channel: Channel, attempt: int) -> DeskAssignment:
        """Offer the agent a contact that asks for this one.

        Raises NotNow, in words for the one who asks, when the agent is not ready for it, or has no room.
        """
        agent = self._staff.agents.get(agent_id)
        if agent is None:
            raise NotNow(f"there is no agent {agent_id!r}")
        if agent.state is not AgentState.READY:
            why = f" ({agent.reason})" if agent.reason else ""
            raise NotNow(f"{agent_id} is {agent.state.value.replace('_', ' ')}{why}")
        if hindrance := routing.hindrance_everywhere(agent):
            raise NotNow(f"{agent_id}: {hindrance}")
        if not routing.has_room(agent, channel):
            raise NotNow(f"{agent_id} takes no {channel.value.replace('_', ' ')}{described(agent)}")
        self.begin(agent_id, contact, channel)
        return DeskAssignment(self._staff, agent_id, contact, attempt)

    def begin(self, agent_id: str, contact: str, channel: Channel) -> None:
        """The agent is offered the contact, and is busy with it from now."""
        agent = self._staff.agents[agent_id]
        agent.work = {**agent.work, contact: channel}
        agent.idle_since = self._clock.seconds()
        self._bells[agent_id, contact] = Bell()
        self._staff.tell(agent)

    def resume(self, agent_id: str, contact: str, channel: Channel, attempt: int) -> DeskAssignment | None:
        """The agent had the contact when the process before us ended, and has it still; None: is not there any more."""
        agent = self._staff.agents.get(agent_id)
        if agent is None or agent.state is AgentState.OFFLINE or agent.desktop_lost:
            return None
        agent.work = {**agent.work, contact: channel}
        self._bells[agent_id, contact] = Bell()
        self._staff.tell(agent)
        return DeskAssignment(self._staff, agent_id, contact, attempt)

    def when_lost(self, agent_id: str, contact: str) -> Deferred[None]:
        """Fires when the agent has it no more: logged out, or the desktop is gone.  Cancel it to stop waiting.

        Raises KeyError when the agent does not have it.
        """
        return self._bells[agent_id, contact].wait()

    def end(self, agent_id: str, contact: str, outcome: OfferOutcome | None = None) -> None:
        """The agent has it no more; ``outcome``: of an offer that came to nothing.  A second time does nothing."""
        agent = self._staff.agents[agent_id]
        if contact not in agent.work:
            return
        agent.work = {other: channel for other, channel in agent.work.items() if other != contact}
        del self._bells[agent_id, contact]
        if outcome is OfferOutcome.NO_ANSWER:
            self._missed(agent, contact)
        else:
            self._staff.tell(agent)
        self._staff.freed()

    def lose(self, agent_id: str) -> None:
        """The agent has nothing of it any more, and each contact learns it."""
        agent = self._staff.agents[agent_id]
        lost, agent.work = tuple(agent.work), {}
        if lost:
            bells = [self._bells.pop((agent_id, contact)) for contact in lost]
            self._staff.tell(agent)
            self._staff.freed()  # before the contacts act, the waiting room knows
            for bell in bells:
                bell.ring()

    def _missed(self, agent: Agent, contact: str) -> None:
        """Who lets an offer pass is not at the desk: not ready, at once or when the present call is done."""
        agent.missed = Missed(contact, self._clock.seconds())
        if agent.state is AgentState.READY:
            self._staff.step(agent.id, Step.NOT_READY, "missed")
            return
        if agent.state in BUSY and (agent.wants is None or agent.wants[0] is AgentState.READY):
            agent.wants = (AgentState.NOT_READY, "missed")
        self._staff.tell(agent)


def described(agent: Agent) -> str:
    """What an agent has without a call, in words: `` beside 2 chats, 1 fax``; empty: nothing."""
    kinds = sorted(agent.work.values())
    counted = [f"{kinds.count(kind)} {kind.value}{'s' if kinds.count(kind) > 1 else ''}" for kind in dict.fromkeys(kinds)]
    return f" beside {', '.join(counted)}" if counted else ""
