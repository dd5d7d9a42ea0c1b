"""Somebody outside is dialled: the customer, or one whom an agent asks or to whom the customer is given."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, mutable
from twisted.internet.defer import Deferred

from easycall.defer import dropped, unattended
from easycall.events import CallAnswered, CallDialled, CallFailed, CallRinging
from easycall.live import LiveContact
from easycall.model import DialOutcome, OfferOutcome, Role
from easycall.outbound.dialling import Route
from easycall.outbound.outcome import outcome_of
from easycall.ports import Channel, NotAnswered

__all__ = ["Outsider", "call_outside", "dial"]


def dial(live: LiveContact, route: Route, leg_id: str, role: Role, purpose: str, agent: str) -> Channel:
    """Dial a number; the line is free again when the leg is gone.  What becomes of it is told by events.

    Raises ValueError when it must not be dialled.
    """
    facts = {"leg": leg_id, "number": route.number}
    live.tell(CallDialled, agent, trunk=route.trunk.name, caller_id=route.caller_id, purpose=purpose, **facts)
    leg = route.switch.dial(
        route.trunk,
        route.number,
        leg=leg_id,
        caller=route.caller_id,
        seconds=route.seconds,
        values={"EC_CONTACT": live.contact.id, "EC_ROLE": role.value},
    )
    unattended(_tell_what_becomes_of(live, leg, agent, facts))
    ringing = leg.when_ringing()
    ringing.addCallback(lambda _: live.tell(CallRinging, agent, **facts))
    leg.when_gone().addCallback(lambda _: _over(ringing, route))
    return leg


def _over(ringing: Deferred[None], route: Route) -> None:
    dropped(ringing)
    route.line.release()


async def _tell_what_becomes_of(live: LiveContact, leg: Channel, agent: str, facts: dict[str, str]) -> None:
    try:
        await leg.answered()
    except NotAnswered as why:
        # A leg we hang up ourselves ends like one that was not answered in time.
        outcome = DialOutcome.CANCELLED if leg.doomed else outcome_of(why.outcome, why.cause)
        live.tell(CallFailed, agent, outcome=outcome, cause=why.cause, **facts)
    else:
        live.tell(CallAnswered, agent, **facts)


@mutable(eq=False)
class Outsider:
    """Somebody outside on a leg, for one contact: used as a :class:`easycall.talk.ringing.Side` is, and no agent."""

    number: str
    leg: Channel
    attempt: int
    talks: bool = field(default=False, init=False)
    """True once the one outside answered and was joined with somebody."""
    over: bool = field(default=False, init=False)
    """True once the one outside has nothing more to do with the contact."""

    @property
    def refusal(self) -> Mapping[str, float]:
        """No contact is offered to somebody outside."""
        return {}

    @property
    def name(self) -> str:
        """The number."""
        return self.number

    async def answered(self) -> OfferOutcome:
        """Wait for the answer: ANSWERED, or why not."""
        try:
            await self.leg.answered()
        except NotAnswered as why:
            return why.outcome
        return OfferOutcome.ANSWERED

    def joined(self) -> None:
        """The one outside talks now."""
        self.talks = True

    def leave(self, outcome: OfferOutcome, wrap_up_seconds: float) -> None:
        """The one outside is hung up.  A second time does nothing."""
        if not self.over:
            self.over = True
            self.leg.hang_up()


def call_outside(live: LiveContact, route: Route, attempt: int, purpose: str, agent: str) -> Outsider:
    """Dial somebody outside for a contact.  Raises ValueError when the number must not be dialled."""
    leg = dial(live, route, f"ec-{live.contact.id}-{Role.OUTSIDE.value}-{attempt}", Role.OUTSIDE, purpose, agent)
    return Outsider(route.number, leg, attempt)
