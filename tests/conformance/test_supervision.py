"""More than two: conference, listening, recording, fax."""

from __future__ import annotations

import pytest

from easycall.lab.legs import NotSeen, PhoneCall

from ..wire.stage import SOON
from .stage import Stage
from .test_bridge import at_home
from .test_redirect import HOME

CONFERENCE = {"Context": "conformance", "Exten": "conference", "Priority": "1"}


@pytest.mark.fact("§2 conference of 3")
async def test_a_conference_is_left_by_a_redirect_and_not_by_a_bridge(stage: Stage) -> None:
    caller, phone, one, other = await stage.bridged()
    third, three = await stage.agent("third", "2002", tone=None)
    both = {**CONFERENCE, **{f"Extra{name}": value for name, value in CONFERENCE.items()}}
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=one.id, ExtraChannel=other.id, **both))
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=three.id, **CONFERENCE))
    assert await three.line() == "HANGUP"
    three.leave()
    for leg in (one.id, other.id, three.id):
        await stage.daemon.event("ConfbridgeJoin", Uniqueid=leg)
    await caller.hears(1000, SOON)
    await third.hears(1000, SOON)
    answer = await stage.daemon.ask("Bridge", Channel1=one.id, Channel2=other.id, Tone="no")
    stage.notes.answer("Bridge", answer)
    assert answer.get("Message").startswith("Unable to add Channel1 to bridge: ")
    for leg in (one.id, other.id):
        stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=leg, **HOME))
        await at_home(stage, leg)
    await stage.bridge(one.id, other.id)
    await stage.talk(caller, phone)
    await stage.daemon.quiet()
    stage.life(three.id)


async def supervised(stage: Stage, spied: str, mode: str, tone: int | None) -> tuple[PhoneCall, str]:
    """Let a supervisor listen to a leg; the call at his phone, and his leg."""
    leg, phone = stage.new_leg("supervisor"), stage.world.phone("2002")
    channel = (await stage.channels())[spied]["channel"]
    where = {"Context": [], "Exten": [], "Priority": [], "Application": "ChanSpy", "Data": f"{channel},qE{mode}"}
    stage.notes.answer("Originate", await stage.daemon.answer(stage.originate(leg, "PJSIP/2002@world", **where)))
    call = await phone.rings(SOON)
    await call.answer(tone)
    await stage.runs(leg, "ChanSpy")
    return call, leg


@pytest.mark.fact("§2 listen, whisper, barge")
async def test_a_supervisor_listens_and_is_not_heard_and_goes_with_the_call(stage: Stage) -> None:
    caller, one = await stage.calls(tone=None)
    phone, other = await stage.agent(tone=1000)
    await stage.bridge(one.id, other.id)
    supervisor, leg = await supervised(stage, other.id, "", tone=None)
    await supervisor.hears(1000, SOON)
    await supervisor.press("3")
    with pytest.raises(NotSeen):
        await caller.hears_key("3", 0.5)
    phone.hang_up()
    await supervisor.ended(SOON)
    await stage.ends(leg)


@pytest.mark.fact("§2 listen, whisper, barge")
async def test_a_supervisor_whispers_to_the_agent_alone(stage: Stage) -> None:
    caller, one = await stage.calls(tone=None)
    phone, other = await stage.agent(tone=None)
    await stage.bridge(one.id, other.id)
    _, leg = await supervised(stage, other.id, "w", tone=700)
    await phone.hears(700, SOON)
    await caller.hears_silence(SOON)
    phone.hang_up()
    await stage.ends(leg)


@pytest.mark.fact("§2 listen, whisper, barge")
async def test_a_supervisor_barges_in_and_both_hear(stage: Stage) -> None:
    """Into what is sent to them: who is sent nothing at all, not even silence, hears nobody."""
    caller, one = await stage.calls(tone=1000)
    phone, other = await stage.agent(tone=1000)
    await stage.bridge(one.id, other.id)
    await caller.hears(1000, SOON)
    _, leg = await supervised(stage, other.id, "B", tone=700)
    for one_of_them in (caller, phone):
        await one_of_them.hears_speech(SOON)  # that is what two tones are
    phone.hang_up()
    await stage.ends(leg)


@pytest.mark.fact("§2 record", "M23")
async def test_a_recording_is_muted_and_stopped_by_the_daemon_but_not_begun(stage: Stage) -> None:
    _, _, one, _ = await stage.bridged()
    stage.notes.answer("daemon, MixMonitor", await stage.daemon.ask("MixMonitor", Channel=one.id, File="conformance.wav"))
    stage.notes.answer("MixMonitor", await stage.lab.ask("MixMonitor", Channel=one.id, File="conformance.wav"))
    for state in ("1", "0"):
        how = {"State": state, "Direction": "both"}
        stage.notes.answer("daemon, MixMonitorMute", await stage.daemon.ask("MixMonitorMute", Channel=one.id, **how))
    for _ in range(2):
        stage.notes.answer("daemon, StopMixMonitor", await stage.daemon.ask("StopMixMonitor", Channel=one.id))
    await stage.daemon.quiet()
    told = [event.name for event in stage.daemon.events if event.name.startswith("MixMonitor")]
    stage.notes.add("told", *told)
    assert told == ["MixMonitorStart", "MixMonitorMute", "MixMonitorMute", "MixMonitorStop"]
