"""The stage of a cell of the matrix: a call with queues and agents of its own, and what must be heard and seen there."""

from __future__ import annotations

from typing import Any

import pytest

from easycall.client import Refused
from easycall.lab.legs import FaxMachine

from .callcentre import CallCentre, after
from .matrix import NOT_REACHED, ON_THE_WAY, At, Cell, Failure, Is, Place
from .offices import MISSED_OUTSIDE_SECONDS, MISSES, agents_of, number_of, telephone_of
from .people import SOON, Agent, Called, Caller, Outsider, hears, talking
from .test_fax import FAX_SECONDS, machine

__all__ = ["Call"]

DECLINED = 21
"""The cause of a call that is declined outside."""
KEY_SECONDS = 0.3
"""How long a key is on its way through a conference: of another one that meets it there, one may be lost."""
HAND_OVER_SECONDS = 2.2
"""One who is lost sooner after a customer was handed over did not hang up on the customer."""
HANDED_OVER = ((Failure.TWO, At.TWO), (Failure.OUTSIDER, At.OUTSIDE))
"""Who hangs up on a customer who was handed over."""
SLOW = (*MISSES, Failure.CUSTOMER_MISSES, Failure.OUTSIDER_MISSES)
"""What comes of a telephone that rings until nobody waits any more."""
LATELY = 16
"""How many events tell what led to a failure."""
GREETING_SECONDS = 10.0
MESSAGE_SECONDS = 2.5
STATES = {
    Is.READY: ("ready",),
    Is.NOT_READY: ("not_ready",),
    Is.RESERVED: ("reserved",),
    Is.RINGS: ("ringing",),
    Is.TALKS: ("talking", "held"),
    Is.WAITS: ("talking", "held"),
    Is.WRAPS_UP: ("wrap_up",),
    Is.LISTENS: ("supervising",),
}
"""What an agent does -> the states the API may show."""
SHOWN_AS = {
    At.OUTSIDE: "outside",
    At.PARKED: "parked",
    At.FAX: "fax",
    At.MAIL: "voicemail",
    At.RUNG: "dialling",
}
"""Where the customer is -> the stage of the contact that the API shows, where one is not like another for the ear."""


