"""Agents' phones that have a device of their own: private calls, plugs that are pulled, and phones that die in talk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from easycall.asterisk.ami import Action
from easycall.asterisk.link import ActionRefused

from .callcentre import STRAIGHT, CallCentre
from .people import SOON, Agent, hears, offers, segments, talking

DESKS = {"dial": "PJSIP/{phone}", "wrap_up_seconds": 0.2}
"""Phones are dialled by an endpoint of their own."""
FIRST_NEWS = 8.0
"""Within which each phone of a lab that has just started was looked after once."""


async def hindered(centre: CallCentre, agent: Agent, why: str | None, seconds: float = 1.0) -> None:
    """Wait until that, or nothing, keeps contacts away from an agent, in the API."""

    async def shown() -> bool:
        return bool((await centre.client.get(f"/api/v1/agents/{agent.name}"))["hindrance"] == why)

    await centre.until(shown, seconds, f"{agent.name} is hindered by {why}")


async def friend_calls(centre: CallCentre, agent: Agent) -> Callable[[], Any]:
    """Somebody who is none of ours calls the agent's phone directly, over the PBX; how they hang up."""
    call = {"Channel": f"PJSIP/{agent.number}", "ChannelId": f"friend-{agent.number}", "Async": "true"}
    await centre.on_pbx(Action.of("Originate", **call, Application="MusicOnHold", Data="tone-700", Timeout="60000"))

    async def hangs_up() -> None:
        with suppress(ActionRefused):
            await centre.on_pbx(Action.of("Hangup", Channel=f"friend-{agent.number}", Cause="16"))

    return hangs_up


@pytest.mark.seconds(60)
@pytest.mark.site(**DESKS)
async def test_a_private_call_keeps_contacts_away(centre: CallCentre) -> None:
    """Shown in the API and the live feed; when it ends the agent is offered the next at once."""
    chen = await centre.agent("chen").works()
    await hindered(centre, chen, None, FIRST_NEWS)
    friend_hangs_up = await friend_calls(centre, chen)
    await hindered(centre, chen, "on a private call")
    await chen.answers()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await hears(carl, "music")
    await centre.feed.wait("agent.changed", SOON, agent="chen", hindrance="on a private call", state="ready")
    assert not [one for one in centre.feed.heard if one["kind"] == "offer.made"]
    await friend_hangs_up()
    await hindered(centre, chen, None)
    await chen.is_released()
    await chen.answers(1.0)
    await talking(carl, chen)
    await hindered(centre, chen, None)
    chen.hangs_up()
    assert segments(await carl.record())[-3:] == ["offer(chen, answered)", "talk", "closing"]
    await chen.is_("ready")
    await hindered(centre, chen, None)


@pytest.mark.fault("F60")
@pytest.mark.seconds(60)
@pytest.mark.site(**DESKS)
async def test_a_private_call_in_the_moment_of_an_offer_takes_the_offer_back(centre: CallCentre) -> None:
    """Nobody is in two calls; the caller has the old place and reaches another agent, or this one afterwards."""
    chen = await centre.agent("chen").works()
    await hindered(centre, chen, None, FIRST_NEWS)
    carl = await centre.caller("carl").dials(STRAIGHT)
    offer = await chen.rings()
    friend_hangs_up = await friend_calls(centre, chen)
    friend = await chen.phone.rings(SOON)
    await friend.answer(chen.voice)
    await offer.ended(2.0)
    await centre.feed.wait("offer.ended", SOON, contact=await carl.contact(), outcome="busy")
    await hindered(centre, chen, "on a private call")
    await hears(carl, "music")
    await chen.is_("ready")
    await friend_hangs_up()
    await friend.ended(SOON)
    await chen.answers(3.0)
    await talking(carl, chen)
    chen.hangs_up()
    assert offers(await carl.record()) == ["offer(chen, busy)", "offer(chen, answered)"]
    await chen.is_("ready")


