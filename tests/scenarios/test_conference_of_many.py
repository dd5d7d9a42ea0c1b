"""From a conference the agent asks one more, in private, and brings that one in or goes back; proved by keys between each
pair, and by what each hears."""

from __future__ import annotations

import pytest

from easycall.client import Refused

from .callcentre import CallCentre
from .people import SOON, Agent, Caller, Outsider, Person, hears, segments, talking
from .test_call_control import asks
from .test_calls_out import uses
from .test_conference import all_hear, three
from .test_supervision import supervises

QUIET = 0


async def asks_one_more(carl: Caller, more: str) -> Agent | Outsider:
    """Ana's desktop asks Chen, or whoever of support is free, who is Chen, or Dora, who is outside."""
    centre = carl.centre
    if more == "outside":
        dora = centre.outsider("dora")
        assert (await asks(carl, "consult", number=dora.number))["stage"] == "aside"
        await dora.rings()
        return dora
    chen = await centre.agent("chen").works()
    await asks(carl, "consult", **({"agent": "chen"} if more == "agent" else {"queue": "support"}))
    await chen.rings()
    return chen


async def answers(one: Agent | Outsider) -> None:
    """The telephone that rings."""
    await one.leg.answer(one.voice)
    one.tell("answers")


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
@pytest.mark.parametrize("more", ["agent", "group", "outside"])
async def test_one_more_is_asked_in_private_and_comes_in(centre: CallCentre, more: str) -> None:
    carl, ana, bo = await three(centre)
    one = await asks_one_more(carl, more)
    await hears(ana, "music")
    await talking(carl, bo)
    await answers(one)
    await talking(ana, one)
    await talking(carl, bo)
    await hears(carl, bo)
    await hears(bo, "silence")  # nobody but Carl, who says nothing
    await hears(one, ana)
    name = one.number if isinstance(one, Outsider) else one.name
    merged = await asks(carl, "merge")
    assert (merged["stage"], merged["conference"]) == ("conference", ["bo", name])
    await all_hear(carl, ana, bo, one)
    with pytest.raises(Refused, match="say who: bo, "):
        await asks(carl, "drop", party="consulted")
    await asks(carl, "drop", party="consulted", who="bo")
    await bo.is_released()
    await all_hear(carl, ana, one)
    await asks(carl, "drop", party="consulted")
    await one.is_released()
    await talking(carl, ana)
    carl.hangs_up()
    assert segments(await carl.record())[-4:] == ["consult", "conference", "talk", "closing"]
    await uses(centre, 0)


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("more", ["agent", "outside"])
async def test_between_them_and_back(centre: CallCentre, more: str) -> None:
    carl, ana, bo = await three(centre)
    one = await asks_one_more(carl, more)
    await answers(one)
    await talking(ana, one)
    await asks(carl, "alternate")
    await all_hear(carl, ana, bo)
    await hears(one, "music")
    await asks(carl, "alternate")
    await talking(ana, one)
    await talking(carl, bo)
    await asks(carl, "cancel")
    await one.is_released()
    await all_hear(carl, ana, bo)
    carl.hangs_up()
    await carl.record()


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("how", ["declines", "does not answer", "is taken back"])
async def test_one_more_who_does_not_come(centre: CallCentre, how: str) -> None:
    carl, ana, bo = await three(centre)
    chen = await asks_one_more(carl, "agent")
    if how == "declines":
        chen.leg.decline()
    elif how == "is taken back":
        await asks(carl, "retrieve")
    await centre.feed.wait("consult.ended", 15, contact=await carl.contact(), to="chen")
    await ana.is_("talking")
    await all_hear(carl, ana, bo)
    carl.hangs_up()
    await carl.record()


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("how", ["leave", "complete"])
async def test_the_agent_leaves_and_another_one_leads(centre: CallCentre, how: str) -> None:
    carl, ana, bo = await three(centre)
    one = await asks_one_more(carl, "outside")
    await answers(one)
    await talking(ana, one)
    if how == "leave":
        await asks(carl, "merge")
        await all_hear(carl, ana, bo, one)
        ana.hangs_up()
    else:
        await asks(carl, "complete")
    await ana.is_("wrap_up")
    await all_hear(carl, bo, one)
    assert (await centre.client.get(f"/api/v1/contacts/{await carl.contact()}"))["agent"] == "bo"
    await asks(carl, "drop", party="consulted")
    await one.is_released()
    await talking(carl, bo)
    carl.hangs_up()
    assert (await carl.record())["agent"] == "bo"


@pytest.mark.requirement("F4")
async def test_the_agent_leaves_while_one_more_is_asked(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    chen = await asks_one_more(carl, "agent")
    await answers(chen)
    await talking(ana, chen)
    ana.hangs_up()
    await chen.is_released()
    await talking(carl, bo)
    await bo.is_("talking")
    carl.hangs_up()
    assert (await carl.record())["agent"] == "bo"


@pytest.mark.requirement("F4")
async def test_the_others_leave_while_one_more_is_asked(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    chen = await asks_one_more(carl, "agent")
    await answers(chen)
    await talking(ana, chen)
    bo.hangs_up()
    await hears(carl, "music")
    await talking(ana, chen)
    assert (await asks(carl, "complete"))["agent"] == "chen"
    await talking(carl, chen)
    carl.hangs_up()
    assert (await carl.record())["agent"] == "chen"


@pytest.mark.requirement("F4")
@pytest.mark.requirement("F7")
async def test_the_customer_stays_with_two_outside_and_then_with_one(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    people: list[Person] = [carl, ana, bo]
    outsiders = [centre.outsider("dora", "2350"), centre.outsider("emil", "2351")]
    for one in outsiders:
        await asks(carl, "consult", number=one.number)
        await one.answers()
        await talking(ana, one)
        await asks(carl, "merge")
        people.append(one)
        await all_hear(*people)
    await asks(carl, "drop", party="consulted", who="bo")
    await bo.is_released()
    await asks(carl, "complete")
    await ana.is_released()
    dora, emil = outsiders
    await all_hear(carl, dora, emil)
    dora.hangs_up()
    await centre.feed.wait("outside.ended", SOON, number=dora.number)
    await talking(carl, emil)
    carl.hangs_up()
    await emil.is_released()
    assert [one for one in segments(await carl.record()) if one != "closing"][-1] == "outside"
    await uses(centre, 0)


@pytest.mark.requirement("P2")
async def test_who_supervises_a_contact_stays_with_the_customer(centre: CallCentre) -> None:
    carl, ana, bo = await three(centre)
    _, chen = await supervises(centre, "listen", QUIET, contact=await carl.contact())
    await hears(chen, "speech")  # two voices
    dora = await asks_one_more(carl, "outside")
    await hears(chen, bo)
    await answers(dora)
    await talking(ana, dora)
    await hears(chen, bo)
    await asks(carl, "merge")
    await all_hear(carl, ana, bo, dora)
    await hears(chen, "speech")
    bo.hangs_up()
    await asks(carl, "complete")
    await hears(chen, dora)
    await talking(carl, dora)
    carl.hangs_up()
    await carl.record()
