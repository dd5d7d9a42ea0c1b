"""Whoever called and was not served is called back: asked for or not, in the old place, once."""

from __future__ import annotations

import pytest

from .callbacks import SILENCE_SECONDS, Customer, becomes, quick
from .callcentre import CallCentre
from .people import SOON, hears, segments, talking

pytestmark = [
    pytest.mark.requirement("B2"),
    pytest.mark.requirement("B3"),
    pytest.mark.requirement("F8"),
    pytest.mark.seconds(60),
]


@quick()
async def test_abandoned_and_called_back(centre: CallCentre) -> None:
    dora = Customer(centre, "dora")
    ana = centre.agent("ana")
    await ana.logs_in()
    await dora.breaks_off()
    await ana.becomes("ready")
    await dora.is_called_back()
    await dora.answers()
    await hears(dora.at_phone, "music", SILENCE_SECONDS)
    await ana.answers()
    await talking(dora.at_phone, ana)
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=dora.at_phone.called_as)
    assert pop["callback"]
    assert pop["waited_before"] > 0
    reached = await becomes(centre, dora.at_phone.number, "reached")
    [attempt] = reached["attempts"]
    assert (attempt["outcome"], attempt["agent"]) == ("answered", "ana")
    dora.at_phone.hangs_up()
    record = await dora.at_phone.record()
    assert (record["channel"], record["outcome"]) == ("callback", "answered")
    assert "talk" in segments(record)


@quick()
async def test_asked_for_in_the_line_the_place_is_kept_among_live_callers(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    first, dora, last = centre.caller("first"), Customer(centre, "dora"), centre.caller("last")
    for caller in (first, dora.caller, last):
        await caller.dials()
        await caller.waits_in("sales")
    await dora.caller.presses("1")
    await dora.caller.reaches("where")
    await dora.caller.presses("1")
    await centre.feed.wait("callback.asked", SOON, source="asked")
    await dora.caller.is_released(3 * SOON)
    await centre.feed.wait("callback.begun", SOON)
    await ana.becomes("ready")
    await ana.answers()
    await talking(first, ana)
    first.hangs_up()
    await ana.is_("wrap_up")
    await ana.becomes("ready")
    await dora.is_called_back()  # and not `last`, who has been on the line all the time
    await dora.answers()
    await ana.answers()
    await talking(dora.at_phone, ana)
    dora.at_phone.hangs_up()
    await ana.is_("wrap_up")
    await ana.becomes("ready")
    await ana.answers()
    await talking(last, ana)


# At another number


async def keys(dora: Customer, number: str) -> None:
    """From the line, ask to be called at another number."""
    await dora.caller.dials()
    await dora.caller.waits_in("sales")
    await dora.caller.presses("2")
    await dora.caller.reaches("number")
    await hears(dora.caller, "speech")
    for key in f"{number}#":
        await dora.caller.presses(key)
    await dora.caller.reaches("there")


@pytest.mark.fault("A24")
@quick()
async def test_another_number_is_not_called_unless_the_queue_does_that(centre: CallCentre) -> None:
    """The caller is in line again, at the old place."""
    ana, dora, other = centre.agent("ana"), Customer(centre, "dora"), "0302351"
    await ana.logs_in()
    await keys(dora, other)
    await dora.caller.reaches("line")
    assert not (await centre.client.get("/api/v1/callbacks"))["callbacks"]
    await ana.becomes("ready")
    await ana.answers()
    await talking(dora.caller, ana)
    dora.caller.hangs_up()


@pytest.mark.fault("A24")
@quick("other_numbers = true\n")
async def test_another_number_is_called_where_the_queue_does_that(centre: CallCentre) -> None:
    ana, dora = centre.agent("ana"), Customer(centre, "dora")
    await ana.logs_in()
    elsewhere = centre.called("dora elsewhere", "2351")
    await keys(dora, "0302351")
    await centre.feed.wait("callback.asked", SOON, source="asked", number=elsewhere.number)
    await dora.caller.is_released(2 * SOON)
    await ana.becomes("ready")
    await elsewhere.answers()
    await ana.answers()
    await talking(elsewhere, ana)
    assert (await becomes(centre, elsewhere.number, "reached"))["source"] == "asked"
    elsewhere.hangs_up()


@pytest.mark.fault("A23")
@quick("other_numbers = true\n")
@pytest.mark.parametrize("number", ["0900123456", "0305550100"], ids=["premium", "our own"])
async def test_a_number_that_must_not_be_dialled_is_not_promised(centre: CallCentre, number: str) -> None:
    ana, dora = centre.agent("ana"), Customer(centre, "dora")
    await ana.logs_in()
    await keys(dora, number)
    await ana.becomes("ready")
    await ana.answers()
    await talking(dora.caller, ana)
    assert not (await centre.client.get("/api/v1/callbacks"))["callbacks"]
    dora.caller.hangs_up()


@quick()
async def test_who_withholds_the_number_waits_on(centre: CallCentre) -> None:
    ana, dora = centre.agent("ana"), centre.caller("dora")
    dora.number = "anonymous"
    await ana.logs_in()
    await dora.dials()
    contact = (await centre.feed.wait("contact.arrived", SOON, dialled="95588"))["contact"]
    await centre.feed.wait("queue.entered", SOON, contact=contact, queue="sales")
    for node in ("where", "here"):
        await dora.presses("1")
        await centre.feed.wait("ivr.step", SOON, contact=contact, node=node)
    await ana.becomes("ready")
    await ana.answers()
    await talking(dora, ana)
    assert not (await centre.client.get("/api/v1/callbacks"))["callbacks"]
    dora.hangs_up()