@pytest.mark.fault("F51")
@pytest.mark.seconds(60)
@pytest.mark.site(**DESKS)
async def test_a_phone_that_is_not_there_gets_no_offers_until_it_is(centre: CallCentre) -> None:
    """The second agent rings at once, the first one is offered nothing, and comes back by itself."""
    ana, bo = centre.agent("ana", "unplugged"), centre.agent("bo")
    await bo.works()
    await hindered(centre, bo, None, FIRST_NEWS)
    await ana.works()
    await hindered(centre, ana, "phone unreachable")
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await bo.rings(1.0)
    await bo.answers()
    await talking(carl, bo)
    bo.hangs_up()
    assert offers(await carl.record()) == ["offer(bo, answered)"]
    await ana.is_("ready")
    await centre.world.plug_in()
    await hindered(centre, ana, None, 5.0)
    await centre.world.pull_plug()
    await hindered(centre, ana, "phone unreachable", 8.0)


@pytest.mark.fault("F52")
@pytest.mark.seconds(60)
@pytest.mark.site(**DESKS, ring_seconds=2)
async def test_a_phone_that_seems_to_be_there_and_is_not_costs_the_ring_time(centre: CallCentre) -> None:
    """It answers to OPTIONS and to nothing else: our own ring time counts, not the 32 s of SIP."""
    await centre.world.plug_in()
    ana, bo = centre.agent("ana", "unplugged"), centre.agent("bo")
    await ana.works()
    await hindered(centre, ana, None, FIRST_NEWS)
    await bo.works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await bo.answers(6.0)
    await talking(carl, bo)
    bo.hangs_up()
    record = await carl.record()
    assert offers(record) == ["offer(ana, no_answer)", "offer(bo, answered)"]
    rung = next(one for one in record["segments"] if one["agent"] == "ana")
    assert rung["ended"] - rung["started"] == pytest.approx(2.0, abs=0.5)
    await ana.is_("not_ready", reason="missed")


@pytest.mark.fault("F55")
@pytest.mark.seconds(60)
@pytest.mark.site(**DESKS)
async def test_a_phone_that_dies_in_talk_gives_the_customer_the_front_place(centre: CallCentre) -> None:
    """No sound, no BYE: rtp_timeout (3 s in the lab) ends the leg, and the next agent has the customer."""
    chen = await centre.agent("chen").works()
    await hindered(centre, chen, None, FIRST_NEWS)
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    second = await centre.caller("second").dials(STRAIGHT)
    await second.waits_in("support")
    await chen.becomes("not_ready", "later")
    async with centre.world.frozen():
        lost = await centre.feed.wait("talk.phone_lost", 6.0, contact=await carl.contact())
    assert lost["cause"] == "44"
    await hears(carl, "music")
    await chen.is_released()
    line = (await centre.client.get("/api/v1/queues"))["queues"][1]["contacts"]
    assert [one["id"] for one in line] == [await carl.contact(), await second.contact()]
    ana = await centre.agent("ana").works("support")
    call = await ana.answers(8.0)
    assert call.caller == carl.number
    await talking(carl, ana)
    ana.hangs_up()
    record = await carl.record()
    assert [one for one in segments(record) if one == "talk"] == ["talk", "talk"]
    assert (record["outcome"], record["ended_by"], record["agent"]) == ("answered", "agent", "ana")
    call = await ana.answers(8.0)
    assert call.caller == second.number
    await chen.is_("not_ready", reason="later")


@pytest.mark.fault("F64")
async def test_an_agent_who_is_logged_off_in_a_call_leaves_after_it(centre: CallCentre) -> None:
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    answer = await centre.client.post("/api/v1/agents/chen/logout")
    assert (answer["state"], answer["next"]) == ("talking", "offline")
    await talking(carl, chen)
    chen.hangs_up()
    await chen.is_("offline")
    assert (await carl.record())["outcome"] == "answered"


@pytest.mark.fault("F65")
@pytest.mark.seconds(60)
@pytest.mark.site(**DESKS)
@pytest.mark.only("asterisk", "the simulated phones know no REFER")
async def test_a_phone_that_transfers_by_itself_is_refused_and_the_talk_goes_on(centre: CallCentre) -> None:
    """allow_transfer = no: 603, and nothing has changed for easycall."""
    chen = await centre.agent("chen").works()
    await hindered(centre, chen, None, FIRST_NEWS)
    carl = await centre.caller("carl").dials(STRAIGHT)
    call = await chen.answers()
    await talking(carl, chen)
    status = await centre.world.refers(call, "2001")  # type: ignore[attr-defined]
    assert status == "603"
    await talking(carl, chen)
    await chen.is_("talking")
    chen.hangs_up()
    record = await carl.record()
    assert segments(record)[-3:] == ["offer(chen, answered)", "talk", "closing"]
