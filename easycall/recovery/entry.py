"""Where the story of a contact goes on that a process before us carried.

Its legs are expected as soon as the daemon begins: they come home by themselves, and what else becomes of them shows when
Asterisk was asked.  Then :meth:`Entry.reach` gives the course on which the contact goes on, the same as if it had come
there step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from attrs import define, field
from twisted.logger import Logger

from easycall.acd.staff import REFUSED_SECONDS, Assignment
from easycall.defer import background, first
from easycall.events import ConsultEnded, OfferEnded, TalkEnded
from easycall.ivr.flow import Position
from easycall.ivr.nodes import Flow, QueueNode
from easycall.ivr.runner import Resumed, Waiting
from easycall.live import CAPTURE, LiveContact, keep_music
from easycall.model import Direction, EndedBy, First, OfferOutcome, Outcome, Queue, Stage
from easycall.outbound.call import NotReached, OutboundCall
from easycall.outbound.outsider import Outsider, found
from easycall.outbound.rules import NotDialled
from easycall.overflow import out_of_music
from easycall.policy import WorkItem
from easycall.ports import Channel
from easycall.recovery.left_off import LeftOff, Second
from easycall.skills import parse
from easycall.talk import (
    Course,
    Outside,
    OutsideConference,
    RunFlow,
    Rung,
    RungOutside,
    Side,
    Stay,
    TakeMessage,
    Talk,
    TalkOn,
    Wait,
)
from easycall.talk.aside import Aside
from easycall.talk.conference import Meeting
from easycall.talk.consultation import Consultation
from easycall.talk.faxing import FaxingBefore
from easycall.talk.loan import lent_before
from easycall.talk.talk import StageOfTalk

__all__ = ["Entry"]

log = Logger()

WITHOUT_LINK = frozenset({Stage.IVR, Stage.WAITING, Stage.PARKED, Stage.VOICEMAIL})
"""Stages in which the customer is with nobody: it goes on as soon as the leg comes home, whether the link is up or not."""


@define
class Cast:
    """Who takes part beside the customer."""

    side: Side | None = None
    waits: Side | None = None
    """An agent who waits for the customer, who is dialled."""
    reserved: Assignment | None = None
    """An agent who is rung when the customer, who is dialled, has answered."""
    asked: Side | Outsider | None = None
    guests: list[Side | Outsider] = field(factory=list)
    rung: list[Side] = field(factory=list)
    outside: list[Outsider] = field(factory=list)

    @property
    def legs(self) -> Sequence[Channel]:
        """Of all of them."""
        parties = (self.side, self.waits, self.asked, *self.guests, *self.rung, *self.outside)
        return [party.leg for party in parties if party is not None]


class Entry:
    """How one contact goes on, for :meth:`easycall.visit.Visit.carry`.  Made before its legs can come home."""

    def __init__(self, live: LiveContact, left: LeftOff) -> None:
        """``live``: with the customer's leg, which is expected already."""
        self.left = left
        self._live = live
        queues = live.distributor.queues
        self._queue: Queue = queues.get(live.contact.queue) or next(iter(queues.values()))
        self._cast = self._expect()
        pauses = [why for why in left.pauses if why != CAPTURE]
        live.recorder.goes_on(left.recording, left.file, pauses, declined=left.declined)

    # Who takes part

    def _expect(self) -> Cast:
        left, cast = self.left, Cast()
        if left.side is not None:
            side = self._agent(left.side.agent, left.side.attempt, left.side.leg)
            if side is not None:
                side.is_seated()
                cast.side = side
        apart = self._live.contact.direction is Direction.OUTBOUND and left.side is None
        dialled = left.leg_of_customer
        wanted = left.wanted or (dialled.told.agent if dialled is not None else "")
        if left.met is not None and apart:
            cast.waits = self._agent(left.met.agent, left.met.attempt, left.leg_of(left.met.attempt))
            if cast.waits is not None:
                cast.waits.is_seated()
        elif apart and wanted and left.met is None and not left.rung and left.stage is not Stage.WAITING:
            contact = self._live.contact
            cast.reserved = self._live.staff.held_by(wanted, contact.id, max(1, contact.attempts))
        cast.guests = [party for guest in left.guests if (party := self._second(guest)) is not None]
        cast.asked = self._second(left.asked) if left.asked is not None else None
        for attempt, rung in left.rung.items():
            rings = rung.told.at + self._queue.ring_seconds - self._live.now()
            side = self._agent(rung.told.agent, attempt, left.leg_of(attempt), rings=rings)
            if side is not None:
                cast.rung.append(side)
        for number in left.outside:
            leg = next((leg for leg, one in left.dialled.items() if one.told.number == number and not one.over), None)
            if leg is not None:
                cast.outside.append(self._outsider(number, leg))
                cast.outside[-1].joined()
        if left.stage is Stage.DIALLING:
            ringing = (leg for leg, one in left.dialled.items() if one.told.purpose == "transfer" and not one.over)
            cast.outside += [self._outsider(left.dialled[leg].told.number, leg) for leg in ringing]
        return cast

    def _agent(self, agent: str, attempt: int, leg: str, *, rings: float | None = None) -> Side | None:
        """An agent on a leg; None when the agent was not held by this contact: then the leg, if it is there, is a stray."""
        live = self._live
        assignment = live.staff.held_by(agent, live.contact.id, attempt)
        if assignment is None:
            return None
        return Side(assignment, live.switch.expect(leg, rings=rings, phone=assignment.phone), live)

    def _second(self, second: Second) -> Side | Outsider | None:
        """One who was asked."""
        if second.dialled is not None:
            party: Side | Outsider | None = self._outsider(second.name, second.dialled.told.leg)
            if party is not None and second.answered:
                party.joined()
            return party
        leg = self.left.leg_of(second.attempt)
        rings = None if second.answered else self.left.last + self._queue.ring_seconds - self._live.now()
        side = self._agent(second.name, second.attempt, leg, rings=rings)
        if side is not None and second.answered:
            side.is_seated()
        return side

    def _outsider(self, number: str, leg: str) -> Outsider:
        dialled = self.left.dialled[leg]
        suffix = leg.rpartition("-")[2]
        attempt = int(suffix) if suffix.isdecimal() else 0
        return Outsider(number, found(self._live, dialled.told, dialled.answered), attempt)

    # Where it goes on

    async def reach(self) -> Course:
        """When it is known which legs are there: what becomes of the contact now."""
        left = self.left
        if self._undialled:
            return await self._agent_is_rung()
        if self._cast.legs or left.stage not in WITHOUT_LINK:
            await self._until_known()
        self._tell_losses()
        if self._cast.side is not None:
            return await self._with_agent(self._cast.side)
        if left.stage is Stage.DIALLING and left.leg_of_customer is not None:
            return await self._dialled()
        return self._alone()

    async def _until_known(self) -> None:
        """Until Asterisk has shown the legs; whoever is at home hears music meanwhile."""
        live = self._live
        async with AsyncExitStack() as stack:
            for leg in self._cast.legs if self._undialled else (live.customer, *self._cast.legs):
                await stack.enter_async_context(background(keep_music(leg, self._queue.music)))
            await first(live.switch.when_up(), live.customer.when_gone())

    def _tell_losses(self) -> None:
        """Whom the journal has with the contact, and nobody knows anything of any more."""
        left, live, cast = self.left, self._live, self._cast
        known = {side.attempt for side in cast.rung}
        for attempt, rung in left.rung.items():
            if attempt not in known:
                live.tell(OfferEnded, rung.told.agent, attempt=attempt, outcome=OfferOutcome.LOST)
        if left.side is not None and cast.side is None:
            live.tell(TalkEnded, left.side.agent, ended_by=EndedBy.SYSTEM)
        agent = left.side.agent if left.side is not None else ""
        if left.asked is not None and cast.asked is None:
            ended = {"to": left.asked.name, "attempt": left.asked.attempt, "outcome": OfferOutcome.LOST}
            live.tell(ConsultEnded, agent, **ended)

    @property
    def _undialled(self) -> bool:
        """The customer is to be called and was not yet."""
        return self._live.contact.direction is Direction.OUTBOUND and self.left.leg_of_customer is None

    async def _agent_is_rung(self) -> Course:
        """The agent's phone rings, or was just answered; then the customer is dialled.  Raises NotReached."""
        live, cast, contact = self._live, self._cast, self._live.contact
        sides = [*cast.rung, *([cast.waits] if cast.waits is not None else [])]
        await self._until_known()
        self._tell_losses()
        if not sides:
            if cast.reserved is not None:
                cast.reserved.ended(OfferOutcome.LOST)
            raise NotReached(Outcome.NO_AGENT, EndedBy.SYSTEM)
        [side, *_] = sides
        try:
            rings = self._queue.callback.ring_seconds if contact.callback else 0.0
            how: dict[str, Any] = {"queue": self._queue, "customer": True, "seconds": rings}
            route = live.dialling.route(contact.dialled, agent=side.agent, **how)
        except NotDialled:
            side.leave(OfferOutcome.CANCELLED)
            raise NotReached(Outcome.NOT_DIALLED, EndedBy.SYSTEM) from None
        contact.agent = side.agent
        call = OutboundCall(live, route, self._queue, First.AGENT)
        return await (call.goes_on(side) if side is cast.waits else call.agent_is_rung(side))

    async def _dialled(self) -> Course:
        """The customer's telephone rings, or was just answered.  Raises NotReached."""
        live, agent = self._live, self._cast.waits or self._cast.reserved
        live.contact.agent = agent.agent if agent is not None else ""
        whose = First.AGENT if self._cast.waits is not None else First.CUSTOMER
        place = self.left.joined
        return await OutboundCall(live, None, self._queue, whose, place=place).goes_on(agent)

    # Nobody has it

    def _alone(self) -> Course:
        left, live, cast = self.left, self._live, self._cast
        rung = [*cast.rung, cast.asked] if isinstance(cast.asked, Side) else cast.rung
        if rung:
            live.contact.agent, live.contact.rung = rung[0].agent, tuple(side.agent for side in rung[1:])
            return Rung(rung, self._wait())
        ringing = cast.asked if isinstance(cast.asked, Outsider) else self._transferred()
        if ringing is not None:
            return RungOutside(ringing, self._queue.id)
        if cast.outside:
            return self._outside(cast.outside)
        match left.stage:
            case Stage.IVR if left.flow:
                return RunFlow(self._known_flow(left.flow), resumed=self._resumed())
            case Stage.PARKED if left.parked is not None:
                return Stay(self._queue.id, left.parked.agent, left.parked.until)
            case Stage.VOICEMAIL:
                return TakeMessage(left.box, began=True)
        return self._sent_on() if left.sent_to else self._wait()

    def _transferred(self) -> Outsider | None:
        """One outside whose telephone rings for the customer."""
        return self._cast.outside[0] if self.left.stage is Stage.DIALLING and self._cast.outside else None

    def _sent_on(self) -> Course:
        """It was on its way somewhere."""
        what, _, where = self.left.sent_to.partition(":")
        script = self._live.script
        match what:
            case "queue" if where in self._live.distributor.queues:
                waits = self.left.waits
                return Wait(where, waits.since if waits is not None else None, overflowed=waits is not None)
            case "flow" if script.knows(where):
                return RunFlow(where)
            case "voicemail" if where in script.boxes:
                return TakeMessage(where)
            case "park":
                return Stay(self._queue.id, "")
        return self._wait()

    def _wait(self) -> Wait:
        """In line at its old place; who has none is first, and who was never in line begins anew."""
        left, live = self.left, self._live
        waits = left.waits
        if waits is None or waits.queue not in live.distributor.queues:
            return self._front()
        refused = {agent: at + REFUSED_SECONDS.get(how, 30.0) for agent, (how, at) in left.refused.items()}
        item = WorkItem(
            live.contact.id,
            waits.queue,
            waits.since,
            live.contact.pbx,
            live.contact.channel,
            parse(waits.skills),
            waits.offset,
            waits.owner,
            waits.owner_until,
            {agent: until for agent, until in refused.items() if until > live.now()},
            live.contact.attempts,
        )
        inbound = live.contact.direction is Direction.INBOUND  # else it is the place of an earlier call
        began = (waits.began or waits.since) if inbound else None
        return Wait(waits.queue, waits.since, item.refused, self._way_back(), began, found=item)

    def _front(self) -> Wait:
        return Wait(self._queue.id, self._live.distributor.front(self._queue.id, self._live.contact.priority))

    def _outside(self, outsiders: Sequence[Outsider]) -> Course:
        live, there = self._live, [one for one in outsiders if not one.leg.gone]
        if len(there) > 1:
            room = live.switch.gathered(self.left.room, live.customer, *(one.leg for one in there))
            if room is not None:
                return OutsideConference(tuple(there), room, self._queue.id, told=True)
        if there and (together := live.switch.together(live.customer, there[0].leg)) is not None:
            return Outside(there[0], together, self._queue.id, told=True)
        for one in there:
            one.leave(OfferOutcome.LOST)
        return self._front()

    # The flow

    def _known_flow(self, flow: str) -> str:
        script = self._live.script
        return flow if script.knows(flow) else script.name_of(self._live.contact.dialled)

    def _resumed(self) -> Resumed:
        """What was secret is lost: it is asked for again."""
        left = self.left
        return Resumed(left.secret_at or left.node, dict(left.values))

    def _way_back(self) -> RunFlow | None:
        """How the flow goes on when the caller, who waits, presses a key."""
        left, script = self.left, self._live.script
        flow: Flow | None = script.named(left.flow) if script.knows(left.flow) else None
        node = flow.nodes.get(left.node) if flow is not None else None
        if flow is None or not isinstance(node, QueueNode) or node.queue != (left.waits.queue if left.waits else ""):
            return None
        language = self._live.contact.data.get("language", "")
        position = Position(left.node, language=language)
        return RunFlow(flow.name, Waiting(node.queue, "".join(node.keys), position, dict(left.values)))

    # An agent has it

    async def _with_agent(self, side: Side) -> Course:
        live, left = self._live, self.left
        live.contact.agent = side.agent
        since = left.side.began - left.side.waited if left.side is not None else live.now()
        talk = Talk(live, side, live.switch.together(live.customer, side.leg), self._queue, since)
        return TalkOn(talk, partial(self._enter, talk))

    async def _enter(self, talk: Talk) -> StageOfTalk | None:
        """The first stage: which one follows shows who is there, and who is with whom."""
        left, cast = self.left, self._cast
        if cast.guests:
            return self._meeting(talk, cast.guests)
        if cast.asked is not None:
            return self._consultation(talk, cast.asked)
        if left.loan:
            await out_of_music(self._live)  # or the flow would wait for the command under which music was kept
            return await lent_before(talk, left.loan, self._resumed())
        if left.fax is not None:
            return FaxingBefore(talk, left.fax).faxing
        if left.stage is Stage.HELD and self._live.switch.together(self._live.customer, talk.side.leg) is None:
            return talk.held
        return talk.regained

    def _consultation(self, talk: Talk, second: Side | Outsider) -> StageOfTalk:
        switch, left = self._live.switch, self.left
        consultation = talk.consultation = Consultation(talk, second, told=True)
        talk.name_others()
        if second.leg.gone:
            consultation.end(OfferOutcome.LOST)
            return talk.regained if left.with_customer else talk.held
        if left.asked is None or not left.asked.answered:
            return consultation.calling
        if talk.side.leg.gone:
            return consultation.hand_over
        if (found := switch.together(talk.side.leg, second.leg)) is not None:
            talk.conversation = found
            return consultation.consulting
        if (found := switch.together(self._live.customer, talk.side.leg)) is not None:
            talk.conversation = found
            return consultation.alternating
        return consultation.rejoined

    def _meeting(self, talk: Talk, parties: Sequence[Side | Outsider]) -> StageOfTalk:
        live = self._live
        meeting = Meeting(talk, *(Consultation(talk, party, told=True) for party in parties))
        talk.meeting = meeting
        legs = (live.customer, talk.side.leg, *(party.leg for party in parties))
        room = live.switch.gathered(self.left.room, *legs)
        talk.name_others()
        if room is None:
            return meeting.dissolve
        meeting.room = room
        asked = self._cast.asked
        question = Consultation(talk, asked, told=True) if asked is not None else None
        talk.consultation = question
        talk.name_others()
        if question is None or asked is None:
            return meeting.regained
        aside = Aside(talk, meeting, question)
        if self.left.asked is None or not self.left.asked.answered:
            return aside.calling
        if (found := live.switch.together(talk.side.leg, asked.leg)) is not None:
            talk.conversation = found
            return aside.consulting
        return aside.alternating
