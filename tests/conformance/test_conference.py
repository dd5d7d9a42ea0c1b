"""A conference from home: who hears whom, who is muted, how each leaves it; and keys that are sent to a line."""

from __future__ import annotations

import pytest

from easycall.asterisk.conference import SETTINGS
from easycall.lab.legs import Caller, NotSeen, PhoneCall

from ..wire.stage import SOON
from .peers import Leg
from .stage import Stage
from .test_bridge import at_home
from .test_redirect import HOME

ROOM = "ec-room"


async def attends(stage: Stage, leg: Leg, *settings: str) -> None:
    """Put a leg into the conference as the daemon does."""
    for name, value in SETTINGS.items():
        await stage.expect(leg, f"SET VARIABLE CONFBRIDGE(user,{name}) {value}", "200 result=1")
    leg.send(f"EXEC ConfBridge {ROOM}\n".encode())
    await stage.daemon.event("BridgeEnter", Uniqueid=leg.id)


async def three(stage: Stage) -> tuple[Caller, PhoneCall, PhoneCall, Leg, Leg, Leg]:
    """A caller who says 700 Hz, an agent who says 1000 Hz and a silent one, in a conference."""
    caller, one = await stage.calls(tone=700)
    first, two = await stage.agent("first", tone=1000)
    second, other = await stage.agent("second", "2002", tone=None)
    for leg in (one, two, other):
        await attends(stage, leg)
    return caller, first, second, one, two, other


@pytest.mark.fact("§2 conference of 3")
async def test_a_conference_from_home_each_hears_the_others_and_nobody_is_announced(stage: Stage) -> None:
    caller, first, second, one, two, other = await three(stage)
    bridges = {leg.id: (await stage.channels())[leg.id] for leg in (one, two, other)}
    assert len({shown["bridgeid"] for shown in bridges.values()}) == 1
    stage.notes.add("listed", *(shown["application"] for shown in bridges.values()))
    await caller.hears(1000, SOON)
    await first.hears(700, SOON)
    await second.hears_speech(SOON)  # two tones at once
    for who in (caller, first, second):
        await who.press("5")
        for hearer in {caller, first, second} - {who}:
            await hearer.hears_key("5", SOON)


@pytest.mark.fact("§2 conference of 3")
async def test_music_under_a_leg_goes_on_in_a_conference(stage: Stage) -> None:
    """So it is ended before."""
    caller, one = await stage.calls(tone=700)
    phone, two = await stage.agent(tone=1000)
    await stage.expect(one, "SET MUSIC on", "200 result=0")
    await caller.hears(440, SOON)
    for leg in (one, two):
        await attends(stage, leg)
    await phone.hears(700, SOON)
    await caller.hears(440, SOON)


@pytest.mark.fact("§2 conference of 3")
async def test_one_of_a_conference_is_muted_by_the_name_of_the_channel_only(stage: Stage) -> None:
    caller, first, second, _, two, _ = await three(stage)
    name = (await stage.channels())[two.id]["channel"]
    for channel in (two.id, "nobody", name):
        answer = await stage.daemon.ask("ConfbridgeMute", Conference=ROOM, Channel=channel)
        stage.notes.answer("ConfbridgeMute", answer)
        assert answer.ok == (channel == name)
    await second.hears(700, SOON)
    await caller.hears_silence(SOON)
    await first.press("9")  # who is muted is not heard, but their keys are
    await caller.hears_key("9", SOON)
    stage.notes.answer("ConfbridgeUnmute", await stage.daemon.ask("ConfbridgeUnmute", Conference=ROOM, Channel=name))
    await caller.hears(1000, SOON)
    answer = await stage.daemon.ask("ConfbridgeMute", Conference="nowhere", Channel=name)
    stage.notes.answer("ConfbridgeMute", answer)


@pytest.mark.fact("§2 conference of 3", "§2 taken or hung up")
async def test_how_each_leaves_a_conference(stage: Stage) -> None:
    """By hanging up, by a Redirect, by being thrown out."""
    caller, first, second, one, two, other = await three(stage)
    second.hang_up()
    stage.notes.add("who hangs up is told", await other.line(), await other.line())
    other.leave()
    await stage.gone(other.id)
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=two.id, **HOME))
    stage.notes.add("who is sent home is told", await two.line(), await two.line())
    two.leave()
    await at_home(stage, two.id)
    name = (await stage.channels())[one.id]["channel"]
    stage.notes.answer("ConfbridgeKick", await stage.daemon.ask("ConfbridgeKick", Conference=ROOM, Channel=name))
    stage.notes.add("who is thrown out is told", await one.line())
    await stage.expect(one, "CHANNEL STATUS", "200 result=6")
    assert caller.is_up
    assert first.is_up


@pytest.mark.fact("§2 conference of 3", "§4", "M3")
async def test_a_conference_goes_on_when_we_die_and_a_redirect_still_fetches(stage: Stage) -> None:
    caller, first, second, one, two, other = await three(stage)
    for leg in (one, two, other):
        leg.reset()
    await stage.world.pause(1.0)
    assert len(stage.home.legs) == 3
    await caller.hears(1000, SOON)
    await caller.press("5")
    await first.hears_key("5", SOON)
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=one.id, **HOME))
    await at_home(stage, one.id)
    assert second.is_up


async def test_keys_are_sent_to_a_line_by_the_daemon(stage: Stage) -> None:
    """From home.  (In a bridge of two a real one loses some of them now and then.)"""
    caller, one = await stage.calls()
    phone, _ = await stage.agent()
    for digit in "0*A":
        stage.notes.answer("PlayDTMF", await stage.daemon.ask("PlayDTMF", Channel=one.id, Digit=digit, Duration="100"))
        await caller.hears_key(digit, SOON)
    with pytest.raises(NotSeen):
        await phone.hears_key("0", 0.5)
    stage.notes.answer("PlayDTMF", await stage.daemon.ask("PlayDTMF", Channel="nobody", Digit="1", Duration="100"))
    stage.notes.answer("PlayDTMF", await stage.daemon.ask("PlayDTMF", Channel=one.id, Digit="x", Duration="100"))
