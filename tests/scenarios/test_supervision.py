"""Supervisors listen, whisper, barge in and take over; asked over the API, proved by what each one hears."""

from __future__ import annotations

from typing import Any

import pytest

from easycall.client import Refused

from .callcentre import CallCentre
from .people import SOON, Agent, Caller, hears, talking
from .test_call_control import asks

LOW, HIGH = 700, 1000
"""Voices, in Hz; 0 is somebody who says nothing."""


async def connected(centre: CallCentre, *, caller: int = 0, agent: int = HIGH) -> tuple[Caller, Agent]:
    """A caller who talks with Ana, with these voices."""
    carl, ana = centre.caller("carl"), centre.agent("ana")
    carl.voice, ana.voice = caller, agent
    await ana.works()
    await carl.dials()
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    return carl, ana


class Supervision:
    """Chen supervises."""

    def __init__(self, centre: CallCentre, id_: str, chen: Agent) -> None:
        self.centre = centre
        self.path = f"/api/v1/supervisions/{id_}"
        self.chen = chen

    async def becomes(self, mode: str) -> None:
        self.chen.tell(f"is to {mode}")
        assert (await self.centre.client.put(self.path, mode=mode))["mode"] == mode

    async def takes_over(self) -> Any:
        self.chen.tell("takes over")
        return await self.centre.client.post(f"{self.path}/take-over")


async def supervises(centre: CallCentre, mode: str, voice: int = LOW, **whom: str) -> tuple[Supervision, Agent]:
    """Chen answers and supervises a contact or an agent."""
    chen = centre.agent("chen")
    chen.voice = voice
    await chen.logs_in()
    begun = await centre.client.post("/api/v1/supervisions", supervisor="chen", mode=mode, **whom)
    await chen.answers()
    await centre.feed.wait("supervision.moved", SOON, supervision=begun["id"], hears=True)
    await chen.is_("supervising")
    return Supervision(centre, begun["id"], chen), chen


@pytest.mark.requirement("P2")
async def test_a_supervisor_listens_and_nobody_hears_it(centre: CallCentre) -> None:
    carl, ana = await connected(centre, caller=LOW, agent=0)
    one, chen = await supervises(centre, "listen", voice=HIGH, contact=await carl.contact())
    await hears(chen, carl)
    await hears(ana, carl)
    await hears(carl, "silence")
    shown = (await centre.client.get("/api/v1/supervisions"))["supervisions"]
    assert [(it["supervisor"], it["agent"], it["state"]) for it in shown] == [("chen", "ana", "hearing")]
    await centre.client.delete(one.path)
    await chen.is_released()
    await chen.is_("not_ready")
    await talking(carl, ana)
    carl.hangs_up()
    steps = [step["text"] for step in (await carl.record())["journey"] if step["kind"].startswith("supervision")]
    assert steps == [
        "chen begins to supervise the contact (listen)",
        "chen hears it with ana (listen)",
        "the supervision by chen ends (api)",
    ]


@pytest.mark.requirement("P2")
async def test_a_supervisor_whispers_to_the_agent_alone(centre: CallCentre) -> None:
    carl, ana = await connected(centre, agent=0)
    _, chen = await supervises(centre, "whisper", contact=await carl.contact())
    await hears(ana, chen)
    await hears(carl, "silence")
    await asks(carl, "hold")
    await hears(carl, "music")
    await hears(chen, "music")
    carl.hangs_up()
    await chen.is_released()


@pytest.mark.requirement("P2")
async def test_a_supervisor_barges_in_and_all_hear_each_other(centre: CallCentre) -> None:
    carl, ana = await connected(centre, caller=HIGH, agent=HIGH)
    one, chen = await supervises(centre, "listen", contact=await carl.contact())
    await hears(carl, ana)
    await one.becomes("barge")
    await hears(carl, "speech")  # that is what two tones are
    await hears(ana, "speech")
    await one.becomes("listen")
    await hears(carl, ana)
    await hears(ana, carl)
    carl.hangs_up()
    await chen.is_released()


@pytest.mark.requirement("P2")
async def test_a_supervisor_follows_the_contact_through_hold_and_transfer(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo = centre.agent("bo")
    bo.voice = LOW
    await bo.works()
    _, chen = await supervises(centre, "listen", contact=await carl.contact())
    await hears(chen, ana)
    await asks(carl, "hold")
    await hears(chen, "music")
    await asks(carl, "retrieve")
    await hears(chen, ana)
    await asks(carl, "transfer", agent="bo")
    await hears(chen, "music")
    await bo.answers()
    await hears(chen, bo)
    await talking(carl, bo)
    carl.hangs_up()
    await chen.is_released()
    ended = await centre.feed.wait("supervision.ended", SOON, supervisor="chen")
    assert (ended["how"], ended["contact"]) == ("contact", await carl.contact())


@pytest.mark.requirement("P2")
async def test_a_supervisor_follows_an_agent_through_a_consultation(centre: CallCentre) -> None:
    carl, ana = await connected(centre, caller=HIGH, agent=0)
    bo = centre.agent("bo")
    bo.voice = LOW
    await bo.works()
    _, chen = await supervises(centre, "listen", agent="ana")
    await hears(chen, carl)
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await hears(chen, bo)
    await hears(carl, "music")
    await asks(carl, "cancel")
    await hears(chen, carl)
    carl.hangs_up()
    await hears(chen, "music")
    await ana.is_("ready")
    await bo.becomes("not_ready")
    dora = centre.caller("dora")
    dora.voice = HIGH
    await dora.dials()
    await dora.chooses("1", "sales")
    await ana.answers()
    await hears(chen, dora)
    chen.hangs_up()
    await talking(dora, ana)


@pytest.mark.requirement("P1")
@pytest.mark.requirement("B5")
async def test_no_supervisor_hears_a_customer_who_is_lent(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    _, chen = await supervises(centre, "listen", contact=await carl.contact())
    await hears(chen, ana)
    await asks(carl, "lend", flow="welcome")
    await hears(carl, "speech")
    await hears(chen, "music")
    lent = await centre.feed.wait("loan.started", SOON)
    deaf = await centre.feed.wait("supervision.moved", SOON, hears=False)
    assert deaf["seq"] < lent["seq"]
    await carl.presses("2")
    await centre.feed.wait("loan.ended", 15, agent="ana")
    await hears(chen, ana)
    carl.hangs_up()


@pytest.mark.requirement("P2")
async def test_a_supervisor_takes_over(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    one, chen = await supervises(centre, "whisper", contact=await carl.contact())
    assert (await one.takes_over())["agent"] == "chen"
    await talking(carl, chen)
    await hears(carl, chen)
    await ana.is_released()
    await ana.is_("wrap_up")
    await chen.is_("talking")
    with pytest.raises(Refused, match="there is no supervision"):
        await one.takes_over()
    await asks(carl, "hold")
    await hears(carl, "music")
    await asks(carl, "retrieve")
    await talking(carl, chen)
    carl.hangs_up()
    assert (await carl.record())["agent"] == "chen"


@pytest.mark.fault("F32")
async def test_after_a_restart_no_supervisor_is_left(centre: CallCentre) -> None:
    centre.corrected = True
    carl, ana = await connected(centre)
    _, chen = await supervises(centre, "barge", contact=await carl.contact())
    await centre.restart_daemon()
    await chen.is_released()
    await talking(carl, ana)
    carl.hangs_up()
    await ana.is_released()
    journey = [step["text"] for step in (await carl.record())["journey"] if step["kind"] == "supervision.ended"]
    assert journey == ["the supervision by chen ends (restart)"]
