"""Calls out: a customer is called for an agent, and a number outside is asked or gets the customer."""

from __future__ import annotations

from typing import Any

import pytest

from easycall.client import Refused

from .callcentre import CallCentre
from .people import SOON, hears, segments, talking
from .test_call_control import asks, connected

SILENCE_SECONDS = 2.0
"""No customer who has answered waits longer for a sound (F71)."""
FAILURES = {"2201": ("busy", 17), "2401": ("declined", 21), "2901": ("unallocated", 1), "2501": ("congestion", 34)}
"""Phones of the world -> why a call to them fails, and the cause."""


async def calls(centre: CallCentre, number: str, agent: str = "ana", **more: Any) -> str:
    """Let a customer be called; the id of the contact."""
    centre.story.tell("desktop", f"calls {number} for {agent} {more or ''}".rstrip())
    answer = await centre.client.post("/api/v1/calls", agent=agent, number=number, queue="sales", **more)
    return str(answer["id"])


async def ended(centre: CallCentre, contact: str, seconds: float = SOON) -> Any:
    """The record, once the contact has ended."""
    await centre.feed.wait("contact.ended", seconds, contact=contact)
    return await centre.client.get(f"/api/v1/contacts/{contact}")


async def uses(centre: CallCentre, lines: int) -> None:
    """Wait until so many lines of the trunk are in use."""

    async def so_many() -> bool:
        [trunk] = (await centre.client.get("/api/v1/trunks"))["trunks"]
        return int(trunk["used"]) == lines

    await centre.until(so_many, SOON, f"{lines} lines are used")


@pytest.mark.requirement("F7")
@pytest.mark.fault("F71")
async def test_the_customer_is_called_first_and_never_left_in_silence(centre: CallCentre) -> None:
    ana, bo = await centre.agent("ana").works(), centre.agent("bo")
    dora = centre.outsider("dora")
    contact = await calls(centre, dora.number, data={"order": "4711"})
    await ana.is_("reserved")
    await uses(centre, 1)
    await dora.answers()
    await hears(dora, "music", SILENCE_SECONDS)
    await ana.rings()
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=contact)
    assert (pop["direction"], pop["dialled"], pop["data"]) == ("outbound", dora.number, {"order": "4711"})
    await ana.declines()
    await bo.works()
    await bo.answers()
    await talking(dora, bo)
    assert (await centre.client.post(f"/api/v1/contacts/{contact}/hold"))["stage"] == "held"
    await hears(dora, "music")
    await centre.client.post(f"/api/v1/contacts/{contact}/retrieve")
    await talking(dora, bo)
    dora.hangs_up()
    record = await ended(centre, contact)
    assert (record["direction"], record["outcome"], record["ended_by"]) == ("outbound", "answered", "caller")
    assert segments(record)[:3] == ["dial", "offer(ana, declined)", "waiting"]
    await uses(centre, 0)


