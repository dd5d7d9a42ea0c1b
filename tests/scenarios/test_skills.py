"""Who gets whom: skills that are relaxed while a caller waits, and queues that share their agents."""

from __future__ import annotations

import pytest

from .callcentre import CallCentre
from .people import talking

FOR_BILLING = """\
skills = "billing >= 2"

[[queues.sales.rings]]
after = 2
lower = { billing = 1 }
"""


@pytest.mark.requirement("D1")
@pytest.mark.site(sales=FOR_BILLING, numbers={"95597": "line"})
async def test_a_skill_is_asked_for_until_the_caller_has_waited(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.works()
    await centre.client.put("/api/v1/agents/ana/skills", skills={"billing": 1})
    carl = await centre.caller("carl").dials("95597")
    await carl.waits_in("sales")
    begun = centre.reactor.seconds()
    assert not [one for one in centre.feed.heard if one["kind"] == "offer.made"]
    await ana.answers()
    assert centre.reactor.seconds() - begun > 1.5, "the ring came too early"
    await talking(carl, ana)
    carl.hangs_up()


@pytest.mark.requirement("D1")
@pytest.mark.site(sales='skills = "billing"', numbers={"95597": "line"})
async def test_a_skill_given_to_an_agent_helps_who_waits_already(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.works()
    carl = await centre.caller("carl").dials("95597")
    await carl.waits_in("sales")
    await centre.client.put("/api/v1/agents/ana/skills", skills={"billing": 1})
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
