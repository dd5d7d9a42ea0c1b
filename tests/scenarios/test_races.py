"""What happens at the same time, and what happens while the AMI link is away."""

from __future__ import annotations

from contextlib import suppress

import pytest

from easycall.defer import start
from easycall.lab.legs import NotSeen

from .callcentre import STRAIGHT, CallCentre, after
from .people import SOON, Agent, hears, segments, talking

ROUNDS = 50


async def answers_in_time_or_not(agent: Agent) -> None:
    with suppress(NotSeen):
        await agent.answers()


@pytest.mark.fault("F56")
@pytest.mark.seconds(120)
@pytest.mark.site(wrap_up_seconds=0.1)
async def test_both_hang_up_at_once(centre: CallCentre) -> None:
    """One record each, the agent in wrap-up once."""
    chen = await centre.agent("chen").works()
    for _ in range(ROUNDS):
        carl = await centre.caller().dials(STRAIGHT)
        await chen.answers()
        contact = await carl.contact()
        await centre.feed.wait("talk.started", SOON, contact=contact)
        carl.hangs_up()
        chen.hangs_up()
        record = await carl.record()
        await chen.is_released(1.0)
        assert record["outcome"] == "answered"
        assert record["ended_by"] in ("caller", "agent")
        await chen.is_("ready")
        steps = [one for one in centre.feed.heard if one.get("contact") == contact]
        assert [one["state"] for one in steps if one["kind"] == "agent.changed"].count("wrap_up") == 1
        assert [one["kind"] for one in steps].count("talk.ended") == 1


@pytest.mark.fault("F57")
@pytest.mark.seconds(120)
@pytest.mark.site(wrap_up_seconds=0)
async def test_the_caller_leaves_in_the_moment_the_agent_answers(centre: CallCentre) -> None:
    """No silent leg is left, and the agent is free again."""
    chen = await centre.agent("chen").works()
    outcomes = []
    for round_ in range(ROUNDS):
        carl = await centre.caller().dials(STRAIGHT)
        await chen.rings()
        answering = start(answers_in_time_or_not(chen))
        await after(centre.reactor, round_ / 1000)
        carl.hangs_up()
        await chen.is_released(1.0)
        await answering
        record = await carl.record()
        outcomes.append(record["outcome"])
        assert record["ended_by"] == "caller"
        await chen.is_("ready")
    assert set(outcomes) <= {"answered", "abandoned"}


@pytest.mark.fault("F58")
@pytest.mark.seconds(60)
async def test_the_caller_leaves_right_after_the_offer(centre: CallCentre) -> None:
    """Asterisk may not know the leg yet that is to be hung up: no phone rings on."""
    chen = await centre.agent("chen").works()
    for round_ in range(20):
        carl = await centre.caller().dials(STRAIGHT)
        await centre.feed.wait("offer.made", SOON, contact=await carl.contact())
        await after(centre.reactor, round_ / 1000)
        carl.hangs_up()
        assert (await carl.record())["outcome"] == "abandoned"

        async def silent() -> bool:
            return not await centre.channels()

        await centre.until(silent, 1.0, "no phone rings")
        await chen.is_("ready")


@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.2)
async def test_the_ami_link_is_cut_with_calls_waiting_and_talking(centre: CallCentre) -> None:
    """reliability F03, F06: nobody is lost, the order is kept, who talks talks on."""
    chen = await centre.agent("chen").works()
    first = await centre.caller("first").dials(STRAIGHT)
    await chen.answers()
    await talking(first, chen)
    waiting = []
    for _ in range(3):
        caller = await centre.caller().dials(STRAIGHT)
        await caller.waits_in("support")
        waiting.append(caller)

    cut = start(centre.ami.cut(3.0))
    await centre.feed.wait("pbx.down", 1.0)
    await talking(first, chen)
    late = await centre.caller("late").dials(STRAIGHT)
    await late.waits_in("support")
    await hears(waiting[0], "music")
    await cut
    await centre.feed.wait("pbx.up", SOON)

    chen.hangs_up()
    for caller in [*waiting, late]:
        call = await chen.answers()
        assert call.caller == caller.number
        await talking(caller, chen)
        chen.hangs_up()
        record = await caller.record()
        assert (record["outcome"], record["ended_by"]) == ("answered", "agent")


@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.2, ring_seconds=10)
async def test_the_agent_answers_while_the_ami_link_is_cut(centre: CallCentre) -> None:
    """reliability F06: the agent's leg comes home over FastAGI, hears music, and is joined when the link is back."""
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.rings()
    await chen.is_("ringing")
    cut = start(centre.ami.cut(2.0))
    await centre.feed.wait("pbx.down", 1.0)
    await chen.answers()
    await hears(chen, "music", SOON)
    await cut
    await centre.feed.wait("talk.started", SOON, contact=await carl.contact())
    await talking(carl, chen)
    chen.hangs_up()
    assert segments(await carl.record())[-3:] == ["offer(chen, answered)", "talk", "closing"]


@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.2, ring_seconds=10)
async def test_the_caller_leaves_while_the_ami_link_is_cut(centre: CallCentre) -> None:
    """reliability F07: waiting or being offered, the caller's end is noticed without AMI, and the agent's leg goes."""
    chen = await centre.agent("chen").works()
    offered = await centre.caller("offered").dials(STRAIGHT)
    await chen.rings()
    waiting = await centre.caller("waiting").dials(STRAIGHT)
    await waiting.waits_in("support")
    cut = start(centre.ami.cut(3.0))
    await centre.feed.wait("pbx.down", 1.0)
    for caller in (offered, waiting):
        caller.hangs_up()
        record = await caller.record(2.5)
        assert record["outcome"] == "abandoned"
    await cut
    await chen.is_released()
    await chen.is_("ready")


@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=2)
async def test_both_hang_up_while_the_ami_link_is_cut(centre: CallCentre) -> None:
    """reliability F08: the contact is closed when the link is back, and the agent wraps up."""
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    cut = start(centre.ami.cut(2.0))
    await centre.feed.wait("pbx.down", 1.0)
    carl.hangs_up()
    chen.hangs_up()
    await cut
    record = await carl.record()
    assert record["outcome"] == "answered"
    await centre.feed.wait("agent.changed", SOON, agent="chen", state="wrap_up")
    centre.corrected = True
