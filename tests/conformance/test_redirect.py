"""Legs that are sent somewhere: home from a bridge, home from home, to a place that is none."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON
from .peers import Leg
from .stage import Stage
from .test_bridge import at_home, together

HOME = {"Context": "easycall", "Exten": "s", "Priority": "1"}
EXTRA_HOME = {f"Extra{name}": value for name, value in HOME.items()}


async def sent_home_while(stage: Stage, leg: Leg, doing: str) -> None:
    """A leg at home is told to come home, and its session of that; the session stays open."""
    if doing == "nothing":
        await stage.expect(leg, "NOOP", "200 result=0")
    else:
        leg.send(b"WAIT FOR DIGIT 20000\n")
        await stage.world.pause(0.3)  # until it does; a Redirect before that breaks nothing off
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=leg.id, **HOME))
    said = [await leg.line() for _ in range(1 if doing == "nothing" else 2)]
    stage.notes.add("said", *said)


@pytest.mark.fact("§2 hold", "§2 retrieve")
async def test_hold_and_retrieve(stage: Stage) -> None:
    """The customer is sent home and hears music; the agent comes home by the dialplan's loop."""
    caller, phone, one, other = await stage.bridged()
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=one.id, **HOME))
    held, waiting = await at_home(stage, one.id), await at_home(stage, other.id)
    await stage.expect(held, "SET MUSIC on", "200 result=0")
    await caller.hears(440, SOON)
    await stage.expect(waiting, "NOOP", "200 result=0")
    await stage.bridge(one.id, other.id)
    await caller.hears(1000, SOON)
    await stage.talk(caller, phone)
    assert await together(stage, one.id, other.id)
    await stage.daemon.quiet()
    stage.life(one.id)
    stage.life(other.id)


@pytest.mark.fact("§2 hold")
async def test_a_dual_redirect_sends_both_home_at_once(stage: Stage) -> None:
    _, _, one, other = await stage.bridged()
    answer = await stage.daemon.ask("Redirect", Channel=one.id, ExtraChannel=other.id, **HOME, **EXTRA_HOME)
    stage.notes.answer("Redirect", answer)
    await at_home(stage, one.id)
    await at_home(stage, other.id)


@pytest.mark.fact("§2 hold")
async def test_a_dual_redirect_with_one_that_is_gone_touches_nobody(stage: Stage) -> None:
    caller, phone, one, other = await stage.bridged()
    for pair in ({"Channel": one.id, "ExtraChannel": "nobody"}, {"Channel": "nobody", "ExtraChannel": one.id}):
        answer = await stage.daemon.ask("Redirect", **pair, **HOME, **EXTRA_HOME)
        stage.notes.answer("Redirect", answer)
        assert not answer.ok
    await stage.talk(caller, phone)
    assert await together(stage, one.id, other.id)


@pytest.mark.fact("§2 IVR and back")
async def test_to_the_ivr_and_back_to_the_same_agent(stage: Stage) -> None:
    """The customer's keys are read at home; the agent hears music and nothing of it."""
    caller, phone, one, other = await stage.bridged()
    await stage.daemon.ask("Redirect", Channel=one.id, **HOME)
    asked, waiting = await at_home(stage, one.id), await at_home(stage, other.id)
    await stage.expect(waiting, "SET MUSIC on", "200 result=0")
    asked.send(b"GET DATA silence/1 3000 4\n")
    await caller.press("4711")
    assert await asked.reply() == "200 result=4711"
    await phone.hears(440, SOON)
    assert "heard key 4" not in phone.story
    await stage.bridge(one.id, other.id)
    await stage.talk(caller, phone)


@pytest.mark.fact("§3 redirect")
@pytest.mark.parametrize("doing", ["waits for a key", "nothing"])
async def test_a_leg_sent_home_from_home_comes_when_its_old_session_is_closed(stage: Stage, doing: str) -> None:
    """It is told what a leg is told that was bridged, but it is no shell: until we close, it stays."""
    caller, leg = await stage.calls()
    await sent_home_while(stage, leg, doing)
    stage.notes.add("ANSWER", await leg.ask("ANSWER"))
    await stage.expect(leg, "SET VARIABLE EC_STEP menu", "200 result=1")
    await stage.world.pause(0.5)
    assert len(stage.home.legs) == 1
    leg.leave()
    again = await at_home(stage, leg.id)
    await stage.expect(again, "GET VARIABLE EC_STEP", "200 result=1 (menu)")
    assert caller.is_up
    stage.life(leg.id)


