"""What becomes of calls when the daemon stops, is killed, is started twice, or has lost a part of its journal.

A reactor that hangs (F35) is in tests/test_watchdog.py: the process ends itself, and then all is as after a kill.
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from attrs import frozen
from twisted.internet.threads import deferToThread

from easycall.stats.framing import frame, scan

from ..callcentre import STRAIGHT
from ..people import SOON, Agent, Caller, hears, talking
from .centre import OTHERS, KillableCentre
from .twistd import TWISTD

STOP_SECONDS = 5.0
REFUSED_SECONDS = 1.0
READY_SECONDS = 3.0
FALLBACK_SECONDS = 5.0
"""What a caller may wait for the fallback beyond the patience, at most; 35 s with that of half a minute."""


@frozen
class Up:
    """Who is there when it happens: one of each."""

    talker: Caller
    ana: Agent
    waiter: Caller
    rung: Caller
    chen: Agent
    chooser: Caller

    @property
    def at_home(self) -> tuple[Caller, ...]:
        """Those whom the daemon, or nobody, cares for."""
        return self.waiter, self.rung, self.chooser


async def all_up(centre: KillableCentre) -> Up:
    """One talks, one waits, one is offered to an agent whose phone rings, one is in the menu."""
    ana = await centre.agent("ana").works("support")
    talker = await centre.caller("talker").dials(STRAIGHT)
    await ana.answers()
    await talking(talker, ana)
    chen = await centre.agent("chen").works()
    rung = await centre.caller("rung").dials(STRAIGHT)
    await chen.rings()
    waiter = await centre.caller("waiter").dials(STRAIGHT)
    await waiter.waits_in("support")
    chooser = await centre.caller("chooser").dials()
    await chooser.reaches("menu")
    return Up(talker, ana, waiter, rung, chen, chooser)


async def application_of(centre: KillableCentre, caller: Caller) -> str:
    """What the caller's channel runs at the PBX."""
    contact = await caller.contact()
    return next(
        (one.application for one in await centre.on_the_pbx() if one.contact == contact and one.role not in OTHERS), ""
    )


@pytest.mark.fault("F36")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(60)
@pytest.mark.site(ring_seconds=30)
async def test_a_stop_in_order_leaves_the_calls_alone(centre: KillableCentre) -> None:
    """Within 5 s it is gone, everything it told is stored, and at the PBX nothing has changed."""
    up = await all_up(centre)
    before = {(one.id, one.bridge) for one in await centre.on_the_pbx()}
    told = {message["seq"] for message in centre.feed.heard if message["kind"] != "snapshot"}
    took = await centre.terminate()
    print(f"ended {took:.2f} s after SIGTERM")  # noqa: T201
    assert took <= STOP_SECONDS
    books = centre.books()
    assert not books.unstored
    assert told <= {seq for seq, _ in books.events}
    assert {(one.id, one.bridge) for one in await centre.on_the_pbx()} == before
    await talking(up.talker, up.ana)
    await hears(up.waiter, "music")
    assert not up.chen.leg.over
    await centre.start_daemon()
    await talking(up.talker, up.ana)
    await hears(up.waiter, "music")
    assert not [one.name for one in centre.callers if one.leg.over]


@pytest.mark.fault("F34")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(60)
@pytest.mark.site(ring_seconds=30, patience=2)
async def test_without_a_daemon_everybody_comes_to_the_fallback(centre: KillableCentre) -> None:
    """And who talks talks on.  Nobody was hung up before the words of the fallback."""
    up = await all_up(centre)
    began = centre.reactor.seconds()
    await centre.kill()
    served: dict[str, float] = {}

    async def all_served() -> bool:
        for caller in up.at_home:
            if caller.name not in served and await application_of(centre, caller) == "Playback":
                served[caller.name] = centre.reactor.seconds() - began
            assert caller.name in served or not caller.leg.over, f"{caller.name} was hung up: {caller.leg.story}"
        return len(served) == len(up.at_home)

    await centre.until(all_served, centre.patience + FALLBACK_SECONDS, "everybody is in the fallback")
    print("in the fallback after", ", ".join(f"{at:.1f} s" for at in served.values()))  # noqa: T201
    for caller in up.at_home:
        assert await caller.leg.ended(SOON) == "16"
    await talking(up.talker, up.ana)
    await centre.start_daemon()
    await talking(up.talker, up.ana)


