"""The daemon stops in order and starts again while calls are at one stage or another: each goes on where it was.

The daemon killed is in ``kill/``; here are the stages that a full house there does not have.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ..pages import two_pages
from ..proxy import Way
from .callcentre import STRAIGHT, CallCentre
from .people import SOON, hears, segments, talking
from .test_call_control import asks, connected
from .test_calls_out import calls, ended, uses
from .test_conference import CLOSED, all_hear, loudness, three
from .test_fax import upload

pytestmark = [pytest.mark.requirement("A3"), pytest.mark.fault("F36")]

LONGER = {"ring_seconds": 30}
"""A phone that rings goes on ringing meanwhile."""


async def test_a_caller_in_a_menu_chooses(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials()
    await carl.reaches("menu")
    contact = await carl.contact()
    await centre.restart_daemon()
    await hears(carl, "speech")
    await carl.presses("1")
    await carl.waits_in("sales")
    ana = await centre.agent("ana").works()
    await ana.answers()
    assert (await ana.sees_pop(carl))["answers"] == {"menu": "sales"}
    await talking(carl, ana)
    carl.hangs_up()
    record = await carl.record()
    assert (record["id"], segments(record)[0], record["outcome"]) == (contact, "ivr", "answered")


@pytest.mark.site(numbers={"95597": "line"})
async def test_a_caller_who_waits_leaves_by_a_key(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials("95597")
    await carl.waits_in("sales")
    await hears(carl, "music")
    await centre.restart_daemon()
    await carl.presses("1")
    await carl.reaches("other_ways")
    await carl.presses("2")
    ana = await centre.agent("ana").works()
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()


@pytest.mark.site(sales='order = "ring_all"', ring_seconds=20, numbers={"95611": "line"})
async def test_of_two_who_are_rung_one_wins(centre: CallCentre) -> None:
    ana, bo = await centre.agent("ana").works("sales"), await centre.agent("bo").works("sales")
    carl = await centre.caller("carl").dials("95611")
    await ana.rings()
    await bo.rings()
    await centre.restart_daemon()
    await bo.answers()
    await ana.is_released()
    await talking(carl, bo)
    await ana.is_("ready")
    carl.hangs_up()
    record = await carl.record()
    assert {one["agent"]: one["outcome"] for one in record["segments"] if one["kind"] == "offer"} == {
        "ana": "answered_elsewhere",
        "bo": "answered",
    }


@pytest.mark.site(**LONGER)
async def test_a_phone_that_declines_afterwards_costs_no_place(centre: CallCentre) -> None:
    ana, bo = await centre.agent("ana").works("sales"), centre.agent("bo")
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.rings()
    other = await centre.caller("other").dials()
    await other.chooses("1", "sales")
    await centre.restart_daemon()
    await ana.declines()
    await centre.feed.wait("offer.ended", SOON, agent="ana", outcome="declined")
    await bo.works("sales")
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()
    other.hangs_up()


@pytest.mark.site(**LONGER)
async def test_one_who_is_asked_answers(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "consult", agent="bo")
    await bo.rings()
    await centre.restart_daemon()
    await hears(carl, "music")
    await bo.answers()
    await talking(ana, bo)
    await asks(carl, "alternate")
    await talking(carl, ana)
    await centre.restart_daemon()
    await talking(carl, ana)
    await asks(carl, "complete")
    await talking(carl, bo)
    await ana.is_("wrap_up")
    carl.hangs_up()
    assert (await carl.record())["agent"] == "bo"


@pytest.mark.site(fax_lines=1)
async def test_an_agent_who_was_on_the_way_home_stays_joined(centre: CallCentre) -> None:
    """The leg had called the daemon just before it was put into the bridge, and the daemon is told afterwards."""
    carl, ana = await connected(centre)
    document = await upload(centre, two_pages(1))
    await asks(carl, "fax", document=document["id"])
    await hears(carl, "speech")
    await centre.stop_daemon()
    calls_in = centre.agi.to_server
    calls_in.hold()
    await centre.start_daemon()
    await centre.until(lambda: _said(calls_in, b"agi_arg_2: caller", b"agi_arg_2: agent"), SOON, "both call the daemon")
    calls_in.hold(b"agi_arg_2: agent")
    await centre.feed.wait("agent.changed", SOON, agent="ana", state="talking")
    await centre.until(partial(_share_a_bridge, centre), SOON, "they share a bridge")
    calls_in.release()
    await talking(carl, ana)
    carl.hangs_up()
    assert segments(await carl.record())[-4:] == ["talk", "fax", "talk", "closing"]


async def test_a_customer_who_was_on_the_way_home_from_a_secret_is_joined(centre: CallCentre) -> None:
    """What was keyed is lost, so the customer is sent home, to the agent; the leg had called the daemon just before."""
    carl, ana = await connected(centre)
    await asks(carl, "lend", flow="pin")
    await carl.reaches("pin")
    await hears(carl, "speech")
    await centre.stop_daemon()
    calls_in, actions = centre.agi.to_server, centre.ami.to_server
    calls_in.hold(b"agi_arg_2: caller")
    await centre.start_daemon()
    await centre.until(lambda: _said(calls_in, b"agi_arg_2: caller"), SOON, "the customer calls the daemon")
    await centre.until(lambda: _said(actions, b"Action: Redirect"), SOON, "the customer is sent home")
    await centre.until(lambda: _said(calls_in, b"HANGUP"), SOON, "the customer is told")
    calls_in.release()
    await talking(carl, ana)
    assert (await centre.feed.wait("loan.ended", SOON))["how"] == "interrupted"
    carl.hangs_up()
    assert segments(await carl.record())[-4:] == ["talk", "loan", "talk", "closing"]


async def _said(way: Way, *patterns: bytes) -> bool:
    return all(any(pattern in pipe.heard for pipe in way.pipes) for pattern in patterns)


async def _share_a_bridge(centre: CallCentre) -> bool:
    bridges = [leg.bridge for pbx in centre.running.pbxs for leg in pbx.switch.legs]
    return len(bridges) == 2 and bridges[0] == bridges[1] != ""


async def test_a_conference_goes_on(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    await centre.restart_daemon()
    await all_hear(carl, ana, bo)
    await asks(carl, "mute", party="customer")
    await centre.feed.wait("conference.muted", SOON)
    assert (await asks(carl, "drop", party="agent"))["agent"] == "bo"
    await ana.is_released()
    await talking(carl, bo)
    carl.hangs_up()
    assert (await carl.record())["agent"] == "bo"


@pytest.mark.site(**LONGER)
async def test_one_more_is_asked_from_within_a_conference(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    chen = await centre.agent("chen").works()
    await asks(carl, "consult", agent="chen")
    await chen.answers()
    await talking(ana, chen)
    await centre.restart_daemon()
    await talking(ana, chen)
    await talking(carl, bo)
    await asks(carl, "merge")
    await all_hear(carl, ana, bo, chen)
    carl.hangs_up()
    await carl.record()


@pytest.mark.site(park_seconds=60)
async def test_a_parked_customer_is_picked(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    await asks(carl, "park")
    await ana.is_released()
    await centre.restart_daemon()
    await hears(carl, "music")
    bo = await centre.agent("bo").works()
    await asks(carl, "pick", agent="bo")
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()


async def test_a_customer_who_is_lent_comes_back(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    await asks(carl, "lend", flow="welcome")
    await carl.reaches("menu")
    await centre.restart_daemon()
    await hears(carl, "speech")
    await hears(ana, "music")
    await carl.presses("2")
    await talking(carl, ana)
    loan = await centre.feed.wait("loan.ended", SOON)
    assert (loan["how"], loan["answers"]["menu"]) == ("done", "support")
    carl.hangs_up()


async def test_a_customer_with_somebody_outside_goes_on(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    dora = centre.outsider("dora")
    await asks(carl, "transfer", number=dora.number)
    await ana.is_released()
    await dora.rings()
    await centre.restart_daemon()
    await dora.leg.answer(dora.voice)
    await talking(carl, dora)
    await centre.restart_daemon()
    await talking(carl, dora)
    await uses(centre, 2)
    dora.hangs_up()
    record = await carl.record()
    assert (record["ended_by"], [one for one in segments(record) if one != "closing"][-1]) == ("outside", "outside")
    await uses(centre, 0)


async def test_a_customer_who_is_called_answers_and_gets_the_agent(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), centre.outsider("dora")
    contact = await calls(centre, dora.number)
    await dora.rings()
    await centre.restart_daemon()
    await ana.is_("reserved")
    await dora.leg.answer(dora.voice)
    await hears(dora, "music")
    await ana.answers()
    await talking(dora, ana)
    await uses(centre, 1)
    dora.hangs_up()
    record = await ended(centre, contact)
    assert (record["outcome"], record["agent"]) == ("answered", "ana")
    await uses(centre, 0)


@pytest.mark.site(**LONGER)
async def test_an_agent_who_is_rung_first_answers_and_the_customer_is_called(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), centre.outsider("dora")
    contact = await calls(centre, dora.number, first="agent")
    await ana.rings()
    await centre.restart_daemon()
    await ana.answers()
    await dora.answers()
    await talking(dora, ana)
    dora.hangs_up()
    record = await ended(centre, contact)
    assert (record["outcome"], record["agent"]) == ("answered", "ana")
    await uses(centre, 0)


async def test_an_agent_who_waits_for_the_customer_gets_the_customer(centre: CallCentre) -> None:
    ana, dora = await centre.agent("ana").works(), centre.outsider("dora")
    contact = await calls(centre, dora.number, first="agent")
    await ana.answers()
    await dora.rings()
    await centre.restart_daemon()
    await hears(ana, "music")
    await dora.leg.answer(dora.voice)
    await talking(dora, ana)
    await ana.is_("talking")
    ana.hangs_up()
    assert (await ended(centre, contact))["ended_by"] == "agent"


@pytest.mark.site(numbers={CLOSED: "closed"})
async def test_a_message_is_kept(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials(CLOSED, speaks=True)
    await centre.feed.wait("voicemail.started", SOON)
    await hears(carl, "silence")  # greeting and tone are over
    await centre.world.pause(2.5)
    await centre.stop_daemon()
    await centre.start_daemon()
    carl.hangs_up()
    left = await centre.feed.wait("voicemail.left", SOON, contact=await carl.contact())
    assert left["seconds"] > 1
    sound = await centre.client.get(f"/api/v1/voicemails/{left['message']}/audio")
    assert loudness(sound, 700) > 100 * loudness(sound, 1000)
    assert (await carl.record())["outcome"] == "message_left"


@pytest.mark.site(numbers={CLOSED: "closed"})
async def test_a_message_that_was_ended_by_a_key_is_not_asked_for_again(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials(CLOSED, speaks=True)
    await centre.feed.wait("voicemail.started", SOON)
    await hears(carl, "silence")  # greeting and tone are over
    await centre.world.pause(2.5)
    await centre.stop_daemon()
    await carl.presses("#")
    await centre.start_daemon()
    await carl.is_released()
    left = await centre.feed.wait("voicemail.left", SOON, contact=await carl.contact())
    assert left["seconds"] > 1
    assert (await carl.record())["outcome"] == "message_left"


async def shown(centre: CallCentre) -> list[dict[str, Any]]:
    """The agents, with their times to the hundredth of a second."""
    agents = (await centre.client.get("/api/v1/agents"))["agents"]
    return [{name: round(what, 2) if isinstance(what, float) else what for name, what in one.items()} for one in agents]


async def test_an_agent_is_as_before(centre: CallCentre) -> None:
    ana, bo, chen = await centre.agent("ana").works(), centre.agent("bo"), centre.agent("chen")
    await bo.logs_in("sales")
    await bo.becomes("not_ready", "lunch")
    carl = await centre.caller("carl").dials(STRAIGHT)
    await ana.answers()
    await talking(carl, ana)
    await ana.becomes("not_ready", "dentist")
    before = await shown(centre)
    await centre.restart_daemon()
    assert await shown(centre) == before
    await chen.is_("offline")
    carl.hangs_up()
    await ana.is_("not_ready", reason="dentist")
