"""Opening hours and overflow: callers whom a queue does not keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from easycall.lab.site import Desk

from .callcentre import CallCentre
from .people import SOON, hears, segments, talking

MORE = """
[hours.never]
zone = "Europe/Berlin"

[hours.always]
zone = "Asia/Shanghai"
[hours.always.week]
mon-sun = ["00:00-24:00"]

[queues.shut]
name = "Shut"
hours = "never"
[[queues.shut.overflow]]
when = "closed"
to = "hang_up"
say = "We are closed. Please call again tomorrow."

[queues.narrow]
name = "Narrow"
max_waiting = 1
[[queues.narrow.overflow]]
when = "full"
to = "queue:backup"

[queues.backup]
name = "Backup"
[[queues.backup.overflow]]
when = "waited"
seconds = 3
to = "voicemail:sales"

[queues.hotline]
name = "Hotline"
hours = "always"
[[queues.hotline.overflow]]
when = "closed"
to = "hang_up"
[[queues.hotline.overflow]]
when = "nobody_logged_in"
to = "flow:night"
"""

pytestmark = pytest.mark.site(
    flows=Path(__file__).parent / "overflow",
    numbers={"95601": "shut", "95602": "narrow", "95603": "clock"},
    agents={"ana": Desk("2001", ("shut", "narrow", "hotline"))},
    more=MORE,
)


@pytest.mark.requirement("V1")
async def test_closed_is_heard_and_recorded(centre: CallCentre) -> None:
    await centre.agent("ana").works()
    carl = await centre.caller("carl").dials("95601")
    await hears(carl, "speech")
    await carl.is_released()
    record = await carl.record()
    assert (record["outcome"], record["ended_by"], record["queue"]) == ("closed", "flow", "shut")
    [overflow] = record["overflows"]
    assert (overflow["rule"], overflow["to"]) == ("closed", "hang_up")
    assert 0 <= overflow["waited"] < 0.1, "at once"
    assert set(segments(record)) == {"ivr"}
    queues = {queue["id"]: queue for queue in (await centre.client.get("/api/v1/queues"))["queues"]}
    assert queues["shut"]["opening"] == {"hours": "never", "open": False, "why": "closed", "until": None}
    assert queues["hotline"]["opening"]["open"]


async def test_full_then_waited_then_a_message(centre: CallCentre) -> None:
    """The chain: one queue is full, in the next it takes too long, and a message is left."""
    first = await centre.caller("first").dials("95602")
    await first.waits_in("narrow")
    carl = await centre.caller("carl").dials("95602", speaks=True)
    contact = await carl.contact()
    full = await centre.feed.wait("queue.overflowed", SOON, contact=contact)
    assert (full["queue"], full["rule"], full["to"]) == ("narrow", "full", "queue:backup")
    await carl.waits_in("backup")
    await hears(carl, "music")
    await centre.feed.wait("voicemail.started", SOON, contact=contact, box="sales")
    await hears(carl, "speech")
    await hears(carl, "silence", 10)  # greeting and tone are over
    await centre.world.pause(2.5)
    carl.hangs_up()
    left = await centre.feed.wait("voicemail.left", SOON, contact=contact)
    assert left["box"] == "sales"
    record = await carl.record()
    assert [(one["queue"], one["rule"], one["to"]) for one in record["overflows"]] == [
        ("narrow", "full", "queue:backup"),
        ("backup", "waited", "voicemail:sales"),
    ]
    assert segments(record) == ["ivr", "waiting", "voicemail"]
    waited = record["overflows"][1]["waited"]
    assert 3 <= waited < 4
    assert abs(record["waited"] - waited) < 0.1, "the rule counts from the arrival, the record from the line"
    assert record["outcome"] == "overflowed"
    await hears(first, "music")
    first.hangs_up()
    assert (await first.record())["outcome"] == "abandoned"


@pytest.mark.requirement("V1")
async def test_a_flow_looks_at_the_clock(centre: CallCentre) -> None:
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials("95603")
    await hears(carl, "speech")
    await ana.answers()
    await talking(carl, ana)
    carl.hangs_up()
    record = await carl.record()
    assert (record["outcome"], record["queue"], record["overflows"]) == ("answered", "hotline", [])
    nodes = [step["text"] for step in record["journey"] if step["kind"] == "ivr.step"]
    assert nodes == [f"flow clock reaches {node}" for node in ("first", "sorry", "second", "hotline")]


async def test_when_the_last_agent_leaves_those_who_wait_are_told(centre: CallCentre) -> None:
    """One whose phone rings for a caller is not gone: the caller goes when that came to nothing."""
    ana = centre.agent("ana")
    await ana.logs_in()
    waiting = await centre.caller("waiting").dials("95603")
    await waiting.waits_in("hotline", 2 * SOON)
    await hears(waiting, "music")
    await ana.becomes("ready")
    await ana.rings()
    await centre.client.post("/api/v1/agents/ana/logout")
    await ana.declines()
    gone = await centre.feed.wait("queue.overflowed", SOON, contact=await waiting.contact())
    assert (gone["rule"], gone["to"]) == ("nobody_logged_in", "flow:night")
    await hears(waiting, "speech")
    await waiting.is_released()
    record = await waiting.record()
    assert (record["outcome"], record["ended_by"]) == ("overflowed", "flow")
    assert segments(record)[-4:] == ["waiting", "offer(ana, declined)", "waiting", "ivr"]
