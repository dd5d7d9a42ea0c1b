"""An agent's phone is rung for a contact, and the agent's screen gets the contact's data with the ring."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, mutable

from easycall.acd.staff import Assignment
from easycall.acd.wrapup import NO_WRAP_UP, WrapUpRules
from easycall.defer import dropped
from easycall.events import ScreenPop, ScreenPopRevoked
from easycall.live import LiveContact
from easycall.model import AutoAnswer, OfferOutcome, Queue, Role
from easycall.ports import Channel, NotAnswered
from easycall.verbs import NotNow

__all__ = ["Side", "ring"]


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
    again: Callable[[], Channel] | None = None
    """Rings the phone once more, so that it answers by itself; None when it cannot, or was."""
    _asked: bool = field(default=False, init=False)

    @property
    def agent(self) -> str:
        """The agent's id."""
        return self.assignment.agent

    @property
    def name(self) -> str:
        """The agent's id."""
        return self.assignment.agent

    @property
    def refusal(self) -> Mapping[str, float]:
        """Once the agent did not take it: see :class:`easycall.talk.course.Wait`."""
        return self.assignment.refusal

    @property
    def attempt(self) -> int:
        """1 for the first one rung for the contact, and so on."""
        return self.assignment.attempt

    async def answered(self) -> OfferOutcome:
        """Wait for the answer: ANSWERED, or why not."""
        while True:
            leg = self.leg
            try:
                await leg.answered()
            except NotAnswered as why:
                if self.over or not self._asked:
                    return why.outcome
                if leg is self.leg:
                    self._ring_again()
                continue
            return OfferOutcome.ANSWERED

    def answer(self) -> None:
        """The agent answers on the desktop: the phone is rung once more, to answer by itself.  Raises NotNow."""
        if self.again is None:
            raise NotNow(
                f"the phone of {self.agent} cannot be answered from here: its auto_answer is not {AutoAnswer.ASKED}"
            )
        self._asked = True
        self.leg.hang_up()  # a phone that rings would take the second call for another

    def _ring_again(self) -> None:
        """The phone has stopped ringing: now it rings and answers by itself."""
        again, self.again, self._asked = self.again, None, False
        if again is not None:
            self.leg = again()

    def joined(self) -> None:
        """The agent talks now."""
        self.is_seated()
        self.assignment.talks(self.live.contact.queue)

    def is_seated(self) -> None:
        """The agent is there, and is told to be so already."""
        self.talks = True
        self.live.audience.seat(self.agent, self.leg)

    def waits(self) -> None:
        """The agent is there and waits for the customer, who is dialled."""
        self.joined()
        self.assignment.holds()

    def leave(self, outcome: OfferOutcome, wrap_up: WrapUpRules = NO_WRAP_UP, by: str = "") -> None:
        """The agent has nothing more to do with the contact: hung up, and free or in wrap-up.

        ``by``: the agent who answered first, of several.  A second time does nothing.
        """
        if self.over:
            return
        self.over = True
        self.live.audience.unseat(self.agent)
        self.leg.hang_up(elsewhere=outcome is OfferOutcome.ELSEWHERE)
        if self.talks:
            self.assignment.parted(wrap_up)
        else:
            if self.popped:
                self.live.tell(ScreenPopRevoked, self.agent, attempt=self.assignment.attempt, outcome=outcome, by=by)
            self.assignment.ended(outcome)


def ring(live: LiveContact, assignment: Assignment, queue: Queue, *, since: float, by: str = "") -> Side:
    """Ring the agent's phone; ``since``: when the contact began to wait; ``by``: the agent who asks for this one.

    Raises ValueError when that phone must not be dialled.
    """
    contact = live.contact

    def rung(leg: str, auto_answer: bool) -> Channel:
        return live.switch.ring(
            assignment.phone,
            leg=leg,
            caller=contact.customer,
            caller_name=contact.caller_name,
            seconds=queue.ring_seconds,
            values={"EC_CONTACT": contact.id, "EC_ROLE": Role.AGENT.value, "EC_AG": assignment.agent},
            auto_answer=auto_answer,
        )

    name = f"ec-{contact.id}-{Role.AGENT.value}-{assignment.attempt}"
    leg = rung(name, assignment.auto_answer is AutoAnswer.ALWAYS)
    side = Side(assignment, leg, live)
    if assignment.auto_answer is AutoAnswer.ASKED:
        side.again = lambda: rung(f"{name}b", True)
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
        channel=contact.channel,
        answers=dict(contact.answers),
        data=dict(contact.data),
        callback=contact.callback,
        reason=contact.reason,
        waited_before=contact.waited,
    )
