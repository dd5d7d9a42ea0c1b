"""Asking one more from within a conference, privately, and bringing that one in; in virtual time on the simulated Asterisk.

A customer, Ana who leads, Bo, Chen, and Carol and Dora, who are outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.model import Party
from easycall.store.memory import MemoryDatabase
from easycall.talk import conference
from easycall.verbs import (
    Alternate,
    Answer,
    Cancel,
    Complete,
    Consult,
    Drop,
    Leave,
    Lend,
    Merge,
    Mute,
    NotNow,
    Park,
    Retrieve,
    SendDigits,
    TakeOver,
    Verb,
)

from .test_call_out import CAROL, DORA, OutsideStage
from .test_talk import MUSIC, Person
from .virtual import opened


class Room(OutsideStage):
    """A conference of three at the beginning."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.customer: Any = None

    @property
    def voices(self) -> dict[str, Person]:
        everybody = {"customer": self.customer, **self.people, "carol": self.carol, "dora": self.dora}
        return {name: one for name, one in everybody.items() if hasattr(one, "line") and not one.line.over}

    def three(self, guest: Consult | None = None) -> None:
        """A customer, Ana, and Bo or somebody outside."""
        self.customer, _ = self.talk("bo", "chen")
        assert self.ask(guest or Consult("bo"), 2) == {}
        assert self.ask(Merge()) == {}

    def asks(self, verb: Consult) -> None:
        """Ana talks with one more in private."""
        assert self.ask(verb, 2) == {}
        assert self.contact.stage == "aside"

    def together(self, *names: str) -> bool:
        """Each of these hears each other: when all others are silent, one is heard by all the rest, and by nobody else."""
        voices = self.voices
        before = {name: one.says for name, one in voices.items()}
        for one in voices.values():
            one.line.say("")
        heard = []
        for name in names:
            voices[name].line.say(before[name])
            heard += [voices[other].hears == before[name] for other in names if other != name]
            heard += [one.hears != before[name] for other, one in voices.items() if other not in names]
            voices[name].line.say("")
        for name, one in voices.items():
            one.line.say(before[name])
        return all(heard)


@pytest.fixture(scope="module")
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[Room]:
    stage = Room(database)
    yield stage
    stage.close()
    stage.daemon.now(database.clear())


