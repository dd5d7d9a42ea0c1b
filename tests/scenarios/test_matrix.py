"""Every flow of call control × every step × whatever can happen there, on both PBXs, each cell proved by sound.

The table is :data:`FLOWS`; what must come of a failure says :func:`.matrix.expected`.  The cells of a group of flows share a daemon
and run side by side as calls of their own, each with its own queues and agents.  ``-s`` prints each line as it is done,
``--matrix FILE`` writes the whole table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import DeferredList

from easycall.client import Refused
from easycall.defer import start
from easycall.lab.site import Desk

from .callcentre import CallCentre, after
from .matrix import ON_A_LEG, At, Cell, Failure, Is, Place, Results, Step, cells, expected, possible
from .people import SOON, Agent, Caller, hears, talking

WIDTH = 8
"""How many calls at once."""
MISSES = (Failure.ONE_MISSES, Failure.TWO_MISSES)
MISSED_SECONDS = 2.0
"""How long a phone rings that is not answered."""
HAND_OVER_SECONDS = 2.2
"""An agent who is lost sooner after a customer was handed over did not hang up on the customer."""
STATES = {
    Is.READY: ("ready",),
    Is.NOT_READY: ("not_ready",),
    Is.RINGS: ("ringing",),
    Is.TALKS: ("talking", "held"),
    Is.WAITS: ("talking", "held"),
    Is.WRAPS_UP: ("wrap_up",),
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
        self.customer = centre.caller(f"customer{number}")
        self.rival: Caller | None = None
        self.one, self.two, self.three = (centre.agent(name, desk.phone) for name, desk in agents_of(number).items())
        self.place = cell.step.place
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
        *before, last = self.cell.steps
        for step in before:
            await self._take(step)
        if self.cell.failure is Failure.TWO_NOT_READY:
            self.place = before[-1].place
        else:
            await self._take(last)
        await self.prove(self.place)

    async def _take(self, step: Step) -> None:
        if step.asks_two:
            await self.two.becomes("ready")
        await step.do(self)

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

    async def _shows(self, agent: Agent, does: Is) -> None:
        async def shown() -> bool:
            return (await self.centre.client.get(f"/api/v1/agents/{agent.name}"))["state"] in STATES[does]

        await self.centre.until(shown, SOON, f"{agent.name} is {does}")

    async def settles(self) -> None:
        """Everybody is where they must be, and the call can go on from there."""
        place = self.cell.expected
        await self.prove(place)
        if place.customer is At.FLOW:
            await self.customer.presses("1")
            if place.one is Is.WAITS:
                await talking(self.customer, self.one)
                return
        if place.in_line or place.customer is At.FLOW:
            await self._is_next()

    async def _is_next(self) -> None:
        """Whoever is free next gets the customer, and not the rival."""
        await self.three.works()
        call = await self.three.answers()
        assert call.caller == self.customer.number, "another one came first"
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


async def presses_one(call: Call) -> None:
    await call.customer.reaches("menu")
    await call.customer.presses("1")


async def presses_one_to_group(call: Call) -> None:
    await presses_one(call)
    call.line = "group"
    await call.customer.waits_in(f"group{call.number}")


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
CANCEL = Step("cancel", verb("cancel"), Place(At.ONE, Is.TALKS, Is.WRAPS_UP))
RUNG_FOR = Place(At.MUSIC, Is.WRAPS_UP, Is.RINGS)
IN_LINE = Place(At.MUSIC, Is.WRAPS_UP)
HAS_IT = Step("agent 2 answers", two_answers, Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
LEND = Step("lend", verb("lend", flow="onward{n}"), Place(At.FLOW, Is.WAITS))
BACK = Place(At.ONE, Is.TALKS)

FLOWS = {
    "F1 queue": TALK,
    "P2 hold": (*TALK, HOLD, Step("retrieve", verb("retrieve"), BACK)),
    "F4 consult, complete": (*TALK, ASK, CONSULT, COMPLETE),
    "F4 consult, cancel": (*TALK, ASK, CONSULT, CANCEL),
    "F4 consult, cancel early": (*TALK, ASK, Step("cancel", verb("cancel"), Place(At.ONE, Is.TALKS, Is.READY))),
    "F4 consult, complete early": (*TALK, ASK, Step("complete", verb("complete"), RUNG_FOR), HAS_IT),
    "F4 consult from hold": (*TALK, HOLD, ASK),
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
        Step("chooses a queue", presses_one_to_group, IN_LINE),
    ),
    "F3 lend": (*TALK, LEND, Step("back", presses_one, BACK)),
    "F3 lend, taken back": (*TALK, LEND, Step("cancel", verb("cancel"), BACK)),
    "F3 lend from hold": (*TALK, HOLD, LEND),
}
"""Flow -> its steps."""
GROUPS = sorted({flow.partition(" ")[0] for flow in FLOWS})
"""Flows that share a daemon: those of one requirement."""
MATRIX = {group: [cell for cell in cells(FLOWS) if cell.flow.startswith(group)] for group in GROUPS}


# The site: for each cell queues, agents and numbers of its own


def number_of(line: str, number: int) -> str:
    """What is dialled to come into a queue of a cell."""
    return f"{'97' if line == 'sales' else '98'}{number:03}"


def agents_of(number: int) -> dict[str, Desk]:
    """Agent 1, agent 2, and the one who is free in the end."""
    sales, group = f"sales{number}", f"group{number}"
    served = {"ana": (sales,), "bo": (group,), "chen": (sales, group)}
    return {
        f"{name}{number}": Desk(str(2000 + 3 * number + index), queues)
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


@pytest.fixture
def offices(request: pytest.FixtureRequest, tmp_path: Path, group: str) -> None:
    """What the daemon of a group is configured with."""
    flows, more = tmp_path / "flows", tmp_path / "site" / "conf.d"
    flows.mkdir()
    more.mkdir(parents=True)
    sections, agents, numbers = [], {}, {}
    for n, cell in enumerate(MATRIX[group]):
        for line in ("sales", "group"):
            sections.append(QUEUE.format(line=line, n=n, ring=MISSED_SECONDS if cell.failure in MISSES else 60))
            (flows / f"{line}{n}.yaml").write_text(STRAIGHT.format(line=line, n=n))
            numbers[number_of(line, n)] = f"{line}{n}"
        (flows / f"onward{n}.yaml").write_text(ONWARD.format(n=n))
        agents |= agents_of(n)
    (flows / "welcome.yaml").write_text(STRAIGHT.format(line="sales", n=0))
    (more / "queues.toml").write_text("\n".join(sections))
    request.node.add_marker(pytest.mark.site(flows=flows, agents=agents, numbers=numbers))


# The matrix itself


def waves(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """So many at once."""
    for begin in range(0, len(calls), WIDTH):
        yield calls[begin : begin + WIDTH]


async def each(calls: Sequence[Call], do: Callable[[Call], Awaitable[None]]) -> None:
    """Of the calls in which nothing went wrong yet, side by side."""

    async def noting(call: Call) -> None:
        try:
            await do(call)
        except Exception as failure:
            call.wrong = f"{do.__name__}: {failure}"

    await DeferredList([start(noting(call)) for call in calls if not call.wrong])


async def happens_to_all(centre: CallCentre, calls: Sequence[Call]) -> None:
    """The failures of some calls: of each its own, or the link's, with everybody where they were while it is away."""
    await each(calls, Call.happens)
    if calls[0].cell.failure is not Failure.LINK:
        return
    since = centre.feed.heard[-1].get("seq", 0)
    await centre.ami.stop()
    await centre.feed.wait("pbx.down", SOON, since=since)
    await each(calls, lambda call: call.prove(call.place))
    await centre.ami.start()
    await centre.feed.wait("pbx.up", SOON, since=since)


