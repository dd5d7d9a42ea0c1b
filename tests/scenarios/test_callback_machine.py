"""Who answered is listened for, and the agent is told: it may be a machine."""

from __future__ import annotations

import pytest

from .callbacks import quick
from .callcentre import CallCentre
from .people import SOON, talking

pytestmark = [pytest.mark.requirement("B3"), pytest.mark.seconds(60)]


@quick(and_="detect_machine = true\n")
@pytest.mark.fault("F72")
@pytest.mark.parametrize(("voice", "known"), [(700, "machine"), (None, None)], ids=["talks on", "says nothing"])
async def test_who_answered_is_listened_for(centre: CallCentre, voice: int | None, known: str | None) -> None:
    """A sound without an end is no person; who says nothing may be anybody."""
    ana = await centre.agent("ana").works()
    dora = centre.called("dora", "2350")
    await centre.client.post("/api/v1/callbacks", queue="sales", number=dora.number)
    await dora.rings()
    dora.called_as = (await centre.feed.wait("call.dialled", SOON, number=dora.number))["contact"]
    await dora.leg.answer(voice)
    await ana.answers()
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=dora.called_as)
    assert pop["data"].get("answered_by") == known
    await talking(dora, ana)
    dora.hangs_up()
    assert (await dora.record())["outcome"] == "answered"
