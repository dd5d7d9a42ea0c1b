"""Supervisors and recordings with what was built apart from them: conference, park, fax and outside; in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from attrs import evolve

from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.model import Party, RecordRule, SupervisionMode
from easycall.model import Stage as StageOfContact
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Alternate, Complete, Consult, Drop, Fax, Hold, Lend, Merge, Park, Pick, ToNumber, Verb

from .test_call_out import CAROL, CAROL_SAYS, OutsideStage
from .test_faxing import FAX_SECONDS, PROMPT_SECONDS, machine
from .test_supervision import BARGE, FAULTS, LISTEN, MOMENTS, WHISPER, Do, Supervised
from .test_talk import CUSTOMER_SAYS, MUSIC, SAYS, Person
from .virtual import Tape, opened

FOLLOWS = [{"contact": "c0"}, {"agent": "ana"}]
ONE_SECOND = 1.0
"""So long the phone rings outside."""


class Place(Supervised, OutsideStage):
    """Chen supervises, Carol has a telephone outside, and talks are recorded."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        queues: Any = self.joined.distributor.queues
        queues["sales"] = evolve(queues["sales"], record=RecordRule.ALWAYS)

    @property
    def bo(self) -> Person:
        return self.people["bo"]

    @property
    def tape(self) -> Tape:
        [tape] = self.daemon.tapes.values()
        return tape

    def whys(self) -> list[str]:
        """Why it was paused, and what was so no more."""
        told = [event for event in self.told if event.kind in ("recording.paused", "recording.resumed")]
        return [f"{'+' if event.kind == 'recording.paused' else '-'}{event.why}" for event in told]  # type: ignore[attr-defined]

    def three(self) -> tuple[Person, Person, Person]:
        """A customer, Ana and Bo in a conference."""
        customer, ana = self.talk("bo")
        self.ask(Consult("bo"), 2)
        assert self.ask(Merge()) == {}
        return customer, ana, self.bo


@pytest.fixture(scope="module")
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[Place]:
    stage = Place(database)
    yield stage
    stage.close()
    stage.daemon.now(database.clear())


