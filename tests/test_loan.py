"""A customer lent to a function, in virtual time: the result, and whoever leaves or whatever fails at whichever step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from easycall.model import AgentState
from easycall.model import Stage as At
from easycall.recording import CannotPause
from easycall.verbs import Cancel, Hold, Lend, RecordResume, Retrieve, ToFlow

from .test_recording import Recorded, refusing
from .test_talk import MUSIC, Person, Stage
from .virtual import opened

CARD, PIN = "4111111111111111", "9071"
LEND = Lend("card", {"amount": "19.90"})
STEPS = ("card", "half a card", "pin", "after")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened() as database:
        stage = Stage(database)
        yield stage
        assert not [event for event in stage.told if CARD in repr(event) or PIN in repr(event)]
        stage.close()


class Recorder:
    """A recording as a test wants it."""

    on = True

    def __init__(self, stage: Stage, fails: bool = False) -> None:
        self.fails = fails
        self.asked: list[tuple[str, str]] = []
        live = stage.joined.contacts._visits["c0"].live
        self.contact = live.contact
        self._real = live.recorder
        object.__setattr__(live, "recorder", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def pause(self, why: str) -> None:
        self.asked.append(("pause", why))
        if self.fails:
            raise CannotPause("the recording cannot be paused: Asterisk does not answer")
        assert self.contact.stage is not At.LENT, "first the pause, then the customer leaves the agent"

    async def resume(self, why: str) -> None:
        self.asked.append(("resume", why))


def keys(stage: Stage, customer: Person, digits: str) -> None:
    for digit in digits:
        customer.line.press(digit)
        stage.pass_(0.2)


def ends(stage: Stage) -> Any:
    [ended] = [event for event in stage.told if event.kind == "loan.ended"]
    return ended


def up_to(stage: Stage, customer: Person, step: str) -> None:
    """The customer has keyed so much."""
    assert stage.ask(LEND) == {}
    if step == "half a card":
        keys(stage, customer, CARD[:8])
    elif step != "card":
        keys(stage, customer, CARD + "#")
    if step == "after":
        keys(stage, customer, PIN)
        stage.pass_(0.5)


@pytest.mark.requirement("F3")
def test_the_agent_gets_the_result(stage: Stage) -> None:
    customer, ana = stage.talk()
    recorder = Recorder(stage)
    up_to(stage, customer, "pin")
    assert (ana.hears, stage.contact.stage, recorder.asked) == (MUSIC, At.LENT, [("pause", "secure capture")])
    keys(stage, customer, PIN)
    stage.pass_(0.5)
    assert stage.talking(customer, ana)
    result = {"status": "ok", "card": "************1111"}
    ended = ends(stage)
    assert (ended.how, ended.result, ended.back, ended.agent) == ("done", result, True, "ana")
    assert stage.contact.loan is not None
    assert (stage.contact.loan.how, stage.contact.loan.result) == ("done", result)
    assert stage.contact.data == {"card.status": "ok", "card.card": "************1111"}
    assert recorder.asked == [("pause", "secure capture"), ("resume", "secure capture")]
    stage.check()


@pytest.mark.requirement("F3")
def test_a_customer_who_keys_nothing_comes_back(stage: Stage) -> None:
    customer, ana = stage.talk()
    stage.ask(LEND)
    stage.pass_(15)
    assert stage.talking(customer, ana)
    assert (ends(stage).how, ends(stage).result) == ("done", {"status": "none"})


@pytest.mark.requirement("F3")
def test_a_function_has_its_time(stage: Stage) -> None:
    """Whoever keys wrong numbers for ever is back after its limit, which the agent is told."""
    customer, ana = stage.talk()
    stage.ask(LEND)
    for _ in range(40):
        keys(stage, customer, "1")
        stage.pass_(1.5)
    assert stage.talking(customer, ana)
    assert (ends(stage).how, ends(stage).result) == ("timeout", {})


@pytest.mark.requirement("B5")
def test_what_cannot_be_paused_is_not_lent(stage: Stage) -> None:
    customer, ana = stage.talk()
    recorder = Recorder(stage, fails=True)
    assert stage.ask(LEND) == "the recording cannot be paused: Asterisk does not answer"
    assert stage.talking(customer, ana)
    assert (stage.state("ana"), stage.contact.stage, stage.kinds("loan")) == ("talking", At.TALKING, [])
    recorder.fails = False
    assert stage.ask(LEND) == {}
    stage.check()


def test_what_is_refused_pauses_nothing(stage: Stage) -> None:
    customer, ana = stage.talk()
    recorder = Recorder(stage)
    assert stage.ask(Lend("card")) == "the parameter 'amount' is missing"
    assert "there is no parameter 'x'" in stage.ask(Lend("card", {"amount": "1", "x": "y"}))
    assert "takes no parameters" in stage.ask(Lend("notice", {"amount": "1"}))
    assert stage.ask(Lend("nosuch")) == "there is no flow 'nosuch'"
    assert stage.ask(ToFlow("card")) == "the flow 'card' is a function: lend the customer to it"
    assert recorder.asked == []
    assert stage.talking(customer, ana)


@pytest.mark.requirement("F3")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("verb", [Cancel(), Retrieve()])
def test_the_agent_takes_the_customer_back(stage: Stage, step: str, verb: Any) -> None:
    customer, ana = stage.talk()
    recorder = Recorder(stage)
    up_to(stage, customer, step)
    assert stage.ask(verb) == {} or step == "after"
    assert stage.talking(customer, ana)
    assert (ends(stage).how, bool(ends(stage).result)) == (("done", True) if step == "after" else ("cancelled", False))
    assert recorder.asked == [("pause", "secure capture"), ("resume", "secure capture")]


@pytest.mark.requirement("F3")
@pytest.mark.parametrize("step", STEPS)
def test_the_customer_hangs_up(stage: Stage, step: str) -> None:
    customer, ana = stage.talk()
    Recorder(stage)
    up_to(stage, customer, step)
    customer.line.hang_up()
    stage.pass_()
    assert (ana.line.over, stage.state("ana")) == (True, "wrap_up")
    assert (ends(stage).how, ends(stage).back) == (("done", True) if step == "after" else ("left", False))
    segments = [part.kind.value for part in stage.record().segments]
    assert segments.count("talk") == (2 if step == "after" else 1)
    assert "loan" in segments


@pytest.mark.requirement("F3")
@pytest.mark.parametrize("step", STEPS[:-1])
def test_the_agents_phone_dies(stage: Stage, step: str) -> None:
    """The customer goes on, the agent is free at once; then the customer is first in line, with the result attached."""
    customer, ana = stage.talk()
    recorder = Recorder(stage)
    later = stage.calls()
    [contact] = [one for one in stage.joined.contacts.live.values() if one.id == "c0"]
    stage.joined.contacts.ask("c0", LEND)
    stage.pass_(0.2)
    given = {"card": "", "half a card": CARD[:8], "pin": CARD + "#"}[step]
    keys(stage, customer, given)
    ana.line.hang_up()
    stage.pass_(0.2)
    assert stage.state("ana") == "wrap_up"
    stage.joined.distributor.staff.set_state("ana", AgentState.NOT_READY)
    answers: list[str] = []
    stage.joined.contacts.ask("c0", Hold()).addErrback(lambda failure: answers.append(str(failure.value)))
    stage.pass_(0.1)
    assert answers == ["Hold is not possible while the contact is lent"]
    keys(stage, customer, (CARD + "#")[len(given) :])
    keys(stage, customer, PIN)
    stage.pass_(0.5)
    assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0", "c1"]
    assert contact.data["card.status"] == "ok"
    assert (ends(stage).how, ends(stage).back) == ("done", False)
    assert recorder.asked == [("pause", "secure capture"), ("resume", "secure capture")]
    stage.ready("bo")
    stage.pass_(2)
    assert stage.talking(customer, stage.people["bo"])
    pop = [event for event in stage.told if event.kind == "screen.pop"][-1]
    assert (pop.agent, pop.data["card.card"]) == ("bo", "************1111")
    assert later.hears == MUSIC


@pytest.mark.requirement("F3")
def test_a_second_loan_waits_for_no_turn(stage: Stage) -> None:
    customer, ana = stage.talk()
    answers: list[Any] = []
    for _ in range(2):
        stage.joined.contacts.ask("c0", LEND).addBoth(answers.append)
    stage.pass_(0.5)
    assert answers[0] == {}
    assert str(answers[1].value) == "Lend is not possible while the contact is lent"
    stage.ask(Cancel())
    assert stage.talking(customer, ana)


# On a recording as it is


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with opened() as database:
        yield Recorded(database)


@pytest.mark.requirement("B5")
def test_a_loan_is_silent_in_the_recording(recorded: Recorded) -> None:
    customer, ana = recorded.talk()
    up_to(recorded, customer, "card")
    lent_at = recorded.reactor.seconds()
    assert recorded.contact.recording == "paused"
    assert recorded.ask(RecordResume()) == "the recording is paused for secure capture and goes on after it"
    keys(recorded, customer, CARD + "#")
    keys(recorded, customer, PIN)
    assert set(recorded.tape.within(lent_at, recorded.reactor.seconds() - 0.5)) <= {""}
    recorded.pass_(0.5)
    assert recorded.talking(customer, ana)
    assert recorded.contact.recording == "on"
    [recording] = recorded.ends()
    assert [gap.why for gap in recording.gaps] == ["secure capture"]


def test_what_is_not_secret_is_recorded(recorded: Recorded) -> None:
    """That a notice was read out can be proved."""
    recorded.talk()
    assert recorded.ask(Lend("notice")) == {}
    assert "speech" in recorded.tape.now
    recorded.close()


@pytest.mark.requirement("B5")
def test_asterisk_refuses_the_pause_and_the_customer_stays(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    customer, ana = recorded.talk()
    refusing(monkeypatch, "mixmonitormute")
    assert recorded.ask(LEND) == "the recording cannot be paused: Cannot set mute flag"
    assert recorded.talking(customer, ana)
    assert recorded.kinds("loan") == []
    recorded.close()


@pytest.mark.requirement("B5")
@pytest.mark.parametrize("verb", [LEND, Lend("notice")])
def test_each_loan_is_heard_by_nobody_and_what_follows_may_be_heard(stage: Stage, verb: Lend) -> None:
    customer, ana = stage.talk()
    audience = stage.joined.contacts._visits["c0"].live.audience
    for _ in range(3):
        stage.ask(verb)
        assert audience.deaf
        stage.ask(Cancel())
        assert not audience.deaf
        assert stage.talking(customer, ana)
    assert audience._secrets == 0
