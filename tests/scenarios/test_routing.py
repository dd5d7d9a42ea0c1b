"""Who gets whom: queues that share agents, what a flow asks for, the last agent, a call that broke off, ringing all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from easycall.defer import start
from easycall.lab.legs import NotSeen
from easycall.lab.site import Desk

from .callcentre import CallCentre
from .people import SOON, Caller, hears, segments, talking

NUMBERS = {"95599": "sales", "95611": "sales", "95612": "support", "95613": "gold", "95614": "asks"}
GOLD = """
[queues.gold]
name = "Gold"
wrap_up_seconds = 1
priority_seconds = 60
"""
LAST_AGENT_SECONDS = 4.0
LAST_AGENT = f"last_agent_seconds = {LAST_AGENT_SECONDS:g}"
ALL = {
    "ana": Desk("2001", ("sales", "support", "gold")),
    "bo": Desk("2002", ("sales",)),
    "chen": Desk("2003", ("sales",), supervises=("*",)),
}
FREE_SECONDS = 0.5
"""Who is rung and does not win is free again within so many seconds."""


def site(**more: Any) -> pytest.MarkDecorator:
    usual = {"flows": Path(__file__).parent / "routing", "numbers": NUMBERS, "agents": ALL, "more": GOLD, "busy_prompt": ""}
    return pytest.mark.site(**{**usual, **more})


class Again(Caller):
    """A caller who was there before, with another call from the same number."""

    def __init__(self, before: Caller) -> None:
        super().__init__(before.centre, f"{before.name} again", before.number)
        self.centre.callers.append(self)
        self._others = {one["contact"] for one in self._arrived()}

    def _arrived(self) -> list[dict[str, Any]]:
        heard = (one for one in self.centre.feed.heard if one["kind"] == "contact.arrived")
        return [one for one in heard if one["caller"] == self.number]

    async def contact(self, seconds: float = SOON) -> str:
        async def there() -> bool:
            return any(one["contact"] not in self._others for one in self._arrived())

        await self.centre.until(there, seconds, f"{self.name} is there")
        return str(next(one["contact"] for one in self._arrived() if one["contact"] not in self._others))


@pytest.mark.requirement("D1")
@site()
async def test_an_agent_of_three_queues_gets_the_best_item_over_all(centre: CallCentre) -> None:
    """Who is a minute ahead by the queue goes first, and then whoever waits longest, in whichever queue."""
    ana = centre.agent("ana")
    await ana.logs_in()
    support = await centre.caller("support").dials("95612")
    await support.waits_in("support")
    sales = await centre.caller("sales").dials("95611")
    await sales.waits_in("sales")
    gold = await centre.caller("gold").dials("95613")
    await gold.waits_in("gold")
    await ana.becomes("ready")
    for caller in (gold, support, sales):
        await ana.answers()
        await talking(caller, ana)
        caller.hangs_up()
        assert (await caller.record())["agent"] == "ana"


@pytest.mark.requirement("D1")
@site()
async def test_a_flow_asks_for_a_skill_and_a_priority(centre: CallCentre) -> None:
    ana, bo = centre.agent("ana"), centre.agent("bo")
    await centre.client.put("/api/v1/agents/bo/skills", skills={"lang:zh": 1})
    await ana.logs_in("sales")
    await bo.logs_in("sales")
    first = await centre.caller("first").dials("95611")
    await first.waits_in("sales")
    chinese = await centre.caller("chinese").dials("95614")
    await chinese.chooses("1", "sales")
    fast = await centre.caller("fast").dials("95614")
    await fast.chooses("2", "sales")
    contact = await chinese.contact()
    live = {one["id"]: one for one in (await centre.client.get("/api/v1/contacts"))["contacts"]}
    assert (live[contact]["skills"], live[await fast.contact()]["priority"]) == ("lang:zh", 60)
    why = (await centre.client.get(f"/api/v1/contacts/{contact}/why"))["waits"]
    told = {agent["id"]: [one["words"] for one in agent["why"]] for agent in why["agents"]}
    assert (why["requires"], told["ana"][-1]) == ("lang:zh", "no skill lang:zh")
    await ana.becomes("ready")
    await ana.answers()
    await talking(fast, ana)
    await bo.becomes("ready")
    await bo.answers()
    await talking(first, bo)
    first.hangs_up()
    await bo.answers()
    await talking(chinese, bo)
    chinese.hangs_up()
    fast.hangs_up()


@pytest.mark.requirement("D1")
@site()
async def test_what_a_contact_asks_for_is_changed_while_it_waits(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    first = await centre.caller("first").dials("95611")
    await first.waits_in("sales")
    second = await centre.caller("second").dials("95611")
    await second.waits_in("sales")
    await centre.client.patch(f"/api/v1/contacts/{await second.contact()}", priority=30)
    await centre.client.patch(f"/api/v1/contacts/{await first.contact()}", skills="billing")
    told = await centre.feed.wait("queue.amended", SOON, contact=await second.contact())
    assert (told["priority"], told["skills"], told["by"]) == (30, "", "lab")
    await ana.becomes("ready")
    await ana.answers()
    await talking(second, ana)
    second.hangs_up()
    await ana.is_("ready")
    assert len([one for one in centre.feed.heard if one["kind"] == "offer.made"]) == 1
    await centre.client.patch(f"/api/v1/contacts/{await first.contact()}", skills="")
    await ana.answers()
    await talking(first, ana)
    first.hangs_up()


@pytest.mark.requirement("D1")
@site(sales=LAST_AGENT)
async def test_the_last_agent_and_then_anyone(centre: CallCentre) -> None:
    """The agent who talked last with the number is asked alone for some seconds, also by a daemon that was restarted."""
    ana, bo = centre.agent("ana"), centre.agent("bo")
    await ana.works("sales")
    carl = await centre.caller("carl").dials("95611")
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
    await carl.record()
    await bo.works("sales")
    await ana.is_("ready")
    second = await Again(carl).dials("95611")
    await ana.answers()
    await talking(second, ana)
    second.hangs_up()
    await second.record()
    await centre.restart_daemon()
    await ana.becomes("not_ready", "pause")
    third = await Again(carl).dials("95611")
    entered = await centre.feed.wait("queue.entered", SOON, contact=await third.contact())
    assert entered["owner"] == "ana"
    await bo.answers()
    offered = await centre.feed.wait("offer.made", SOON, contact=await third.contact())
    assert (offered["agent"], round(offered["at"] - entered["at"])) == ("bo", LAST_AGENT_SECONDS)
    await talking(third, bo)
    third.hangs_up()


@pytest.mark.requirement("D1")
@site(sales="redial_seconds = 60")
async def test_who_calls_again_has_the_place_of_before(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    carl = await centre.caller("carl").dials("95611")
    await carl.waits_in("sales")
    other = await centre.caller("other").dials("95611")
    await other.waits_in("sales")
    carl.hangs_up()
    record = await carl.record()
    assert record["outcome"] == "abandoned"
    again = await Again(carl).dials("95611")
    resumed = await centre.feed.wait("queue.resumed", SOON, contact=await again.contact())
    assert (resumed["queue"], resumed["of"]) == ("sales", record["id"])
    entered = await centre.feed.wait("queue.entered", SOON, contact=await again.contact())
    assert (entered["position"], entered["since"]) == (1, resumed["since"])
    await ana.becomes("ready")
    await ana.answers()
    await talking(again, ana)
    again.hangs_up()
    await ana.answers()
    await talking(other, ana)
    other.hangs_up()


@pytest.mark.requirement("D1")
@pytest.mark.fault("F59")
@site(sales='order = "ring_all"\nring_all_agents = 3', ring_seconds=20)
async def test_all_phones_ring_and_one_wins(centre: CallCentre) -> None:
    agents = [centre.agent(name) for name in ("ana", "bo", "chen")]
    ana, bo, chen = agents
    for agent in agents:
        await agent.works("sales")
    carl = await centre.caller("carl").dials("95611")
    contact = await carl.contact()
    for agent in agents:
        await agent.rings()
        await agent.sees_pop(carl)
    await chen.declines()
    await chen.is_("ready")
    await bo.answers()
    answered = centre.reactor.seconds()
    await ana.is_released()
    revoked = await centre.feed.wait("screen.revoked", SOON, contact=contact, agent="ana")
    assert (revoked["outcome"], revoked["by"]) == ("answered_elsewhere", "bo")
    assert revoked["at"] - answered < 2 * FREE_SECONDS  # the phone's answer is on its way for some of it
    await ana.is_("ready", FREE_SECONDS)
    await talking(carl, bo)
    await hears(carl, bo)
    carl.hangs_up()
    record = await carl.record()
    assert (record["outcome"], record["agent"]) == ("answered", "bo")
    assert segments(record)[-3:-1] == ["offer(bo, answered)", "talk"]
    assert (await centre.client.get("/api/v1/agents/ana"))["missed"] is None


@pytest.mark.fault("F59")
@site(sales='order = "ring_all"', ring_seconds=20)
async def test_two_answers_at_once(centre: CallCentre) -> None:
    """Both pick up in the same moment: one talks with the caller, the other is hung up and free."""
    agents = [centre.agent(name) for name in ("ana", "bo")]
    for agent in agents:
        await agent.works("sales")
    carl = await centre.caller("carl").dials("95611")
    calls = [await agent.rings() for agent in agents]
    picking_up = []
    for call, agent in zip(calls, agents, strict=True):
        agent.tell("answers")
        picking_up.append(start(call.answer(agent.voice)))
    for one in picking_up:
        with suppress(NotSeen):  # who comes a moment too late finds the call gone
            await one
    contact = await carl.contact()
    started = await centre.feed.wait("talk.started", SOON, contact=contact)
    [winner] = [agent for agent in agents if agent.name == started["agent"]]
    [loser] = [agent for agent in agents if agent is not winner]
    await loser.is_released()
    await loser.is_("ready", 2 * FREE_SECONDS)
    await talking(carl, winner)
    carl.hangs_up()
    assert len([one for one in centre.feed.heard if one["kind"] == "talk.started"]) == 1
