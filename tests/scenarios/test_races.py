"""What happens at the same time."""

from __future__ import annotations

from contextlib import suppress

import pytest

from easycall.defer import start
from easycall.lab.legs import NotSeen

from .callcentre import STRAIGHT, CallCentre, after
from .people import SOON, Agent

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
