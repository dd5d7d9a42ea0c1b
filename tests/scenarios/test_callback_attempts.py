"""The attempts of a callback: the ladder from one to the next, the customer who calls in meanwhile, no agent left."""

from __future__ import annotations

import pytest

from .callbacks import SILENCE_SECONDS, Customer, attempts, becomes, dialled, quick, the_callback
from .callcentre import CallCentre
from .people import SOON, hears, offers, talking

pytestmark = [
    pytest.mark.requirement("B2"),
    pytest.mark.requirement("F8"),
    pytest.mark.seconds(90),
]

RINGS = 5
"""So many seconds a customer's telephone rings."""


# From one attempt to the next


@pytest.mark.fault("F72")
@quick(f"ring_seconds = {RINGS}\n")
async def test_busy_then_no_answer_then_reached(centre: CallCentre) -> None:
    """Each attempt rings once, and is shown with why it failed."""
    dora, ana = Customer(centre, "dora"), await centre.agent("ana").works()
    await ana.becomes("not_ready")
    await dora.breaks_off()
    await ana.becomes("ready")
    await dora.is_called_back()
    dora.declines()
    await becomes(centre, dora.at_phone.number, "scheduled")
    await dora.is_called_back()
    dora.at_phone.leg.ignore()
    await dora.at_phone.is_released(RINGS + 2)
    await becomes(centre, dora.at_phone.number, "scheduled")
    waits = await the_callback(centre, dora.at_phone.number)
    assert attempts(waits) == [("busy", 17), ("no_answer", 19)]
    assert (waits["why"]["why"], waits["because"]) == ("not_due", "no answer")
    await dora.is_called_back()
    await dora.answers()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await ana.answers()
    await talking(dora.at_phone, ana)
    reached = await becomes(centre, dora.at_phone.number, "reached")
    assert attempts(reached) == [("busy", 17), ("no_answer", 19), ("answered", None)]
    assert await dialled(centre, dora.at_phone.number) == 3
    settled = [one["outcome"] for one in centre.feed.heard if one["kind"] == "callback.settled"]
    assert settled == ["busy", "no_answer"]
    dora.at_phone.hangs_up()


@pytest.mark.fault("F72")
@quick("most = {busy = 2}\n")
async def test_who_is_busy_again_and_again_is_called_no_more(centre: CallCentre) -> None:
    dora, ana = Customer(centre, "dora"), centre.agent("ana")
    await ana.logs_in()
    await dora.breaks_off()
    await ana.becomes("ready")
    for _ in range(2):
        await dora.is_called_back()
        dora.declines()
    given_up = await becomes(centre, dora.at_phone.number, "exhausted")
    assert attempts(given_up) == [("busy", 17), ("busy", 17)]
    assert given_up["because"] == "2 attempts, the last one: busy"
    await ana.is_("ready")


# The customer calls in


@pytest.mark.fault("F73")
@quick()
async def test_who_calls_in_while_the_callback_waits_has_its_place(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    dora, last = Customer(centre, "dora"), centre.caller("last")
    await dora.breaks_off()
    begun = await centre.feed.wait("callback.begun", SOON)
    await last.dials()
    await last.waits_in("sales")
    again = centre.caller("dora again")
    again.number = dora.at_phone.number
    arrived = (await centre.feed.wait("contact.arrived", SOON, caller=last.number))["seq"]
    await again.dials()
    contact = (await centre.feed.wait("contact.arrived", SOON, caller=again.number, since=arrived + 1))["contact"]
    await centre.feed.wait("queue.entered", SOON, contact=contact)
    over = await becomes(centre, dora.at_phone.number, "called_in")
    assert over["attempts"] == []
    await centre.feed.wait("contact.ended", SOON, contact=begun["contact"], outcome="cancelled")
    await ana.becomes("ready")
    await ana.answers()
    await talking(again, ana)  # and not `last`, who called before
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=contact)
    assert pop["waited_before"] > 0
    record = await centre.client.get(f"/api/v1/contacts/{contact}")
    assert (record["session"], record["callback"]) == (over["session"], over["id"])
    again.hangs_up()
    await ana.is_("wrap_up")
    await ana.becomes("ready")
    await ana.answers()
    await talking(last, ana)
    last.hangs_up()
    assert await dialled(centre, dora.at_phone.number) == 0


