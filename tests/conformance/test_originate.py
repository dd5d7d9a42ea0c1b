"""Legs we ring: what comes of an Originate, in every way it can end."""

from __future__ import annotations

import pytest

from ..wire.stage import SOON
from .notes import life
from .stage import Stage

TIMES = 20
"""How often what is a matter of chance is tried."""


async def responds(stage: Stage, action_id: str) -> str:
    """Note the OriginateResponse to an action, and give its ``Response``."""
    event = await stage.daemon.event("OriginateResponse", ActionID=action_id)
    answered = event.get("Response")
    stage.notes.add("OriginateResponse", answered, f"Reason {event.get('Reason')}", event.get("Uniqueid"))
    return answered


@pytest.mark.fact("§3 originate", "§3 order")
async def test_a_phone_that_answers(stage: Stage) -> None:
    """It comes home with our id and our variables, and is seen from outside as ringing for the caller."""
    phone, leg = stage.world.phone("2001"), stage.new_leg("agent")
    action = stage.originate(leg, Variable=["EC_ROLE=agent", "EC_STEP=a b"])
    stage.notes.answer("Originate", await stage.daemon.answer(action))
    call = await phone.rings(SOON)
    stage.notes.add("the phone shows", call.caller, call.caller_name)
    assert (call.caller, call.caller_name) == ("+4930123456", "Carl")
    await stage.daemon.event("Newstate", Uniqueid=leg, ChannelStateDesc="Ringing")
    await call.answer()
    home = await stage.home.comes(leg)
    for name in ("agi_callerid", "agi_calleridname", "agi_dnid", "agi_arg_1", "agi_arg_2"):
        stage.notes.add(name, home.facts[name])
    await stage.expect(home, "GET VARIABLE EC_STEP", "200 result=1 (a b)")
    assert await responds(stage, action) == "Success"
    call.hang_up()
    assert await home.line() == "HANGUP"
    home.leave()
    strands = await stage.ends(leg)
    assert strands["dial"] == ["DialBegin", "DialState RINGING", "DialEnd ANSWER"]


@pytest.mark.fact("§3 originate", "§3 reasons")
async def test_a_phone_that_is_busy(stage: Stage) -> None:
    phone, leg = stage.world.phone("2001"), stage.new_leg("agent")
    action = stage.originate(leg)
    call = await phone.rings(SOON)
    await stage.daemon.event("Newstate", Uniqueid=leg, ChannelStateDesc="Ringing")
    call.decline()
    strands = await stage.ends(leg)
    assert await responds(stage, action) == "Failure"
    assert strands["dial"][-1] == "DialEnd BUSY"
    assert strands["state"][-1] == "Hangup 17 User busy"


@pytest.mark.fact("§3 reasons")
async def test_a_phone_that_is_not_answered_in_time(stage: Stage) -> None:
    """No DialEnd comes; the cause tells."""
    phone, leg = stage.world.phone("2001"), stage.new_leg("agent")
    action = stage.originate(leg, Timeout="500")
    call = await phone.rings(SOON)
    strands = await stage.ends(leg)
    assert await responds(stage, action) == "Failure"
    assert strands["state"][-1] == "Hangup 19 User alerting, no answer"
    assert strands["dial"][-1] == "DialState RINGING"
    await call.ended(SOON)


@pytest.mark.fact("§3 reasons")
@pytest.mark.parametrize("cause", ["", "16", "21"], ids=["none", "16", "21"])
async def test_a_phone_that_we_ring_no_longer(stage: Stage, cause: str) -> None:
    """The cause is the one we gave; none is 0."""
    phone, leg = stage.world.phone("2001"), stage.new_leg("agent")
    action = stage.originate(leg)
    call = await phone.rings(SOON)
    await stage.daemon.event("Newstate", Uniqueid=leg, ChannelStateDesc="Ringing")
    stage.notes.answer("Hangup", await stage.daemon.ask("Hangup", Channel=leg, **({"Cause": cause} if cause else {})))
    strands = await stage.ends(leg)
    assert await responds(stage, action) == "Failure"
    assert strands["dial"][-1] == "DialEnd NOANSWER"
    assert strands["state"][-1].startswith(f"Hangup {cause or 0} ")
    await call.ended(SOON)


