"""Who is there to serve each queue: a fold over what is told of agents.  Pure.

Counted, not searched: a change costs as much as the agent has queues, however many agents there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from attrs import evolve

from easycall.acd.agent import BUSY
from easycall.acd.routing import PRIVATE_CALL
from easycall.events import AgentAssigned, AgentChanged
from easycall.model import AgentState

__all__ = ["Presence"]

AT_WORK = (BUSY | {AgentState.READY, AgentState.WRAP_UP}) - {AgentState.SUPERVISING}
"""States of an agent who takes contacts, now or, if nothing else was asked for, when the present one is done."""


class Presence:
    """How many agents are logged in and eligible, queue by queue.  Before anything is told all are logged out."""

    def __init__(self) -> None:
        self._latest: dict[str, AgentChanged] = {}
        self._logged_in: Counter[str] = Counter()
        self._eligible: Counter[str] = Counter()

    @property
    def logged_in(self) -> Mapping[str, int]:
        """Queue -> how many agents who serve it are logged in; a queue that is not there has none."""
        return self._logged_in

    @property
    def eligible(self) -> Mapping[str, int]:
        """Queue -> how many of them take contacts now, or will when the present contact, wrap-up or private call is over."""
        return self._eligible

    def take(self, event: AgentChanged | AgentAssigned) -> set[str]:
        """An agent changed.  The queues that nobody is logged in for, or eligible, any more."""
        before = self._latest.get(event.agent)
        if isinstance(event, AgentChanged):
            after = event
        elif before is not None:
            after = evolve(before, queues=event.serves)
        else:
            return set()  # logged out: the queues are told with the log-in
        self._latest[event.agent] = after
        lost: set[str] = set()
        for counts, queues_of in ((self._logged_in, _logged_in), (self._eligible, _eligible)):
            old, new = queues_of(before) if before else set(), queues_of(after)
            counts.update(new - old)
            counts.subtract(old - new)
            lost |= {queue for queue in old - new if not counts[queue]}
        return lost


def _logged_in(event: AgentChanged) -> set[str]:
    return set() if event.state is AgentState.OFFLINE else set(event.queues)


def _eligible(event: AgentChanged) -> set[str]:
    stays = event.state in AT_WORK and event.next in (None, AgentState.READY)
    return set(event.queues) if stays and event.hindrance in ("", PRIVATE_CALL) else set()
