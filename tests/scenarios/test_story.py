"""What a scenario that failed prints: it must be enough to understand the failure."""

from __future__ import annotations

import re

from .callcentre import STRAIGHT, CallCentre
from .people import hears, talking


async def test_the_story_so_far_tells_what_everybody_did_and_said(centre: CallCentre) -> None:
    chen = await centre.agent("chen").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await chen.answers()
    await talking(carl, chen)
    await hears(carl, chen)
    told = centre.so_far()
    people, wires = told.split("last messages (> easycall, < Asterisk):\n")
    ids = {"agent-leg": rf"ec-{await carl.contact()}-agent-1", "caller-leg": r"[0-9.]+"}
    assert_told(
        people,
        "chen       logs in with phone 2003",
        "chen       becomes ready",
        f"carl       dials {STRAIGHT}",
        "feed       contact.arrived caller=\\+4930100000",
        "chen       rang for \\+4930100000",
        "chen       answers",
        "chen       answered",
        "feed       talk.started",
        "carl       heard key 7",
        "chen       heard key 4",
        "carl       hears chen",
    )
    assert_told(
        wires,
        "AGI > 1 +SET MUSIC",
        "AMI > +Action: Originate .* Channel: PJSIP/2003@world",
        "AMI < +Event: Newchannel .* Uniqueid: {agent-leg}".format(**ids),
        "AGI < 2 +agi_uniqueid: {agent-leg}".format(**ids),
        "AMI > +Action: Bridge .* Channel1: PJSIP/[^ ]+ .* Channel2: PJSIP/[^ ]+",
        "AMI < +Response: Success",
    )
    assert centre.state.secrets["easycall"] not in told


def assert_told(told: str, *patterns: str) -> None:
    """Each is how a line goes on behind its time, and the times go up."""
    lines = told.strip("\n").splitlines()
    for pattern in patterns:
        assert any(re.match(rf" *\d+\.\d{{3}}  {pattern}", line) for line in lines), f"{pattern!r} is not told:\n{told}"
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)
