"""Park and pick, voice mail, answering from the desktop, and data of a contact that is with nobody; in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.python.failure import Failure

from easycall.ivr.nodes import Flow, SayNode, VoicemailNode
from easycall.ivr.prompt import Prompt
from easycall.model import AgentState, AutoAnswer, Message
from easycall.verbs import Answer, AttachData, Consult, Hold, Lend, NotNow, Park, Pick, ToFlow, ToVoicemail, Verb

from .test_talk import MUSIC, Person, Stage
from .virtual import STRAIGHT, opened


class Mail:
    """Voice mail that is in no folder."""

    seconds = 60.0
    silence = 5.0

    def __init__(self) -> None:
        self.kept: list[Message] = []
        self.length = 3.0
        self.full = False

    def file(self, message: str) -> str:
        return f"/mail/{message}"

    async def keep(self, message: Message) -> float:
        if self.full:
            raise OSError(28, "No space left on device")
        self.kept.append(message)
        return self.length


@pytest.fixture
def mail() -> Mail:
    return Mail()


@pytest.fixture
def stage(mail: Mail) -> Iterator[Stage]:
    with opened() as database:
        stage = Stage(database, messages=mail, mailboxes={"sales": "sound:greeting"})
        yield stage
        stage.close()


def waiting(stage: Stage) -> list[str]:
    return [item.contact for item in stage.joined.distributor.waiting("sales")]


def parked(stage: Stage, *others: str) -> tuple[Person, Person]:
    customer, ana = stage.talk(*others)
    assert stage.ask(Park()) == {}
    assert (customer.hears, ana.line.over, stage.state("ana")) == (MUSIC, True, "wrap_up")
    assert (stage.contact.stage.value, stage.contact.agent) == ("parked", "")
    stage.check()
    return customer, ana


def asked(stage: Stage, contact: str, verb: Verb) -> list[Any]:
    answers: list[Any] = []
    stage.joined.contacts.ask(contact, verb).addBoth(answers.append)
    return answers


def ready_elsewhere(stage: Stage, agent: str) -> None:
    """Ready, and given none of the callers in this line."""
    stage.joined.distributor.staff.log_in(agent, queues=["support"])
    stage.joined.distributor.staff.set_state(agent, AgentState.READY)


class TestPark:
    def test_another_agent_picks_it(self, stage: Stage) -> None:
        customer, _ = parked(stage, "bo")
        assert stage.ask(Pick("bo")) == {}
        pop = stage.daemon.of("screen.pop")[-1]
        assert (pop.agent, pop.by) == ("bo", "ana")
        stage.pass_(1.5)
        assert stage.talking(customer, stage.people["bo"])
        stage.check()
        customer.line.hang_up()
        stage.pass_()
        kinds = [part.kind.value for part in stage.record().segments]
        assert kinds[-3:] == ["parked", "offer", "talk"]

    def test_from_hold(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.ask(Hold())
        assert stage.ask(Park()) == {}
        assert (customer.hears, ana.line.over) == (MUSIC, True)

    def test_who_cannot_pick_is_told_why(self, stage: Stage) -> None:
        parked(stage, "bo")
        assert stage.ask(Pick("nobody")) == "there is no agent 'nobody'"
        stage.joined.distributor.staff.set_state("bo", AgentState.NOT_READY, "lunch")
        assert stage.ask(Pick("bo")) == "bo is not ready (lunch)"
        assert stage.ask(Hold()) == "the customer talks with nobody"
        assert stage.ask(AttachData({"order": "1"})) == {}
        assert stage.contact.data == {"order": "1"}

    def test_who_picks_and_does_not_answer_leaves_it_first_in_line(self, stage: Stage) -> None:
        customer, _ = parked(stage, "bo")
        bo = stage.people["bo"]
        bo.when_rung = "decline"
        stage.ask(Pick("bo"), 5)
        assert (bo.rings, stage.state("bo"), waiting(stage)) == (1, "ready", ["c0"])
        assert customer.hears == MUSIC

    def test_nobody_picks_it_and_the_agent_who_parked_it_is_rung(self, stage: Stage) -> None:
        customer, _ = parked(stage)
        stage.pass_(60)
        assert (customer.hears, stage.contact.stage.value) == (MUSIC, "parked")
        stage.pass_(32)
        ana = stage.people["ana"]
        assert stage.talking(customer, ana)
        assert stage.daemon.of("park.ended")[0].agent == "ana"

    def test_nobody_picks_it_and_nobody_is_there(self, stage: Stage) -> None:
        customer, _ = parked(stage)
        stage.joined.distributor.staff.set_state("ana", AgentState.NOT_READY)
        stage.pass_(92)
        assert waiting(stage) == ["c0"]
        assert customer.hears == MUSIC
        stage.check()

    def test_the_customer_hangs_up(self, stage: Stage) -> None:
        customer, _ = parked(stage)
        customer.line.hang_up()
        stage.pass_()
        assert [part.kind.value for part in stage.record().segments][-2:] == ["talk", "parked"]

    def test_two_pick_it_at_once(self, stage: Stage) -> None:
        customer, _ = parked(stage, "bo", "chen")
        answers: list[Any] = []
        for agent in ("bo", "chen"):
            stage.joined.contacts.ask("c0", Pick(agent)).addBoth(answers.append)
        stage.pass_(2)
        assert answers[0] == {}
        assert str(answers[1].value) == "Pick is not possible while the contact is offered"
        assert stage.talking(customer, stage.people["bo"])
        assert stage.state("chen") == "ready"


class TestAlone:
    """What can be asked of a contact that is with no agent."""

    def test_one_is_picked_out_of_the_line(self, stage: Stage) -> None:
        first, second = stage.calls(), stage.calls()
        stage.ready("chen")  # would get the first one
        stage.pass_(0.1)
        assert stage.joined.contacts.live["c0"].stage.value == "offered"
        ready_elsewhere(stage, "bo")
        assert asked(stage, "c1", Pick("bo")) == [{}]
        stage.pass_(2)
        assert stage.talking(second, stage.people["bo"])
        assert stage.talking(first, stage.people["chen"])
        stage.check()

    def test_who_is_picked_and_not_reached_has_the_old_place(self, stage: Stage) -> None:
        stage.calls()
        stage.calls()
        ready_elsewhere(stage, "bo")
        stage.people["bo"].when_rung = "decline"
        assert asked(stage, "c1", Pick("bo")) == [{}]
        stage.pass_(2)
        assert waiting(stage) == ["c0", "c1"]

    def test_data_is_attached_while_waiting_and_ringing(self, stage: Stage) -> None:
        stage.people["ana"].when_rung = ""
        stage.calls()
        assert stage.ask(AttachData({"a": "1"})) == {}
        stage.ready("ana")
        stage.pass_(0.5)
        assert stage.contact.stage.value == "offered"
        assert stage.ask(AttachData({"b": "2"})) == {}
        assert stage.ask(Pick("bo")) == "Pick is not possible while the contact is offered"
        assert stage.contact.data == {"a": "1", "b": "2"}
        assert stage.daemon.of("screen.pop")[0].data == {"a": "1"}


class TestVoicemail:
    def test_the_customer_leaves_a_message_and_hangs_up(self, stage: Stage, mail: Mail) -> None:
        customer, ana = stage.talk()
        assert stage.ask(ToVoicemail("nosuch")) == "there is no voice mail box 'nosuch'"
        assert stage.ask(ToVoicemail("sales")) == {}
        assert (ana.line.over, stage.state("ana"), customer.hears) == (True, "wrap_up", "speech")
        assert stage.contact.stage.value == "voicemail"
        stage.check()
        stage.pass_(5)
        assert customer.hears == ""
        customer.line.hang_up()
        stage.pass_()
        [message] = mail.kept
        assert (message.id, message.box, message.caller) == ("c0", "sales", "+4930123456")
        [left] = stage.daemon.of("voicemail.left")
        assert (left.box, left.message, left.seconds) == ("sales", "c0", 3.0)
        record = stage.record()
        assert (record.ended_by, record.segments[-1].kind.value) == ("caller", "voicemail")

    def test_the_key_ends_it(self, stage: Stage, mail: Mail) -> None:
        customer, _ = stage.talk()
        stage.ask(ToVoicemail("sales"), 6)
        customer.line.press("#")
        stage.pass_(1)
        assert customer.line.over
        assert (stage.record().ended_by, len(mail.kept)) == ("flow", 1)

    def test_it_ends_by_itself(self, stage: Stage, mail: Mail) -> None:
        customer, _ = stage.talk()
        stage.ask(ToVoicemail("sales"), 70)
        assert customer.line.over

    def test_what_is_too_short_is_no_message(self, stage: Stage, mail: Mail) -> None:
        mail.length = 0.0
        customer, _ = stage.talk()
        stage.ask(ToVoicemail("sales"), 0.5)
        customer.line.hang_up()
        stage.pass_()
        assert stage.daemon.of("voicemail.left") == []


MAILBOX = Flow(STRAIGHT.name, "closed", {"closed": SayNode((Prompt(sound="closed"),), "box"), "box": VoicemailNode("sales")})
"""A flow that says something for two seconds, and ends with a message left."""
GREETED = 2.0 + 2.0
"""Seconds until the tone."""


@pytest.mark.requirement("M5")
class TestVoicemailOfAFlow:
    """A caller leaves a message whom no agent has sent there."""

    @pytest.fixture(autouse=True)
    def every_number_has_it(self, stage: Stage) -> None:
        stage.joined.contacts._script.flows[STRAIGHT.name] = MAILBOX  # type: ignore[index]

    def ended(self, stage: Stage) -> tuple[str, str, list[str]]:
        record = stage.record()
        return record.outcome.value, record.ended_by.value, [part.kind.value for part in record.segments]

    def test_a_message_is_left(self, stage: Stage, mail: Mail) -> None:
        stage.ready("ana")
        customer = stage.calls()
        stage.pass_(2.5)
        assert (stage.contact.stage.value, customer.hears) == ("voicemail", "speech")
        assert stage.ask(Hold()) == "the customer talks with nobody"
        stage.check()
        stage.pass_(GREETED)
        assert customer.hears == ""
        customer.line.hang_up()
        stage.pass_()
        [message] = mail.kept
        assert (message.id, message.box, message.caller) == ("c0", "sales", "+4930123456")
        [started], [left] = stage.daemon.of("voicemail.started"), stage.daemon.of("voicemail.left")
        assert (started.box, started.agent, left.box, left.seconds) == ("sales", "", "sales", 3.0)
        assert self.ended(stage) == ("message_left", "caller", ["ivr", "voicemail"])
        assert stage.people["ana"].rings == 0

    def test_the_key_ends_it(self, stage: Stage, mail: Mail) -> None:
        customer = stage.calls()
        stage.pass_(GREETED + 1)
        customer.line.press("#")
        stage.pass_(1)
        assert customer.line.over
        assert self.ended(stage) == ("message_left", "flow", ["ivr", "voicemail"])

    @pytest.mark.parametrize("seconds", [1.0, 3.0])
    def test_who_hangs_up_before_the_tone_has_left_none(self, stage: Stage, mail: Mail, seconds: float) -> None:
        mail.length = 0.0
        customer = stage.calls()
        stage.pass_(seconds)
        customer.line.hang_up()
        stage.pass_()
        assert stage.daemon.of("voicemail.left") == []
        outcome, by, segments = self.ended(stage)
        assert (outcome, by) == ("abandoned_in_ivr", "caller")
        assert segments == (["ivr"] if seconds == 1.0 else ["ivr", "voicemail"])

    def test_who_says_nothing_has_left_none(self, stage: Stage, mail: Mail) -> None:
        mail.length = 0.0
        customer = stage.calls()
        stage.pass_(GREETED + 70)
        assert customer.line.over
        assert self.ended(stage)[:2] == ("abandoned_in_ivr", "flow")

    @pytest.mark.logs_failures
    def test_a_message_that_could_not_be_kept_is_a_failure(self, stage: Stage, mail: Mail) -> None:
        mail.full = True
        customer = stage.calls()
        stage.pass_(GREETED + 1)
        customer.line.hang_up()
        stage.pass_()
        assert self.ended(stage)[0] == "failed"
        assert stage.daemon.of("voicemail.left") == []

    def test_after_a_talk_it_is_answered_all_the_same(self, stage: Stage, mail: Mail) -> None:
        stage.joined.contacts._script.flows["closed"] = MAILBOX  # type: ignore[index]
        stage.joined.contacts._script.flows[STRAIGHT.name] = STRAIGHT  # type: ignore[index]
        customer, _ = stage.talk()
        assert stage.ask(ToFlow("closed")) == {}
        stage.pass_(GREETED + 1)
        customer.line.hang_up()
        stage.pass_()
        assert len(mail.kept) == 1
        assert self.ended(stage)[0] == "answered"

    def test_who_was_lent_comes_back_without_a_message(self, stage: Stage, mail: Mail) -> None:
        stage.joined.contacts._script.flows["closed"] = MAILBOX  # type: ignore[index]
        stage.joined.contacts._script.flows[STRAIGHT.name] = STRAIGHT  # type: ignore[index]
        customer, ana = stage.talk()
        stage.ask(Lend("closed"), 3)
        assert stage.talking(customer, ana)
        assert mail.kept == []


class TestAnswer:
    """The agent answers on the desktop: the phone is rung once more, to answer by itself."""

    def rung(self, stage: Stage, how: AutoAnswer) -> Person:
        ana = stage.people["ana"]
        ana.when_rung = ""
        stage.joined.distributor.staff.agents["ana"].auto_answer = how
        stage.ready("ana")
        stage.calls()
        stage.pass_(0.5)
        return ana

    def headers(self, stage: Stage) -> list[bool]:
        """Of each phone that rings, whether it is told to answer by itself."""
        channels = stage.asterisk.core.channels.values()
        return [any("Call-Info" in name for name in one.variables) for one in channels if one.id.startswith("ec-")]

    def test_asked(self, stage: Stage) -> None:
        ana = self.rung(stage, AutoAnswer.ASKED)
        assert self.headers(stage) == [False]
        assert stage.ask(Answer()) == {}
        assert self.headers(stage) == [True]
        assert ana.rings == 2
        ana.line.answer()
        stage.pass_()
        assert stage.talking(stage.customers[0], ana)
        stage.check()
        assert len(stage.daemon.of("offer.ended")) == 1
        assert len(stage.daemon.of("screen.pop")) == 1

    def test_always(self, stage: Stage) -> None:
        self.rung(stage, AutoAnswer.ALWAYS)
        assert self.headers(stage) == [True]

    def test_never(self, stage: Stage) -> None:
        ana = self.rung(stage, AutoAnswer.NEVER)
        assert stage.ask(Answer()) == "the phone of ana cannot be answered from here: its auto_answer is not asked"
        assert ana.rings == 1
        ana.line.answer()
        stage.pass_()
        assert stage.ask(Answer()) == "Answer is not possible while the contact is talking"

    def test_the_caller_leaves_meanwhile(self, stage: Stage) -> None:
        ana = self.rung(stage, AutoAnswer.ASKED)
        stage.joined.contacts.ask("c0", Answer())
        stage.customers[0].line.hang_up()
        stage.pass_()
        assert ana.line.over
        assert stage.state("ana") == "ready"

    def test_the_second_ring_is_not_answered(self, stage: Stage) -> None:
        ana = self.rung(stage, AutoAnswer.ASKED)
        stage.ask(Answer())
        stage.pass_(12)
        assert ana.line.over
        assert stage.state("ana") == "not_ready"

    def test_who_is_consulted_answers_on_the_desktop(self, stage: Stage) -> None:
        bo = stage.people["bo"]
        bo.when_rung = ""
        stage.joined.distributor.staff.agents["bo"].auto_answer = AutoAnswer.ASKED
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"))
        assert stage.ask(Answer()) == {}
        bo.line.answer()
        stage.pass_()
        assert stage.talking(ana, bo)
        assert customer.hears == MUSIC


class TestTwoAtOnce:
    """Two verbs on one contact at one moment: the second waits for the first, and is judged by what it finds then."""

    @pytest.mark.parametrize("second", [Park(), Hold(), ToVoicemail("sales"), Pick("bo")])
    def test_the_second_finds_it_parked(self, stage: Stage, second: Verb) -> None:
        stage.talk("bo")
        answers: list[Any] = []
        for verb in (Park(), second):
            stage.joined.contacts.ask("c0", verb).addBoth(answers.append)
        stage.pass_(2)
        assert answers[0] == {}
        assert isinstance(answers[1], Failure)
        assert answers[1].check(NotNow)
        assert stage.contact.stage.value == "parked"