@pytest.mark.fact("§3 redirect", "§2 connect")
@pytest.mark.parametrize("doing", ["waits for a key", "nothing"])
async def test_a_bridge_takes_a_leg_that_has_not_followed_a_redirect_and_that_is_forgotten(stage: Stage, doing: str) -> None:
    """Its session was open all the time.  It does not go home behind the bridge, but when that ends."""
    caller, one = await stage.calls()
    phone, other = await stage.agent()
    await sent_home_while(stage, one, doing)
    await stage.bridge(one.id, other.id)
    await stage.talk(caller, phone)
    one.leave()
    other.leave()
    await stage.talk(caller, phone)
    assert await together(stage, one.id, other.id)
    phone.hang_up()
    await at_home(stage, one.id)
    await stage.ends(other.id)
    stage.life(one.id)


@pytest.mark.fact("§3 redirect", "§4")
async def test_music_goes_on_under_a_leg_that_comes_home_anew_and_a_redirect_ends_it(stage: Stage) -> None:
    """The caller hears no gap when the daemon dies; but who sends a leg home must start its music again."""
    caller, leg = await stage.calls()
    await stage.expect(leg, "SET MUSIC on", "200 result=0")
    leg.leave()
    leg = await at_home(stage, leg.id)
    await caller.hears(440, SOON)
    await stage.daemon.ask("Redirect", Channel=leg.id, **HOME)
    assert await leg.line() == "HANGUP"
    leg.leave()
    await at_home(stage, leg.id)
    await caller.hears_silence(SOON)
    await stage.daemon.quiet()
    stage.notes.add(*(event.name for event in stage.daemon.events if event.name.startswith("MusicOnHold")))


@pytest.mark.fact("§3 redirect")
async def test_a_caller_who_was_not_answered_can_be_sent_home(stage: Stage) -> None:
    caller, leg = await stage.dials()
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=leg.id, **HOME))
    assert await leg.line() == "HANGUP"
    leg.leave()
    again = await stage.home.comes(leg.id)
    await stage.expect(again, "CHANNEL STATUS", "200 result=4")
    await stage.expect(again, "ANSWER", "200 result=0")
    await caller.answered(SOON)


@pytest.mark.fact("§3 redirect")
async def test_a_phone_that_rings_can_be_sent_home_and_counts_as_not_reached(stage: Stage) -> None:
    """It comes home while it still rings; to Originate it has failed."""
    phone, leg = await stage.rings()
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=leg, **HOME))
    visit = await stage.home.comes(leg)
    await stage.expect(visit, "CHANNEL STATUS", "200 result=5")
    event = await stage.daemon.event("OriginateResponse")
    stage.notes.add("OriginateResponse", event.get("Response"), event.get("Reason"))
    await phone.answer()
    await stage.daemon.event("Newstate", Uniqueid=leg, ChannelStateDesc="Up")
    await stage.expect(visit, "CHANNEL STATUS", "200 result=6")
    stage.life(leg)


@pytest.mark.fact("§3 redirect")
async def test_a_leg_that_hung_up_cannot_be_sent_home(stage: Stage) -> None:
    """Its session is open, so it is still listed."""
    caller, leg = await stage.calls()
    caller.hang_up()
    assert await leg.line() == "HANGUP"
    answer = await stage.daemon.ask("Redirect", Channel=leg.id, **HOME)
    stage.notes.answer("Redirect", answer)
    assert not answer.ok
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel="nobody", **HOME))
    leg.leave()
    await stage.ends(leg.id)


@pytest.mark.fact("§3 redirect")
async def test_a_leg_sent_to_a_place_that_is_none_is_hung_up(stage: Stage) -> None:
    """Redirect does not look whether there is one."""
    caller, phone, one, other = await stage.bridged()
    answer = await stage.daemon.ask("Redirect", Channel=other.id, Context="nowhere", Exten="s", Priority="1")
    stage.notes.answer("Redirect", answer)
    await at_home(stage, one.id)
    await stage.ends(other.id)
    stage.notes.add("the agent is told", await phone.ended(SOON))
    assert caller.is_up
