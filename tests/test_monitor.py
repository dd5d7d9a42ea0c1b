"""Recording a leg on Asterisk: what is said on which wire, in which order, and what fails."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.python.failure import Failure

from easycall.asterisk.fastagi import CommandFailed, SessionOver
from easycall.asterisk.link import ActionRefused, ActionTimeout, LinkLost
from easycall.defer import start
from easycall.ports import CannotRecord, HungUp, Taken

from .fakes_wires import WAITS, FakePbx, FakeSession


class Tried:
    """What became of something that was tried."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.done = False
        self.failure: BaseException | None = None
        start(work).addCallbacks(self._did, self._failed)

    def _did(self, result: object) -> None:
        self.done = True

    def _failed(self, failure: Failure) -> None:
        self.failure = failure.value

    @property
    def pending(self) -> bool:
        return not self.done and self.failure is None


FILE = "/var/recordings/2027/01/15/R1.wav"
MIX = ("EXEC", "MixMonitor", FILE)


def begins(pbx: FakePbx, leg: Any) -> Tried:
    return Tried(pbx.switch.record(leg, FILE))


def test_an_idle_leg_is_recorded_at_once() -> None:
    pbx = FakePbx()
    leg, session = pbx.caller()
    assert begins(pbx, leg).done
    assert session.sent == [MIX]
    assert not pbx.manager.of("Redirect")


def test_a_busy_leg_is_fetched_and_recorded_before_all_that_waits_for_it() -> None:
    pbx = FakePbx()
    leg, session = pbx.caller()
    waits = Tried(leg.wait_key(20))
    later = Tried(again(leg))
    tried = begins(pbx, leg)
    assert pbx.manager.of("Redirect") == [{"Channel": "c1", "Context": "easycall", "Exten": "s", "Priority": "1"}]
    session.ends()
    new = pbx.home("c1")
    assert tried.done
    assert new.sent[0] == MIX
    assert new.sent[1][0] == "SET MUSIC"
    assert isinstance(waits.failure, Taken)
    assert later.pending


async def again(leg: Any) -> None:
    """Music, as soon as the leg is at home again."""
    await leg._moved.wait()
    await leg.home()
    await leg.music("default")
    await leg.wait_key(20)


@pytest.mark.parametrize("answer", [CommandFailed("EXEC: Asterisk has no application MixMonitor"), "-2"])
def test_an_asterisk_that_cannot(answer: Any) -> None:
    pbx = FakePbx()
    leg, session = pbx.caller()
    session.answers["EXEC"] = [answer]
    failure = begins(pbx, leg).failure
    assert isinstance(failure, CannotRecord)
    assert "no application MixMonitor" in str(failure)
    assert leg.errand is None


@pytest.mark.fault("A20")
@pytest.mark.parametrize("file", ["/a,b.wav", '/a".wav', "/a\\b.wav", "/a\nEXEC System x.wav"])
def test_a_name_that_would_be_more_than_a_name_is_refused(file: str) -> None:
    pbx = FakePbx()
    leg, session = pbx.caller()
    assert isinstance(Tried(pbx.switch.record(leg, file)).failure, CannotRecord)
    assert not session.sent


def test_a_leg_that_hangs_up_in_that_moment() -> None:
    pbx = FakePbx()
    leg, session = pbx.caller()
    session.answers["EXEC"] = [WAITS]
    tried = begins(pbx, leg)
    pbx.ends("c1")
    assert isinstance(tried.failure, HungUp)


def test_a_leg_that_goes_away_in_that_moment_may_be_recorded() -> None:
    pbx = FakePbx()
    leg, session = pbx.caller()
    session.answers["EXEC"] = [WAITS]
    tried = begins(pbx, leg)
    session.ends()
    assert tried.done


def test_a_leg_that_is_gone() -> None:
    pbx = FakePbx()
    leg, _ = pbx.caller()
    pbx.ends("c1")
    for work in (pbx.switch.record(leg, FILE), pbx.switch.mute_recording(leg, True), pbx.switch.stop_recording(leg)):
        assert isinstance(Tried(work).failure, HungUp)


def test_pause_resume_and_stop() -> None:
    pbx = FakePbx()
    leg, _ = pbx.caller()
    for work in (
        pbx.switch.mute_recording(leg, True),
        pbx.switch.mute_recording(leg, False),
        pbx.switch.stop_recording(leg),
    ):
        assert Tried(work).done
    assert pbx.manager.of("MixMonitorMute") == [
        {"Channel": "c1", "Direction": "both", "State": "1"},
        {"Channel": "c1", "Direction": "both", "State": "0"},
    ]
    assert pbx.manager.of("StopMixMonitor") == [{"Channel": "c1"}]


@pytest.mark.parametrize("lost", [LinkLost("cut"), ActionTimeout("late")])
def test_an_answer_that_was_lost_is_asked_for_again(lost: Exception) -> None:
    pbx = FakePbx()
    leg, _ = pbx.caller()
    pbx.manager.script("MixMonitorMute", lost)
    assert Tried(pbx.switch.mute_recording(leg, True)).done
    assert len(pbx.manager.of("MixMonitorMute")) == 2


def test_while_the_link_is_down_it_waits() -> None:
    pbx = FakePbx()
    leg, _ = pbx.caller()
    pbx.breaks()
    tried = Tried(pbx.switch.mute_recording(leg, True))
    pbx.clock.advance(5)
    assert tried.pending
    pbx.connects()
    pbx.clock.advance(1)
    assert tried.done


def test_a_refusal_says_why() -> None:
    pbx = FakePbx()
    leg, _ = pbx.caller()
    pbx.manager.script("MixMonitorMute", ActionRefused("Cannot set mute flag"))
    failure = Tried(pbx.switch.mute_recording(leg, True)).failure
    assert isinstance(failure, CannotRecord)
    assert "Cannot set mute flag" in str(failure)


def test_a_recording_of_an_earlier_daemon_is_ended_before_anything_else() -> None:
    pbx = FakePbx()
    session = pbx.home("c1", "95588", "caller")
    assert session.sent == [("EXEC", "StopMixMonitor", "")]
    _, fresh = pbx.caller("c2")
    assert not fresh.sent


@pytest.mark.parametrize("answer", [CommandFailed("EXEC: Asterisk has no application StopMixMonitor"), SessionOver("gone")])
def test_where_it_cannot_be_ended_the_caller_is_served(answer: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FakeSession.USUAL, "EXEC", answer)  # type: ignore[arg-type]
    pbx = FakePbx()
    pbx.home("c1", "95588", "caller")
    assert len(pbx.arrivals) == 1