@pytest.mark.requirement("P2")
@pytest.mark.requirement("F4")
class TestConference:
    @pytest.mark.parametrize("mode", SupervisionMode)
    @pytest.mark.parametrize("what", FOLLOWS)
    def test_from_a_talk_through_a_conference_and_back(
        self, stage: Place, what: dict[str, str], mode: SupervisionMode
    ) -> None:
        customer, ana = stage.talk("bo")
        stage.begins(mode, **what)
        stage.says_nothing(stage.sue)
        assert stage.sue.hears in (ana.says, customer.says, "speech")
        stage.ask(Consult("bo"), 2)
        assert stage.sue.hears == (MUSIC if "contact" in what else stage.bo.says)
        assert stage.ask(Merge()) == {}
        assert stage.sue.hears == "speech"
        stage.check()
        assert stage.ask(Drop(Party.CONSULTED)) == {}
        assert stage.talking(customer, ana)
        assert stage.sue.hears in (ana.says, customer.says)
        stage.check()
        stage.sue.line.say("700")
        stage.says_nothing(customer, ana)
        heard = {LISTEN: ("", ""), WHISPER: ("", "700"), BARGE: ("700", "700")}[mode]
        assert (customer.hears, ana.hears) == heard
        assert [move[:2] for move in stage.moves()] == [("c0", "ana")]

    @pytest.mark.parametrize("what", [*FOLLOWS, {"agent": "bo"}])
    def test_a_whisper_is_heard_by_the_agent_alone(self, stage: Place, what: dict[str, str]) -> None:
        customer, ana, bo = stage.three()
        stage.begins(WHISPER, **what)
        stage.says_nothing(customer, ana, bo)
        to_bo = what == {"agent": "bo"}
        assert (customer.hears, ana.hears, bo.hears) == (
            "",
            "" if to_bo else stage.sue.says,
            stage.sue.says if to_bo else "",
        )
        stage.check()

    @pytest.mark.parametrize("what", FOLLOWS)
    def test_nobody_hears_who_would_barge_in_until_there_are_two(self, stage: Place, what: dict[str, str]) -> None:
        customer, ana, bo = stage.three()
        watch = stage.begins(BARGE, **what)
        stage.says_nothing(customer, ana, bo)
        assert (customer.hears, ana.hears, bo.hears) == ("", "", "")
        stage.joined.supervisions.change(watch.id, WHISPER, "wall")
        stage.pass_(0.05)
        assert (customer.hears, ana.hears, bo.hears) == ("", stage.sue.says, "")
        stage.joined.supervisions.change(watch.id, BARGE, "wall")
        stage.ask(Drop(Party.CONSULTED))
        assert (customer.hears, ana.hears) == (stage.sue.says, stage.sue.says)

    def test_the_first_agent_leaves_it_to_the_second(self, stage: Place) -> None:
        customer, ana, bo = stage.three()
        watch = stage.begins(LISTEN)
        assert stage.ask(Complete()) == {}
        stage.pass_()
        assert stage.talking(customer, bo)
        assert (stage.sue.hears, watch.agent) == (bo.says, "bo")
        stage.check()
        assert ana.line.over

    def test_who_followed_the_agent_that_leaves_waits_with_music(self, stage: Place) -> None:
        customer, _, bo = stage.three()
        watch = stage.begins(LISTEN, agent="ana")
        assert stage.ask(Complete()) == {}
        stage.pass_()
        assert stage.talking(customer, bo)
        assert (stage.sue.hears, watch.state) == (MUSIC, "waiting")
        stage.check()

    def test_no_loan_and_no_taking_over(self, stage: Place) -> None:
        stage.three()
        watch = stage.begins()
        assert stage.ask(Lend("notice")) == "Lend is not possible while the contact is conference"
        assert stage.takes_over(watch) == "TakeOver is not possible while the contact is conference"
        assert stage.sue.hears == "speech"

    @pytest.mark.parametrize("what", FOLLOWS)
    def test_nothing_is_heard_in_a_loan_after_it(self, stage: Place, what: dict[str, str]) -> None:
        customer, ana, _ = stage.three()
        stage.begins(BARGE, **what)
        stage.says_nothing(stage.sue)
        stage.ask(Drop(Party.CONSULTED))
        assert stage.ask(Lend("notice")) == {}
        assert (customer.hears, stage.sue.hears) == ("speech", MUSIC)
        stage.pass_(3)
        assert stage.talking(customer, ana)
        assert stage.sue.hears in (customer.says, ana.says)


@pytest.mark.requirement("F4")
class TestConferenceOutside:
    @pytest.mark.parametrize("mode", SupervisionMode)
    @pytest.mark.parametrize("what", FOLLOWS)
    def test_into_it_and_back(self, stage: Place, what: dict[str, str], mode: SupervisionMode) -> None:
        customer, ana = stage.talk()
        watch = stage.begins(mode, **what)
        stage.says_nothing(stage.sue)
        stage.ask(Consult(number=CAROL), 2)
        assert stage.ask(Merge()) == {}
        assert stage.sue.hears == "speech"
        stage.sue.line.say("700")
        stage.says_nothing(customer, ana, stage.carol)
        heard = "700" if mode is WHISPER else ""
        assert (customer.hears, ana.hears, stage.carol.hears) == ("", heard, "")
        stage.check()
        assert stage.ask(Drop(Party.CONSULTED)) == {}
        heard = {LISTEN: ("", ""), WHISPER: ("", "700"), BARGE: ("700", "700")}[mode]
        assert (customer.hears, ana.hears, watch.agent) == (*heard, "ana")

    @pytest.mark.parametrize("mode", SupervisionMode)
    @pytest.mark.parametrize("what", [*FOLLOWS, {"agent": "bo"}])
    def test_one_more_is_asked_from_a_conference(self, stage: Place, what: dict[str, str], mode: SupervisionMode) -> None:
        """Who follows the agent hears the question, and everybody else the conference; nobody but the agent is spoken to."""
        customer, ana, bo = stage.three()
        watch = stage.begins(mode, **what)
        stage.says_nothing(stage.sue)
        stage.ask(Consult(number=CAROL))
        with_ana = what == {"agent": "ana"}
        heard = {"contact": bo.says, "ana": MUSIC, "bo": customer.says}[what.get("agent", "contact")]
        assert (stage.sue.hears, watch.agent) == (heard, what.get("agent", "ana"))
        stage.check()
        stage.pass_(1.5)
        assert stage.sue.hears == (CAROL_SAYS if with_ana else heard)
        stage.sue.line.say("700")
        stage.says_nothing(customer, ana, bo, stage.carol)
        spoken_to = "700" if mode is WHISPER and "agent" in what else ""
        assert (customer.hears, stage.carol.hears) == ("", "")
        assert (ana.hears, bo.hears) == ((spoken_to, "") if with_ana else ("", spoken_to))
        stage.check()
        stage.says_nothing(stage.sue)
        assert stage.ask(Merge()) == {}
        customer.line.say(CUSTOMER_SAYS)
        assert {bo.hears, ana.hears, stage.carol.hears} == {CUSTOMER_SAYS}
        stage.check()

    @pytest.mark.parametrize("what", FOLLOWS)
    def test_the_agent_leaves_it(self, stage: Place, what: dict[str, str]) -> None:
        customer, _ = stage.talk()
        watch = stage.begins(BARGE, **what)
        stage.ask(Consult(number=CAROL), 2)
        stage.ask(Merge())
        assert stage.ask(Complete()) == {}
        assert stage.talking(customer, stage.carol)
        assert (stage.sue.hears, watch.state) == ((CAROL_SAYS, "hearing") if "contact" in what else (MUSIC, "waiting"))
        stage.check()


