"""The first call: a caller reaches an agent, with everything that can come between."""

from __future__ import annotations

import pytest

from .callcentre import CallCentre
from .people import SOON, hears, offers, segments, talking


@pytest.mark.requirement("F1")
async def test_a_free_agent_answers(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials("95588")
    await hears(carl, "speech")
    await carl.chooses("1", "sales")
    call = await ana.rings()
    pop = await ana.sees_pop(carl)
    assert (pop["caller"], pop["dialled"], pop["queue"]) == (carl.number, "95588", "sales")
    assert pop["answers"] == {"menu": "sales"}
    assert call.caller == carl.number
    await ana.is_("ringing")
    await ana.answers()
    await talking(carl, ana)
    await ana.is_("talking")
    await hears(carl, ana)
    ana.hangs_up()
    record = await carl.record()
    assert segments(record)[-3:] == ["offer(ana, answered)", "talk", "closing"]
    assert (record["outcome"], record["ended_by"], record["agent"]) == ("answered", "agent", "ana")
    await carl.is_released()
    await ana.is_("wrap_up")
    await ana.is_("ready")


@pytest.mark.requirement("F1")
@pytest.mark.site(wrap_up_seconds=0.1)
async def test_all_busy_then_one_becomes_free_and_the_order_is_kept(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    first = await centre.caller().dials()
    await first.chooses("1", "sales")
    await ana.answers()
    await talking(first, ana)
    waiting = []
    for _ in range(3):
        caller = await centre.caller().dials()
        await caller.chooses("1", "sales")
        waiting.append(caller)
    for caller in waiting:
        await hears(caller, "music")
    assert [one["position"] for one in (await centre.client.get("/api/v1/queues"))["queues"][0]["contacts"]] == [1, 2, 3]
    ana.hangs_up()
    for caller in waiting:
        call = await ana.answers()
        assert call.caller == caller.number
        await talking(caller, ana)
        ana.hangs_up()
        record = await caller.record()
        assert record["outcome"] == "answered"


@pytest.mark.requirement("F1")
@pytest.mark.fault("F54")
async def test_an_agent_who_does_not_answer_is_passed_over(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    bo = await centre.agent("bo").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.rings()
    await bo.rings(8)
    await ana.is_released()
    await ana.is_("not_ready", reason="missed")
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()
    record = await carl.record()
    assert offers(record) == ["offer(ana, no_answer)", "offer(bo, answered)"]
    revoked = await centre.feed.wait("screen.revoked", SOON, agent="ana")
    assert revoked["outcome"] == "no_answer"
    ringing = next(one for one in record["segments"] if one["agent"] == "ana")
    assert ringing["ended"] - ringing["started"] == pytest.approx(3.0, abs=0.4)


@pytest.mark.requirement("F1")
@pytest.mark.fault("F53")
async def test_an_agent_who_declines_is_passed_over_at_once(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    bo = await centre.agent("bo").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.declines()
    await bo.rings(1.0)
    await ana.is_("ready")
    await bo.answers()
    await talking(carl, bo)
    bo.hangs_up()
    assert offers(await carl.record()) == ["offer(ana, declined)", "offer(bo, answered)"]


@pytest.mark.fault("F51")
@pytest.mark.site(dial="PJSIP/2002@{phone}")
@pytest.mark.parametrize("phone", ["nosuch", "unplugged"])
async def test_an_agent_whose_phone_cannot_be_reached_is_passed_over(centre: CallCentre, phone: str) -> None:
    """An endpoint Asterisk does not know makes no channel at all; one that does not answer OPTIONS is known to be away."""
    ana, bo = centre.agent("ana", phone), centre.agent("bo")
    await ana.works()
    await centre.client.post("/api/v1/agents/bo/login", phone="world")
    await bo.becomes("ready")
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await bo.rings(1.0)
    await ana.is_("not_ready", reason="unreachable")
    await bo.answers()
    await talking(carl, bo)
    bo.hangs_up()
    assert "offer(ana, unreachable)" in segments(await carl.record())
    assert not [one for one in centre.feed.heard if one["kind"] == "screen.pop" and one["agent"] == "ana"]


async def test_the_caller_hangs_up_in_the_menu(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials()
    await carl.reaches("menu")
    carl.hangs_up()
    record = await carl.record()
    assert (segments(record), record["outcome"], record["ended_by"]) == (["ivr"], "abandoned_in_ivr", "caller")


async def test_the_caller_hangs_up_while_waiting(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await hears(carl, "music")
    carl.hangs_up()
    record = await carl.record()
    assert (segments(record), record["outcome"], record["ended_by"]) == (["ivr", "waiting"], "abandoned", "caller")
    assert (await centre.client.get("/api/v1/queues"))["queues"][0]["waiting"] == 0


async def test_the_caller_hangs_up_while_the_agent_rings(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.rings()
    await ana.sees_pop(carl)
    carl.hangs_up()
    await ana.is_released(1.0)
    record = await carl.record()
    assert (record["outcome"], record["ended_by"]) == ("abandoned", "caller")
    assert "offer(ana, caller_left)" in segments(record)
    await centre.feed.wait("screen.revoked", SOON, agent="ana", outcome="caller_left")
    await ana.is_("ready")


async def test_the_caller_hangs_up_in_talk(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
    await ana.is_released(1.0)
    record = await carl.record()
    assert (record["outcome"], record["ended_by"]) == ("answered", "caller")
    await ana.is_("wrap_up")


async def test_the_api_hangs_up(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    await centre.client.post(f"/api/v1/contacts/{await carl.contact()}/hangup")
    record = await carl.record()
    assert record["ended_by"] == "api"
    await carl.is_released(1.0)
    await ana.is_released(1.0)


async def test_silence_and_wrong_keys_end_in_a_good_bye(centre: CallCentre) -> None:
    silent = await centre.caller("silent").dials()
    wrong = await centre.caller("wrong").dials()
    await wrong.reaches("menu")
    await wrong.presses("8")
    await hears(wrong, "speech")
    await wrong.presses("9")
    for caller in (silent, wrong):
        await caller.reaches("goodbye", 15)
        record = await caller.record(10)
        assert (segments(record), record["outcome"], record["ended_by"]) == (["ivr"], "self_served", "flow")


async def test_a_wrong_key_then_a_right_one(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials()
    await carl.reaches("menu")
    await carl.presses("8")
    await carl.presses("2")
    await carl.waits_in("support", 10)


async def test_without_the_daemon_the_dialplan_serves_the_caller(centre: CallCentre) -> None:
    await centre.stop_daemon()
    carl = await centre.caller("carl").dials()
    await hears(carl, "music")
    await hears(carl, "speech", 10)
    await carl.is_released(30)
    await centre.start_daemon()
