"""Supervisors who listen, whisper, barge in and take over; in virtual time on the simulated Asterisk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure

from easycall.audience import Audience
from easycall.events import SupervisionMoved
from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.model import AgentState, Contact, Speaks, SupervisionMode
from easycall.model import Stage as StageOfContact
from easycall.ports import HungUp, Taken
from easycall.store.memory import MemoryDatabase
from easycall.supervision import Watch
from easycall.supervision.scene import Ear, ear_at_agent, ear_at_contact, may_supervise
from easycall.supervision.watch import Order
from easycall.verbs import Alternate, Cancel, Complete, Consult, Hold, Lend, NotAllowed, NotNow, Retrieve, ToAgent, ToQueue

from .clocks import clock_at
from .fakes_journal import Notes
from .fakes_ports import FakeSwitch
from .test_talk import MUSIC, Person, Stage
from .virtual import opened

LISTEN, WHISPER, BARGE = SupervisionMode
SUE = "chen"
"""The supervisor."""


class Supervised(Stage):
    """Chen supervises everybody."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.joined.distributor.staff.agents[SUE].supervises = ("*",)
        self.joined.distributor.staff.agents["bo"].supervises = ("sales",)
        self.sue = self.people[SUE]

    def close(self) -> None:
        for watch in self.joined.supervisions.live:
            self.joined.supervisions.end(watch)
        super().close()

    def begins(self, mode: SupervisionMode = LISTEN, seconds: float = 1.5, who: str = SUE, **what: str) -> Watch:
        """A supervisor logs in and begins; the phone is answered after a second."""
        if self.state(who) == "offline":
            self.joined.distributor.staff.log_in(who)
        what = what or {"contact": "c0"}
        watch = self.joined.supervisions.begin(who, mode, by="wall", **what)
        self.pass_(seconds)
        return watch

    def takes_over(self, watch: Watch, seconds: float = 0.3) -> Any:
        """What came of it."""
        answers: list[Any] = []
        try:
            self.joined.supervisions.take_over(watch.id).addBoth(answers.append)
        except NotNow as why:
            return str(why)
        self.pass_(seconds)
        if isinstance(answers[0], Failure):
            answers[0].trap(NotNow)
            return str(answers[0].value)
        return answers[0]

    def says_nothing(self, *people: Person) -> None:
        for person in people:
            person.line.say("")

    def moves(self) -> list[tuple[str, str, bool]]:
        return [(event.contact, event.agent, event.hears) for event in self.daemon.of("supervision.moved")]

    def how(self) -> str:
        [event] = self.daemon.of("supervision.ended")
        return str(event.how)


@pytest.fixture
def stage() -> Iterator[Supervised]:
    with opened() as database:
        stage = Supervised(database)
        yield stage
        stage.close()