@pytest.mark.requirement("P2")
class TestElsewhere:
    def test_parked_and_picked(self, stage: Place) -> None:
        customer, _ = stage.talk("bo")
        watch = stage.begins(BARGE)
        stage.says_nothing(stage.sue)
        assert stage.ask(Park()) == {}
        assert (customer.hears, stage.sue.hears, watch.agent) == (MUSIC, MUSIC, "")
        stage.check()
        assert stage.ask(Pick("bo"), 2) == {}
        assert stage.talking(customer, stage.bo)
        assert (stage.sue.hears, watch.agent) == (stage.bo.says, "bo")
        stage.check()

    def test_the_agent_who_parks_and_the_one_who_picks(self, stage: Place) -> None:
        customer, _ = stage.talk("bo")
        watch = stage.begins(agent="ana")
        stage.ask(Park())
        assert (stage.sue.hears, watch.state) == (MUSIC, "waiting")
        stage.joined.supervisions.end(watch.id)
        stage.pass_()
        stage.begins(agent="bo")
        assert stage.sue.hears == MUSIC
        stage.ask(Pick("bo"), 2)
        assert stage.sue.hears == customer.says
        stage.check()

    @pytest.mark.requirement("F6")
    @pytest.mark.parametrize("what", FOLLOWS)
    def test_a_fax(self, stage: Place, what: dict[str, str]) -> None:
        customer, ana = stage.talk()
        stage.begins(BARGE, **what)
        stage.says_nothing(stage.sue)
        machine(stage, customer)
        assert stage.ask(Fax("d1")) == {}
        assert stage.sue.hears == ("speech" if "contact" in what else MUSIC)
        stage.pass_(PROMPT_SECONDS + FAX_SECONDS)
        assert stage.talking(customer, ana)
        assert stage.sue.hears in (customer.says, ana.says)
        assert [event.outcome for event in stage.daemon.of("fax.ended")] == ["done"]
        stage.check()

    @pytest.mark.requirement("F7")
    def test_given_to_somebody_outside(self, stage: Place) -> None:
        customer, _ = stage.talk()
        watch = stage.begins(BARGE)
        stage.says_nothing(stage.sue)
        assert stage.ask(ToNumber(CAROL)) == {}
        assert (customer.hears, stage.sue.hears) == (MUSIC, MUSIC)
        stage.pass_(ONE_SECOND + 0.5)
        assert stage.talking(customer, stage.carol)
        assert (stage.sue.hears, watch.agent) == (CAROL_SAYS, "")
        stage.sue.line.say("700")
        assert stage.talking(customer, stage.carol)  # no agent, nobody to speak to
        stage.check()
        stage.pass_(2)
        stage.carol.line.hang_up()
        stage.pass_()
        assert (stage.how(), stage.sue.line.over) == ("contact", True)

    @pytest.mark.requirement("F7")
    def test_the_agent_who_gives_it_outside(self, stage: Place) -> None:
        stage.talk()
        watch = stage.begins(agent="ana")
        stage.ask(ToNumber(CAROL), 2)
        assert (stage.sue.hears, watch.state) == (MUSIC, "waiting")
        stage.check()

    @pytest.mark.requirement("F7")
    @pytest.mark.parametrize("what", FOLLOWS)
    def test_somebody_outside_is_asked_and_gets_it(self, stage: Place, what: dict[str, str]) -> None:
        customer, ana = stage.talk()
        stage.begins(BARGE, **what)
        stage.says_nothing(stage.sue)
        stage.ask(Consult(number=CAROL), 2)
        assert stage.talking(ana, stage.carol)
        assert stage.sue.hears == (MUSIC if "contact" in what else CAROL_SAYS)
        stage.ask(Alternate())
        assert stage.sue.hears in (ana.says, customer.says)
        stage.ask(Complete())
        assert stage.talking(customer, stage.carol)
        assert stage.sue.hears == (CAROL_SAYS if "contact" in what else MUSIC)
        stage.check()


