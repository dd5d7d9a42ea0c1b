"""One group for calls, chats and customers who want to be called, and what callers leave behind for agents."""

from __future__ import annotations

from typing import Any

import pytest

from easycall.lab.site import NO_PAYMENTS

from .callcentre import CallCentre
from .people import SOON, hears, talking

DESK = f"""\
{NO_PAYMENTS}
[staff]
takes = {{chat = 2}}

[voicemail.queues]
sales = "support"
"""


async def asks(centre: CallCentre, channel: str, name: str, **more: Any) -> str:
    """Something is asked of the agents of sales; its contact."""
    centre.story.tell(name, f"asks for {channel}")
    answer = await centre.client.post("/api/v1/requests", queue="sales", channel=channel, name=name, **more)
    return str(answer["id"])


async def verb(centre: CallCentre, contact: str, name: str, **more: Any) -> Any:
    centre.story.tell("desktop", f"{name} {contact}")
    return await centre.client.post(f"/api/v1/contacts/{contact}/{name}", **more)


async def line_of(centre: CallCentre, queue: str) -> list[str]:
    """The channels of what waits, first in line first."""
    [found] = [one for one in (await centre.client.get("/api/v1/queues"))["queues"] if one["id"] == queue]
    return [one["channel"] for one in found["contacts"]]


@pytest.mark.requirement("D2")
@pytest.mark.site(numbers={"95597": "line"}, more=DESK)
async def test_one_group_serves_all_in_one_order(centre: CallCentre) -> None:
    ana, dora = centre.agent("ana"), centre.called("dora", "2350")
    chat = await asks(centre, "chat", "eve", data={"order": "4711"})
    carl = await centre.caller("carl").dials("95597")
    await carl.waits_in("sales")
    dora.called_as = await asks(centre, "call_me", "dora", number=dora.number)
    late = await asks(centre, "chat", "fay")
    assert await line_of(centre, "sales") == ["chat", "call", "call_me", "chat"]

    await ana.works()
    pop = await centre.feed.wait("screen.pop", SOON, agent="ana", contact=chat)
    assert (pop["channel"], pop["data"]) == ("chat", {"order": "4711"})
    assert (await verb(centre, chat, "answer"))["stage"] == "handling"
    assert await line_of(centre, "sales") == ["call", "call_me", "chat"]
    await ana.is_("ready")
    # Room for a second chat, and none for a call beside one.
    await centre.feed.wait("screen.pop", SOON, agent="ana", contact=late)
    await verb(centre, late, "answer")
    assert await line_of(centre, "sales") == ["call", "call_me"]
    await verb(centre, late, "close")
    await verb(centre, chat, "close")

    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
    await ana.answers()
    await hears(ana, "music")
    await dora.answers()
    await talking(dora, ana)
    assert await line_of(centre, "sales") == []
    dora.hangs_up()
    record = await dora.record()
    assert (record["channel"], record["outcome"], record["agent"]) == ("call_me", "answered", "ana")
    ended = await centre.client.get(f"/api/v1/contacts/{chat}")
    assert (ended["channel"], ended["outcome"], ended["agent"]) == ("chat", "answered", "ana")


@pytest.mark.requirement("D2")
@pytest.mark.site(numbers={"95597": "line"}, more=DESK)
async def test_a_customer_who_wants_to_be_called_keeps_the_place_when_an_agent_declines(centre: CallCentre) -> None:
    ana, bo, dora = await centre.agent("ana").works(), centre.agent("bo"), centre.called("dora", "2350")
    dora.called_as = await asks(centre, "call_me", "dora", number=dora.number)
    await ana.declines()
    await bo.works()
    await bo.answers()
    await dora.answers()
    await talking(dora, bo)
    bo.hangs_up()
    record = await dora.record()
    assert [one["outcome"] for one in record["segments"] if one["kind"] == "offer"] == ["declined", "answered"]


@pytest.mark.requirement("D2")
@pytest.mark.site(numbers={"95597": "line"}, more=DESK)
async def test_a_voice_mail_is_offered_to_an_agent(centre: CallCentre) -> None:
    ana, chen = await centre.agent("ana").works("sales"), centre.agent("chen")
    carl = await centre.caller("carl").dials("95597", speaks=True)
    await ana.answers()
    await talking(carl, ana)
    await verb(centre, await carl.contact(), "transfer", voicemail="sales")
    await centre.feed.wait("voicemail.started", SOON, box="sales")
    await hears(carl, "speech")
    await hears(carl, "silence")  # greeting and tone are over
    await centre.world.pause(2.5)
    carl.hangs_up()
    left = await centre.feed.wait("voicemail.left", SOON, box="sales")
    arrived = await centre.feed.wait("contact.arrived", SOON, channel="voicemail")
    assert arrived["caller"] == carl.number
    await chen.works()
    pop = await centre.feed.wait("screen.pop", SOON, agent="chen", contact=arrived["contact"])
    assert pop["data"]["voicemail"] == left["message"]
    await verb(centre, arrived["contact"], "answer")
    sound = await centre.client.get(f"/api/v1/voicemails/{pop['data']['voicemail']}/audio")
    assert sound[:4] == b"RIFF"
    await verb(centre, arrived["contact"], "close")
    ended = await centre.feed.wait("contact.ended", SOON, contact=arrived["contact"])
    assert (ended["outcome"], ended["ended_by"]) == ("answered", "agent")


@pytest.mark.requirement("D2")
@pytest.mark.site(more=DESK)
async def test_what_waits_is_there_after_a_restart(centre: CallCentre) -> None:
    await centre.agent("ana").works()
    had, waits = await asks(centre, "chat", "eve"), await asks(centre, "message", "fay")
    await centre.feed.wait("screen.pop", SOON, agent="ana", contact=had)
    await verb(centre, had, "answer")
    await centre.restart_daemon()
    assert await line_of(centre, "sales") == ["message"]

    async def stages() -> dict[str, str]:
        return {one["id"]: one["stage"] for one in (await centre.client.get("/api/v1/contacts"))["contacts"]}

    async def as_before() -> bool:
        return await stages() == {had: "handling", waits: "offered"}

    await centre.until(as_before, SOON, "Ana has the chat, and is offered the message again")
    await verb(centre, waits, "answer")
    for contact in (had, waits):
        await verb(centre, contact, "close")
