"""Who finds the queue closed or full is called back, once, and who left a message is not."""

from __future__ import annotations

import pytest

from .callbacks import becomes, quick
from .callcentre import CallCentre
from .people import SOON, hears, talking

pytestmark = [pytest.mark.requirement("B3"), pytest.mark.requirement("F8"), pytest.mark.seconds(60)]

FULL = """
[[queues.sales.overflow]]
when = "full"
to = "{to}"
"""


@quick(of="full", queue="max_waiting = 1\n", and_=FULL.format(to="hang_up"))
async def test_who_finds_the_queue_full_is_called_back(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    first = await centre.caller("first").dials()
    await first.waits_in("sales")
    dora = centre.called("dora", "2350")
    second = centre.caller("dora at her telephone")
    second.number = dora.number
    await second.dials()
    await second.is_released()
    asked = await centre.feed.wait("callback.asked", SOON, number=dora.number)
    assert asked["source"] == "full"
    await ana.becomes("ready")
    await ana.answers()
    await talking(first, ana)
    first.hangs_up()
    await ana.is_("wrap_up")
    await ana.becomes("ready")
    dora.called_as = (await centre.feed.wait("call.dialled", SOON, number=dora.number))["contact"]
    await dora.answers()
    await ana.answers()
    await talking(dora, ana)
    dora.hangs_up()
    assert (await becomes(centre, dora.number, "reached"))["source"] == "full"


@quick(of="full", queue="max_waiting = 1\n", and_=FULL.format(to="voicemail:sales"))
async def test_who_left_a_message_is_not_called_back(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    first = await centre.caller("first").dials()
    await first.waits_in("sales")
    second = await centre.caller("leaves a message").dials(speaks=True)
    await centre.feed.wait("voicemail.started", SOON, contact=await second.contact())
    await hears(second, "speech")
    await hears(second, "silence", SOON)  # greeting and tone are over
    await centre.world.pause(2.5)  # what is shorter is no message
    second.hangs_up()
    await centre.feed.wait("voicemail.left", SOON, contact=await second.contact())
    await second.record()
    first.hangs_up()
    await first.record()
    assert (await centre.client.get("/api/v1/callbacks"))["callbacks"] == []
