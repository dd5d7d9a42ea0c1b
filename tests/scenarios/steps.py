"""The steps of the flows of call control, and the stage they are played on: a call with its own queues and agents.

:data:`FLOWS` is the table that test_matrix.py tries whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from easycall.client import Refused
from easycall.lab.site import Desk

from .callcentre import CallCentre, after
from .matrix import ON_THE_WAY, At, Cell, Failure, Is, Place, Step
from .people import SOON, Agent, Caller, hears, talking

MISSES = (Failure.ONE_MISSES, Failure.TWO_MISSES)
MISSED_SECONDS = 2.0
"""How long a phone rings that is not answered."""
KEY_SECONDS = 0.3
"""How long a key is on its way through a conference: of another one that meets it there, one may be lost."""
HAND_OVER_SECONDS = 2.2
"""An agent who is lost sooner after a customer was handed over did not hang up on the customer."""
STATES = {
    Is.READY: ("ready",),
    Is.NOT_READY: ("not_ready",),
    Is.RINGS: ("ringing",),
    Is.TALKS: ("talking", "held"),
    Is.WAITS: ("talking", "held"),
    Is.WRAPS_UP: ("wrap_up",),
    Is.LISTENS: ("supervising",),
}
"""What an agent does -> the states the API may show."""


class Call:
    """The stage of one cell: a customer, agents 1 and 2, one who is free in the end, and the rival who waits behind."""

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
        self.customer = centre.caller(f"customer{number}")
        self.rival: Caller | None = None
        self.one, self.two, self.three = (centre.agent(name, desk.phone) for name, desk in agents_of(number).items())
        self.place = Place(At.GONE)
        self.wrong = ""

    @property
    def takes_its_time(self) -> bool:
        """Something in it takes two seconds: best done beside others like it."""
        failure = self.cell.failure
        return failure in MISSES or (failure is Failure.TWO and self.cell.step.place.customer is At.TWO)

    async def asks(self, verb: str, **what: Any) -> Any:
        """A verb, as an agent's desktop asks it."""
        self.centre.story.tell(f"desktop{self.number}", f"{verb} {what or ''}".rstrip())
        return await self.centre.client.post(f"/api/v1/contacts/{await self.customer.contact()}/{verb}", **what)

    async def told(self, kind: str, **facts: Any) -> None:
        """Wait until the live feed says so of this contact."""
        await self.centre.feed.wait(kind, SOON, contact=await self.customer.contact(), **facts)

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
                if self.place.customer is At.TWO:
                    await after(self.centre.reactor, HAND_OVER_SECONDS)
                self.two.hangs_up()
            case Failure.ONE_DECLINES:
                self.one.leg.decline()
            case Failure.TWO_DECLINES:
                self.two.leg.decline()
            case Failure.TWO_NOT_READY:
                with pytest.raises(Refused, match=r"not ready|nobody is free"):
                    await self.cell.step.do(self)

    @property
    def served_by_nobody(self) -> bool:
        """Nobody who serves the line is ready afterwards: a rival would be served at once."""
        place = self.cell.expected
        return Is.READY not in ((place.one,) if self.line == "sales" else (place.two,))

    # What must be afterwards

    async def prove(self, place: Place) -> None:
        """By what they hear, and by what the API shows."""
        await self._the_customer_is(place)
        if place.customer is At.MUSIC and place.one is place.two is Is.TALKS:
            await talking(self.one, self.two)
        for agent, does in ((self.one, place.one), (self.two, place.two)):
            if does is Is.WAITS:
                await hears(agent, "music")
            elif does is Is.LISTENS:
                await hears(agent, self.one)
            elif does not in (Is.TALKS, Is.RINGS) and agent.was_rung:
                await agent.is_released()
            await self._shows(agent, does)

    async def _the_customer_is(self, place: Place) -> None:
        match place.customer:
            case At.GONE:
                await self.customer.is_released()
            case At.MUSIC:
                await hears(self.customer, "music")
            case At.ONE:
                await talking(self.customer, self.one)
            case At.TWO:
                await talking(self.customer, self.two)
            case At.BOTH:
                for agent in (self.one, self.two):
                    await talking(self.customer, agent)
                    await after(self.centre.reactor, KEY_SECONDS)

    async def _shows(self, agent: Agent, does: Is) -> None:
        async def shown() -> bool:
            return (await self.centre.client.get(f"/api/v1/agents/{agent.name}"))["state"] in STATES[does]

        await self.centre.until(shown, SOON, f"{agent.name} is {does}")

    async def settles(self) -> None:
        """Everybody is where they must be, and the call can go on from there."""
        place = self.cell.expected
        await self.prove(place)
        if place.customer is At.FLOW:
            await self.keys_what_is_asked_for()
            if place.one is Is.WAITS:
                await self.told("loan.ended")
                await talking(self.customer, self.one)
                return
        if place.in_line or place.customer is At.FLOW:
            await self._is_next()

    async def keys_what_is_asked_for(self) -> None:
        """Of the flow the customer is in."""
        await self.customer.leg.press(self.keys)

    async def _is_next(self) -> None:
        """Whoever is free next gets the customer, and not the rival."""
        await self.three.works()
        call = await self.three.answers()
        assert call.caller == self.customer.number, "another one came first"
        await self.told("talk.started", agent=self.three.name)
        await talking(self.customer, self.three)

    # The end

    async def ends(self) -> None:
        """Everybody hangs up; the record says who ended it, and whether anybody had talked."""
        self.customer.hangs_up()
        if self.rival is not None:
            self.rival.hangs_up()
        record = await self.customer.record()
        ended_by = self.cell.expected.ended_by or "caller"
        assert record["ended_by"] == ended_by, f"ended by the {record['ended_by']}, not the {ended_by}"
        talked = any(segment["kind"] == "talk" for segment in record["segments"])
        assert record["outcome"] == ("answered" if talked else "abandoned"), record["outcome"]
        await self.told("contact.ended", ended_by=ended_by)


