"""The AMI link is cut in the middle of call control: rows F03 to F09 of the table of faults.

Nobody loses a call by it: FastAGI goes on, who talks talks on, and what was under way is looked up when the link is back.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from easycall.lab.legs import NotSeen

from .callcentre import STRAIGHT, CallCentre
from .people import SOON, Agent, Caller, hears, segments, talking

AT_ONCE = 1.0
"""Seconds from the log-in within which what had to wait for the link is done."""


async def agent_legs(centre: CallCentre) -> list[str]:
    """The legs of agents that the PBX shows."""
    return [one["Uniqueid"] for one in await centre.channels() if one["Uniqueid"].startswith("ec-")]


async def down(centre: CallCentre) -> Mapping[str, Any]:
    """The daemon notices that the link is gone."""
    return await centre.feed.wait("pbx.down", SOON)


async def back(centre: CallCentre) -> float:
    """The link is back; the moment."""
    return float((await centre.feed.wait("pbx.up", SOON, since=(await down(centre))["seq"]))["at"])


async def told(caller: Caller, kind: str, **facts: Any) -> float:
    """Something happens to a caller's contact; the moment."""
    return float((await caller.centre.feed.wait(kind, SOON, contact=await caller.contact(), **facts))["at"])


async def talk_and_part(carl: Caller, chen: Agent) -> None:
    """They talk on one leg, and part in good order."""
    await talking(carl, chen)
    assert len(await agent_legs(carl.centre)) == 1
    chen.hangs_up()
    record = await carl.record()
    assert (record["outcome"], record["ended_by"], record["end_estimated"]) == ("answered", "agent", False)


# While an agent is rung


@pytest.mark.fault("F04")
@pytest.mark.site(ring_seconds=10)
async def test_an_originate_that_did_not_arrive(centre: CallCentre) -> None:
    """The agent is offered the call again once the link is back, and is rung once."""
    centre.corrected = True
    carl = await centre.caller("carl").dials(STRAIGHT)
    await carl.waits_in("support")
    centre.ami.to_server.cut_at(b"Action: Originate")
    chen = await centre.agent("chen").works()
    await back(centre)
    await chen.rings()
    assert len(await agent_legs(centre)) == 1
    await chen.answers()
    await talk_and_part(carl, chen)
    assert [one for one in segments(await carl.record()) if one.startswith("offer")] == [
        "offer(chen, lost)",
        "offer(chen, answered)",
    ]


@pytest.mark.fault("F04")
@pytest.mark.site(ring_seconds=10)
async def test_an_originate_whose_response_did_not_arrive(centre: CallCentre) -> None:
    """The leg is found by its id when the link is back, and is not made a second time."""
    carl = await centre.caller("carl").dials(STRAIGHT)
    await carl.waits_in("support")
    centre.ami.to_client.hold()
    chen = await centre.agent("chen").works()
    await chen.rings()
    centre.ami.reset()
    centre.ami.mend()
    await back(centre)
    await chen.is_("ringing")
    assert len(await agent_legs(centre)) == 1
    await chen.answers()
    await talk_and_part(carl, chen)
    assert segments(await carl.record())[-3:] == ["offer(chen, answered)", "talk", "closing"]


@pytest.mark.fault("F05")
@pytest.mark.site(ring_seconds=10)
async def test_an_answer_whose_originate_response_did_not_arrive(centre: CallCentre) -> None:
    """The answer comes home over FastAGI, and the two are joined when the link is back."""
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.rings()
    centre.ami.to_client.cut_at(b"Event: OriginateResponse")
    await chen.answers()
    assert await told(carl, "talk.started") - await back(centre) <= AT_ONCE
    await talk_and_part(carl, chen)
    assert segments(await carl.record())[-3:] == ["offer(chen, answered)", "talk", "closing"]


@pytest.mark.fault("F06")
@pytest.mark.site(ring_seconds=10)
async def test_the_agent_answers_meanwhile(centre: CallCentre) -> None:
    """The agent's leg comes home over FastAGI, hears music, and is joined when the link is back."""
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.rings()
    await chen.is_("ringing")
    await centre.ami.stop()
    await down(centre)
    await chen.answers()
    await hears(chen, "music")
    await hears(carl, "music")
    await centre.ami.start()
    assert await told(carl, "talk.started") - await back(centre) <= AT_ONCE
    await talk_and_part(carl, chen)
    assert segments(await carl.record())[-3:] == ["offer(chen, answered)", "talk", "closing"]


