"""One daemon and two Asterisks: one line for the callers of both, and one that dies takes only its own with it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.client import Refused
from easycall.lab.layout import State
from easycall.lab.site import NO_PAYMENTS

from .callcentre import STRAIGHT, CallCentre
from .conftest import LABS
from .ground import up
from .people import SOON, Agent, Caller, hears, talking
from .second import NAME, RealBox, SecondBox, beside

TOLD = 10.0
"""Seconds within which the daemon's picture is right after any fault (P5)."""
NOTICED = 8.0
"""A silent link is noticed within 6 s (P4), and told."""
RED = 15.0
"""Seconds within which ``/readyz`` tells that our context is gone (reliability F31)."""
TOLD_AT_ONCE = 2.0
"""The same of what Asterisk itself tells."""
STARTS = 30.0
"""Seconds an Asterisk may take to start on a busy machine, and the daemon to come back to it."""


CALLED_BACK = """
[queues.support.callback]
of = ["outage"]
after_seconds = 3600
"""
"""Who waited on an Asterisk that dies, though not within the time of a test."""


@pytest_twisted.async_yield_fixture
async def both(
    request: pytest.FixtureRequest, pbx: State | Path, tmp_path: Path
) -> AsyncIterator[tuple[CallCentre, SecondBox]]:
    """A call centre on two Asterisks."""
    async with up(pbx) as (state, worlds):
        centre = CallCentre(state, worlds, tmp_path / "site", reactor)
        async with beside(pbx, LABS, centre.story.tell) as other:
            other.configure(centre.folder)
            await centre.open(noise=not isinstance(pbx, State), wrap_up_seconds=0.5, more=NO_PAYMENTS + CALLED_BACK)
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


async def is_missed(centre: CallCentre) -> bool:
    """Nothing is wrong but that there is no link to the second one."""
    return await missing(centre) == [f"no link to Asterisk '{NAME}'"]


async def missing(centre: CallCentre) -> list[str]:
    """Why the daemon is not ready."""
    try:
        answer = await centre.client.get("/readyz")
    except Refused as refusal:
        answer = refusal.problem
    return [str(reason) for reason in answer["reasons"]]


async def green(centre: CallCentre) -> bool:
    """Whether it is."""
    return not await missing(centre)


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
    asked = await centre.feed.wait("callback.asked", SOON, number=waits_there.number)
    assert (asked["source"], asked["queue"], asked["contact"]) == ("outage", "support", await waits_there.contact())
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
    [one] = (await centre.client.get("/api/v1/callbacks"))["callbacks"]  # nobody who talked is called back
    assert one["number"] == waits_there.number
    again.hangs_up()
    waits_here.hangs_up()
    assert (await again.record())["outcome"] == "answered"


@pytest.mark.fault("F25")
@pytest.mark.seconds(120)
async def test_one_that_is_told_to_end_takes_only_its_own_with_it(both: tuple[CallCentre, SecondBox]) -> None:
    """SIGTERM: Asterisk hangs up everybody first, and may take its time to end."""
    centre, other = both
    centre.corrected = True
    ana = await centre.agent("ana").works("support")
    ana_there = at(other, ana)
    talks_there = await dials_at(other, centre.caller("there"))
    await ana_there.answers()
    await talking(talks_there, ana_there)
    waits_here = await centre.caller("here").dials(STRAIGHT)
    await waits_here.waits_in("support")

    await other.dies(signal.SIGTERM)
    assert (await talks_there.record(STARTS))["agent"] == "ana"
    await ana.answers(TOLD)
    await talking(waits_here, ana)
    await centre.feed.wait("pbx.down", STARTS, pbx=NAME)
    await talking(waits_here, ana)
    waits_here.hangs_up()


@pytest.mark.fault("F27")
@pytest.mark.seconds(120)
@pytest.mark.only("asterisk", "a simulated one in this process would stand still with the test")
async def test_one_that_hangs_is_noticed_and_goes_on_where_it_was(both: tuple[CallCentre, SecondBox]) -> None:
    """SIGSTOP for longer than the daemon waits for it: nobody is lost, and nothing is done twice."""
    centre, other = both
    centre.corrected = True
    assert isinstance(other, RealBox)
    ana = await centre.agent("ana").works("support")
    ana_there = at(other, ana)
    talks_there = await dials_at(other, centre.caller("there"))
    await ana_there.answers()
    await talking(talks_there, ana_there)
    waits_there = await dials_at(other, centre.caller("waits there"))
    await waits_there.waits_in("support")
    before = await line(centre)

    other.hangs()
    await centre.feed.wait("pbx.down", NOTICED, pbx=NAME)
    [reason] = await missing(centre)
    assert NAME in reason
    other.goes_on()
    await centre.feed.wait("pbx.up", STARTS, pbx=NAME)
    assert await line(centre) == before
    await talking(talks_there, ana_there)
    await hears(waits_there, "music")
    talks_there.hangs_up()
    await ana_there.answers(TOLD)
    await talking(waits_there, ana_there)
    waits_there.hangs_up()
    assert [one["outcome"] for one in (await waits_there.record())["segments"] if one["kind"] == "offer"] == ["answered"]


