"""Recording: what is in the file and what is not, through every transfer and whatever fails; in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from easycall.events import (
    Event,
    RecordingFailed,
    RecordingPaused,
    RecordingResumed,
    RecordingStarted,
    RecordingStopped,
)
from easycall.model import AgentState, RecordRule, Stage
from easycall.ports import CannotRecord
from easycall.recording import CannotPause, Recorder, file_of
from easycall.simulator import actions
from easycall.stats.recordings import Gap, recordings_of
from easycall.store.memory import MemoryDatabase
from easycall.verbs import (
    Alternate,
    Cancel,
    Complete,
    Consult,
    Hold,
    Lend,
    RecordPause,
    RecordResume,
    RecordStart,
    RecordStop,
    Retrieve,
    ToAgent,
    ToFlow,
    ToQueue,
    Verb,
)

from .test_talk import CUSTOMER_SAYS, MUSIC, SAYS
from .test_talk import Stage as Ground
from .virtual import Tape, opened


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


class Recorded(Ground):
    """A stage whose queues are recorded."""

    def __init__(
        self,
        database: MemoryDatabase,
        rule: RecordRule = RecordRule.ALWAYS,
        latency: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(database, latency, rules={"record": rule})

    @property
    def tape(self) -> Tape:
        [tape] = self.daemon.tapes.values()
        return tape

    @property
    def recorder(self) -> Recorder:
        [visit] = self.joined.contacts._visits.values()
        return visit.live.recorder

    def does(self, work: Any) -> Any:
        """Let it be done, in a moment."""
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        self.pass_(0.1)
        return results[0] if results else None

    def whys(self, kind: str) -> list[str]:
        return [event.why for event in self.daemon.of(f"recording.{kind}")]

    def ends(self) -> Any:
        """Everybody hangs up; the contact's recordings as they are stored."""
        self.close()
        assert all(tape.stopped for tape in self.daemon.tapes.values())
        return self.record().recordings


@pytest.fixture
def recorded(database: MemoryDatabase) -> Recorded:
    return Recorded(database)


@pytest.fixture
def asked(database: MemoryDatabase) -> Recorded:
    """Recorded when asked."""
    return Recorded(database, RecordRule.ON_DEMAND)


# From the beginning