@pytest.mark.fault("F07")
@pytest.mark.site(ring_seconds=10)
@pytest.mark.parametrize("answers", [False, True], ids=["the-phone-rings-on", "the-agent-answers"])
async def test_the_caller_leaves_meanwhile(centre: CallCentre, answers: bool) -> None:
    """Offered or waiting: the end is noticed without AMI.  Who answers then is released at once, who does not by AMI."""
    centre.corrected = answers
    chen = await centre.agent("chen").works()
    offered = await centre.caller("offered").dials(STRAIGHT)
    await chen.rings()
    waiting = await centre.caller("waiting").dials(STRAIGHT)
    await waiting.waits_in("support")
    await centre.ami.stop()
    await down(centre)
    for caller in (offered, waiting):
        left = centre.reactor.seconds()
        caller.hangs_up()
        record = await caller.record(2.5)
        assert record["outcome"] == "abandoned"
        assert abs(record["ended"] - left) <= 1.0 + AT_ONCE  # without a word it is sure after a second
    if answers:
        with suppress(NotSeen):  # it is hung up before the phone has said anything
            await chen.answers()
        await chen.is_released(AT_ONCE)
    await centre.ami.start()
    await back(centre)
    await chen.is_released()
    await chen.is_("ready")


# While they talk


@pytest.mark.fault("F08")
@pytest.mark.site(wrap_up_seconds=30)
@pytest.mark.parametrize("who", ["both", "the customer", "the agent"])
async def test_they_hang_up_meanwhile(centre: CallCentre, who: str) -> None:
    """The contact is closed when the link is back at the latest, with an end that says when it is a guess."""
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    await told(carl, "talk.started")
    away = centre.reactor.seconds()
    await centre.ami.stop()
    await down(centre)
    if who != "the agent":
        carl.hangs_up()
        await carl.is_released()
    if who != "the customer":
        chen.hangs_up()
        await chen.is_released()
    await centre.ami.start()
    up = await back(centre)
    record = await carl.record()
    await carl.is_released()
    await chen.is_released()
    assert away <= record["ended"] <= up + AT_ONCE
    wraps_up = await centre.feed.wait("agent.changed", SOON, agent="chen", state="wrap_up")
    assert wraps_up["at"] <= up + AT_ONCE
    assert record["outcome"] == "answered"
    if who == "the agent":
        assert record["ended_by"] == "agent"  # and the customer was hung up at home, where we see it go
    else:
        assert record["end_estimated"]
    centre.corrected = True


@pytest.mark.seconds(60)
@pytest.mark.fault("F03", "F06")
@pytest.mark.site(wrap_up_seconds=0.2)
async def test_with_calls_waiting_and_talking(centre: CallCentre) -> None:
    """Nobody is lost, the order is kept, who talks talks on."""
    chen = await centre.agent("chen").works()
    first = await centre.caller("first").dials(STRAIGHT)
    await chen.answers()
    await talking(first, chen)
    waiting = []
    for _ in range(3):
        caller = await centre.caller().dials(STRAIGHT)
        await caller.waits_in("support")
        waiting.append(caller)
    await centre.ami.stop()
    await down(centre)
    await talking(first, chen)
    late = await centre.caller("late").dials(STRAIGHT)
    await late.waits_in("support")
    await hears(waiting[0], "music")
    await centre.ami.start()
    await back(centre)
    chen.hangs_up()
    for caller in [*waiting, late]:
        call = await chen.answers()
        assert call.caller == caller.number
        await talking(caller, chen)
        chen.hangs_up()
        record = await caller.record()
        assert (record["outcome"], record["ended_by"]) == ("answered", "agent")


# While an agent asks (every other verb: test_matrix.py)


@pytest.mark.fault("F04", "F09")
async def test_the_originate_of_a_question_is_lost(centre: CallCentre) -> None:
    """The one who asks is told, and keeps the customer; nobody's phone rings."""
    centre.corrected = True
    bo = await centre.agent("bo").works()
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await told(carl, "talk.started")
    contact = await carl.contact()
    await centre.client.post(f"/api/v1/contacts/{contact}/hold")
    centre.ami.to_server.cut_at(b"Action: Originate")
    await centre.client.post(f"/api/v1/contacts/{contact}/consult", agent="bo")
    await told(carl, "consult.ended", outcome="lost")
    await bo.is_("ready")
    await hears(carl, "music")
    await centre.client.post(f"/api/v1/contacts/{contact}/retrieve")
    await talk_and_part(carl, chen)
