"""A queue that asks a strategy who of the idle agents gets a caller, and one that is changed while a caller waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..strategies import from_the_docs, install
from .callcentre import CallCentre
from .people import SOON, hears, talking
from .test_call_control import asks

NAMED = '[strategies.by_name]\nuse = "named"\n'
STUCK = '[strategies.by_name]\nuse = "stuck"\nseconds = 0.2\n'
NEVER = """


class Stuck(Named):
    async def choose(self, case):
        await __import__("twisted.internet.defer").internet.defer.Deferred()
"""


@pytest.fixture(autouse=True)
def package(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example of the docs, and one that never answers, installed before the daemon starts."""
    folder = tmp_path_factory.mktemp("package")
    install(folder, monkeypatch, from_the_docs() + NEVER, named="Named", stuck="Stuck")
    return folder


@pytest.mark.requirement("D1")
@pytest.mark.site(sales='strategy = "by_name"', more=NAMED)
async def test_the_agent_named_by_attached_data_gets_the_caller(centre: CallCentre) -> None:
    ana, bo = await centre.agent("ana").works(), await centre.agent("bo").works()
    carl = await centre.caller("carl").dials()
    await carl.reaches("menu")
    await asks(carl, "data", data={"agent": "bo"})
    await carl.presses("1")
    await bo.answers()
    await talking(carl, bo)
    contact = await carl.contact()
    asked = await centre.feed.wait("strategy.asked", SOON, contact=contact)
    assert (asked["agent"], asked["first"], asked["outcome"], asked["strategy"]) == ("bo", "ana", "followed", "by_name")
    why = await centre.client.get(f"/api/v1/contacts/{contact}/why")
    assert [one["strategy"] for one in why["decisions"]][-1:] == ["strategy by_name: bo instead of ana"]
    await ana.is_("ready")
    dora = await centre.caller("dora").dials()
    await dora.chooses("1", "sales")
    await ana.answers()
    await talking(dora, ana)
    for caller in (carl, dora):
        caller.hangs_up()


@pytest.mark.requirement("D1")
@pytest.mark.site(sales='strategy = "by_name"', more=STUCK)
async def test_a_strategy_that_never_answers_costs_a_moment(centre: CallCentre) -> None:
    ana, bo = await centre.agent("ana").works(), await centre.agent("bo").works()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    asked = await centre.feed.wait("strategy.asked", SOON, contact=await carl.contact())
    assert (asked["agent"], asked["outcome"]) == ("ana", "timed_out")
    assert 0.2 <= asked["seconds"] < 1.5
    carl.hangs_up()
    await carl.is_released()
    await ana.is_("ready")
    await bo.is_("ready")


@pytest.mark.requirement("D1")
@pytest.mark.site(sales='skills = "billing >= 2"', numbers={"95597": "line"})
async def test_a_queue_is_changed_while_a_caller_waits(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    await centre.client.put("/api/v1/agents/ana/skills", skills={"billing": 1})
    carl = await centre.caller("carl").dials("95597")
    await carl.waits_in("sales")
    await hears(carl, "music")
    assert not [one for one in centre.feed.heard if one["kind"] == "offer.made"]
    changed = await centre.client.patch("/api/v1/queues/sales/routing", skills="billing", ring_seconds=9)
    assert (changed["skills"], changed["configured"]["skills"], changed["changed_by"]) == ("billing", "billing >= 2", "lab")
    await ana.answers()
    await talking(carl, ana)
    event = await centre.feed.wait("queue.edited", SOON, queue="sales")
    assert (event["changed"], event["by"]) == ({"skills": "billing", "ring_seconds": 9}, "lab")
    carl.hangs_up()
    await carl.record()
    await centre.restart_daemon()
    again = await centre.client.get("/api/v1/queues/sales/routing")
    assert (again["skills"], again["ring_seconds"], again["changed"]) == ("billing", 9.0, event["changed"])
    assert (await centre.client.delete("/api/v1/queues/sales/routing"))["skills"] == "billing >= 2"