# The steps


def verb(name: str, **what: Any) -> Callable[[Call], Awaitable[None]]:
    """A step that is a verb of the API; ``{n}`` in what it says is the number of the cell."""

    async def ask(call: Call) -> None:
        said = {key: one.format(n=call.number) if isinstance(one, str) else one for key, one in what.items()}
        await call.asks(name, **said)

    return ask


async def dials(call: Call) -> None:
    await call.customer.dials(number_of("sales", call.number))
    await call.customer.waits_in(f"sales{call.number}")


async def one_is_ready(call: Call) -> None:
    await call.one.becomes("ready")
    await call.one.rings()


async def one_answers(call: Call) -> None:
    await call.one.answers()
    await call.told("talk.started", agent=call.one.name)


async def two_is_asked(call: Call) -> None:
    await call.asks("consult", agent=call.two.name)
    await call.two.rings()


async def two_is_sent(call: Call) -> None:
    await call.asks("transfer", agent=call.two.name)
    await call.two.rings()


async def two_answers_one(call: Call) -> None:
    await call.two.answers()
    await call.told("consult.answered", to=call.two.name)


async def two_answers(call: Call) -> None:
    await call.two.answers()
    await call.told("talk.started", agent=call.two.name)


async def to_group(call: Call) -> None:
    await call.asks("transfer", queue=f"group{call.number}")
    call.line = "group"
    await call.customer.waits_in(f"group{call.number}")


async def to_group_now(call: Call) -> None:
    await call.asks("transfer", queue=f"group{call.number}", wait=False)
    call.line = "group"
    await call.two.rings()


async def two_is_ready(call: Call) -> None:
    await call.two.becomes("ready")
    await call.two.rings()


async def to_function(call: Call) -> None:
    await call.asks("lend", flow="pin")
    call.keys = "1234"
    await call.told("ivr.step", node="pin")


async def keys(call: Call) -> None:
    await call.keys_what_is_asked_for()


async def keys_the_pin(call: Call) -> None:
    await keys(call)
    await call.told("loan.ended")


async def comes_back(call: Call) -> None:
    await chooses(call)
    await call.told("loan.ended")


async def chooses(call: Call) -> None:
    await call.customer.reaches("menu")
    await keys(call)


