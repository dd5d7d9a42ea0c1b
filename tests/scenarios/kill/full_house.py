"""A call centre in which something of everything goes on at once: who is there, and how they get there.

::

    house = await full_house(centre, SMALL)
    before = await house.picture()
    await centre.kill()
    await centre.start_daemon()
    await centre.settles()
    assert differences(before, await house.picture()) == []

Each kind of agents serves a queue of its own, so that nobody is offered what another is there for.
"""

from __future__ import annotations

import math
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredList

from easycall.defer import start
from easycall.lab.site import Desk

from ..people import SOON, Agent, Caller, hears
from .centre import KillableCentre

__all__ = ["FULL", "SMALL", "House", "Sizes", "Talk", "all_of", "differences", "full_house", "site_of"]

T = TypeVar("T")

RING_SECONDS = 60
SAME_SECONDS = 0.1
"""Moments that are no farther apart are the same."""


@frozen
class Sizes:
    """How many there are of each."""

    waiting: int
    talking: int
    ringing: int
    menu: int
    held: int
    consulting: int
    captured: int
    """Lent to a flow that asks for something secret."""
    wrapping_up: int
    ready: int
    away: int
    """Not ready, for a reason; they serve the queue in which callers wait."""
    wrap_up_seconds: int
    """Longer than it takes to get there, and to be killed and started."""

    @property
    def answered(self) -> int:
        """How many calls are answered on the way."""
        return self.talking + self.held + self.consulting + self.captured + self.wrapping_up


SMALL = Sizes(3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 15)
FULL = Sizes(20, 20, 5, 5, 2, 2, 1, 3, 3, 2, 20)

NUMBERS = {"96001": "desk", "96002": "bell", "96003": "line", "96004": "menu", "96005": "spare"}
"""What is dialled -> the flow; the queues are called like the flows that lead into them."""
QUEUES = ("desk", "bell", "line", "spare")
DIAL = {flow: number for number, flow in NUMBERS.items()}

STRAIGHT = "start: q\nnodes:\n  q:\n    queue: {queue}\n"
MENU = """\
start: greeting
nodes:
  greeting: {say: Welcome., next: menu}
  menu:
    menu: To wait, press 1.
    choices:
      "1": {name: wait, next: wait}
    timeout: 25
    otherwise: wait
  wait:
    queue: line
"""
SECRET = """\
result: {status: [ok, none]}
start: pin
nodes:
  pin: {collect: Your PIN., name: pin, digits: 4, secret: yes, timeout: 25, next: ok, otherwise: none}
  ok: {return: {status: ok}}
  none: {return: {status: none}}
"""
QUEUE = """\
[queues.{queue}]
name = "{queue}"
ring_seconds = {ring}
wrap_up_seconds = {wrap_up}
"""


def site_of(folder: Path, sizes: Sizes) -> Mapping[str, Any]:
    """Write what the daemon of such a house needs; how its site is to be configured besides."""
    flows, more = folder / "flows", folder / "site" / "conf.d"
    flows.mkdir()
    more.mkdir(parents=True)
    for queue in QUEUES:
        (flows / f"{queue}.yaml").write_text(STRAIGHT.format(queue=queue))
    for name, text in (("menu", MENU), ("pin", SECRET), ("welcome", STRAIGHT.format(queue="line"))):
        (flows / f"{name}.yaml").write_text(text)
    sections = (QUEUE.format(queue=queue, ring=RING_SECONDS, wrap_up=sizes.wrap_up_seconds) for queue in QUEUES)
    (more / "queues.toml").write_text("\n".join(sections))
    return {"flows": flows, "numbers": NUMBERS, "agents": _desks(sizes)}


def _desks(sizes: Sizes) -> dict[str, Desk]:
    queues = [
        *["desk"] * sizes.answered,
        *["bell"] * sizes.ringing,
        *["spare"] * (sizes.consulting + sizes.ready),
        *["line"] * sizes.away,
    ]
    return {f"a{n:02}": Desk(str(2100 + n), (queue,)) for n, queue in enumerate(queues, 1)}


@frozen
class Talk:
    """A caller, and the agent who has the call."""

    caller: Caller
    agent: Agent


@frozen
class House:
    """Who is there, each in the place that the name says."""

    centre: KillableCentre
    waiting: list[Caller] = field(factory=list)
    """In the order in which they came."""
    talking: list[Talk] = field(factory=list)
    ringing: list[Agent] = field(factory=list)
    menu: list[Caller] = field(factory=list)
    held: list[Talk] = field(factory=list)
    consulting: list[tuple[Talk, Agent]] = field(factory=list)
    """With whom is asked."""
    captured: list[Talk] = field(factory=list)
    wrapping_up: list[Agent] = field(factory=list)
    ready: list[Agent] = field(factory=list)
    away: list[Agent] = field(factory=list)

    async def picture(self) -> dict[str, dict[str, Any]]:
        """What the API shows of every contact, agent and queue that waits."""
        shown = await self.centre.picture()
        return {
            **{f"contact {one['id']}": one for one in shown["contacts"]},
            **{f"agent {one['id']}": one for one in shown["agents"]},
            **{f"queue {one['id']}": {"line": _line(one)} for one in shown["queues"]},
        }

    async def asks(self, caller: Caller, verb: str, **what: Any) -> Any:
        """A verb of the API about a caller's contact."""
        return await self.centre.client.post(f"/api/v1/contacts/{await caller.contact()}/{verb}", **what)


