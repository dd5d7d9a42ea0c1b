"""An agent's phone is rung for a contact, and the agent's screen gets the contact's data with the ring."""

from __future__ import annotations

from typing import Protocol

from attrs import field, mutable

from easycall.acd.distributor import Assignment
from easycall.defer import dropped
from easycall.events import ScreenPop, ScreenPopRevoked
from easycall.live import LiveContact
from easycall.model import OfferOutcome, Queue, Role
from easycall.ports import Channel, NotAnswered

__all__ = ["Party", "Side", "ring"]


class Party(Protocol):
    """Somebody on a leg beside the customer: an agent (:class:`Side`), or somebody outside."""

    leg: Channel
    talks: bool
    """True once they answered and were joined with somebody."""
    over: bool
    """True once they have nothing more to do with the contact."""

    @property
    def name(self) -> str:
        """The agent's id, or the number outside."""

    @property
    def attempt(self) -> int:
        """The number of the attempt in which they were rung for the contact."""

    async def answered(self) -> OfferOutcome:
        """Wait for the answer: ANSWERED, or why not."""

    def joined(self) -> None:
        """They talk now."""

    def leave(self, outcome: OfferOutcome, wrap_up_seconds: float) -> None:
        """They have nothing more to do with the contact and are hung up.  A second time does nothing."""


@mutable(eq=False)
class Side:
    """An agent on a leg, for one contact: rung, then talking."""

    assignment: Assignment
    leg: Channel
    live: LiveContact
    popped: bool = False
    talks: bool = field(default=False, init=False)
    """True once the agent answered and was joined with somebody."""
    over: bool = field(default=False, init=False)
    """True once the agent has nothing more to do with the contact."""

    @property
    def agent(self) -> str:
        """The agent's id."""
        return self.assignment.agent

    @property
    def name(self) -> str:
        """The agent's id."""
        return self.assignment.agent

    @property
    def attempt(self) -> int:
        """1 for the first one rung for the contact, and so on."""
        return self.assignment.attempt

    async def answered(self) -> OfferOutcome:
        """Wait for the answer: ANSWERED, or why not."""
        try:
            await self.leg.answered()
        except NotAnswered as why:
            return why.outcome
        return OfferOutcome.ANSWERED

    def joined(self) -> None:
        """The agent talks now."""
        self.talks = True
        self.live.audience.seat(self.agent, self.leg)
        self.assignment.talks()

    def waits(self) -> None:
        """The agent is there and waits for the customer, who is dialled."""
        self.joined()
        self.assignment.holds()

    def leave(self, outcome: OfferOutcome, wrap_up_seconds: float) -> None:
        """The agent has nothing more to do with the contact: hung up, and free or in wrap-up.

        A second time does nothing.
        """
        if self.over:
            return
        self.over = True
        self.live.audience.unseat(self.agent)
        self.leg.hang_up()
        if self.talks:
            self.assignment.parted(wrap_up_seconds)
        else:
            if self.popped:
                self.live.tell(ScreenPopRevoked, self.agent, attempt=self.assignment.attempt, outcome=outcome)
            self.assignment.ended(outcome)


def ring(live: LiveContact, assignment: Assignment, queue: Queue, *, since: float, by: str = "") -> Side:
    """Ring the agent's phone; ``since``: when the contact began to wait; ``by``: the agent who asks for this one.

    Raises ValueError when that phone must not be dialled.
    """
    contact = live.contact
    leg = live.switch.ring(
        assignment.phone,
        leg=f"ec-{contact.id}-{Role.AGENT.value}-{assignment.attempt}",
        caller=contact.customer,
        caller_name=contact.caller_name,
        seconds=queue.ring_seconds,
        values={"EC_CONTACT": contact.id, "EC_ROLE": Role.AGENT.value, "EC_AG": assignment.agent},
    )
    side = Side(assignment, leg, live)
    ringing = leg.when_ringing()
    ringing.addCallback(lambda _: _pop(side, since, by))
    leg.when_gone().addCallback(lambda _: dropped(ringing))
    return side


def _pop(side: Side, since: float, by: str) -> None:
    """The phone rings: the screen gets the caller's data with it."""
    live, contact = side.live, side.live.contact
    if side.talks or side.over:
        return
    side.popped = True
    side.assignment.rings()
    live.tell(
        ScreenPop,
        side.agent,
        attempt=side.assignment.attempt,
        caller=contact.caller,
        caller_name=contact.caller_name,
        dialled=contact.dialled,
        queue=contact.queue,
        waited=live.now() - since,
        direction=contact.direction,
        by=by,
        answers=dict(contact.answers),
        data=dict(contact.data),
    )