@pytest.mark.requirement("F7")
async def test_the_agent_is_rung_first(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    dora = centre.outsider("dora")
    contact = await calls(centre, "030 2350", first="agent")
    await ana.answers()
    await hears(ana, "music")
    await dora.rings()
    await centre.feed.wait("call.ringing", SOON, contact=contact)
    await dora.leg.answer(dora.voice)
    await talking(dora, ana)
    await ana.is_("talking")
    ana.hangs_up()
    assert segments(await ended(centre, contact))[:3] == ["offer(ana, answered)", "dial", "talk"]


@pytest.mark.requirement("F7")
@pytest.mark.fault("F10")
@pytest.mark.site(ring_seconds=10)
@pytest.mark.parametrize("answered", [False, True], ids=["while it rings", "when it was answered"])
async def test_the_link_is_cut_while_a_customer_is_called(centre: CallCentre, answered: bool) -> None:
    """The customer is dialled once, hears music all the same, and has the agent when the link is back."""
    ana = await centre.agent("ana").works()
    dora = centre.outsider("dora")
    contact = await calls(centre, dora.number)
    await dora.rings()
    await centre.feed.wait("call.ringing", SOON, contact=contact)
    if answered:
        await dora.leg.answer(dora.voice)
        await hears(dora, "music", SILENCE_SECONDS)
    await centre.ami.stop()
    await centre.feed.wait("pbx.down", SOON)
    if not answered:
        await dora.leg.answer(dora.voice)
    await hears(dora, "music", SILENCE_SECONDS)
    await centre.ami.start()
    await ana.answers()
    await centre.feed.wait("talk.started", SOON, contact=contact)
    await talking(dora, ana)
    dora.hangs_up()
    record = await ended(centre, contact)
    assert (record["outcome"], record["ended_by"], record["agent"]) == ("answered", "caller", "ana")
    dialled = [one for one in centre.feed.heard if one["kind"] == "call.dialled" and one["contact"] == contact]
    assert len(dialled) == 1
    await uses(centre, 0)


@pytest.mark.requirement("F7")
@pytest.mark.site(ring_outside=5)
async def test_why_a_customer_is_not_reached(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    for phone, (outcome, cause) in FAILURES.items():
        contact = await calls(centre, f"+4930{phone}")
        failed = await centre.feed.wait("call.failed", SOON, contact=contact)
        assert (failed["outcome"], failed["cause"]) == (outcome, cause)
        assert (await ended(centre, contact))["outcome"] == outcome
        await ana.is_("ready")
    contact = await calls(centre, "+49302301")
    assert (await ended(centre, contact, 10))["outcome"] == "no_answer"
    await ana.is_("ready")
    contact = await calls(centre, "+49302301")
    await centre.feed.wait("call.ringing", SOON, contact=contact)
    await centre.client.post(f"/api/v1/contacts/{contact}/hangup")
    record = await ended(centre, contact)
    assert (record["outcome"], record["ended_by"]) == ("cancelled", "api")
    await uses(centre, 0)


@pytest.mark.requirement("F7")
@pytest.mark.requirement("A2")
@pytest.mark.fault("A23")
@pytest.mark.site(lines=1)
async def test_what_is_not_dialled(centre: CallCentre) -> None:
    await centre.agent("ana").works()
    dora = centre.outsider("dora")
    with pytest.raises(Refused, match=r"403: .*does not allow its prefix"):
        await calls(centre, "0900 123456")
    with pytest.raises(Refused, match=r"422: .* is no telephone number"):
        await calls(centre, "100&Local/9@default")
    with pytest.raises(Refused, match=r"403: .*is a number of our own"):
        await calls(centre, "+49305550100")
    await centre.client.put(f"/api/v1/do-not-call/{dora.number}", reason="asked us to")
    with pytest.raises(Refused, match=r"403: .*is on the do-not-call list"):
        await calls(centre, dora.number)
    await centre.client.delete(f"/api/v1/do-not-call/{dora.number}")
    contact = await calls(centre, dora.number)
    await dora.rings()
    await centre.agent("bo").works()
    with pytest.raises(Refused, match=r"409: .*no line of trunk world is free \(1 of 1 in use\)"):
        await calls(centre, "+49302301", agent="bo")
    dora.leg.decline()
    assert (await ended(centre, contact))["outcome"] == "busy"


@pytest.mark.requirement("F7")
async def test_a_number_outside_is_asked_and_gets_the_customer(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    dora = centre.outsider("dora")
    assert (await asks(carl, "consult", number=dora.number))["consulted"] == dora.number
    await dora.answers()
    await talking(ana, dora)
    await hears(carl, "music")
    assert (await asks(carl, "complete"))["stage"] == "outside"
    await talking(carl, dora)
    await ana.is_released()
    await uses(centre, 2)
    carl.hangs_up()
    await dora.is_released()
    assert "outside" in segments(await carl.record())
    await uses(centre, 0)


@pytest.mark.requirement("F7")
async def test_to_a_number_outside_and_who_is_busy_costs_the_customer_nothing(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    await asks(carl, "transfer", number="+49302201")
    await ana.is_released()
    await hears(carl, "music")
    bo = await centre.agent("bo").works()
    await bo.answers()
    await talking(carl, bo)
    dora = centre.outsider("dora")
    await asks(carl, "transfer", number=dora.number)
    await bo.is_released()
    await hears(carl, "music")
    await dora.answers()
    await talking(carl, dora)
    carl.hangs_up()
    await dora.is_released()
    assert [one for one in segments(await carl.record()) if one != "closing"][-2:] == ["dial", "outside"]


@pytest.mark.requirement("F4")
async def test_whoever_of_a_group_is_free_is_asked(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    with pytest.raises(Refused, match="nobody is free in support"):
        await asks(carl, "consult", queue="support")
    chen = await centre.agent("chen").works()
    assert (await asks(carl, "consult", queue="support"))["consulted"] == "chen"
    await chen.answers()
    await talking(ana, chen)
    await asks(carl, "complete")
    await talking(carl, chen)
    carl.hangs_up()
