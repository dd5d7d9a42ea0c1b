"""One daemon and two Asterisks: one line for the callers of both, and one that dies takes only its own with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.client import Refused
from easycall.lab.layout import State

from .callcentre import STRAIGHT, CallCentre
from .conftest import LABS
from .ground import up
from .people import SOON, Agent, Caller, hears, talking
from .second import NAME, SecondBox, beside

TOLD = 10.0
"""Seconds within which the daemon's picture is right after any fault (P5)."""
STARTS = 30.0
"""Seconds an Asterisk may take to start on a busy machine, and the daemon to come back to it."""


@pytest_twisted.async_yield_fixture
async def both(
    request: pytest.FixtureRequest, pbx: State | Path, tmp_path: Path
) -> AsyncIterator[tuple[CallCentre, SecondBox]]:
    """A call centre on two Asterisks."""
    async with up(pbx) as (state, worlds):
        centre = CallCentre(state, worlds, tmp_path / "site", reactor)
        async with beside(pbx, LABS, centre.story.tell) as other:
            other.configure(centre.folder)
            await centre.open(noise=not isinstance(pbx, State), wrap_up_seconds=0.5)
            yield centre, other
            if getattr(request.node, "failed", True):
                print(centre.so_far())  # noqa: T201
                await centre.abandon()
                return
            await centre.close()


async def dials_at(other: SecondBox, caller: Caller) -> Caller:
    """A call comes in at the other Asterisk."""
    caller.tell(f"dials {STRAIGHT} at the other Asterisk")
    caller._leg = await other.world.dial(STRAIGHT, caller.number)
    return caller


def at(other: SecondBox, agent: Agent) -> Agent:
    """The agent at the same phone, as it is rung from the other Asterisk."""
    there = Agent(agent.centre, agent.name, agent.number)
    there.phone = other.world.phone(agent.number)
    return there


async def line(centre: CallCentre) -> list[str]:
    """Who waits for support."""
    queues = (await centre.client.get("/api/v1/queues"))["queues"]
    return [one["id"] for queue in queues if queue["id"] == "support" for one in queue["contacts"]]


async def missing(centre: CallCentre) -> list[str]:
    """Why the daemon is not ready."""
    try:
        answer = await centre.client.get("/readyz")
    except Refused as refusal:
        return [str(refusal)]
    return [str(reason) for reason in answer["reasons"]]


@pytest.mark.fault("F23", "F30")
@pytest.mark.seconds(120)
async def test_one_of_two_dies_and_comes_back(both: tuple[CallCentre, SecondBox]) -> None:
    centre, other = both
    centre.corrected = True
    ana = await centre.agent("ana").works("support")
    ana_there, chen_there = at(other, ana), at(other, centre.agent("chen"))
    talks_there = await dials_at(other, centre.caller("there"))
    await ana_there.answers()  # where the caller is
    await talking(talks_there, ana_there)
    chen = await centre.agent("chen").works()
    talks_here = await centre.caller("here").dials(STRAIGHT)
    await chen.answers()
    await talking(talks_here, chen)
    waits_there = await dials_at(other, centre.caller("waits there"))
    await waits_there.waits_in("support")
    waits_here = await centre.caller("waits here").dials(STRAIGHT)
    await waits_here.waits_in("support")
    assert await line(centre) == [await waits_there.contact(), await waits_here.contact()]
    assert await missing(centre) == []

    await other.dies()
    await centre.feed.wait("pbx.down", SOON, pbx=NAME)
    [reason] = await missing(centre)
    assert NAME in reason
    await talking(talks_here, chen)
    await hears(waits_here, "music")
    assert (await waits_there.record(TOLD))["outcome"] == "abandoned"
    assert await line(centre) == [await waits_here.contact()]
    record = await talks_there.record(TOLD)
    assert (record["outcome"], record["ended_by"], record["agent"]) == ("answered", "system", "ana")
    await ana.answers(TOLD)  # is released, and rung where the next caller is
    await talking(waits_here, ana)
    await talking(talks_here, chen)

    await other.returns()
    await centre.feed.wait("pbx.up", STARTS, pbx=NAME)
    assert await missing(centre) == []
    await other.world_returns()
    chen_there.phone = other.world.phone(chen_there.number)
    talks_here.hangs_up()
    again = await dials_at(other, centre.caller("again"))
    await chen_there.answers(TOLD)
    await talking(again, chen_there)
    await talking(waits_here, ana)
    again.hangs_up()
    waits_here.hangs_up()
    assert (await again.record())["outcome"] == "answered"