@pytest.mark.fault("F73")
@quick()
async def test_who_calls_in_while_being_dialled_is_not_dialled_any_more(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    dora = Customer(centre, "dora")
    await dora.breaks_off()
    await ana.becomes("ready")
    await dora.is_called_back()
    again = centre.caller("dora again")
    again.number = dora.at_phone.number
    await again.dials()
    await dora.at_phone.is_released()
    over = await becomes(centre, dora.at_phone.number, "called_in")
    assert [one["outcome"] for one in over["attempts"]] == ["cancelled"]
    await ana.answers()
    await talking(again, ana)
    again.hangs_up()
    await ana.is_("wrap_up")
    assert await dialled(centre, dora.at_phone.number) == 1
    assert sum(one["kind"] == "talk.started" for one in centre.feed.heard) == 1


# No agent is free any more


@pytest.mark.fault("F71")
@quick()
async def test_the_agent_declines_and_the_customer_is_first_in_line(centre: CallCentre) -> None:
    """Who has answered hears music, and is first in line until another agent comes."""
    ana, bo = await centre.agent("ana").works(), centre.agent("bo")
    dora, carl = Customer(centre, "dora"), centre.caller("carl")
    await ana.becomes("not_ready")
    await dora.breaks_off()
    await ana.becomes("ready")
    await dora.is_called_back()
    await carl.dials()
    await carl.waits_in("sales")
    await dora.answers()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await ana.declines()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    [queue] = [one for one in (await centre.client.get("/api/v1/queues"))["queues"] if one["id"] == "sales"]
    assert [one["id"] for one in queue["contacts"]] == [dora.at_phone.called_as, await carl.contact()]
    await bo.works()
    await bo.answers()
    await talking(dora.at_phone, bo)
    reached = await becomes(centre, dora.at_phone.number, "reached")
    assert (attempts(reached), reached["attempts"][0]["agent"]) == ([("answered", None)], "bo")
    dora.at_phone.hangs_up()
    assert offers(await dora.at_phone.record()) == ["offer(ana, declined)", "offer(bo, answered)"]
    carl.hangs_up()


@pytest.mark.fault("F71")
@quick()
async def test_who_waits_in_vain_after_the_answer_is_called_once_more(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    dora = Customer(centre, "dora")
    await ana.becomes("not_ready")
    await dora.breaks_off()
    await ana.becomes("ready")
    await dora.is_called_back()
    await dora.answers()
    await ana.declines()
    await ana.becomes("not_ready")
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    dora.at_phone.hangs_up()
    assert (await dora.at_phone.record())["outcome"] == "abandoned"
    tried = await the_callback(centre, dora.at_phone.number)
    assert attempts(tried) == [("abandoned", None)]
    await ana.becomes("ready")
    await dora.is_called_back()
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    assert attempts(await becomes(centre, dora.at_phone.number, "reached")) == [("abandoned", None), ("answered", None)]
    dora.at_phone.hangs_up()


@pytest.mark.fault("F71")
@quick()
async def test_the_agent_who_is_held_goes_and_the_customer_has_another(centre: CallCentre) -> None:
    """The agent logs out while the customer's telephone rings."""
    ana, bo = await centre.agent("ana").works(), centre.agent("bo")
    dora = Customer(centre, "dora")
    await ana.becomes("not_ready")
    await dora.breaks_off()
    await ana.becomes("ready")
    await dora.is_called_back()
    await ana.becomes("not_ready", "lunch")
    await bo.works()
    await dora.answers()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await ana.declines()
    await bo.answers()
    await talking(dora.at_phone, bo)
    await ana.is_("not_ready", reason="lunch")
    dora.at_phone.hangs_up()