class Call:
    """The stage of one cell: a customer, agents 1 and 2, one who is free in the end, somebody outside, and the rival."""

    def __init__(self, centre: CallCentre, number: int, cell: Cell) -> None:
        self.centre = centre
        self.cell = cell
        self.number = number
        self.line = "sales"
        """The queue whose rules hold, and where the customer waits."""
        self.supervision = ""
        """The id of that of agent 2."""
        self.keys = "1"
        """What the customer keys to come to the end of the flow it is in."""
        self.customer: Caller | Called
        self.outsider: Outsider
        if cell.steps[0].place.customer in NOT_REACHED:
            self.customer = self.outsider = centre.called(f"customer{number}", telephone_of(number))
        else:
            self.customer = centre.caller(f"customer{number}")
            self.outsider = centre.outsider(f"outsider{number}", telephone_of(number))
        self.rival: Caller | None = None
        """Who waits behind the customer."""
        self.one, self.two, self.three = (centre.agent(name, desk.phone) for name, desk in agents_of(number).items())
        self.machine: FaxMachine | None = None
        self.place = Place(At.GONE)
        self.wrong = ""

    @property
    def takes_its_time(self) -> bool:
        """Something in it takes seconds: best done beside others like it."""
        failure, place = self.cell.failure, self.cell.step.place
        faxes = self.cell.expected.customer is At.FAX
        return faxes or failure in SLOW or (failure, place.customer) in HANDED_OVER

    async def asks(self, verb: str, **what: Any) -> Any:
        """A verb, as an agent's desktop asks it."""
        self.centre.story.tell(f"desktop{self.number}", f"{verb} {what or ''}".rstrip())
        return await self.centre.client.post(f"/api/v1/contacts/{await self.customer.contact()}/{verb}", **what)

    async def told(self, kind: str, seconds: float = SOON, **facts: Any) -> None:
        """Wait until the live feed says so of this contact."""
        await self.centre.feed.wait(kind, seconds, contact=await self.customer.contact(), **facts)

    async def lately(self) -> list[dict[str, Any]]:
        """What the live feed said last of this contact, for a failure; nothing when there is none."""
        try:
            contact = await self.customer.contact()
        except (AssertionError, Refused):
            return []
        return [event for event in self.centre.feed.heard if event.get("contact") == contact][-LATELY:]

    # The way to the step

    async def arrange(self) -> None:
        """Everybody is there, and goes to the place where it happens; there it is proved that they are."""
        await self.one.logs_in()
        await self.two.logs_in()
        steps = self.cell.steps[:-1] if self.cell.failure in ON_THE_WAY else self.cell.steps
        for step in steps:
            if step.asks_two:
                await self.two.becomes("ready")
            await step.do(self)
            self.place = step.place
        if steps:
            await self.prove(self.place)

    async def takes_the_step(self) -> None:
        """The last step, while something happens to everybody."""
        if self.cell.step.asks_two:
            await self.two.becomes("ready")
        await self.cell.step.do(self)

    # What happens there

    async def happens(self) -> None:
        """The failure, but for a link that is cut: that is everybody's."""
        if self.cell.expected.in_line and self.served_by_nobody:
            self.rival = await self.centre.caller(f"rival{self.number}").dials(number_of(self.line, self.number))
            await self.rival.waits_in(f"{self.line}{self.number}")
        match self.cell.failure:
            case Failure.CUSTOMER:
                self.customer.hangs_up()
            case Failure.API:
                await self.asks("hangup")
            case Failure.ONE:
                self.one.hangs_up()
            case Failure.TWO:
                await self._has_had_the_customer()
                self.two.hangs_up()
            case Failure.OUTSIDER:
                await self._has_had_the_customer()
                self.outsider.hangs_up()
            case Failure.CUSTOMER_BUSY | Failure.OUTSIDER_BUSY:
                self.outsider.leg.decline()
            case Failure.CUSTOMER_DECLINES | Failure.OUTSIDER_DECLINES:
                self.outsider.leg.hang_up(DECLINED)
            case Failure.ONE_DECLINES:
                self.one.leg.decline()
            case Failure.TWO_DECLINES:
                self.two.leg.decline()
            case Failure.TWO_NOT_READY:
                with pytest.raises(Refused, match=r"not ready|nobody is free"):
                    await self.cell.step.do(self)

    async def _has_had_the_customer(self) -> None:
        """Whoever hangs up has had the customer long enough for that to be a hang-up."""
        if (self.cell.failure, self.place.customer) in HANDED_OVER:
            await after(self.centre.reactor, HAND_OVER_SECONDS)

    @property
    def served_by_nobody(self) -> bool:
        """Nobody who serves the line is ready afterwards: a rival would be served at once."""
        place = self.cell.expected
        return Is.READY not in ((place.one,) if self.line == "sales" else (place.two,))

    # What must be afterwards

    async def prove(self, place: Place) -> None:
        """By what they hear, and by what the API shows."""
        await self._the_customer_is(place)
        if place.customer in SHOWN_AS:
            await self._shows_stage(SHOWN_AS[place.customer])
        await self._the_outsider(place)
        if place.customer is At.MUSIC and place.one is place.two is Is.TALKS:
            await talking(self.one, self.two)
        for agent, does in ((self.one, place.one), (self.two, place.two)):
            if does is Is.WAITS:
                await hears(agent, "music")
            elif does is Is.LISTENS:
                await hears(agent, self.one)
            elif does not in (Is.TALKS, Is.RINGS) and agent.had_a_call:
                await agent.is_released()
            await self._shows(agent, does)

    async def _the_customer_is(self, place: Place) -> None:
        customer = self.customer
        match place.customer:
            case At.UNCALLED:
                assert not self.outsider.had_a_call
            case At.RUNG:
                assert not customer.leg.over
                assert not customer.leg.is_up
            case At.GONE if customer.had_a_call:
                await customer.is_released(2 * MISSED_OUTSIDE_SECONDS if self.cell.failure in SLOW else SOON)
            case At.MUSIC | At.PARKED:
                await hears(customer, "music")
            case At.ONE:
                await talking(customer, self.one)
            case At.TWO:
                await talking(customer, self.two)
            case At.OUTSIDE:
                await talking(customer, self.outsider)
            case At.BOTH:
                for agent in (self.one, self.two):
                    await talking(customer, agent)
                    await after(self.centre.reactor, KEY_SECONDS)

    async def _the_outsider(self, place: Place) -> None:
        outsider = self.outsider
        match place.outside:
            case Is.RINGS:
                assert not outsider.leg.over
                assert not outsider.leg.is_up
            case Is.WAITS:
                await hears(outsider, "music")
            case Is.TALKS if place.customer is At.MUSIC:
                await talking(self.one, outsider)
            case Is.AWAY if outsider is not self.customer and outsider.had_a_call:
                await outsider.is_released(2 * MISSED_OUTSIDE_SECONDS if self.cell.failure in SLOW else SOON)

    async def _shows_stage(self, stage: str) -> None:
        contact = await self.customer.contact()

        async def shown() -> bool:
            live = (await self.centre.client.get("/api/v1/contacts"))["contacts"]
            return [one["stage"] for one in live if one["id"] == contact] == [stage]

        await self.centre.until(shown, SOON, f"the contact is {stage}")

    async def _shows(self, agent: Agent, does: Is) -> None:
        async def shown() -> bool:
            return (await self.centre.client.get(f"/api/v1/agents/{agent.name}"))["state"] in STATES[does]

        await self.centre.until(shown, SOON, f"{agent.name} is {does}")

    async def settles(self) -> None:
        """Everybody is where they must be, and the call can go on from there."""
        place = self.cell.expected
        await self.prove(place)
        match place.customer:
            case At.FLOW:
                await self.keys_what_is_asked_for()
            case At.FAX:
                await self.faxes()
            case At.RUNG | At.UNCALLED:
                return await self._is_reached()
            case At.MAIL:
                return await self._leaves_a_message()
            case _ if not place.in_line:
                return None
        if place.one is not Is.WAITS:
            return await self._is_next()
        if place.customer is At.FLOW:
            await self.told("loan.ended")
        return await talking(self.customer, self.one)

    async def keys_what_is_asked_for(self) -> None:
        """Of the flow the customer is in."""
        await self.customer.leg.press(self.keys)

    async def outsider_answers(self) -> None:
        """The telephone outside, which rings."""
        self.outsider.tell("answers")
        await self.outsider.leg.answer(self.outsider.voice)

    async def faxes(self) -> None:
        """The customer's machine receives the page, and the customer is on the telephone again."""
        if self.machine is None:
            await self.starts_machine()
        await self.told("fax.ended", FAX_SECONDS, outcome="done", pages=1)

    async def starts_machine(self) -> None:
        """The customer presses start."""
        self.machine = machine(self.centre, f"received{self.number}")
        await self.customer.leg.starts_fax(self.machine)

    async def _is_reached(self) -> None:
        """The customer answers, and has agent 1."""
        if self.cell.expected.customer is At.UNCALLED:
            await self.one.answers()
            await self.outsider.rings()
        await self.outsider_answers()
        if self.cell.expected.one is Is.RESERVED:
            await self.one.answers()
        await self.told("talk.started", agent=self.one.name)
        await talking(self.customer, self.one)

    async def _leaves_a_message(self) -> None:
        """After greeting and tone."""
        await hears(self.customer, "silence", GREETING_SECONDS)
        await after(self.centre.reactor, MESSAGE_SECONDS)
        self.customer.hangs_up()
        await self.told("voicemail.left", box="sales")

    async def _is_next(self) -> None:
        """Whoever is free next gets the customer, and not the rival."""
        await self.three.works()
        call = await self.three.answers()
        assert call.caller == self.customer.number, "another one came first"
        await self.told("talk.started", agent=self.three.name)
        await talking(self.customer, self.three)

    # The end

    async def ends(self) -> None:
        """The customer hangs up, and nobody is left; the record says who ended it, and whether anybody had talked."""
        for one in (self.customer, self.rival):
            if one is not None and one.had_a_call:
                one.hangs_up()
        record = await self.customer.record()
        if self.outsider.had_a_call:
            await self.outsider.is_released()
        ended_by = self.cell.expected.ended_by or "caller"
        assert record["ended_by"] == ended_by, f"ended by the {record['ended_by']}, not the {ended_by}"
        talked = any(segment["kind"] == "talk" for segment in record["segments"])
        outcome = self.cell.expected.outcome or ("answered" if talked else "abandoned")
        assert record["outcome"] == outcome, record["outcome"]
        await self.told("contact.ended", ended_by=ended_by)
