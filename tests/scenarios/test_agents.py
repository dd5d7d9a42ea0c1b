"""The life of agents: who misses a call, and who is logged off in the middle of one."""

from __future__ import annotations

from typing import Any

import pytest

from .callcentre import STRAIGHT, CallCentre
from .people import SOON, segments, talking

RING = 2.0


async def line(centre: CallCentre, queue: str) -> list[str]:
    """Who waits in a queue, first in line first."""
    queues = (await centre.client.get("/api/v1/queues"))["queues"]
    return [one["id"] for found in queues if found["id"] == queue for one in found["contacts"]]


@pytest.mark.fault("F54")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1, ring_seconds=RING)
async def test_an_agent_who_does_not_answer_is_not_ready_and_the_caller_keeps_the_first_place(centre: CallCentre) -> None:
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.rings()
    dora = await centre.caller("dora").dials(STRAIGHT)
    await dora.waits_in("support")
    await chen.is_released(RING + 1.0)
    contact = await carl.contact()
    rang = await centre.feed.wait("screen.pop", SOON, contact=contact, agent="chen")
    ended = await centre.feed.wait("offer.ended", SOON, contact=contact, outcome="no_answer")
    assert abs(ended["at"] - rang["at"] - RING) <= 0.3
    await chen.is_("not_ready", reason="missed")
    told = await centre.feed.wait("agent.changed", SOON, agent="chen", reason="missed")
    banner = (await centre.client.get("/api/v1/agents/chen"))["missed"]
    assert banner["contact"] == told["missed"]["contact"] == contact
    assert await line(centre, "support") == [contact, await dora.contact()]

    ana = await centre.agent("ana").works("support")
    await ana.answers()
    await talking(carl, ana)
    await chen.becomes("ready")
    assert (await centre.client.get("/api/v1/agents/chen"))["missed"] is None
    await chen.answers()
    await talking(dora, chen)
    for caller in (carl, dora):
        caller.hangs_up()
    assert segments(await carl.record())[-5:] == [
        "offer(chen, no_answer)",
        "waiting",
        "offer(ana, answered)",
        "talk",
        "closing",
    ]
    await dora.record()


@pytest.mark.fault("F64")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=0.1)
async def test_who_is_logged_off_during_a_call_is_so_after_it(centre: CallCentre) -> None:
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    shown: Any = await centre.client.post("/api/v1/agents/chen/logout")
    assert (shown["state"], shown["next"]) == ("talking", "offline")
    told = await centre.feed.wait("agent.changed", SOON, agent="chen", next="offline")
    assert (told["state"], told["by"]) == ("talking", "lab")
    await talking(carl, chen)
    dora = await centre.caller("dora").dials(STRAIGHT)
    await dora.waits_in("support")
    carl.hangs_up()
    await chen.is_("offline")
    record = await carl.record()
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    assert await line(centre, "support") == [await dora.contact()]
    dora.hangs_up()
    assert (await dora.record())["outcome"] == "abandoned"


@pytest.mark.requirement("B4")
@pytest.mark.seconds(60)
@pytest.mark.site(wrap_up_seconds=60)
async def test_the_api_says_why_a_caller_waits_while_the_agent_wraps_up(centre: CallCentre) -> None:
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    carl.hangs_up()
    await chen.is_("wrap_up")
    dora = await centre.caller("dora").dials(STRAIGHT)
    await dora.waits_in("support")
    contact = await dora.contact()
    waits = (await centre.client.get(f"/api/v1/contacts/{contact}/why"))["waits"]
    [why] = next(one["why"] for one in waits["agents"] if one["id"] == "chen")
    assert why["words"].startswith("wrap up until ")
    assert why["until"] == (await centre.client.get("/api/v1/agents/chen"))["until"]
    about = await centre.client.get("/api/v1/agents/chen/why")
    assert [(one["id"], one["why"]) for one in about["items"]] == [(contact, [why])]

    await chen.becomes("ready")
    await chen.answers()
    await talking(dora, chen)
    dora.hangs_up()
    told = await centre.client.get(f"/api/v1/contacts/{contact}/why")
    assert (told["waits"], [one["agent"] for one in told["decisions"]]) == (None, ["chen"])
    await dora.record()
