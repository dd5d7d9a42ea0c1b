"""Two legs in a bridge: how they get there, what their sessions are told, and that each comes home alive."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON
from .peers import Leg
from .stage import Stage

DEAD = "511 Command Not Permitted on a dead channel or intercept routine"
TIMES = 6
"""How often what is a matter of chance is tried.  When a leg comes home much more often in a row, the dialplan thinks that
we are down."""


async def at_home(stage: Stage, leg: str) -> Leg:
    """The next visit of a leg that is alive: it was told nothing and does as it is told."""
    visit = await stage.home.comes(leg)
    assert not visit.unread()
    await stage.expect(visit, "CHANNEL STATUS", "200 result=6")
    return visit


async def together(stage: Stage, *legs: str) -> bool:
    """Whether Status shows legs in one bridge, and no other leg in it."""
    bridges = {leg: there["bridgeid"] for leg, there in (await stage.channels()).items()}
    bridge = bridges.get(legs[0])
    return bool(bridge) and {leg for leg in bridges if bridges[leg] == bridge} == set(legs)


@pytest.mark.fact("§2 connect", "§2 taken or hung up")
async def test_a_bridge_takes_both_out_of_home_and_that_is_no_hangup(stage: Stage) -> None:
    """Who waits for a key is told -1 and HANGUP, who does nothing HANGUP; all else is 511, as on a leg that hung up."""
    caller, one = await stage.calls()
    phone, other = await stage.agent()
    one.send(b"WAIT FOR DIGIT 20000\n")
    await stage.expect(other, "NOOP", "200 result=0")
    await stage.bridge(one.id, other.id)
    said = [await one.line(), await one.line(), await other.line()]
    assert said == ["200 result=-1", "HANGUP", "HANGUP"]
    stage.notes.add("said", *said)
    for command in (
        "NOOP",
        "GET VARIABLE EC_DNIS",
        "SET VARIABLE EC_STEP x",
        "ANSWER",
        "WAIT FOR DIGIT 10",
        "CHANNEL STATUS",
    ):
        stage.notes.add(command, await one.ask(command))
    assert await one.ask("ANSWER") == DEAD
    await stage.talk(caller, phone)
    assert await together(stage, one.id, other.id)
    stage.notes.add("listed", (await stage.channels())[one.id]["application"])
    assert await stage.get(one.id, "EC_STEP") == ""  # the session is that of a shell: what is set there is lost
    await stage.daemon.quiet()
    assert not [event for event in stage.daemon.events if "Hangup" in event.name]
    stage.life(one.id)
    stage.life(other.id)


@pytest.mark.fact("§2 connect")
async def test_a_bridge_ends_the_music_and_each_hears_the_other(stage: Stage) -> None:
    caller, one = await stage.calls(tone=700)
    await stage.expect(one, "SET MUSIC on", "200 result=0")
    await caller.hears(440, SOON)
    phone, other = await stage.agent(tone=1000)
    await stage.bridge(one.id, other.id)
    await caller.hears(1000, SOON)
    await phone.hears(700, SOON)
    phone.hang_up()
    one = await at_home(stage, one.id)
    await caller.hears_silence(SOON)


@pytest.mark.fact("§2 bridge ends", "M18")
@pytest.mark.parametrize("who", ["agent", "caller"])
async def test_a_leg_whose_partner_hangs_up_comes_home_alive(stage: Stage, who: str) -> None:
    caller, phone, one, other = await stage.bridged()
    (phone if who == "agent" else caller).hang_up()
    left, gone = (one, other) if who == "agent" else (other, one)
    await at_home(stage, left.id)
    await stage.ends(gone.id)
    assert (phone if who == "caller" else caller).is_up
    stage.life(left.id)


@pytest.mark.fact("§2 bridge ends")
async def test_a_leg_whose_partner_we_hang_up_comes_home_alive(stage: Stage) -> None:
    caller, phone, one, other = await stage.bridged()
    stage.notes.answer("Hangup", await stage.daemon.ask("Hangup", Channel=other.id, Cause="16"))
    await at_home(stage, one.id)
    await stage.ends(other.id)
    assert await phone.ended(SOON) == "16"
    assert caller.is_up


@pytest.mark.fact("§2 bridge ends")
async def test_a_leg_comes_home_though_its_old_session_is_still_open(stage: Stage) -> None:
    """The session was that of a shell, and nothing waits for its end."""
    _, one = await stage.calls()
    phone, other = await stage.agent()
    await stage.bridge(one.id, other.id)
    phone.hang_up()
    await at_home(stage, one.id)
    assert not one.closed
    await stage.ends(other.id)


@pytest.mark.fact("M17", "§2 consult", "§2 complete")
async def test_a_bridge_steals_and_the_leg_left_behind_comes_home(stage: Stage) -> None:
    """Consult and complete: the customer hears music alone, then agent 2, who is never in between; agent 1 is at home."""
    customer, one = await stage.calls("customer", tone=700)
    await stage.expect(one, "SET MUSIC on", "200 result=0")
    first, two = await stage.agent("agent 1", tone=None)
    second, three = await stage.agent("agent 2", "2002", tone=1000)
    await stage.bridge(two.id, three.id)
    await customer.hears(440, SOON)
    await first.hears(1000, SOON)
    await stage.bridge(one.id, three.id)
    await customer.hears(1000, SOON)
    await second.hears(700, SOON)
    await at_home(stage, two.id)
    assert first.is_up
    assert await together(stage, one.id, three.id)
    await stage.daemon.quiet()
    for leg in (one, two, three):
        stage.life(leg.id)


@pytest.mark.fact("M17")
async def test_a_leg_left_behind_whose_dialplan_ends_is_hung_up(stage: Stage) -> None:
    _, one = await stage.calls("customer")
    first, leg = await stage.rings("agent 1", Context="conformance", Exten="dead-end")
    await first.answer()
    await stage.runs(leg, "Wait")
    _, three = await stage.agent("agent 2", "2002")
    await stage.bridge(leg, three.id)
    await stage.bridge(one.id, three.id)
    await stage.ends(leg)
    stage.notes.add("agent 1 is told", await first.ended(SOON))


@pytest.mark.fact("M18", "§2 connect")
async def test_a_bridge_with_a_leg_that_is_gone_is_refused_and_touches_nobody(stage: Stage) -> None:
    caller, one = await stage.calls()
    phone, other = await stage.agent()
    phone.hang_up()
    assert await other.line() == "HANGUP"
    other.leave()
    await stage.gone(other.id)
    for pair in ((one.id, other.id), (other.id, one.id)):
        answer = await stage.daemon.ask("Bridge", Channel1=pair[0], Channel2=pair[1], Tone="no")
        stage.notes.answer("Bridge", answer)
        assert not answer.ok
    await stage.expect(one, "NOOP", "200 result=0")
    assert caller.is_up


@pytest.mark.fact("§2 connect")
async def test_a_bridge_takes_whose_name_or_id_begins_so(stage: Stage) -> None:
    """So an id does not name one leg: 1700000000.1 begins 1700000000.15, too.  All other actions take whole names only."""
    caller, one = await stage.calls()
    phone, other = await stage.agent()
    for verb, more in (("Hangup", {}), ("Redirect", {"Context": "easycall", "Exten": "s", "Priority": "1"})):
        assert not (await stage.daemon.ask(verb, Channel=other.id[:-1], **more)).ok
    answer = await stage.daemon.ask("Bridge", Channel1=one.id[:-1], Channel2=other.id[:-1], Tone="no")
    stage.notes.answer("Bridge", answer)
    await stage.talk(caller, phone)
    assert await together(stage, one.id, other.id)


@pytest.mark.fact("M18", "§2 taken or hung up")
@pytest.mark.parametrize("order", ["first", "second"])
async def test_a_bridge_with_a_leg_that_hung_up_succeeds_and_the_hangup_is_forgotten(stage: Stage, order: str) -> None:
    """As long as its session is open the leg can be bridged, and then sits there, dead and silent; a Hangup ends it."""
    caller, one = await stage.calls()
    phone, other = await stage.agent()
    caller.hang_up()
    assert await one.line() == "HANGUP"
    await stage.bridge(*((one.id, other.id) if order == "first" else (other.id, one.id)))
    one.leave()
    other.leave()
    await stage.daemon.quiet(0.5)
    assert await together(stage, one.id, other.id)
    await phone.hears_silence(SOON)
    stage.life(one.id)
    assert (await stage.daemon.ask("Hangup", Channel=one.id, Cause="16")).ok
    await at_home(stage, other.id)
    await stage.ends(one.id)


@pytest.mark.fact("§2 connect")
async def test_a_bridge_with_a_phone_that_rings_holds_until_it_answers(stage: Stage) -> None:
    """Asterisk does not mind: who bridges must know that the leg was answered."""
    caller, one = await stage.calls()
    phone, leg = await stage.rings()
    await stage.bridge(one.id, leg)
    assert await one.line() == "HANGUP"
    event = await stage.daemon.event("OriginateResponse")
    stage.notes.add("OriginateResponse", event.get("Response"), event.get("Reason"))
    await phone.answer()
    await stage.talk(caller, phone)
    await stage.daemon.quiet()
    stage.life(leg)
    caller.hang_up()
    home = await at_home(stage, leg)
    stage.notes.add("it comes home by the way of its endpoint, as", home.facts["agi_arg_1"])


@pytest.mark.fact("M17")
async def test_a_second_bridge_of_two_who_talk_may_part_them(stage: Stage) -> None:
    """A matter of chance: they are joined anew, or both come home, or, once in a hundred, one of them is hung up."""
    _, _, one, other = await stage.bridged()
    for _ in range(TIMES):
        answer = await stage.daemon.ask("Bridge", Channel1=one.id, Channel2=other.id, Tone="no")
        await stage.daemon.quiet()
        assert answer.ok == await together(stage, one.id, other.id)
        if not answer.ok:
            assert answer.get("Message").startswith("Unable to add Channel2 to bridge: ")
            if not {one.id, other.id} <= set(await stage.channels()):
                break
            await stage.bridge(one.id, other.id)