@pytest.mark.requirement("F1")
@pytest.mark.requirement("F2")
@pytest.mark.requirement("F3")
@pytest.mark.requirement("F4")
@pytest.mark.requirement("F5")
@pytest.mark.fault("F09")
@pytest.mark.seconds(240)
@pytest.mark.parametrize("group", GROUPS)
async def test_whatever_happens_where(
    group: str, offices: None, centre: CallCentre, request: pytest.FixtureRequest, matrix: Results
) -> None:
    calls = [Call(centre, number, cell) for number, cell in enumerate(MATRIX[group])]
    cut = [call for call in calls if call.cell.failure is Failure.LINK]
    others = sorted((call for call in calls if call not in cut), key=lambda call: call.takes_its_time)
    for wave in chain(waves(others), waves(cut)):
        await each(wave, Call.arrange)
        await happens_to_all(centre, wave)
        await each(wave, Call.settles)
        await centre.invariants_hold()
        await each(wave, Call.ends)
        for call in wave:
            line = matrix.take(request.node.callspec.params["pbx"], call.cell, call.wrong or "ok")
            print(line)  # noqa: T201
    assert not [f"{call.number}: {call.cell.step.name}, {call.cell.failure}: {call.wrong}" for call in calls if call.wrong]


@pytest.mark.parametrize("failure", Failure)
def test_nothing_costs_the_customer_the_call(failure: Failure) -> None:
    """Of what is expected: only the customer, the API, and the agent who has the customer end a contact."""
    for step in chain.from_iterable(FLOWS.values()):
        if not possible(step, failure):
            continue
        place = expected(step.place, failure)
        if place.customer is At.GONE:
            assert place.ended_by in ("caller", "api", "agent")
        else:
            has_it = place.customer is At.FLOW or {place.one, place.two} & {*ON_A_LEG, Is.RINGS}
            assert has_it or place.in_line