@pytest.mark.fact("§3 reasons")
async def test_a_number_that_nobody_has(stage: Stage) -> None:
    leg = stage.new_leg("agent")
    action = stage.originate(leg, "PJSIP/2901@world")
    strands = await stage.ends(leg)
    assert await responds(stage, action) == "Failure"
    assert strands["state"][-1] == "Hangup 1 Unallocated (unassigned) number"


@pytest.mark.fact("§3 reasons", "M22")
@pytest.mark.parametrize("phone", ["PJSIP/2001@nobody", "PJSIP/unplugged"], ids=["unknown", "unplugged"])
async def test_a_phone_that_is_unknown_or_known_to_be_gone(stage: Stage, phone: str) -> None:
    """An unknown endpoint, and one whose plug was pulled and that is qualified: no leg is made, and we are told at once."""
    leg = stage.new_leg("agent")
    action = stage.originate(leg, phone)
    began = stage.reactor.seconds()
    stage.notes.answer("Originate", await stage.daemon.answer(action))
    assert await responds(stage, action) == "Failure"
    assert stage.reactor.seconds() < began + 1
    await stage.daemon.quiet()
    assert stage.life(leg) == {}


@pytest.mark.fact("§3 reasons")
@pytest.mark.parametrize(
    "how",
    [{"Context": "nowhere"}, {"Exten": "nobody"}, {"Priority": "99"}, {"Timeout": "soon"}],
    ids=["context", "extension", "priority", "timeout"],
)
async def test_an_originate_that_cannot_be_is_refused_at_once(stage: Stage, how: dict[str, str]) -> None:
    leg = stage.new_leg("agent")
    action = stage.originate(leg, **how)
    answer = await stage.daemon.answer(action)
    stage.notes.answer("Originate", answer)
    assert not answer.ok
    await stage.daemon.quiet()
    assert stage.life(leg) == {}
    assert not [event for event in stage.daemon.events if event.name == "OriginateResponse"]


@pytest.mark.fact("M14", "§3 preset id")
async def test_an_id_in_use_makes_no_second_leg_and_names_the_first(stage: Stage) -> None:
    call, leg = await stage.rings()
    action = stage.originate(leg, "PJSIP/2002@world")
    stage.notes.answer("Originate", await stage.daemon.answer(action))
    assert await responds(stage, action) == "Failure"
    there = await stage.channels()
    assert list(there) == [leg]
    stage.notes.add("left", there[leg]["channelstatedesc"])
    await call.answer()
    assert (await stage.home.comes()).id == leg


@pytest.mark.fact("M15", "§3 preset id")
async def test_a_hangup_right_behind_is_mostly_refused_and_works_once_the_leg_is_there(stage: Stage) -> None:
    """While the leg is being made there is nothing to hang up; a cancel must be said again."""
    refused = 0
    for _ in range(TIMES):
        leg = stage.new_leg("agent")
        stage.originate(leg, "PJSIP/2301@world")
        answer = await stage.daemon.ask("Hangup", Channel=leg, Cause="16")
        refused += answer.get("Message") == "No such channel"
        if not answer.ok:
            await stage.daemon.event("Newchannel", Uniqueid=leg)
            assert (await stage.daemon.ask("Hangup", Channel=leg, Cause="16")).ok
        await stage.daemon.event("Hangup", Uniqueid=leg)
    stage.notes.add("refused", "mostly" if refused > TIMES / 2 else f"{refused} of {TIMES}")


@pytest.mark.fact("M16", "§3 order")
async def test_each_originate_has_one_response_and_one_life_however_they_are_mixed(stage: Stage) -> None:
    """All at once; what comes first of the response and the leg's events is a matter of chance."""
    legs = [stage.new_leg(f"agent {number}") for number in range(TIMES)]
    actions = [stage.originate(leg, "PJSIP/2901@world") for leg in legs]
    for leg, action in zip(legs, actions, strict=True):
        await stage.daemon.event("OriginateResponse", ActionID=action)
        await stage.daemon.event("Hangup", Uniqueid=leg)
    await stage.daemon.quiet()
    lives = {str(sorted(life(stage.daemon.events, leg).items())) for leg in legs}
    assert len(lives) == 1
    stage.notes.add(*lives)
    responses = [event.action_id for event in stage.daemon.events if event.name == "OriginateResponse"]
    assert sorted(responses) == sorted(actions)
