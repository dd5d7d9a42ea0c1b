"""Waiting: what is announced never delays a connection, and a place is kept from a menu."""

from __future__ import annotations

import pytest

from .callcentre import CallCentre
from .people import SOON, hears, segments, talking

LONG = " ".join(["All our agents are talking. Please stay on the line, and have your customer number at hand."] * 4)
"""At least twenty seconds, in any voice."""
LONG_SECONDS = 15.0
"""Less than it takes."""
CONNECTED_SECONDS = 1.0
"""From the agent's answer to the talk, on a busy machine."""
ANNOUNCES = "announce_position = true\nannounce_wait = true\nannounce_seconds = 10"
LINE = {"95588": "welcome", "95599": "straight", "95597": "line"}


@pytest.mark.requirement("D1")
@pytest.mark.site(busy_prompt=LONG, sales=ANNOUNCES)
async def test_an_announcement_never_delays_a_connection(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await hears(carl, "speech")
    begun = centre.reactor.seconds()
    await ana.becomes("ready")
    await ana.answers()
    answered = centre.reactor.seconds()
    started = await centre.feed.wait("talk.started", SOON, contact=await carl.contact())
    assert started["at"] - answered < CONNECTED_SECONDS
    await talking(carl, ana)
    assert centre.reactor.seconds() - begun < LONG_SECONDS, "the announcement was heard to its end"
    ana.hangs_up()


@pytest.mark.requirement("D1")
@pytest.mark.site(busy_prompt="", sales=ANNOUNCES)
async def test_the_place_in_line_is_told_again_and_again_with_music_between(centre: CallCentre) -> None:
    carl = await centre.caller("carl").dials()
    await carl.chooses("1", "sales")
    await hears(carl, "speech")
    await hears(carl, "music")
    await hears(carl, "speech", 20)
    await hears(carl, "music")
    carl.hangs_up()


@pytest.mark.requirement("D1")
@pytest.mark.site(busy_prompt="", numbers=LINE)
async def test_a_place_is_kept_from_a_menu(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    first = await centre.caller("first").dials("95597")
    await first.waits_in("sales")
    second = await centre.caller("second").dials("95597")
    await second.waits_in("sales")
    await hears(first, "music")
    await first.presses("1")
    await first.reaches("other_ways")
    await centre.feed.wait("queue.left", SOON, contact=await first.contact(), queue="sales")
    await hears(first, "speech")
    assert await line(centre) == [await second.contact()], "who is in the menu is offered to nobody"
    await first.presses("2")

    async def back() -> bool:
        return await line(centre) == [await first.contact(), await second.contact()]

    await centre.until(back, 5, "the first in line is first again")
    await hears(first, "music")
    await ana.becomes("ready")
    call = await ana.answers()
    assert call.caller == first.number
    await talking(first, ana)
    ana.hangs_up()
    record = await first.record()
    assert record["outcome"] == "answered"
    assert record["answers"] == {"line": "other ways", "other_ways": "wait on"}
    assert [kind for kind in segments(record) if kind in ("waiting", "talk")] == ["waiting", "waiting", "talk"]
    second.hangs_up()


@pytest.mark.requirement("D1")
@pytest.mark.site(busy_prompt="", numbers=LINE)
async def test_an_agent_who_is_free_while_the_first_is_in_the_menu_takes_the_second(centre: CallCentre) -> None:
    ana = centre.agent("ana")
    await ana.logs_in()
    first = await centre.caller("first").dials("95597")
    await first.waits_in("sales")
    second = await centre.caller("second").dials("95597")
    await second.waits_in("sales")
    await hears(first, "music")
    await first.presses("1")
    await first.reaches("other_ways")
    await ana.becomes("ready")
    call = await ana.answers()
    assert call.caller == second.number
    await talking(second, ana)
    await first.presses("2")
    ana.hangs_up()
    await ana.answers()
    await talking(first, ana)
    ana.hangs_up()


async def line(centre: CallCentre) -> list[str]:
    """The contacts that wait in the queue, the first one first."""
    queues = (await centre.client.get("/api/v1/queues"))["queues"]
    return [one["id"] for queue in queues if queue["id"] == "sales" for one in queue["contacts"]]