def _line(queue: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(one["id"], one["enqueued"]) for one in queue["contacts"]]


def differences(before: Mapping[str, Any], now: Mapping[str, Any], but_for: Iterable[str] = ()) -> list[str]:
    """What is not as it was, in words; ``but_for``: of whom nothing is expected."""
    found = []
    for name in sorted((before.keys() | now.keys()) - set(but_for)):
        if name not in now or name not in before:
            found.append(f"{name} {'is not there any more' if name in before else 'was not there before'}")
            continue
        for key in before[name]:
            one, other = before[name][key], now[name][key]
            if not _same(one, other):
                found.append(f"{name}: {key} was {one!r} and is {other!r}")
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, abs_tol=SAME_SECONDS, rel_tol=0)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


async def all_of(works: Iterable[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
    """Do all this at the same time, to the end of each.  Raises AssertionError with everything that went wrong."""
    done = await DeferredList([start(work) for work in works], consumeErrors=True)
    if wrong := [f"{result.type.__name__}: {result.getErrorMessage()}" for well, result in done if not well]:
        raise AssertionError("\n".join(wrong))
    return [result for _, result in done]


# The way there


async def full_house(centre: KillableCentre, sizes: Sizes) -> House:
    """Everybody comes, and does what the sizes say."""
    house = House(centre)
    agents = [centre.agent(name, desk.phone) for name, desk in _desks(sizes).items()]
    await all_of(agent.logs_in() for agent in agents)
    crew = iter(agents)
    desk = [next(crew) for _ in range(sizes.answered)]
    bell = [next(crew) for _ in range(sizes.ringing)]
    asked = [next(crew) for _ in range(sizes.consulting)]
    house.ready.extend(next(crew) for _ in range(sizes.ready))
    house.away.extend(crew)
    await all_of(agent.becomes("ready") for agent in (*desk, *bell, *asked, *house.ready))
    await all_of(agent.becomes("not_ready", "lunch") for agent in house.away)
    talks = iter(await _answered(centre, desk))
    house.talking.extend(next(talks) for _ in range(sizes.talking))
    house.held.extend(next(talks) for _ in range(sizes.held))
    house.consulting.extend((next(talks), agent) for agent in asked)
    house.captured.extend(next(talks) for _ in range(sizes.captured))
    for talk in talks:
        talk.caller.hangs_up()
        house.wrapping_up.append(talk.agent)
    await all_of(house.asks(talk.caller, "hold") for talk in house.held)
    await all_of(_consults(house, talk, agent) for talk, agent in house.consulting)
    for caller in await _dial(centre, "bell", sizes.ringing):
        await caller.contact()
    house.ringing.extend(bell)
    await all_of(agent.rings() for agent in bell)
    for number in range(sizes.waiting):
        caller = await centre.caller(f"waiting {number}").dials(DIAL["line"])
        await caller.waits_in("line")
        house.waiting.append(caller)
    # Last, for they do not stay there for ever.
    await all_of(_is_captured(house, talk) for talk in house.captured)
    house.menu.extend(await _dial(centre, "menu", sizes.menu))
    await all_of(caller.reaches("menu") for caller in house.menu)
    await all_of(agent.is_("wrap_up") for agent in house.wrapping_up)
    return house


async def _dial(centre: KillableCentre, flow: str, number: int) -> list[Caller]:
    """So many callers, who speak all the time."""
    return [await centre.caller(f"{flow} {n}").dials(DIAL[flow], speaks=True) for n in range(number)]


async def _answered(centre: KillableCentre, agents: list[Agent]) -> list[Talk]:
    """As many calls as agents, each answered by one of them."""
    callers = {caller.number: caller for caller in await _dial(centre, "desk", len(agents))}
    calls = await all_of(agent.answers() for agent in agents)
    talks = [Talk(callers[call.caller], agent) for call, agent in zip(calls, agents, strict=True)]
    await all_of(agent.is_("talking") for agent in agents)
    return talks


async def _consults(house: House, talk: Talk, agent: Agent) -> None:
    await house.asks(talk.caller, "consult", agent=agent.name)
    await agent.answers()
    contact = await talk.caller.contact()
    await house.centre.feed.wait("consult.answered", SOON, contact=contact, to=agent.name)


async def _is_captured(house: House, talk: Talk) -> None:
    await house.asks(talk.caller, "lend", flow="pin")
    await talk.caller.reaches("pin")
    await hears(talk.caller, "speech")
    await talk.caller.leg.press("12")