# Recording


@pytest.mark.requirement("F4")
def test_a_conference_is_in_the_recording_with_all_three(stage: Place) -> None:
    stage.three()
    assert set(stage.tape.now) == {CUSTOMER_SAYS, "speech"}  # what the customer hears are two voices
    stage.ask(Drop(Party.CONSULTED))
    assert set(stage.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    assert stage.whys() == ["+hold", "-hold"]
    began = stage.daemon.of("talk.started")[0].at
    assert MUSIC not in stage.tape.within(began + 0.05, stage.reactor.seconds())


def test_the_second_agent_has_the_recorded_customer_after_a_conference(stage: Place) -> None:
    stage.three()
    stage.ask(Complete())
    assert set(stage.tape.now) == {CUSTOMER_SAYS, SAYS["bo"]}


def test_one_outside_is_recorded_while_an_agent_is_with_the_customer(stage: Place) -> None:
    customer, _ = stage.talk()
    stage.ask(Consult(number=CAROL), 2)
    stage.ask(Merge())
    assert set(stage.tape.now) == {CUSTOMER_SAYS, "speech"}
    stage.ask(Complete())
    assert stage.talking(customer, stage.carol)
    assert stage.tape.now == ()
    assert stage.whys() == ["+hold", "-hold", "+outside"]


@pytest.mark.parametrize("guest", [Consult("bo"), Consult(number=CAROL)], ids=["an agent", "outside"])
def test_what_is_recorded_while_one_more_is_asked(stage: Place, guest: Consult) -> None:
    """The customer goes on being recorded with one of ours, not with people outside alone; the question never is."""
    stage.talk("bo", "chen")
    stage.ask(guest, 2)
    stage.ask(Merge())
    whys = stage.whys()
    began = stage.reactor.seconds() + 0.1
    stage.ask(Consult("chen"), 2)
    assert set(stage.tape.now) == ({CUSTOMER_SAYS, SAYS["bo"]} if guest.agent else set())
    assert not {SAYS["ana"], SAYS["chen"]} & stage.tape.within(began, stage.reactor.seconds())
    assert stage.whys()[len(whys) :] == ([] if guest.agent else ["+outside"])
    stage.ask(Merge())
    assert set(stage.tape.now) == {CUSTOMER_SAYS, "speech"}
    assert stage.whys()[len(whys) :] == ([] if guest.agent else ["+outside", "-outside"])


def test_parked_silence_is_recorded(stage: Place) -> None:
    stage.talk("bo")
    stage.ask(Park())
    stage.pass_(1)
    assert stage.tape.now == ()
    stage.ask(Pick("bo"), 2)
    assert set(stage.tape.now) == {CUSTOMER_SAYS, SAYS["bo"]}
    assert stage.whys() == ["+waiting", "-waiting"]


@pytest.mark.requirement("F6")
def test_no_fax_is_recorded(stage: Place) -> None:
    customer, _ = stage.talk()
    machine(stage, customer)
    stage.ask(Fax("d1"))
    began = stage.reactor.seconds()
    stage.pass_(PROMPT_SECONDS)
    assert stage.tape.within(began, stage.reactor.seconds()) == set()
    stage.pass_(FAX_SECONDS)
    assert set(stage.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    assert stage.whys() == ["+fax", "-fax"]


@pytest.mark.requirement("F7")
@pytest.mark.parametrize("verbs", [(ToNumber(CAROL),), (Consult(number=CAROL), Complete())])
def test_nobody_outside_is_recorded(stage: Place, verbs: tuple[Verb, ...]) -> None:
    customer, _ = stage.talk()
    for verb in verbs:
        assert stage.ask(verb, 2) == {}
    assert stage.talking(customer, stage.carol)
    assert stage.tape.now == ()
    assert CAROL_SAYS not in stage.tape.within(0, stage.reactor.seconds())
    assert stage.whys()[-1] in ("-hold", "-waiting")
    assert "+outside" in stage.whys()
    stage.pass_(2)
    stage.carol.line.hang_up()
    stage.pass_()
    assert [gap.why for gap in stage.record().recordings[0].gaps][-1] == "outside"


@pytest.mark.requirement("F7")
def test_an_agent_has_somebody_outside_beside_the_customer(stage: Place) -> None:
    stage.talk()
    stage.ask(Consult(number=CAROL), 2)
    assert stage.tape.now == ()
    stage.ask(Alternate())
    assert set(stage.tape.now) == {CUSTOMER_SAYS, SAYS["ana"]}
    stage.ask(Hold())
    assert CAROL_SAYS not in stage.tape.within(0, stage.reactor.seconds())


# Whoever leaves, in every step


def asks(*verbs: Verb) -> Do:
    def step(stage: Supervised, watch: Any) -> None:
        for verb in verbs[:-1]:
            stage.ask(verb, 2.5)
        if "c0" in stage.joined.contacts.live:
            stage.joined.contacts.ask("c0", verbs[-1]).addErrback(lambda failure: None)

    return step


STEPS: dict[str, Do] = {
    "merge": asks(Consult("bo"), Merge()),
    "drop": asks(Consult("bo"), Merge(), Drop(Party.CONSULTED)),
    "complete": asks(Consult("bo"), Merge(), Complete()),
    "park": asks(Park()),
    "pick": asks(Park(), Pick("bo")),
    "fax": asks(Fax("d1")),
    "merge outside": asks(Consult(number=CAROL), Merge()),
    "leave the one outside": asks(Consult(number=CAROL), Merge(), Complete()),
    "ask one more": asks(Consult("bo"), Merge(), Consult(number=CAROL)),
    "merge one more": asks(Consult("bo"), Merge(), Consult(number=CAROL), Merge()),
    "outside": asks(ToNumber(CAROL)),
    "asked outside": asks(Consult(number=CAROL), Complete()),
}


def cell(database: MemoryDatabase, what: dict[str, str], step: str, fault: str, moment: float) -> None:
    """AssertionError when something does not hold."""
    stage = Place(database)
    stage.talk("bo")
    watch = stage.begins(BARGE, **what)
    STEPS[step](stage, watch)
    stage.pass_(moment)
    FAULTS[fault](stage, watch)
    stage.pass_(4.0)
    found = violations(seen(stage))
    stage.pass_(1.5)
    assert not lasting(found, violations(seen(stage)))
    customer = stage.customers[0]
    assert customer.line.over or customer.hears or stage.contact.stage is StageOfContact.FAX
    stage.close()
    assert (len(stage.daemon.of("supervision.started")), len(stage.daemon.of("supervision.ended"))) == (1, 1)
    assert all(tape.stopped for tape in stage.daemon.tapes.values())
    stage.daemon.now(database.clear())


def seen(stage: Place) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    return Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)


@pytest.mark.requirement("P2")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("follows", ["contact", "agent"])
def test_whatever_happens_when(step: str, follows: str, database: MemoryDatabase) -> None:
    what = {"contact": "c0"} if follows == "contact" else {"agent": "ana"}
    for fault, (when, moment) in product(FAULTS, MOMENTS.items()):
        try:
            cell(database, what, step, fault, moment)
        except Exception as failure:
            raise AssertionError(f"following the {follows}: {step}, {fault}, {when}: {failure}") from failure