@pytest.mark.requirement("P2")
class TestModes:
    def test_listen(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        watch = stage.begins()
        assert (stage.sue.hears, stage.state(SUE), watch.state) == (ana.says, "supervising", "hearing")
        stage.says_nothing(ana)
        assert stage.sue.hears == customer.says
        assert ana.hears == customer.says
        stage.says_nothing(customer)
        assert (customer.hears, ana.hears) == ("", "")
        stage.check()
        assert stage.moves() == [("c0", "ana", True)]

    def test_whisper(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        stage.begins(WHISPER)
        stage.says_nothing(customer, ana)
        assert (customer.hears, ana.hears) == ("", stage.sue.says)
        stage.check()

    def test_barge_in(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        stage.begins(BARGE)
        stage.says_nothing(customer, ana)
        assert (customer.hears, ana.hears) == (stage.sue.says, stage.sue.says)
        stage.check()

    def test_the_mode_is_changed_at_once(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        watch = stage.begins()
        stage.says_nothing(customer, ana)
        for mode, heard in ((BARGE, (stage.sue.says,) * 2), (WHISPER, ("", stage.sue.says)), (LISTEN, ("", ""))):
            stage.joined.supervisions.change(watch.id, mode, "wall")
            stage.pass_(0.05)
            assert (customer.hears, ana.hears) == heard
        assert [event.mode for event in stage.daemon.of("supervision.mode")] == [BARGE, WHISPER, LISTEN]
        assert stage.moves() == [("c0", "ana", True)]

    def test_who_whispers_is_not_heard_by_a_customer_on_hold(self, stage: Supervised) -> None:
        customer, _ = stage.talk()
        stage.begins(WHISPER)
        stage.ask(Hold())
        assert (customer.hears, stage.sue.hears) == (MUSIC, MUSIC)
        stage.ask(Retrieve())
        stage.says_nothing(customer)
        assert stage.people["ana"].hears == stage.sue.says


@pytest.mark.requirement("P2")
class TestFollowing:
    def test_the_contact_through_hold_and_transfer(self, stage: Supervised) -> None:
        customer, ana = stage.talk("bo")
        stage.begins()
        stage.ask(Hold())
        assert stage.sue.hears == MUSIC
        stage.ask(Retrieve())
        assert stage.sue.hears == ana.says
        stage.ask(ToAgent("bo"))
        assert stage.sue.hears == MUSIC
        stage.pass_(2)
        assert stage.sue.hears == stage.people["bo"].says
        stage.check()
        customer.line.hang_up()
        stage.pass_()
        assert stage.sue.line.over
        assert stage.how() == "contact"
        assert stage.state(SUE) == "not_ready"
        assert [move[1] for move in stage.moves()] == ["ana", "", "bo"]
        assert stage.kinds("supervision", "contact")[-2:] == ["supervision.ended", "contact.ended"]

    def test_the_contact_into_a_queue_and_out_of_it(self, stage: Supervised) -> None:
        stage.talk()
        stage.begins(WHISPER)
        stage.ask(ToQueue("sales"), 1)
        assert stage.sue.hears == MUSIC
        stage.ready("bo")
        stage.pass_(3)
        stage.says_nothing(*stage.customers)
        assert stage.people["bo"].hears == stage.sue.says
        stage.check()

    def test_the_contact_before_there_is_an_agent(self, stage: Supervised) -> None:
        customer = stage.calls()
        stage.begins(BARGE)
        assert (stage.sue.hears, customer.hears) == (MUSIC, MUSIC)
        stage.ready("ana")
        stage.pass_(2)
        stage.says_nothing(customer, stage.people["ana"])
        assert customer.hears == stage.sue.says

    def test_the_contact_hears_of_a_consultation_what_the_customer_hears(self, stage: Supervised) -> None:
        stage.talk("bo")
        stage.begins(BARGE)
        stage.says_nothing(stage.sue)
        stage.ask(Consult("bo"), 2)
        assert stage.talking(stage.people["ana"], stage.people["bo"])
        assert stage.sue.hears == MUSIC
        stage.ask(Alternate())
        assert stage.sue.hears == stage.people["ana"].says
        stage.ask(Complete())
        assert stage.sue.hears == stage.people["bo"].says
        stage.check()

    def test_the_agent_through_a_consultation_and_to_the_next_contact(self, stage: Supervised) -> None:
        customer, ana = stage.talk("bo")
        watch = stage.begins(agent="ana")
        assert stage.sue.hears == customer.says
        stage.ask(Consult("bo"), 2)
        assert stage.sue.hears == stage.people["bo"].says
        stage.ask(Cancel())
        customer.line.hang_up()
        stage.pass_()
        assert (stage.sue.hears, watch.contact, watch.state) == (MUSIC, "", "waiting")
        stage.joined.distributor.staff.set_state("bo", AgentState.NOT_READY)
        stage.pass_(6)
        second = stage.calls()
        stage.pass_(2)
        assert ana.rings == 2
        assert stage.sue.hears == second.says
        stage.check()
        assert stage.moves() == [("c0", "ana", True), ("c0", "ana", False), ("c2", "ana", True)]
        stage.joined.distributor.staff.log_out("ana")
        second.line.hang_up()
        stage.pass_(6)
        assert (stage.how(), stage.sue.line.over) == ("agent", True)

    def test_an_agent_who_has_no_contact_yet(self, stage: Supervised) -> None:
        stage.ready("ana")
        stage.begins(WHISPER, agent="ana")
        assert stage.sue.hears == MUSIC
        customer = stage.calls()
        stage.pass_(2)
        stage.says_nothing(customer)
        assert (stage.people["ana"].hears, customer.hears) == (stage.sue.says, stage.people["ana"].says)

    def test_an_agent_who_is_asked_by_another(self, stage: Supervised) -> None:
        stage.talk("bo")
        stage.begins(agent="bo")
        stage.ask(Consult("bo"), 2)
        assert stage.sue.hears == stage.people["ana"].says
        stage.ask(Complete())
        stage.says_nothing(stage.people["bo"])
        assert stage.sue.hears == stage.customers[0].says

    def test_two_supervisors_of_one_agent(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        stage.begins()
        stage.begins(who="bo", agent="ana")
        assert stage.people["bo"].hears == customer.says
        assert stage.sue.hears == ana.says
        stage.people["bo"].line.hang_up()
        stage.pass_()
        assert stage.sue.hears == ana.says
        assert stage.talking(customer, ana)


@pytest.mark.requirement("P1")
@pytest.mark.requirement("B5")
class TestDeaf:
    @pytest.mark.parametrize("what", [{"contact": "c0"}, {"agent": "ana"}])
    def test_while_the_customer_is_lent(self, stage: Supervised, what: dict[str, str]) -> None:
        customer, ana = stage.talk()
        stage.begins(BARGE, **what)
        stage.says_nothing(stage.sue)
        listening: list[Any] = []

        def told(sequence: int, event: Any) -> None:
            if event.kind == "loan.started":
                listening.append(stage.sue.line.spying_on)

        stage.joined.journal.subscribe(told)
        assert stage.ask(Lend("notice")) == {}
        assert listening == [None], "a supervisor heard the customer when the loan began"
        assert (customer.hears, stage.sue.hears) == ("speech", MUSIC)
        stage.pass_(3)
        assert stage.talking(customer, ana)
        assert stage.sue.hears in (customer.says, ana.says)
        assert [move[2] for move in stage.moves()] == [True, False, True]
        stage.check()

    def test_who_comes_while_the_customer_is_lent_hears_nothing_yet(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        stage.ask(Lend("notice"), 0.1)
        stage.begins(seconds=1.2)
        assert (customer.hears, stage.sue.hears) == ("speech", MUSIC)
        stage.pass_(2)
        assert stage.sue.hears == ana.says

    @pytest.mark.fault("F09")
    def test_no_loan_while_a_supervisor_cannot_be_taken_away(
        self, stage: Supervised, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("easycall.supervision.watch.SILENCE_SECONDS", 0.05)  # the link comes back later than that
        customer, ana = stage.talk()
        stage.begins()
        stage.asterisk.cut_ami()
        assert stage.ask(Lend("notice")) == f"the supervisor {SUE} cannot be kept from hearing it"
        assert stage.talking(customer, ana)
        stage.pass_(30)
        assert (stage.sue.hears, stage.kinds("loan")) == (ana.says, [])
        assert stage.ask(Lend("notice")) == {}


@pytest.mark.requirement("P2")
class TestTakeOver:
    @pytest.mark.parametrize("mode", SupervisionMode)
    def test_from_a_talk(self, stage: Supervised, mode: SupervisionMode) -> None:
        customer, ana = stage.talk()
        watch = stage.begins(mode)
        silence: list[str] = []
        heard = customer.heard
        customer.heard = lambda sound: (silence.append(sound), heard(sound))  # type: ignore[method-assign, assignment, func-returns-value]
        assert stage.takes_over(watch) == {}
        assert stage.talking(customer, stage.sue)
        assert (ana.line.over, stage.state("ana"), stage.state(SUE)) == (True, "wrap_up", "talking")
        assert (stage.contact.agent, stage.how()) == (SUE, "taken_over")
        assert MUSIC not in silence
        stage.check()
        assert stage.ask(Hold()) == {}
        assert customer.hears == MUSIC
        assert stage.ask(Retrieve()) == {}
        customer.line.hang_up()
        stage.pass_(10)
        assert stage.state(SUE) == "not_ready"
        record = stage.record()
        assert [(part.kind, part.agent) for part in record.segments if part.agent][-3:] == [
            ("talk", SUE),
            ("hold", SUE),
            ("talk", SUE),
        ]

    def test_from_hold(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        watch = stage.begins()
        stage.ask(Hold())
        assert stage.takes_over(watch) == {}
        assert stage.talking(customer, stage.sue)
        assert ana.line.over

    def test_of_the_contact_of_an_agent(self, stage: Supervised) -> None:
        customer, _ = stage.talk()
        watch = stage.begins(agent="ana")
        assert stage.takes_over(watch) == {}
        assert stage.talking(customer, stage.sue)
        stage.check()

    def test_a_ready_supervisor_is_ready_afterwards(self, stage: Supervised) -> None:
        customer, _ = stage.talk(SUE)
        watch = stage.begins()
        stage.takes_over(watch)
        customer.line.hang_up()
        stage.pass_(6)
        assert stage.state(SUE) == "ready"

    def test_is_refused_when_it_makes_no_sense(self, stage: Supervised) -> None:
        stage.talk("bo")
        watch = stage.begins(seconds=0.3)
        assert stage.takes_over(watch) == "the supervisor is not on the phone"
        stage.pass_(2)
        stage.ask(Consult("bo"), 2)
        assert stage.takes_over(watch) == "TakeOver is not possible while the contact is consulting"
        stage.ask(Cancel())
        stage.ask(Lend("notice"))
        assert stage.takes_over(watch) == "TakeOver is not possible while the contact is lent"
        stage.pass_(3)
        assert stage.sue.hears == stage.people["ana"].says

    def test_of_one_who_waits(self, stage: Supervised) -> None:
        stage.calls()
        watch = stage.begins()
        assert stage.takes_over(watch) == "the customer talks with nobody"
        assert stage.sue.hears == MUSIC

    def test_between_two_contacts(self, stage: Supervised) -> None:
        stage.ready("ana")
        watch = stage.begins(agent="ana")
        assert stage.takes_over(watch) == "there is no contact to take over"


@pytest.mark.requirement("P2")
class TestEnds:
    def test_by_the_api(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        watch = stage.begins(BARGE)
        stage.joined.supervisions.end(watch.id, "wall")
        assert stage.joined.supervisions.live == {}
        stage.pass_()
        assert (stage.sue.line.over, stage.state(SUE)) == (True, "not_ready")
        assert stage.talking(customer, ana)
        [event] = stage.daemon.of("supervision.ended")
        assert (event.how, event.by, event.contact, event.agent) == ("api", "wall", "c0", "ana")

    def test_by_the_supervisor(self, stage: Supervised) -> None:
        customer, ana = stage.talk()
        stage.begins(BARGE)
        stage.sue.line.hang_up()
        stage.pass_()
        assert (stage.how(), stage.state(SUE)) == ("supervisor", "not_ready")
        assert stage.talking(customer, ana)

    @pytest.mark.parametrize(("answer", "how"), [("", "no_answer"), ("decline", "declined")])
    def test_the_phone_is_not_answered(self, stage: Supervised, answer: str, how: str) -> None:
        stage.talk()
        stage.sue.when_rung = answer
        stage.begins(seconds=25)
        assert (stage.how(), stage.state(SUE)) == (how, "not_ready")

    def test_while_it_rings(self, stage: Supervised) -> None:
        customer, _ = stage.talk()
        stage.begins(seconds=0.3)
        customer.line.hang_up()
        stage.pass_()
        assert (stage.how(), stage.sue.line.over, stage.state(SUE)) == ("contact", True, "not_ready")

    def test_what_a_supervisor_asked_for_meanwhile(self, stage: Supervised) -> None:
        stage.talk()
        watch = stage.begins()
        stage.joined.distributor.staff.set_state(SUE, AgentState.READY)
        assert stage.state(SUE) == "supervising"
        stage.joined.supervisions.end(watch.id)
        stage.pass_()
        assert stage.state(SUE) == "ready"

    def test_who_supervises_is_offered_no_call(self, stage: Supervised) -> None:
        customer, _ = stage.talk(SUE)
        watch = stage.begins()
        stage.calls()
        stage.pass_(3)
        assert stage.sue.rings == 1
        stage.joined.supervisions.end(watch.id)
        stage.pass_(3)
        assert stage.sue.rings == 2
        assert stage.state(SUE) == "talking"
        customer.line.hang_up()


@pytest.mark.requirement("P2")
class TestWhoMay:
    def test_refused(self, stage: Supervised) -> None:
        stage.talk("bo")
        begin = stage.joined.supervisions.begin
        with pytest.raises(NotNow, match="an agent who is offline cannot supervise"):
            begin(SUE, LISTEN, contact="c0")
        stage.joined.distributor.staff.log_in(SUE)
        with pytest.raises(NotNow, match="nobody supervises their own calls"):
            begin(SUE, LISTEN, agent=SUE)
        stage.joined.distributor.staff.agents["ana"].supervises = ("*",)
        with pytest.raises(NotNow, match="an agent who is talking cannot supervise"):
            begin("ana", LISTEN, contact="c0")
        sue = stage.joined.distributor.staff.agents[SUE]
        sue.queues = sue.own_queues = ("support",)
        with pytest.raises(NotAllowed, match=r"bo may not supervise agent chen: see agents\.bo\.supervises"):
            begin("bo", LISTEN, agent=SUE)
        with pytest.raises(KeyError):
            begin(SUE, LISTEN, contact="c9")
        begin(SUE, LISTEN, contact="c0")
        with pytest.raises(NotNow, match="an agent who is supervising cannot supervise"):
            begin(SUE, LISTEN, contact="c0")
        assert stage.state("bo") == "ready"

    def test_an_agent_who_is_offline(self, stage: Supervised) -> None:
        stage.joined.distributor.staff.log_in(SUE)
        with pytest.raises(NotNow, match="ana is offline"):
            stage.joined.supervisions.begin(SUE, LISTEN, agent="ana")
        assert stage.state(SUE) == "not_ready"


# The decision


LEGS = st.sampled_from(["", "a1"])


@given(st.sampled_from(SupervisionMode), st.sampled_from(StageOfContact), LEGS, st.booleans())
def test_the_customer_is_never_whispered_to(mode: SupervisionMode, now: StageOfContact, agent: str, deaf: bool) -> None:
    found = ear_at_contact(mode, now, "c1", agent, deaf)
    assert (found is None) == deaf
    if found is not None and found.leg == "c1":
        assert found.speaks is not Speaks.ONE
        assert found.speaks is Speaks.NOBODY or (mode is BARGE and now is StageOfContact.TALKING and agent)
    if found is not None and now is StageOfContact.CONFERENCE:
        assert found == (Ear("a1", Speaks.ONE) if agent and mode is WHISPER else Ear("c1", Speaks.NOBODY))
    if found is not None and mode is LISTEN:
        assert found == Ear("c1", Speaks.NOBODY)


@given(st.sampled_from(SupervisionMode), st.sampled_from(StageOfContact), LEGS, st.booleans())
def test_following_an_agent_only_the_agents_own_leg_is_heard(
    mode: SupervisionMode, now: StageOfContact, agent: str, deaf: bool
) -> None:
    found = ear_at_agent(mode, now, agent, deaf)
    assert (found is None) == (deaf or not agent)
    assert found is None or found.leg == agent
    if found is not None and now is StageOfContact.CONFERENCE:
        assert found.speaks is not Speaks.BOTH


@pytest.mark.parametrize(
    ("supervises", "queues", "may"),
    [((), ("a",), False), (("a",), ("a", "b"), True), (("b",), ("a",), False), (("*",), (), True), (("a",), (), False)],
)
def test_who_may(supervises: tuple[str, ...], queues: tuple[str, ...], may: bool) -> None:
    assert may_supervise(supervises, queues) is may


# Several Asterisks


class Box(FakeSwitch):
    """One of several: legs that are fetched stop what they do."""

    async def fetch(self, *channels: Any) -> None:
        await self._takes()
        for leg in channels:
            if leg.gone:
                raise HungUp
            leg._fail(Taken)


def test_the_next_contact_of_an_agent_is_on_another_asterisk() -> None:
    """The supervisor's leg must be where the agent's is: the phone is rung there, and the old leg hung up."""
    clock, notes = clock_at(), Notes()
    boxes = [Box(clock, lambda leg: leg.comes_home()) for _ in range(2)]
    lives: list[Any] = []
    for number, box in enumerate(boxes):
        contact = Contact(f"c{number}", f"pbx{number}", f"{number}.1", "+4930", "", "95588", 0.0, StageOfContact.TALKING)
        audience = Audience()
        audience.seat("ana", box.leg(f"agent-{number}"))
        contact.agent = "ana"
        lives.append(SimpleNamespace(contact=contact, switch=box, customer=box.leg(contact.leg), audience=audience))
    now = [lives[0]]
    watch = Watch(Order("s1", SUE, "", "ana", "crm"), BARGE, "2003", clock, notes.record, lambda: now[0], boxes)
    over = watch.begin()
    clock.advance(0.01)
    clock.advance(0.01)
    assert boxes[0].legs[-1].heard[-1] == ("listen", "agent-0", "both")
    now[0] = lives[1]
    watch.look()
    for _ in range(5):
        clock.advance(0.01)
    assert (boxes[0].legs[-1].gone, boxes[1].legs[-1].heard[-1]) == (True, ("listen", "agent-1", "both"))
    assert [one["leg"] for box in boxes for one in box.rung] == ["ec-s1-supervisor-1", "ec-s1-supervisor-2"]
    assert [(one.contact, one.hears) for one in notes.of(SupervisionMoved)] == [("c0", True), ("c0", False), ("c1", True)]
    watch.end("api")
    clock.advance(0.01)
    assert over.called
    assert boxes[1].legs[-1].gone
    assert not clock.getDelayedCalls()


# Whoever leaves, in every step


Do = Callable[[Supervised, Watch], None]


def hangs_up(*names: str) -> Do:
    def fault(stage: Supervised, watch: Watch) -> None:
        for name in names:
            person = stage.customers[0] if name == "customer" else stage.people[name]
            if hasattr(person, "line"):
                person.line.hang_up()

    return fault


def asks(verb: Any) -> Do:
    def step(stage: Supervised, watch: Watch) -> None:
        if "c0" in stage.joined.contacts.live:
            stage.joined.contacts.ask("c0", verb).addErrback(lambda failure: failure.trap(NotNow))

    return step


def takes_over(stage: Supervised, watch: Watch) -> None:
    if watch.id in stage.joined.supervisions.live and watch.contact:
        stage.joined.supervisions.take_over(watch.id).addErrback(lambda failure: failure.trap(NotNow))


def ends(stage: Supervised, watch: Watch) -> None:
    if watch.id in stage.joined.supervisions.live:
        stage.joined.supervisions.end(watch.id)


def barges_in(stage: Supervised, watch: Watch) -> None:
    if watch.id in stage.joined.supervisions.live:
        stage.joined.supervisions.change(watch.id, BARGE)


STEPS: dict[str, Do] = {
    "rings": lambda stage, watch: None,
    "barges in": barges_in,
    "takes over": takes_over,
    "ends": ends,
    "hold": asks(Hold()),
    "transfer": asks(ToAgent("bo")),
    "consult": asks(Consult("bo")),
    "lend": asks(Lend("notice")),
}
FAULTS: dict[str, Do] = {
    "nothing": lambda stage, watch: None,
    "customer": hangs_up("customer"),
    "ana": hangs_up("ana"),
    "supervisor": hangs_up(SUE),
    "supervisor and ana": hangs_up(SUE, "ana"),
    "bo": hangs_up("bo"),
    "ended by the API": ends,
    "taken over": takes_over,
    "link cut": lambda stage, watch: stage.asterisk.cut_ami(),
}
MOMENTS = {"with": 0.0, "a moment after": 0.001, "two moments after": 0.0025, "in between": 0.3, "later": 1.1}
"""When, in seconds from the step.  Phones answer after one second."""


@pytest.fixture(scope="module")
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


def cell(database: MemoryDatabase, what: dict[str, str], step: str, fault: str, moment: float) -> str:
    """What became of the customer.  AssertionError when something does not hold."""
    stage = Supervised(database)
    stage.talk("bo")
    watch = stage.begins(seconds=0.95 if step == "rings" else 1.5, **what)
    STEPS[step](stage, watch)
    stage.pass_(moment)
    FAULTS[fault](stage, watch)
    stage.pass_(4.0)
    found = violations(seen(stage))
    stage.pass_(1.5)
    assert not lasting(found, violations(seen(stage)))
    customer = stage.customers[0]
    became = "gone"
    if not customer.line.over:
        partner = next((n for n, one in stage.people.items() if hasattr(one, "line") and stage.talking(customer, one)), "")
        became = f"talks with {partner}" if partner else f"{stage.contact.stage}, hears {customer.hears}"
        assert customer.hears, became
    stage.close()
    assert len(stage.daemon.of("supervision.started")) == 1
    assert len(stage.daemon.of("supervision.ended")) == 1
    for event in stage.daemon.of("supervision.ended"):
        ends_ = [other.contact for other in stage.told[: stage.told.index(event)] if other.kind == "contact.ended"]
        assert not event.contact or event.contact not in ends_, "told after the contact's last event"
    stage.daemon.now(database.clear())
    return became


def seen(stage: Stage) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    return Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)


@pytest.mark.requirement("P2")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("follows", ["contact", "agent"])
def test_whatever_happens_when(step: str, follows: str, database: MemoryDatabase) -> None:
    what = {"contact": "c0"} if follows == "contact" else {"agent": "ana"}
    for fault, (when, moment) in product(FAULTS, MOMENTS.items()):
        try:
            became = cell(database, what, step, fault, moment)
        except Exception as failure:
            raise AssertionError(f"following the {follows}: {step}, {fault}, {when}: {failure}") from failure
        print(f"{follows:8} {step:12} {fault:20} {when:18} {became}")  # noqa: T201
        if fault in ("nothing", "supervisor", "ended by the API", "taken over", "link cut"):
            assert became != "gone" or step == "takes over", (step, fault, when)