def test_both_are_recorded_from_the_first_word(recorded: Recorded) -> None:
    customer, ana = recorded.talk()
    assert recorded.talking(customer, ana)
    assert set(recorded.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    assert recorded.contact.recording == "on"
    [started] = recorded.daemon.of("recording.started")
    [answered] = recorded.daemon.of("talk.started")
    assert (started.agent, started.why) == ("ana", "queue")
    assert answered.at - started.at < 0.05
    [recording] = recorded.ends()
    assert (recording.id, recording.file, recording.gaps) == (started.recording, started.file, ())
    assert recording.started == started.at
    assert recorded.whys("stopped") == ["ended"]
    kinds = recorded.kinds("recording", "contact")
    assert kinds[-2:] == ["recording.stopped", "contact.ended"]


def test_the_music_of_the_queue_is_not_in_it(recorded: Recorded) -> None:
    recorded.talk()
    began = recorded.daemon.of("recording.started")[0].at
    assert MUSIC not in recorded.tape.within(began + 0.05, recorded.reactor.seconds())
    recorded.close()


def test_nothing_is_recorded_where_nobody_wants_it(database: MemoryDatabase) -> None:
    stage = Recorded(database, RecordRule.NEVER)
    stage.talk()
    assert "not recorded (record = 'never')" in stage.ask(RecordStart())
    assert not stage.daemon.tapes
    assert stage.ends() == ()


def test_a_caller_who_is_not_answered_is_not_recorded(recorded: Recorded) -> None:
    recorded.people["ana"].when_rung = "decline"
    recorded.ready("ana")
    recorded.calls()
    recorded.pass_(3)
    recorded.close()
    assert not recorded.daemon.tapes


# Asked for


def test_an_agent_has_a_talk_recorded(asked: Recorded) -> None:
    customer, ana = asked.talk()
    assert not asked.daemon.tapes
    assert asked.ask(RecordStart()) == {}
    assert asked.talking(customer, ana)
    assert set(asked.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    assert asked.ask(RecordStart()) == "it is recorded already"
    assert asked.ask(RecordStop()) == {}
    assert asked.tape.stopped
    assert asked.talking(customer, ana)
    assert asked.ask(RecordPause()) == "nothing is recorded"
    assert (asked.whys("started"), asked.whys("stopped")) == (["agent"], ["agent"])
    asked.check()
    [recording] = asked.ends()
    assert recording.ended - recording.started < 1


def test_a_recording_begins_on_hold_with_silence(asked: Recorded) -> None:
    customer, ana = asked.talk()
    asked.ask(Hold())
    assert asked.ask(RecordStart()) == {}
    assert (customer.hears, asked.contact.stage) == (MUSIC, Stage.HELD)
    assert asked.tape.now == ()
    asked.ask(Retrieve())
    assert asked.talking(customer, ana)
    assert set(asked.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    asked.close()


@pytest.mark.parametrize("verb", [Consult("bo"), Lend("notice")])
def test_a_recording_does_not_begin_where_the_customer_is_elsewhere(asked: Recorded, verb: Verb) -> None:
    asked.talk("bo")
    asked.ask(verb)
    assert "take the customer back first" in asked.ask(RecordStart())
    asked.close()


# Pause


def test_what_is_said_in_a_pause_is_not_in_it(recorded: Recorded) -> None:
    customer, ana = recorded.talk()
    assert recorded.ask(RecordPause()) == {}
    first = recorded.reactor.seconds()
    assert (recorded.tape.now, recorded.contact.recording) == ((), "paused")
    recorded.pass_(5)
    last = recorded.reactor.seconds()
    assert recorded.ask(RecordResume()) == {}
    assert recorded.contact.recording == "on"
    assert recorded.tape.within(first, last) == set()
    assert set(recorded.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    assert recorded.talking(customer, ana)
    [recording] = recorded.ends()
    [gap] = recording.gaps
    assert (gap.why, gap.ended - gap.started > 5) == ("agent", True)


def test_what_is_not_paused_is_not_resumed(recorded: Recorded) -> None:
    recorded.talk()
    assert recorded.ask(RecordResume()) == "the recording is not paused by an agent"
    recorded.close()


def test_a_pause_holds_until_its_last_reason_is_over(recorded: Recorded) -> None:
    recorded.talk()
    recorded.ask(RecordPause())
    recorded.does(recorded.recorder.pause("secure capture"))
    assert recorded.ask(RecordResume()) == "the recording is paused for secure capture and goes on after it"
    recorded.does(recorded.recorder.resume("secure capture"))
    assert (recorded.tape.now, recorded.recorder.on) == ((), True)
    assert recorded.whys("resumed") == ["secure capture"]
    recorded.ask(RecordResume())
    assert recorded.tape.now
    [recording] = recorded.ends()
    assert [gap.why for gap in recording.gaps] == ["agent", "secure capture"]


def test_where_nothing_is_recorded_a_pause_is_nothing(asked: Recorded) -> None:
    asked.talk()
    assert not asked.recorder.on
    assert asked.does(asked.recorder.pause("secure capture")) is None
    asked.does(asked.recorder.resume("secure capture"))
    assert not asked.kinds("recording")
    asked.close()


@pytest.mark.parametrize(("verb", "back"), [(Hold(), Retrieve()), (Consult("bo"), Cancel())])
def test_on_hold_silence_is_recorded(recorded: Recorded, verb: Verb, back: Verb) -> None:
    recorded.talk("bo")
    recorded.ask(verb)
    first = recorded.reactor.seconds()
    recorded.pass_(4)
    assert recorded.tape.within(first, recorded.reactor.seconds()) == set()
    recorded.ask(back)
    assert set(recorded.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    [recording] = recorded.ends()
    assert [gap.why for gap in recording.gaps] == ["hold"]


def test_an_agents_pause_outlasts_a_hold(recorded: Recorded) -> None:
    recorded.talk()
    for verb in (RecordPause(), Hold(), Retrieve()):
        assert recorded.ask(verb) == {}
    assert recorded.tape.now == ()
    recorded.ask(RecordResume())
    assert recorded.tape.now
    recorded.close()


def test_what_a_lent_customer_hears_is_recorded(recorded: Recorded) -> None:
    recorded.talk()
    recorded.ask(Lend("notice"), 0.5)
    assert set(recorded.tape.now) == {CUSTOMER_SAYS, "speech"}
    recorded.pass_(5)
    recorded.close()


# Through transfers


GIVEN: dict[str, tuple[Verb, ...]] = {
    "to an agent": (ToAgent("bo"),),
    "to a queue": (ToQueue("support"),),
    "asked first": (Consult("bo"), Complete()),
    "to and fro": (Consult("bo"), Alternate(), Alternate(), Complete()),
}


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("paused", [False, True])
def test_one_recording_goes_through_every_transfer(recorded: Recorded, name: str, paused: bool) -> None:
    customer, _ = recorded.talk("bo", "chen")
    if paused:
        recorded.ask(RecordPause())
    for verb in GIVEN[name]:
        assert recorded.ask(verb, 2) == {}
    second = recorded.people["chen" if name == "to a queue" else "bo"]
    assert recorded.talking(customer, second)
    assert set(recorded.tape.now) == (set() if paused else {CUSTOMER_SAYS, second.says})
    if paused:
        recorded.ask(RecordResume())
        assert set(recorded.tape.now) == {CUSTOMER_SAYS, second.says}
    sounds = recorded.tape.within(recorded.daemon.of("recording.started")[0].at + 0.05, recorded.reactor.seconds())
    assert MUSIC not in recorded.tape.within(recorded.daemon.of("talk.started")[0].at + 0.05, recorded.reactor.seconds())
    assert CUSTOMER_SAYS in sounds
    assert len(recorded.ends()) == 1


def test_what_was_stopped_stays_so_after_a_transfer(recorded: Recorded) -> None:
    customer, _ = recorded.talk("bo")
    recorded.ask(RecordStop())
    recorded.ask(ToAgent("bo"), 2)
    assert recorded.talking(customer, recorded.people["bo"])
    assert len(recorded.daemon.tapes) == 1
    assert recorded.tape.stopped
    assert recorded.ask(RecordStart()) == {}
    assert len(recorded.ends()) == 2


def test_a_flow_for_good_ends_it_and_another_talk_is_another_recording(recorded: Recorded) -> None:
    recorded.talk()
    recorded.ask(ToFlow("straight"), 0.5)
    assert recorded.whys("stopped") == ["flow"]
    assert recorded.tape.stopped
    recorded.ready("bo")
    recorded.pass_(3)
    assert len(recorded.ends()) == 2


def test_a_queue_that_is_not_recorded_ends_it(recorded: Recorded) -> None:
    queues: Any = recorded.joined.distributor.queues
    queues["support"] = evolve(queues["support"], record=RecordRule.NEVER)
    customer, _ = recorded.talk("chen")
    recorded.ask(ToQueue("support"), 3)
    assert recorded.talking(customer, recorded.people["chen"])
    assert recorded.whys("stopped") == ["queue"]
    assert recorded.tape.stopped
    recorded.close()


def test_while_the_customer_waits_silence_is_recorded(recorded: Recorded) -> None:
    customer, _ = recorded.talk()
    recorded.ask(ToQueue("support"))
    first = recorded.reactor.seconds()
    recorded.pass_(10)
    assert customer.hears == MUSIC
    assert recorded.tape.within(first, recorded.reactor.seconds()) == set()
    recorded.ready("chen")
    recorded.pass_(3)
    assert set(recorded.tape.now) == {CUSTOMER_SAYS, SAYS["chen"]}
    [recording] = recorded.ends()
    assert [gap.why for gap in recording.gaps] == ["waiting"]


# Whatever fails


def refusing(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    """Asterisk refuses that action."""

    def refuse(*_: object) -> None:
        raise actions.Refused("Cannot set mute flag")

    known = dict(actions.ACTIONS)
    known[action] = actions.needs(refuse, "call")
    monkeypatch.setattr("easycall.simulator.manager.ACTIONS", known)


@pytest.mark.fault("A84")
def test_a_pause_that_asterisk_refuses_is_none(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    customer, ana = recorded.talk()
    refusing(monkeypatch, "mixmonitormute")
    assert recorded.ask(RecordPause()) == "the recording cannot be paused: Cannot set mute flag"
    failure = recorded.does(recorded.recorder.pause("secure capture"))
    assert failure.check(CannotPause)
    assert recorded.recorder.reasons == ()
    assert not recorded.whys("paused")
    assert recorded.talking(customer, ana)
    recorded.close()


@pytest.mark.fault("A84")
def test_a_pause_that_cannot_be_told_is_none(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easycall.recording.PROOF_SECONDS", 0.01)
    recorded.talk()
    recorded.asterisk.cut_ami()
    recorded.reactor.run_until(lambda: not recorded.joined.pbxs[0].switch.up, within=1)
    assert recorded.does(recorded.recorder.pause("secure capture")).check(CannotPause)
    recorded.pass_(10)
    assert (recorded.recorder.reasons, recorded.whys("paused")) == ((), [])
    assert recorded.tape.now
    recorded.close()


@pytest.mark.fault("F86")
def test_an_asterisk_that_does_not_record_costs_only_the_recording(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise CannotRecord("EXEC: Asterisk has no application MixMonitor")

    monkeypatch.setattr(recorded.joined.pbxs[0].switch, "record", refuse)
    customer, ana = recorded.talk()
    assert recorded.talking(customer, ana)
    [failed] = recorded.daemon.of("recording.failed")
    assert (failed.recording, failed.why) == ("", "EXEC: Asterisk has no application MixMonitor")
    assert recorded.ends() == ()


@pytest.mark.fault("F86")
def test_a_talk_that_cannot_be_recorded_goes_on(asked: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise CannotRecord("no")

    customer, ana = asked.talk()
    monkeypatch.setattr(asked.joined.pbxs[0].switch, "record", refuse)
    assert asked.ask(RecordStart()) == "it cannot be recorded: no"
    assert asked.talking(customer, ana)
    asked.check()
    asked.close()


@pytest.mark.fault("F86")
@pytest.mark.parametrize(("size", "why"), [(None, "there is no file"), (44, "the file does not grow")])
def test_a_file_that_is_not_written_is_a_flagged_gap(recorded: Recorded, size: int | None, why: str) -> None:
    growing = recorded.daemon.file_size
    recorded.daemon.file_size = lambda file: size
    customer, ana = recorded.talk()
    recorded.pass_(15)
    assert recorded.whys("failed") == [why]
    assert recorded.talking(customer, ana)
    recorded.daemon.file_size = growing
    recorded.pass_(15)
    assert recorded.whys("resumed") == ["fault"]
    [recording] = recorded.ends()
    assert [gap.why for gap in recording.gaps] == ["fault"]


WHO = ("customer", "ana", "both", "link")
MOMENTS = [number * 0.0005 for number in range(14)] + [0.3]
"""When they leave, in seconds from the answer or the wish: a message takes up to a millisecond."""


@pytest.mark.fault("F51")
@pytest.mark.parametrize("rule", [RecordRule.ALWAYS, RecordRule.ON_DEMAND])
@pytest.mark.parametrize("who", WHO)
def test_whoever_leaves_while_it_begins(database: MemoryDatabase, who: str, rule: RecordRule) -> None:
    """At the first bridging, and when it is asked for: nothing is left, and no file that no event tells of."""
    for moment in MOMENTS:
        stage = Recorded(database, rule, partial(Random(moment).uniform, 0.0, 0.001))  # noqa: S311 - no secrets
        stage.ready("ana")
        customer, ana = stage.calls(), stage.people["ana"]
        if rule is RecordRule.ALWAYS:
            stage.reactor.run_until(lambda: bool(ana.rings) and ana.line.up, within=5)  # noqa: B023 - now
        else:
            stage.pass_(2)
            stage.joined.contacts.ask(stage.contact.id, RecordStart()).addBoth(lambda _: None)
        stage.pass_(moment)
        for person in {"customer": [customer], "ana": [ana], "both": [customer, ana]}.get(who, []):
            person.line.hang_up()
        if who == "link":
            stage.asterisk.cut_ami()
        stage.pass_(8)
        assert who != "link" or stage.talking(customer, ana), moment
        stage.check()
        stage.close()
        tapes, started = stage.daemon.tapes, stage.daemon.of("recording.started")
        assert all(tape.stopped for tape in tapes.values())
        assert len(started) == len(stage.daemon.of("recording.stopped")), moment
        assert {f"/nowhere/{event.file}" for event in started} >= set(tapes), moment
        stage.daemon.now(database.clear())


@pytest.mark.parametrize("who", WHO)
def test_whoever_leaves_while_it_is_paused_and_given_away(database: MemoryDatabase, who: str) -> None:
    """Whatever happens, what is said in a pause is not in the file."""
    for moment in MOMENTS:
        stage = Recorded(database, latency=partial(Random(moment).uniform, 0.0, 0.001))  # noqa: S311 - no secrets
        customer, ana = stage.talk("bo")
        stage.ask(RecordPause())
        paused = stage.reactor.seconds()
        stage.joined.contacts.ask(stage.contact.id, ToAgent("bo")).addBoth(lambda _: None)
        stage.pass_(moment)
        for person in {"customer": [customer], "ana": [ana], "both": [customer, ana]}.get(who, []):
            person.line.hang_up()
        if who == "link":
            stage.asterisk.cut_ami()
        stage.pass_(8)
        assert stage.tape.within(paused, stage.reactor.seconds()) == set(), moment
        stage.close()
        stage.daemon.now(database.clear())


STEPS: tuple[Verb, ...] = (
    *(RecordStart(), RecordPause(), RecordResume(), RecordStop()),
    *(Hold(), Retrieve(), Consult("bo"), Alternate(), Cancel(), Complete(), Lend("notice"), ToAgent("bo"), ToAgent("ana")),
)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_asked_sound_is_recorded_exactly_when_there_is_no_reason_against_it(
    database: MemoryDatabase, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - no secrets
    stage = Recorded(database, random.choice([RecordRule.ALWAYS, RecordRule.ON_DEMAND]), partial(random.uniform, 0, 0.001))
    stage.talk("bo")
    for _ in range(15):
        match random.randrange(8):
            case 0:
                stage.does(stage.recorder.pause("secure capture"))
            case 1:
                stage.does(stage.recorder.resume("secure capture"))
            case _:
                stage.ask(random.choice(STEPS), random.uniform(0.0, 3.0))
        stage.pass_(random.choice([0.1, 3.0]))
        for agent in ("ana", "bo"):
            stage.joined.distributor.staff.set_state(agent, AgentState.READY)
        stage.pass_(0.1)
        sounding = [tape for tape in stage.daemon.tapes.values() if tape.now]
        wanted = stage.recorder.on and not stage.recorder.reasons
        assert len(sounding) == wanted, (stage.contact, stage.recorder.reasons)
        assert stage.contact.recording == ("on" if wanted else "paused" if stage.recorder.on else "")
    assert len(stage.ends()) == len(stage.daemon.tapes)


# Decisions


@pytest.mark.fault("A20")
def test_a_file_has_a_folder_for_its_day() -> None:
    assert file_of("01J", 1_800_000_000.0) == "2027/01/15/01J.wav"


EVENTS = st.one_of(
    st.builds(RecordingStarted, at=st.floats(0, 9), recording=st.sampled_from("ab"), file=st.just("f"), why=st.just("q")),
    *(
        st.builds(kind, at=st.floats(0, 9), recording=st.sampled_from("ab"), why=st.sampled_from(["agent", "hold"]))
        for kind in (RecordingPaused, RecordingResumed, RecordingFailed, RecordingStopped)
    ),
)


@given(st.lists(EVENTS, max_size=20))
def test_whatever_is_told_every_recording_and_gap_lies_within_the_contact(events: list[Event]) -> None:
    for recording in recordings_of(sorted(events, key=lambda event: event.at), 10.0):
        assert recording.ended is not None
        assert 0 <= recording.started <= recording.ended <= 10
        for gap in recording.gaps:
            assert gap.ended is not None
            assert recording.started <= gap.started <= gap.ended <= recording.ended


def test_what_still_runs_has_no_end() -> None:
    events = [
        RecordingStarted(at=1, recording="a", file="f", why="queue"),
        RecordingPaused(at=2, recording="a", why="agent"),
    ]
    [recording] = recordings_of(events, None)
    assert (recording.ended, recording.gaps) == (None, (Gap(2, None, "agent"),))