ONE_MORE = {"agent": Consult("chen"), "group": Consult(queue="support"), "outside": Consult(number=DORA)}
NAMES = {"agent": "chen", "group": "chen", "outside": "dora"}
GUESTS = {"bo": Consult("bo"), "carol": Consult(number=CAROL)}
each = pytest.mark.parametrize("more", ONE_MORE)


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
class TestAskingOneMore:
    @each
    @pytest.mark.parametrize("guest", GUESTS)
    def test_in_private_and_then_all_together(self, stage: Room, guest: str, more: str) -> None:
        name = NAMES[more]
        stage.three(GUESTS[guest])
        assert stage.ask(ONE_MORE[more]) == {}
        assert (stage.contact.stage, stage.state("ana")) == ("aside", "held")
        assert stage.together("customer", guest)
        assert stage.people["ana"].hears == MUSIC
        stage.check()
        stage.pass_(1.5)
        assert stage.together("customer", guest)
        assert stage.together("ana", name)
        stage.check()
        assert stage.ask(Merge()) == {}
        assert stage.together("customer", "ana", guest, name)
        assert (stage.contact.stage, stage.state("ana")) == ("conference", "talking")
        assert stage.contact.conference == (CAROL if guest == "carol" else "bo", DORA if name == "dora" else "chen")
        stage.check()
        assert stage.kinds("conference") == ["conference.started", "conference.joined"]

    @pytest.mark.parametrize("verb", [Cancel(), Retrieve()])
    @pytest.mark.parametrize("moment", ["it rings", "they talk"])
    @each
    def test_and_going_back(self, stage: Room, more: str, moment: str, verb: Verb) -> None:
        stage.three()
        stage.ask(ONE_MORE[more], 2 if moment == "they talk" else 0.5)
        assert stage.ask(verb) == {}
        assert stage.together("customer", "ana", "bo")
        assert NAMES[more] not in stage.voices
        assert (stage.contact.consulted, stage.contact.conference, stage.lines) == ("bo", ("bo",), 0)
        assert stage.daemon.of("consult.ended")[-1].outcome == ("answered" if moment == "they talk" else "cancelled")
        stage.check()

    @each
    def test_between_them_and_back(self, stage: Room, more: str) -> None:
        name = NAMES[more]
        stage.three()
        stage.asks(ONE_MORE[more])
        for _ in range(2):
            assert stage.ask(Alternate()) == {}
            assert stage.together("customer", "ana", "bo")
            assert (stage.voices[name].hears, stage.state("ana"), stage.contact.stage) == (MUSIC, "talking", "conference")
            stage.check()
            assert stage.ask(SendDigits("1"), 1) == {}
            assert stage.ask(Alternate()) == {}
            assert stage.together("customer", "bo")
            assert stage.together("ana", name)
            stage.check()
        stage.ask(Alternate())
        assert stage.ask(Merge()) == {}
        assert stage.together("customer", "ana", "bo", name)
        stage.check()

    @pytest.mark.parametrize("verb", [Cancel(), Retrieve()])
    def test_the_one_more_is_dropped_from_the_conference(self, stage: Room, verb: Verb) -> None:
        stage.three()
        stage.asks(Consult("chen"))
        stage.ask(Alternate())
        assert stage.ask(verb) == {}
        assert stage.together("customer", "ana", "bo")
        assert stage.state("chen") == "wrap_up"

    @each
    @pytest.mark.parametrize("alternating", [False, True])
    def test_who_is_asked_takes_the_agents_place(self, stage: Room, more: str, alternating: bool) -> None:
        name = NAMES[more]
        stage.three()
        stage.asks(ONE_MORE[more])
        if alternating:
            stage.ask(Alternate())
        assert stage.ask(Complete()) == {}
        assert stage.together("customer", "bo", name)
        assert (stage.contact.agent, stage.state("ana"), stage.state("bo")) == ("bo", "wrap_up", "talking")
        assert stage.contact.conference == (DORA if name == "dora" else "chen",)
        stage.check()
        assert stage.ask(Drop(Party.CONSULTED)) == {}
        assert stage.talking(stage.customer, stage.people["bo"])
        assert stage.contact.stage == "talking"

    @pytest.mark.parametrize(("how", "outcome"), [("decline", "declined"), ("", "no_answer")])
    def test_who_does_not_answer(self, stage: Room, how: str, outcome: str) -> None:
        stage.three()
        stage.people["chen"].when_rung = how
        stage.ask(Consult("chen"), 12)
        assert stage.together("customer", "ana", "bo")
        assert stage.state("ana") == "talking"
        assert stage.daemon.of("consult.ended")[-1].outcome == outcome
        stage.check()

    def test_a_number_that_is_busy(self, stage: Room) -> None:
        stage.three()
        stage.cause = 17
        stage.ask(Consult(number=DORA), 1)
        assert stage.failed() == ("busy", 17)
        assert stage.together("customer", "ana", "bo")

    def test_what_is_refused_changes_nothing(self, stage: Room) -> None:
        stage.three()
        for verb, why in {
            Consult("bo"): "bo is talking",
            Consult(queue="nowhere"): "there is no queue 'nowhere'",
            Consult(number="+4490012345"): "does not allow",
            Answer(): "Answer is not possible while the contact is conference",
        }.items():
            assert why in stage.ask(verb)
            assert stage.together("customer", "ana", "bo")
        stage.asks(Consult("chen"))
        for other in (Consult(number=DORA), Park(), TakeOver("s1"), Drop(Party.CONSULTED), Mute(Party.CUSTOMER)):
            assert stage.ask(other) == f"{type(other).__name__} is not possible while the contact is aside"
        assert stage.ask(Lend("notice")) == "Lend is not possible while the contact is aside"
        assert stage.together("ana", "chen")

    def test_a_phone_that_cannot_be_dialled(self, stage: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        stage.three()

        def refuses(*args: Any) -> Any:
            raise NotNow("no such phone")

        monkeypatch.setattr("easycall.talk.second.call", refuses)
        assert stage.ask(Consult("chen")) == "no such phone"
        assert stage.together("customer", "ana", "bo")
        assert (stage.state("ana"), stage.state("chen"), stage.contact.stage) == ("talking", "ready", "conference")

    def test_there_is_a_limit(self, stage: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conference, "PARTIES", 4)
        stage.three()
        stage.asks(Consult("chen"))
        stage.ask(Merge())
        assert stage.ask(Consult(number=DORA)) == "no more than 4 can be in a conference"
        assert not hasattr(stage.dora, "line")
        assert stage.lines == 0

    def test_five(self, stage: Room) -> None:
        stage.three()
        for verb in (Consult("chen"), Consult(number=DORA), Consult(number=CAROL)):
            stage.asks(verb)
            assert stage.ask(Merge()) == {}
        assert stage.together("customer", "ana", "bo", "chen", "dora", "carol")
        stage.check()
        stage.ask(Drop(Party.CONSULTED, DORA))
        stage.ask(Drop(Party.CONSULTED, "bo"))
        assert stage.together("customer", "ana", "chen", "carol")
        assert (stage.lines, stage.contact.conference) == (1, ("chen", CAROL))


@pytest.mark.requirement("F4")
class TestLeaving:
    """Whoever leaves a conference of four, or while one more is asked."""

    def four(self, stage: Room, more: Consult | None = None) -> None:
        stage.three()
        stage.asks(more or Consult("chen"))
        stage.ask(Merge())

    def test_who_is_meant_must_be_said(self, stage: Room) -> None:
        self.four(stage)
        for verb in (Drop(Party.CONSULTED), Cancel(), Mute(Party.CONSULTED), Drop(Party.CONSULTED, "dora")):
            assert stage.ask(verb) == "say who: bo, chen"
        assert stage.ask(Mute(Party.CONSULTED, who="chen")) == {}
        assert stage.daemon.of("conference.muted")[-1].who == "chen"
        assert not stage.together("customer", "ana", "bo", "chen")
        assert stage.ask(Mute(Party.CONSULTED, muted=False, who="chen")) == {}
        assert stage.together("customer", "ana", "bo", "chen")

    @pytest.mark.parametrize("who", ["bo", "chen"])
    @pytest.mark.parametrize("dropped", [False, True])
    def test_a_guest(self, stage: Room, who: str, dropped: bool) -> None:
        self.four(stage)
        stays = "chen" if who == "bo" else "bo"
        if dropped:
            assert stage.ask(Drop(Party.CONSULTED, who)) == {}
        else:
            stage.people[who].line.hang_up()
            stage.pass_()
        assert stage.together("customer", "ana", stays)
        [left] = stage.daemon.of("conference.left")
        assert (left.party, left.who) == ("consulted", who)
        assert (stage.contact.consulted, stage.contact.conference, stage.state(who)) == (stays, (stays,), "wrap_up")
        stage.check()
        assert stage.ask(Drop(Party.CONSULTED)) == {}
        assert stage.talking(stage.customer, stage.people["ana"])

    @pytest.mark.parametrize("verb", [Complete(), Drop(Party.AGENT), Leave(), None])
    def test_the_agent_and_the_first_of_the_others_leads(self, stage: Room, verb: Verb | None) -> None:
        self.four(stage, Consult(number=DORA))
        if verb is None:
            stage.people["ana"].line.hang_up()
            stage.pass_()
        else:
            assert stage.ask(verb, 0.5) == {}
        assert stage.together("customer", "bo", "dora")
        assert (stage.contact.agent, stage.contact.conference, stage.state("ana")) == ("bo", (DORA,), "wrap_up")
        stage.check()
        stage.asks(Consult("chen"))
        stage.ask(Merge())
        assert stage.together("customer", "bo", "dora", "chen")
        stage.check()

    def test_the_agent_and_nobody_of_ours_is_left(self, stage: Room) -> None:
        stage.three(Consult(number=CAROL))
        stage.asks(Consult(number=DORA))
        stage.ask(Merge())
        assert stage.ask(Complete()) == {}
        assert stage.together("customer", "carol", "dora")
        assert (stage.contact.stage, stage.contact.agent, stage.contact.conference) == ("outside", "", ())
        assert stage.lines == 2
        stage.check()
        stage.carol.line.hang_up()
        stage.pass_()
        assert stage.talking(stage.customer, stage.dora)
        stage.check()
        stage.pass_(3)
        stage.dora.line.hang_up()
        stage.pass_()
        assert (stage.ended(), stage.customer.line.over) == (("answered", "outside"), True)
        kinds = [part.kind for part in stage.record().segments if part.seconds]
        assert kinds[-3:] == ["consult", "conference", "outside"]

    def test_the_customer_leaves_only_people_outside(self, stage: Room) -> None:
        stage.three(Consult(number=CAROL))
        stage.asks(Consult(number=DORA))
        stage.ask(Merge())
        stage.ask(Complete())
        stage.customer.line.hang_up()
        stage.pass_()
        assert stage.voices == {}
        assert stage.ended() == ("answered", "caller")

    def test_two_outside_hang_up_at_once(self, stage: Room) -> None:
        stage.three(Consult(number=CAROL))
        stage.asks(Consult(number=DORA))
        stage.ask(Merge())
        stage.ask(Complete())
        stage.carol.line.hang_up()
        stage.dora.line.hang_up()
        stage.pass_()
        assert stage.line_of("sales") == ["c0"]
        assert stage.customer.hears == MUSIC

    @pytest.mark.parametrize("guest", GUESTS)
    def test_the_last_guest_while_one_more_is_rung(self, stage: Room, guest: str) -> None:
        """It goes on as a consultation."""
        stage.three(GUESTS[guest])
        stage.ask(Consult("chen"))
        stage.voices[guest].line.hang_up()
        stage.pass_(0.1)
        assert (stage.customer.hears, stage.contact.stage, stage.contact.consulted) == (MUSIC, "consulting", "chen")
        stage.check()
        stage.pass_(1.5)
        assert stage.together("ana", "chen")
        assert stage.ask(Complete()) == {}
        assert stage.talking(stage.customer, stage.people["chen"])
        stage.customer.line.hang_up()
        stage.pass_()
        kinds = [part.kind.value for part in stage.record().segments if part.seconds]
        assert kinds[-3:] == ["conference", "consult", "talk"]

    def test_the_last_guest_while_the_two_talk(self, stage: Room) -> None:
        stage.three()
        stage.asks(Consult("chen"))
        stage.people["bo"].line.hang_up()
        stage.pass_()
        assert (stage.customer.hears, stage.contact.stage) == (MUSIC, "consulting")
        assert stage.together("ana", "chen")
        stage.check()
        assert stage.ask(Merge()) == {}
        assert stage.together("customer", "ana", "chen")
        stage.check()

    def test_the_last_guest_while_the_agent_is_back(self, stage: Room) -> None:
        stage.three()
        stage.asks(Consult("chen"))
        stage.ask(Alternate())
        stage.people["bo"].line.hang_up()
        stage.pass_()
        assert stage.talking(stage.customer, stage.people["ana"])
        assert (stage.people["chen"].hears, stage.contact.stage) == (MUSIC, "talking")
        stage.check()
        assert stage.ask(Alternate()) == {}
        assert stage.together("ana", "chen")
        assert stage.customer.hears == MUSIC

    @pytest.mark.parametrize("seconds", [0.5, 2.0])
    def test_the_agent_meanwhile_and_who_was_asked_is_free(self, stage: Room, seconds: float) -> None:
        stage.three()
        stage.ask(Consult("chen"), seconds)
        stage.people["ana"].line.hang_up()
        stage.pass_()
        assert stage.talking(stage.customer, stage.people["bo"])
        assert (stage.contact.agent, stage.contact.stage) == ("bo", "talking")
        assert stage.state("chen") == ("ready" if seconds < 1 else "wrap_up")
        stage.check()

    def test_who_is_asked_hangs_up(self, stage: Room) -> None:
        stage.three()
        stage.asks(Consult("chen"))
        stage.people["chen"].line.hang_up()
        stage.pass_()
        assert stage.together("customer", "ana", "bo")
        assert stage.state("ana") == "talking"
        stage.check()

    def test_all_but_the_customer(self, stage: Room) -> None:
        stage.three()
        stage.asks(Consult("chen"))
        for who in ("ana", "bo", "chen"):
            stage.people[who].line.hang_up()
        stage.pass_()
        assert (stage.line_of("sales"), stage.customer.hears) == (["c0"], MUSIC)
        stage.check()

    def test_the_customer(self, stage: Room) -> None:
        stage.three()
        stage.asks(Consult(number=DORA))
        stage.customer.line.hang_up()
        stage.pass_()
        assert (stage.voices, stage.lines) == ({}, 0)
        assert (stage.state("ana"), stage.state("bo")) == ("wrap_up", "wrap_up")
        [*_, last] = stage.record().segments
        assert last.kind == "conference"  # the customer was in it all the time


@pytest.mark.fault("F04")
def test_it_lives_through_the_loss_of_the_link(stage: Room) -> None:
    stage.three()
    stage.asks(Consult("chen"))
    stage.asterisk.cut_ami()
    stage.pass_(5)
    assert stage.together("customer", "bo")
    assert stage.together("ana", "chen")
    assert stage.ask(Merge()) == {}
    assert stage.together("customer", "ana", "bo", "chen")
    stage.check()


# Whoever leaves or whatever fails, in every step


FLOWS: dict[str, tuple[Verb, ...]] = {
    "agent, merge, drop": (Consult("chen"), Merge(), Drop(Party.CONSULTED, "bo")),
    "outside, merge, leave": (Consult(number=DORA), Merge(), Complete()),
    "agent, cancel": (Consult("chen"), Cancel()),
    "outside, alternate, merge": (Consult(number=DORA), Alternate(), Merge()),
    "agent, alternate twice, complete": (Consult("chen"), Alternate(), Alternate(), Complete()),
    "agent, alternate, cancel": (Consult("chen"), Alternate(), Cancel()),
}
Fault = Callable[[Room], None]


def hangs_up(*names: str) -> Fault:
    def fault(stage: Room) -> None:
        for name in names:
            if (one := stage.voices.get(name)) is not None:
                one.line.hang_up()

    return fault


FAULTS: dict[str, Fault] = {
    "nothing": hangs_up(),
    "customer": hangs_up("customer"),
    "ana": hangs_up("ana"),
    "guest": hangs_up("bo", "carol"),
    "one more": hangs_up("chen", "dora"),
    "ana and guest": hangs_up("ana", "bo", "carol"),
    "ana and one more": hangs_up("ana", "chen", "dora"),
    "guest and one more": hangs_up("bo", "carol", "chen", "dora"),
    "all but the customer": hangs_up("ana", "bo", "carol", "chen", "dora"),
    "link cut": lambda stage: stage.asterisk.cut_ami(),
}
MOMENTS = (-0.002, 0.0, 0.001, 0.3, 1.6)


def seen(stage: Room) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    return Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)