@pytest.mark.fault("F31")
@pytest.mark.seconds(120)
async def test_one_whose_dialplan_has_lost_our_context(both: tuple[CallCentre, SecondBox]) -> None:
    """It is told with place and remedy, nobody is blamed for it, and the next caller elsewhere is served meanwhile."""
    centre, other = both
    waits_there = await dials_at(other, centre.caller("waits there"))
    await waits_there.waits_in("support")
    assert await missing(centre) == []

    await other.loses_dialplan()
    await centre.until(lambda: missing(centre), RED, "/readyz is red")
    [reason] = await missing(centre)
    assert reason.startswith(f"Asterisk '{NAME}': extensions.conf: [easycall]: there is no such context")
    assert reason.endswith("dialplan reload")
    await hears(waits_there, "music")
    chen = await centre.agent("chen").works()
    talks_here = await centre.caller("here").dials(STRAIGHT)
    await chen.answers()
    await talking(talks_here, chen)
    assert [reason] == await missing(centre)

    await other.has_dialplan()
    await centre.until(lambda: green(centre), TOLD_AT_ONCE, "/readyz is green")
    chen_there = at(other, chen)
    talks_here.hangs_up()
    await chen_there.answers(TOLD)
    await talking(waits_there, chen_there)
    waits_there.hangs_up()
    assert (await waits_there.record())["outcome"] == "answered"


async def is_refused(other: SecondBox, number: str) -> None:
    """A call that comes in there is not taken."""
    leg = await other.world.dial(STRAIGHT, number)
    await leg.ended(SOON)
    assert not leg.is_up


async def shuts_down_with_calls(centre: CallCentre, other: SecondBox) -> tuple[Agent, Agent, Caller, Caller]:
    """The second one is told to, while one caller talks and one waits there.

    Ana, Ana at her phone there, the one she talks with, and the one who waits.
    """
    ana = await centre.agent("ana").works("support")
    ana_there = at(other, ana)
    talks_there = await dials_at(other, centre.caller("there"))
    await ana_there.answers()
    await talking(talks_there, ana_there)
    waits_there = await dials_at(other, centre.caller("waits there"))
    await waits_there.waits_in("support")
    await other.shuts_down()
    await centre.feed.wait("pbx.down", SOON, pbx=NAME)
    return ana, ana_there, talks_there, waits_there


@pytest.mark.fault("F26")
@pytest.mark.seconds(120)
async def test_one_that_shuts_down_and_goes_on_after_all(both: tuple[CallCentre, SecondBox]) -> None:
    """Asterisk makes no channel any more, not an agent's either: who waits there keeps the place, and nobody is blamed."""
    centre, other = both
    ana, ana_there, talks_there, waits_there = await shuts_down_with_calls(centre, other)
    [reason] = await missing(centre)
    assert reason.startswith(f"Asterisk '{NAME}': it shuts down")
    await is_refused(other, "+4930199")
    await talking(talks_there, ana_there)
    await hears(waits_there, "music")
    talks_there.hangs_up()
    await ana.becomes("ready")  # its end was told
    here = await centre.caller("here").dials(STRAIGHT)
    await ana.answers()
    await talking(here, ana)
    here.hangs_up()
    await ana.becomes("ready")
    await hears(waits_there, "music")

    await other.goes_on_after_all()
    await centre.feed.wait("pbx.up", SOON, pbx=NAME)
    await ana_there.answers()
    await talking(waits_there, ana_there)
    assert await missing(centre) == []
    waits_there.hangs_up()
    record = await waits_there.record()
    assert [one["outcome"] for one in record["segments"] if one["kind"] == "offer"] == ["answered"]


@pytest.mark.fault("F26")
@pytest.mark.seconds(120)
async def test_one_that_shuts_down_ends_with_its_last_call(both: tuple[CallCentre, SecondBox]) -> None:
    centre, other = both
    _, ana_there, talks_there, waits_there = await shuts_down_with_calls(centre, other)
    waits_there.hangs_up()
    assert (await waits_there.record())["outcome"] == "abandoned"
    assert other.runs
    ana_there.hangs_up()
    record = await talks_there.record()
    assert (record["outcome"], record["ended_by"], record["end_estimated"]) == ("answered", "agent", False)
    await centre.until(lambda: ended(other), TOLD, "it has ended")
    await centre.until(lambda: is_missed(centre), SOON, "there is no link to it")


@pytest.mark.fault("F26")
@pytest.mark.seconds(120)
@pytest.mark.only("asterisk", "until its last call is over nothing is different, and a simulated one just stops then")
async def test_one_that_is_to_end_when_convenient_serves_who_waits(both: tuple[CallCentre, SecondBox]) -> None:
    centre, other = both
    assert isinstance(other, RealBox)
    waits_there = await dials_at(other, centre.caller("waits there"))
    await waits_there.waits_in("support")
    await other.shuts_down("when convenient")
    ana = await centre.agent("ana").works("support")
    ana_there = at(other, ana)
    await ana_there.answers()
    await talking(waits_there, ana_there)
    assert other.runs
    waits_there.hangs_up()
    assert (await waits_there.record())["outcome"] == "answered"
    await centre.until(lambda: ended(other), TOLD, "it has ended")


async def ended(other: SecondBox) -> bool:
    """Whether it has."""
    return not other.runs
