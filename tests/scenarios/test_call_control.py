"""What an agent does with a call: hold, consult, transfer, lend; asked over the API, proved by what each one hears."""

from __future__ import annotations

from typing import Any

import pytest

from easycall.client import Refused

from .callcentre import CallCentre
from .people import SOON, Agent, Caller, hears, segments, talking


async def asks(caller: Caller, verb: str, **what: Any) -> Any:
    """A verb about a caller's contact, as the agent's desktop asks it."""
    caller.centre.story.tell("desktop", f"{verb} {what or ''}".rstrip())
    return await caller.centre.client.post(f"/api/v1/contacts/{await caller.contact()}/{verb}", **what)


async def connected(centre: CallCentre) -> tuple[Caller, Agent]:
    """A caller who talks with Ana."""
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    return carl, ana


@pytest.mark.requirement("P2")
async def test_hold_and_retrieve(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    assert (await asks(carl, "hold"))["stage"] == "held"
    await hears(carl, "music")
    await ana.is_("held")
    assert (await asks(carl, "retrieve"))["stage"] == "talking"
    await talking(carl, ana)
    await ana.is_("talking")
    carl.hangs_up()
    record = await carl.record()
    assert segments(record)[-5:] == ["offer(ana, answered)", "talk", "hold", "talk", "closing"]


async def test_what_makes_no_sense_now_is_refused(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    with pytest.raises(Refused, match="Retrieve is not possible while the contact is talking"):
        await asks(carl, "retrieve")
    with pytest.raises(Refused, match="there is no agent 'nobody'"):
        await asks(carl, "consult", agent="nobody")
    with pytest.raises(Refused, match="bo is offline"):
        await asks(carl, "consult", agent="bo")
    await talking(carl, ana)
    ana.hangs_up()


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
async def test_a_second_agent_is_asked_and_gets_the_customer(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "data", data={"order": "4711"})
    await asks(carl, "consult", agent="bo")
    await bo.rings()
    pop = await bo.sees_pop(carl)
    assert (pop["by"], pop["data"], pop["answers"]) == ("ana", {"order": "4711"}, {"menu": "sales"})
    await hears(carl, "music")
    await bo.answers()
    await talking(ana, bo)
    await hears(carl, "music")
    assert (await asks(carl, "complete"))["agent"] == "bo"
    await talking(carl, bo)
    await ana.is_released()
    await ana.is_("wrap_up")
    carl.hangs_up()
    record = await carl.record()
    assert (record["agent"], record["ended_by"]) == ("bo", "caller")
    assert segments(record)[-5:] == ["talk", "hold", "consult", "talk", "closing"]


@pytest.mark.requirement("F4")
async def test_a_second_agent_is_asked_and_the_first_takes_the_customer_back(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await talking(ana, bo)
    await asks(carl, "alternate")
    await talking(carl, ana)
    await hears(bo, "music")
    await asks(carl, "alternate")
    await talking(ana, bo)
    await asks(carl, "cancel")
    await talking(carl, ana)
    await bo.is_released()
    carl.hangs_up()


@pytest.mark.requirement("F4")
async def test_the_one_who_asks_hangs_up_and_the_customer_has_the_other(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await talking(ana, bo)
    ana.hangs_up()
    await talking(carl, bo)
    carl.hangs_up()


@pytest.mark.requirement("F4")
async def test_a_second_agent_who_declines_is_told_at_once(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "consult", agent="bo")
    (await bo.rings()).decline()
    ended = await centre.feed.wait("consult.ended", SOON, agent="ana")
    assert (ended["to"], ended["outcome"]) == ("bo", "declined")
    await hears(carl, "music")
    await asks(carl, "retrieve")
    await talking(carl, ana)
    carl.hangs_up()


@pytest.mark.requirement("F5")
async def test_to_another_group_and_the_agent_is_free_at_once(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    with pytest.raises(Refused, match="nobody is free in support"):
        await asks(carl, "transfer", queue="support", wait=False)
    await talking(carl, ana)
    await asks(carl, "transfer", queue="support")
    await ana.is_("wrap_up")
    await ana.is_released()
    await hears(carl, "music")
    chen = await centre.agent("chen").works()
    await chen.answers()
    await talking(carl, chen)
    assert (await chen.sees_pop(carl))["answers"] == {"menu": "sales"}
    carl.hangs_up()


@pytest.mark.requirement("F4")
async def test_to_another_agent(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "transfer", agent="bo")
    await ana.is_released()
    await hears(carl, "music")
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()


@pytest.mark.requirement("F2")
async def test_back_to_the_flow_for_good(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    await asks(carl, "transfer", flow="welcome")
    await ana.is_("wrap_up")
    await ana.is_released()
    await carl.chooses("2", "support")
    chen = await centre.agent("chen").works()
    await chen.answers()
    await talking(carl, chen)
    carl.hangs_up()


@pytest.mark.requirement("F3")
async def test_lent_to_a_flow_and_back_to_the_same_agent(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    await asks(carl, "lend", flow="welcome")
    await hears(ana, "music")
    await carl.presses("2")
    back = await centre.feed.wait("loan.ended", 15, agent="ana")
    assert (back["how"], back["answers"]["menu"]) == ("done", "support")
    await talking(carl, ana)
    carl.hangs_up()
    assert "loan" in segments(await carl.record())


@pytest.mark.requirement("P2")
async def test_the_agents_phone_dies_while_the_customer_is_on_hold(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    await asks(carl, "hold")
    ana.hangs_up()
    await hears(carl, "music")
    bo = await centre.agent("bo").works()
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()