async def chooses_group(call: Call) -> None:
    await chooses(call)
    call.line = "group"
    await call.customer.waits_in(f"group{call.number}")


async def two_listens(call: Call) -> None:
    whom = {"supervisor": call.two.name, "contact": await call.customer.contact()}
    call.supervision = (await call.centre.client.post("/api/v1/supervisions", mode="listen", **whom))["id"]
    await call.two.answers()
    await call.centre.feed.wait("supervision.moved", SOON, supervision=call.supervision, hears=True)


async def two_takes_over(call: Call) -> None:
    await call.centre.client.post(f"/api/v1/supervisions/{call.supervision}/take-over")


TALK = (
    Step("waits", dials, Place(At.MUSIC)),
    Step("agent 1 is rung", one_is_ready, Place(At.MUSIC, Is.RINGS)),
    Step("agent 1 answers", one_answers, Place(At.ONE, Is.TALKS)),
)
HOLD = Step("hold", verb("hold"), Place(At.MUSIC, Is.WAITS))
ASK = Step("agent 2 is asked", two_is_asked, Place(At.MUSIC, Is.WAITS, Is.RINGS), asks_two=True)
CONSULT = Step("agent 2 answers", two_answers_one, Place(At.MUSIC, Is.TALKS, Is.TALKS))
TO_CUSTOMER = Step("alternate", verb("alternate"), Place(At.ONE, Is.TALKS, Is.WAITS))
TO_TWO = Step("alternate back", verb("alternate"), Place(At.MUSIC, Is.TALKS, Is.TALKS))
COMPLETE = Step("complete", verb("complete"), Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
MERGE = Step("merge", verb("merge"), Place(At.BOTH, Is.TALKS, Is.TALKS))
DROP_TWO = Step("drop agent 2", verb("drop", party="consulted"), Place(At.ONE, Is.TALKS, Is.WRAPS_UP))
DROP_ONE = Step("drop agent 1", verb("drop", party="agent"), Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
CANCEL = Step("cancel", verb("cancel"), Place(At.ONE, Is.TALKS, Is.WRAPS_UP))
RUNG_FOR = Place(At.MUSIC, Is.WRAPS_UP, Is.RINGS)
IN_LINE = Place(At.MUSIC, Is.WRAPS_UP)
HAS_IT = Step("agent 2 answers", two_answers, Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
LEND = Step("lend", verb("lend", flow="onward{n}"), Place(At.FLOW, Is.WAITS))
CAPTURE = Step("lend to a function", to_function, Place(At.FLOW, Is.WAITS))
BACK = Place(At.ONE, Is.TALKS)
RETRIEVE = Step("retrieve", verb("retrieve"), BACK)
TAKE_BACK = Step("cancel", verb("cancel"), BACK)

FLOWS = {
    "F1 queue": TALK,
    "P2 hold": (*TALK, HOLD, RETRIEVE),
    "F4 consult, complete": (*TALK, ASK, CONSULT, COMPLETE),
    "conference, back to agent 1": (*TALK, ASK, CONSULT, MERGE, DROP_TWO),
    "conference, on to agent 2": (*TALK, ASK, CONSULT, TO_CUSTOMER, MERGE, DROP_ONE),
    "F4 consult, cancel": (*TALK, ASK, CONSULT, CANCEL),
    "F4 consult, cancel early": (*TALK, ASK, Step("cancel", verb("cancel"), Place(At.ONE, Is.TALKS, Is.READY))),
    "F4 consult, complete early": (*TALK, ASK, Step("complete", verb("complete"), RUNG_FOR), HAS_IT),
    "F4 consult from hold": (*TALK, HOLD, evolve(ASK, dials_at_once=True)),
    "F4 alternate": (*TALK, ASK, CONSULT, TO_CUSTOMER, TO_TWO, COMPLETE),
    "F4 alternate, complete": (*TALK, ASK, CONSULT, TO_CUSTOMER, COMPLETE),
    "F4 alternate, cancel": (*TALK, ASK, CONSULT, TO_CUSTOMER, CANCEL),
    "F4 to an agent": (*TALK, Step("transfer", two_is_sent, RUNG_FOR, asks_two=True), HAS_IT),
    "F5 to a group": (*TALK, Step("transfer", to_group, IN_LINE), Step("agent 2 is rung", two_is_ready, RUNG_FOR), HAS_IT),
    "F5 to a group, no wait": (*TALK, Step("transfer", to_group_now, RUNG_FOR, asks_two=True), HAS_IT),
    "F5 from hold": (*TALK, HOLD, Step("transfer", to_group, IN_LINE)),
    "F2 to a flow": (
        *TALK,
        Step("transfer", verb("transfer", flow="onward{n}"), Place(At.FLOW, Is.WRAPS_UP)),
        Step("chooses a queue", chooses_group, IN_LINE),
    ),
    "F3 lend": (*TALK, LEND, Step("back", comes_back, BACK)),
    "F3 lend, taken back": (*TALK, LEND, TAKE_BACK),
    "F3 lend from hold": (*TALK, HOLD, LEND),
    "P2 supervision": (
        *TALK,
        Step("agent 2 listens", two_listens, Place(At.ONE, Is.TALKS, Is.LISTENS), dials_at_once=True),
        Step("agent 2 takes over", two_takes_over, Place(At.TWO, Is.WRAPS_UP, Is.TALKS)),
    ),
    "P1 secure capture": (*TALK, CAPTURE, Step("keys the PIN", keys_the_pin, BACK)),
    "P1 capture, taken back": (*TALK, CAPTURE, TAKE_BACK),
}
"""Flow -> its steps."""


# The site: for each cell queues, agents and numbers of its own


def number_of(line: str, number: int) -> str:
    """What is dialled to come into a queue of a cell."""
    return f"{'97' if line == 'sales' else '98'}{number:03}"


def agents_of(number: int) -> dict[str, Desk]:
    """Agent 1, agent 2, and the one who is free in the end."""
    sales, group = f"sales{number}", f"group{number}"
    served = {"ana": (sales,), "bo": (group,), "chen": (sales, group)}
    return {
        f"{name}{number}": Desk(str(2000 + 3 * number + index), queues, supervises=(sales,))
        for index, (name, queues) in enumerate(served.items())
    }


QUEUE = """\
[queues.{line}{n}]
name = "{line}"
ring_seconds = {ring:g}
wrap_up_seconds = 60
"""
STRAIGHT = "start: q\nnodes:\n  q:\n    queue: {line}{n}\n"
ONWARD = """\
start: menu
nodes:
  menu:
    menu: Sales, press 1. Support, press 2.
    choices:
      "1": {{name: group, next: to_group}}
    timeout: 20
    otherwise: to_group
  to_group:
    queue: group{n}
"""


FUNCTION = """\
result: {status: [ok, none]}
start: pin
nodes:
  pin: {collect: Your PIN., name: pin, digits: 4, secret: yes, timeout: 20, next: ok, otherwise: none}
  ok: {return: {status: ok}}
  none: {return: {status: none}}
"""


def offices(folder: Path, cells: Sequence[Cell]) -> Mapping[str, Any]:
    """Write what a daemon needs for calls of these cells; how its site is to be configured besides."""
    flows, more = folder / "flows", folder / "site" / "conf.d"
    flows.mkdir()
    more.mkdir(parents=True)
    sections, agents, numbers = [], {}, {}
    for n, cell in enumerate(cells):
        for line in ("sales", "group"):
            sections.append(QUEUE.format(line=line, n=n, ring=MISSED_SECONDS if cell.failure in MISSES else 60))
            (flows / f"{line}{n}.yaml").write_text(STRAIGHT.format(line=line, n=n))
            numbers[number_of(line, n)] = f"{line}{n}"
        (flows / f"onward{n}.yaml").write_text(ONWARD.format(n=n))
        agents |= agents_of(n)
    (flows / "pin.yaml").write_text(FUNCTION)
    (flows / "welcome.yaml").write_text(STRAIGHT.format(line="sales", n=0))
    (more / "queues.toml").write_text("\n".join(sections))
    return {"flows": flows, "agents": agents, "numbers": numbers}
