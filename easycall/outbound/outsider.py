"""Somebody outside is dialled: the customer, or one whom an agent asks or to whom the customer is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from attrs import field, mutable
from twisted.internet.defer import Deferred

from easycall.acd.wrapup import NO_WRAP_UP, WrapUpRules
from easycall.defer import dropped, unattended
from easycall.events import CallAnswered, CallCut, CallDialled, CallFailed, CallRinging
from easycall.lifetime import BELT_SECONDS
from easycall.live import LiveContact
from easycall.model import DialOutcome, EndedBy, OfferOutcome, Role
from easycall.outbound.dialling import Route
from easycall.outbound.outcome import outcome_of
from easycall.ports import Channel, NotAnswered

__all__ = ["Outsider", "call_outside", "dial", "found"]


def dial(live: LiveContact, route: Route, leg_id: str, role: Role, purpose: str, agent: str) -> Channel:
    """Dial a number; the line is free again when the leg is gone.  What becomes of it is told by events.

    Raises ValueError when it must not be dialled.
    """
    facts = {"leg": leg_id, "number": route.number}
    how = {"trunk": route.trunk.name, "caller_id": route.caller_id, "queue": route.counted.call.queue}
    live.tell(CallDialled, agent, purpose=purpose, **how, **facts)
    route.counted.dialled()
    leg = route.switch.dial(
        route.trunk,
        route.number,
        leg=leg_id,
        caller=route.caller_id,
        seconds=route.seconds,
        longest=route.seconds + live.dialling.longest + BELT_SECONDS,
        values={"EC_CONTACT": live.contact.id, "EC_ROLE": role.value},
    )
    _follow(live, leg, agent, facts, route.release)
    return leg


def found(live: LiveContact, dialled: CallDialled, answered: float | None) -> Channel:
    """The leg of a number that was dialled before this process began; ``answered``: when it was, None: it was not.

    What becomes of it is told as of one that :func:`dial` makes.
    """
    rings = None if answered is not None else dialled.at + _ring_seconds(live, dialled.queue) - live.now()
    longest = (dialled.at if answered is None else answered) + live.dialling.longest + BELT_SECONDS
    leg = live.switch.expect(dialled.leg, rings=rings, ends_at=longest)
    line = live.dialling.lines.in_use(dialled.trunk)
    release = line.release if line is not None else lambda: None
    facts = {"leg": dialled.leg, "number": dialled.number}
    if answered is None:
        _follow(live, leg, dialled.agent, facts, release)
    else:
        live.dialling.limit(leg, partial(_cut, live, leg, facts), answered)
        leg.when_gone().addCallback(lambda _: release())
    return leg


def _ring_seconds(live: LiveContact, queue: str) -> float:
    """How long the telephone of a number rings that is called for a queue."""
    known = live.distributor.queues.get(queue)
    usual = live.dialling.rules.settings.ring_seconds
    return known.callback.ring_seconds if known is not None and live.contact.callback else usual


def _follow(live: LiveContact, leg: Channel, agent: str, facts: dict[str, str], release: Callable[[], None]) -> None:
    """Tell what becomes of a leg that rings; ``release`` gives its line back."""
    unattended(_tell_what_becomes_of(live, leg, agent, facts))
    ringing = leg.when_ringing()
    ringing.addCallback(lambda _: live.tell(CallRinging, agent, **facts))
    leg.when_gone().addCallback(lambda _: _over(ringing, release))


def _over(ringing: Deferred[None], release: Callable[[], None]) -> None:
    dropped(ringing)
    release()


async def _tell_what_becomes_of(live: LiveContact, leg: Channel, agent: str, facts: dict[str, str]) -> None:
    try:
        await leg.answered()
    except NotAnswered as why:
        # A leg we hang up ourselves ends like one that was not answered in time.
        outcome = DialOutcome.CANCELLED if leg.doomed else outcome_of(why.outcome, why.cause)
        live.tell(CallFailed, agent, outcome=outcome, cause=why.cause, **facts)
    else:
        live.tell(CallAnswered, agent, **facts)
        live.dialling.limit(leg, partial(_cut, live, leg, facts))


def _cut(live: LiveContact, leg: Channel, facts: dict[str, str], seconds: float) -> None:
    """The call lasted as long as it may."""
    live.tell(CallCut, seconds=seconds, **facts)
    if leg is live.customer:
        live.contact.ended_by = live.contact.ended_by or EndedBy.SYSTEM
    leg.hang_up()


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

    def leave(self, outcome: OfferOutcome, wrap_up: WrapUpRules = NO_WRAP_UP) -> None:
        """The one outside is hung up.  A second time does nothing."""
        if not self.over:
            self.over = True
            self.leg.hang_up()


def call_outside(live: LiveContact, route: Route, attempt: int, purpose: str, agent: str) -> Outsider:
    """Dial somebody outside for a contact.  Raises ValueError when the number must not be dialled."""
    leg = dial(live, route, f"ec-{live.contact.id}-{Role.OUTSIDE.value}-{attempt}", Role.OUTSIDE, purpose, agent)
    return Outsider(route.number, leg, attempt)
