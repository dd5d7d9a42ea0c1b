"""What people hear while the daemon is killed and started again: those who talk, no gap.

Both ends of a call speak by a tone that never pauses.  On the real Asterisk each RTP packet that arrives at a telephone
(20 ms of sound) is listened to, and is there at the moment at which the kernel took it from the wire, so that a test that
comes late measures nothing but the calls; a gap is the time between the end of one packet with the tone and the next.  On
the simulator a gap is the time in which something else was on the line.
"""

from __future__ import annotations

import pytest

from easycall.lab.ear import Ear

from ..callcentre import STRAIGHT, after
from ..people import Agent, Caller, Person, hears, talking
from .centre import KillableCentre

GAP_SECONDS = 0.06
"""What is heard as a gap, and more than a busy machine delays a packet."""
HOLD_SECONDS = 0.3
BEFORE, BEHIND = 0.5, 1.0
"""Seconds that are listened to around the absence."""
MUSIC, CALLER, AGENT = 440, 700, 1000


async def ear_of(person: Person, other: Person | str) -> Ear:
    """What a person hears, who hears the other one now."""
    await hears(person, other)
    return await person.leg.listen()


async def joined(centre: KillableCentre) -> tuple[Caller, Agent]:
    """A caller and an agent who talk, both of them all the time."""
    ana = await centre.agent("ana").works("support")
    carl = await centre.caller("carl").dials(STRAIGHT, speaks=True)
    await ana.answers()
    return carl, ana


async def test_a_gap_would_be_seen(centre: KillableCentre) -> None:
    """The measure itself: a hold of a third of a second is one."""
    carl, ana = await joined(centre)
    ear = await ear_of(ana, carl)
    began = centre.reactor.seconds()
    await after(centre.reactor, BEFORE)
    assert ear.longest_gap(CALLER, began) <= GAP_SECONDS
    contact = await carl.contact()
    await centre.client.post(f"/api/v1/contacts/{contact}/hold")
    await after(centre.reactor, HOLD_SECONDS)
    await centre.client.post(f"/api/v1/contacts/{contact}/retrieve")
    await hears(ana, carl)
    assert HOLD_SECONDS - GAP_SECONDS <= ear.longest_gap(CALLER, began) <= HOLD_SECONDS + 1.0


@pytest.mark.fault("F32")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(60)
@pytest.mark.alone
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_who_talks_hears_no_gap(centre: KillableCentre, how: str) -> None:
    """Neither when the daemon ends nor when the next one finds the call."""
    carl, ana = await joined(centre)
    dora = await centre.caller("dora").dials(STRAIGHT)
    ears = {"ana": (await ear_of(ana, carl), CALLER), "carl": (await ear_of(carl, ana), AGENT)}
    waiting = await ear_of(dora, "music")
    began = centre.reactor.seconds()
    await after(centre.reactor, BEFORE)
    await (centre.kill() if how == "killed" else centre.terminate())
    await centre.start_daemon()
    await after(centre.reactor, BEHIND)
    gaps = {name: ear.longest_gap(tone, began) for name, (ear, tone) in ears.items()}
    for name, (ear, _) in ears.items():
        print(f"{name} heard {ear.heard_since(began)}; longest gap {gaps[name] * 1000:.0f} ms")  # noqa: T201
    print(f"dora's music paused for {waiting.longest_gap(MUSIC, began) * 1000:.0f} ms")  # noqa: T201
    assert max(gaps.values()) <= GAP_SECONDS, gaps
    await talking(carl, ana)
