"""What the waiting room is told of the agents: who is there, what each could take, and who takes something now.  Pure."""

from __future__ import annotations

from collections.abc import Collection

from easycall.acd.agent import HANDLING
from easycall.acd.routing import hindrance_everywhere
from easycall.acd.waiting_room import Pair, WaitingRoom
from easycall.model import Agent, AgentState, PhoneState
from easycall.policy import Channel, Profile

__all__ = ["Attendance", "absence"]


def absence(agent: Agent) -> str:
    """Why nothing is offered to an agent who is logged in, in words; empty: the agent takes what comes."""
    if agent.state is AgentState.READY:
        return hindrance_everywhere(agent)
    state = agent.state.value.replace("_", " ")
    return f"{state} ({agent.reason})" if agent.reason else state


def _profile(agent: Agent) -> Profile:
    unreachable = frozenset(pbx for pbx, state in agent.phones.items() if state is PhoneState.UNREACHABLE)
    return Profile(agent.id, frozenset(agent.queues), agent.skills, agent.capacity, unreachable)


class Attendance:
    """Keeps the seats of a waiting room as the agents are."""

    def __init__(self, room: WaitingRoom) -> None:
        self._room = room
        self._profiles: dict[str, Profile] = {}
        """Of all who have a seat."""
        self._refusals: dict[str, float] = {}

    def refuses(self, contact: str, until: float) -> None:
        """The agent to whom the contact is offered without a call does not take it: not to be offered again before."""
        self._refusals[contact] = until

    def update(self, changed: Collection[Agent], now: float) -> list[Pair]:
        """Something of these agents is different; the pairs that makes possible."""
        for agent in changed:
            # First of all nobody takes anything, so that what one change makes possible heeds all the others.
            if agent.id in self._profiles:
                self._room.away(agent.id, absence(agent), agent.until)
        pairs: list[Pair] = []
        for agent in changed:
            pairs += self._hold(agent, now)
            pairs += self._seat(agent, now)
        for agent in changed:
            if agent.id in self._profiles and not absence(agent):
                pairs += self._room.ready(agent.id, now, since=agent.idle_since)
        return pairs

    def _hold(self, agent: Agent, now: float) -> list[Pair]:
        """The agent is busy with the contact of the phone and those of the desk, and with no other."""
        if agent.id not in self._profiles:
            return []
        contacts = {**agent.work}
        if agent.state in HANDLING and agent.contact:
            contacts[agent.contact] = Channel.CALL
        pairs: list[Pair] = []
        has = self._room.held_by(agent.id)
        for over in has:
            if over in contacts:
                continue
            item, until = self._room.items.get(over), self._refusals.pop(over, 0.0)
            if item is not None and item.agent == agent.id:
                pairs += self._room.refused(over, agent.id, until, now)
            else:
                pairs += self._room.finished(agent.id, over, now)
        for contact, channel in contacts.items():
            if contact not in has:
                self._room.hold(agent.id, contact, channel, now)
        return pairs

    def _seat(self, agent: Agent, now: float) -> list[Pair]:
        """The agent has a seat while logged in, with the present queues and phone."""
        if agent.state is AgentState.OFFLINE:
            return self._room.gone(agent.id, now) if self._profiles.pop(agent.id, None) else []
        profile = _profile(agent)
        if self._profiles.get(agent.id) == profile:
            return []
        new = agent.id not in self._profiles
        self._profiles[agent.id] = profile
        pairs = self._room.seat(profile, now)
        if new:
            self._room.away(agent.id, absence(agent), agent.until)
            pairs += self._hold(agent, now)
        return pairs