@pytest.mark.fault("F41")
@pytest.mark.requirement("A3")
@pytest.mark.alone
@pytest.mark.seconds(60)
async def test_a_second_daemon_is_refused_and_the_first_goes_on(centre: KillableCentre) -> None:
    """A second beyond what the program takes to look at its configuration."""
    ana = await centre.agent("ana").works("support")
    talker = await centre.caller("talker").dials(STRAIGHT)
    await ana.answers()
    waiter = await centre.caller("waiter").dials(STRAIGHT)
    await waiter.waits_in("support")

    def run(*words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
        began = time.monotonic()
        command = [*TWISTD, "easycall", *words, str(centre.site.file)]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=centre.folder, timeout=SOON, check=False)
        return time.monotonic() - began, ran

    looking, checked = await deferToThread(run, "--check")
    assert checked.returncode == 0, checked
    took, refused = await deferToThread(run, "-c")
    print(f"a look at the configuration takes {looking:.2f} s, the refusal {took:.2f} s")  # noqa: T201
    assert took - looking <= REFUSED_SECONDS
    assert refused.returncode == 1, refused
    [why] = refused.stderr.splitlines()
    assert why.startswith("easycall cannot run: ")
    assert "another easycall uses it" in why
    assert await centre.ready()
    await talking(talker, ana)
    await hears(waiter, "music")
    talker.hangs_up()
    await ana.answers()
    await talking(waiter, ana)


@pytest.mark.fault("F38")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(60)
@pytest.mark.alone
async def test_a_damaged_journal_costs_at_most_one_contact_something(centre: KillableCentre) -> None:
    """Its tail is torn and a record before it flipped, both of the same contact, before the database had them."""
    callers = [await centre.caller().dials(STRAIGHT) for _ in range(4)]
    for caller in callers:
        await caller.waits_in("support")
    ids = [await caller.contact() for caller in callers]
    since = centre.feed.heard[-1]["seq"]
    for order in ("4711", "4712", "4713"):
        await centre.client.post(f"/api/v1/contacts/{ids[1]}/data", data={"order": order})
    before = await centre.by_caller()
    await centre.kill()
    damage(centre, since)
    await centre.begin_daemon()
    await centre.becomes_ready(but_for="the journal drops events: 1 so far")  # which is said for a minute
    print(f"ready after {centre.ready_after:.2f} s")  # noqa: T201
    assert centre.ready_after <= READY_SECONDS
    words = centre.last_words()
    assert "were cut off: the last write was broken off" in words
    assert "damaged" in words
    await centre.settles()
    for caller in callers:
        await hears(caller, "music")
    now = await centre.by_caller()
    like_before = [caller.number for caller in callers if now.get(caller.number) == before[caller.number]]
    assert len(like_before) >= len(callers) - 1, (before, now)
    assert set(now) == set(before)
    await centre.invariants_hold()


def damage(centre: KillableCentre, since: int) -> None:
    """Let the database lag behind ``since``, cut the last event of the file in two, and flip a bit in the last but two."""
    with closing(sqlite3.connect(centre.folder / "easycall.db")) as database:
        database.execute("DELETE FROM events WHERE seq > ?", (since,))
        database.commit()
    segment = max((centre.folder / "journal").glob("*.log"))
    data = bytearray(segment.read_bytes())
    *_, flipped, between, last = (frame(one) for one in scan(bytes(data), 0).frames)
    assert data.endswith(flipped + between + last)
    data[-len(last) - len(between) - len(flipped) // 2] ^= 0x10
    segment.write_bytes(data[: -len(last) // 2])