def cell(database: MemoryDatabase, guest: Consult, verbs: tuple[Verb, ...], step: int, fault: Fault, moment: float) -> str:
    """One cell; what became of the customer.  AssertionError when something does not hold."""
    stage = Room(database)
    stage.three(guest)
    answers: list[Any] = []
    for number, verb in enumerate(verbs):
        if number == step and moment < 0:
            fault(stage)
            stage.pass_(-moment)
        if not stage.joined.contacts.live:
            break
        asked = stage.joined.contacts.ask("c0", verb)
        asked.addCallbacks(answers.append, lambda failure: answers.append(failure.trap(NotNow)))
        if number == step and moment >= 0:
            stage.pass_(moment)
            fault(stage)
        stage.pass_(2.0)
        assert len(answers) == number + 1, f"{verb} was not answered"
    found = violations(seen(stage))
    stage.pass_(1.5)
    assert not lasting(found, violations(seen(stage)))
    if stage.customer.line.over:
        became = f"ended by the {stage.ended()[1]}"
    else:
        became = f"{stage.contact.stage}, hears {stage.customer.hears}"
        assert stage.customer.hears, became
        alone = stage.contact.stage in ("consulting", "held", "waiting", "offered")
        assert (stage.customer.hears == MUSIC) is alone, became
    stage.close()
    stage.daemon.now(database.clear())
    return became


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("name", FLOWS)
def test_whatever_happens_when(name: str, guest: str, database: MemoryDatabase) -> None:
    verbs = FLOWS[name]
    for step, (who, fault), moment in product(range(len(verbs)), FAULTS.items(), MOMENTS):
        try:
            became = cell(database, GUESTS[guest], verbs, step, fault, moment)
        except Exception as failure:
            raise AssertionError(f"{name}, step {step + 1} ({verbs[step]}), {who}, {moment} s: {failure}") from failure
        print(f"{guest:6} {name:32} {step + 1} {type(verbs[step]).__name__:10} {who:22} {moment:6.3f} {became}")  # noqa: T201
        if who == "customer":
            assert became == "ended by the caller", (name, step, who, moment, became)
        elif who in ("nothing", "link cut", "guest", "one more", "ana"):
            assert not became.startswith("ended"), (name, step, who, moment, became)
