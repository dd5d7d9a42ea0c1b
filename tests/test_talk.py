"""What an agent may do with a call: hold, consult, transfer, lend; in virtual time on the simulated Asterisk.

Who is in which bridge and who hears what is looked up on the Asterisk, what happened in the journal.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
from twisted.python.failure import Failure

from easycall.lab.day.site import NUMBER
from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import assert_invariants
from easycall.model import AgentState, Contact, Queue
from easycall.simulator.fax import Machine
from easycall.simulator.line import FarEnd, Unreachable
from easycall.simulator.virtual import VirtualReactor
from easycall.store.memory import MemoryDatabase
from easycall.verbs import (
    Alternate,
    AttachData,
    Cancel,
    Complete,
    Consult,
    Hold,
    Lend,
    NotNow,
    Retrieve,
    SendDigits,
    ToAgent,
    ToFlow,
    ToQueue,
    Verb,
)

from .virtual import Papers, VirtualDaemon, fax_desk, opened

MUSIC = "440"
SAYS = {"ana": "1001", "bo": "1002", "chen": "1003"}
CUSTOMER_SAYS = "700"


class Person(FarEnd):
    """A caller, or an agent's phone that is answered after a second unless told otherwise."""

    def __init__(self, stage: Stage, says: str) -> None:
        self.stage = stage
        self.says = says
        self.when_rung = "answer"
        self.rings = 0
        self.machine: Machine | None = None
        """The fax machine that is started when a prompt asks for it."""

    def rung(self, caller: str, caller_name: str) -> None:
        self.rings += 1
        self.line.ring()
        if self.when_rung:
            self.stage.reactor.callLater(1.0, getattr(self.line, self.when_rung))

    def answered(self) -> None:
        self.line.say(self.says)

    def heard(self, sound: str) -> None:
        if sound == "speech" and self.machine is not None:
            self.stage.reactor.callLater(0.1, self.line.start_fax, self.machine)

    @property
    def hears(self) -> str:
        return self.line.hears


class Stage:
    """Ana, Bo and Chen serve sales; Chen serves support too."""

    SITE: ClassVar[Mapping[str, Any]] = {}
    """More of the site."""

    def __init__(
        self,
        database: MemoryDatabase,
        latency: Callable[[], float] | None = None,
        rules: Mapping[str, Any] | None = None,
        fax: Mapping[str, Any] | None = None,
        **daemon: Any,
    ) -> None:
        """``latency``: of the network; ``rules``: of both queues, besides the usual; ``fax``: as in ``[fax]``; the rest: how
        the daemon is made."""
        self.folder = Path(tempfile.mkdtemp())
        self.papers = Papers(self.folder)
        self.reactor = VirtualReactor(1_800_000_000.0, latency)
        self.people = {name: Person(self, says) for name, says in SAYS.items()}
        self.customers: list[Person] = []
        self.daemon = VirtualDaemon(
            self.reactor,
            database,
            self.outside,
            queues={
                name: Queue(name, name, **{"ring_seconds": 10.0, "wrap_up_seconds": 5.0, **(rules or {})})
                for name in ("sales", "support")
            },
            agents={"ana": ("sales",), "bo": ("sales",), "chen": ("sales", "support")},
            sound_seconds=2.0,
            **self.SITE,
            **daemon,
            fax=fax_desk(self.papers, self.reactor, **(fax or {})),
        )
        self.asterisk, self.joined, self.told = self.daemon.asterisk, self.daemon.joined, self.daemon.told

    def outside(self, dialled: str) -> FarEnd | Unreachable | None:
        number = int(dialled.partition("/")[2].partition("@")[0])
        return list(self.people.values())[number - 2001]

    def pass_(self, seconds: float = 0.5) -> None:
        self.reactor.advance(seconds)

    def ready(self, *agents: str) -> None:
        for agent in agents:
            self.joined.distributor.staff.log_in(agent)
            self.joined.distributor.staff.set_state(agent, AgentState.READY)

    def calls(self, box: str = "") -> Person:
        customer = Person(self, CUSTOMER_SAYS)
        self.customers.append(customer)
        asterisk = self.daemon.asterisks[box] if box else self.asterisk
        asterisk.call_in(NUMBER, "+4930123456", "Carl", customer)
        self.pass_(0.1)
        return customer

    def talk(self, *others: str) -> tuple[Person, Person]:
        """A customer who talks with Ana; the others are ready."""
        self.ready("ana")
        customer = self.calls()
        self.pass_(2)
        assert self.contact.agent == "ana"
        self.ready(*others)
        return customer, self.people["ana"]

    @property
    def contact(self) -> Contact:
        [contact] = self.joined.contacts.live.values()
        return contact

    def ask(self, verb: Verb, seconds: float = 0.2) -> Any:
        """What came of it: the facts, or the reason of a refusal; None while it is under way."""
        answers: list[Any] = []
        self.joined.contacts.ask(self.contact.id, verb).addBoth(answers.append)
        self.pass_(seconds)
        if not answers:
            return None
        if isinstance(answers[0], Failure):
            answers[0].trap(NotNow)
            return str(answers[0].value)
        return answers[0]

    def state(self, agent: str) -> str:
        return self.joined.distributor.staff.agents[agent].state.value

    def talking(self, one: Person, other: Person) -> bool:
        """Two hear each other and nobody else."""
        return (one.hears, other.hears) == (other.says, one.says)

    def kinds(self, *prefixes: str) -> list[str]:
        return [event.kind for event in self.told if event.kind.startswith(prefixes)]

    def line_of(self, number: str) -> list[str]:
        """Who waits in a queue, the first in line first."""
        return [item.contact for item in self.joined.distributor.waiting(number)]

    def check(self) -> None:
        """What the daemon holds is what Asterisk shows."""
        callers = frozenset(customer.line.id for customer in self.customers if not customer.line.over)
        assert_invariants(Evidence(channels=self.daemon.channels(), held=held(self.joined), callers=callers))

    def record(self) -> Any:
        return self.daemon.record("c0")

    def close(self) -> None:
        for customer in self.customers:
            customer.line.hang_up()
        self.pass_(60)
        ended = tuple(event.contact for event in self.daemon.of("contact.ended"))
        records = tuple(filter(None, map(self.daemon.record, ended)))
        left, failures = self.daemon.left(), tuple(self.daemon.fatal)
        assert_invariants(Evidence(ended=ended, records=records, left=left, failures=failures))
        assert_invariants(Evidence(left=self.daemon.stop()))
        shutil.rmtree(self.folder)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened() as database:
        stage = Stage(database)
        yield stage
        stage.close()


class TestHold:
    def test_hold_and_retrieve(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.talking(customer, ana)
        assert stage.ask(Hold()) == {}
        assert (customer.hears, stage.state("ana"), stage.contact.stage.value) == (MUSIC, "held", "held")
        stage.check()
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)
        assert stage.state("ana") == "talking"
        stage.check()
        assert stage.kinds("talk") == ["talk.started", "talk.held", "talk.retrieved"]

    def test_on_hold_before_asterisk_has_joined_them_again(self) -> None:
        """The news of the leg's leaving home comes behind the answer that they are joined, or not."""
        for seed in range(40):
            random = Random(seed)  # noqa: S311 - races, not secrets
            with opened() as database:
                stage = Stage(database, partial(random.choice, (0.0, 0.001, 0.004)))
                customer, ana = stage.talk()
                answers: list[Any] = []
                for verb in (SendDigits("1"), Hold()):
                    stage.joined.contacts.ask("c0", verb).addBoth(answers.append)
                stage.pass_(1)
                assert answers == [{}, {}]
                assert (customer.hears, ana.hears, stage.state("ana")) == (MUSIC, MUSIC, "held"), seed
                stage.check()
                stage.close()

    def test_what_makes_no_sense_is_refused_and_nothing_changes(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(Retrieve()) == "Retrieve is not possible while the contact is talking"
        assert stage.ask(Complete()) == "Complete is not possible while the contact is talking"
        stage.ask(Hold())
        assert stage.ask(Hold()) == "Hold is not possible while the contact is held"
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)

    def test_before_and_after_the_talk_nothing_can_be_asked(self, stage: Stage) -> None:
        customer = stage.calls()
        assert stage.ask(Hold()) == "the customer talks with nobody"
        customer.line.hang_up()

    def test_the_customer_hangs_up_on_hold(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.ask(Hold())
        customer.line.hang_up()
        stage.pass_()
        assert ana.line.over
        assert stage.state("ana") == "wrap_up"
        assert (stage.record().outcome, stage.record().ended_by) == ("answered", "caller")

    def test_the_agent_hangs_up_and_the_customer_on_hold_is_first_in_line(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        later = stage.calls()
        stage.joined.contacts.ask("c0", Hold())
        stage.pass_()
        ana.line.hang_up()
        stage.pass_()
        assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0", "c1"]
        stage.ready("bo")
        stage.pass_(2)
        assert stage.talking(customer, stage.people["bo"])
        assert later.hears == MUSIC

    def test_long_on_hold_the_music_goes_on(self, stage: Stage) -> None:
        customer, _ = stage.talk()
        stage.ask(Hold())
        stage.pass_(600)
        assert customer.hears == MUSIC
        assert stage.ask(Retrieve()) == {}

    def test_two_verbs_at_once_come_one_after_the_other(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        answers: list[Any] = []
        for verb in (Hold(), Retrieve(), Hold(), Retrieve()):
            stage.joined.contacts.ask("c0", verb).addBoth(answers.append)
        stage.pass_(1)
        assert answers == [{}, {}, {}, {}]
        assert stage.talking(customer, ana)


class TestConsult:
    def test_ask_then_complete(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        bo = stage.people["bo"]
        assert stage.ask(Consult("bo")) == {}
        pop = [event for event in stage.told if event.kind == "screen.pop"][-1]
        assert (pop.agent, pop.by, pop.caller) == ("bo", "ana", "+4930123456")
        assert (customer.hears, stage.state("bo"), stage.state("ana")) == (MUSIC, "ringing", "held")
        stage.check()
        stage.pass_(1.5)
        assert stage.talking(ana, bo)
        assert customer.hears == MUSIC
        assert stage.ask(Complete()) == {}
        assert stage.talking(customer, bo)
        assert ana.line.over
        assert (stage.state("ana"), stage.state("bo"), stage.contact.agent) == ("wrap_up", "talking", "bo")
        stage.check()
        stage.pass_(3)
        bo.line.hang_up()
        stage.pass_()
        assert stage.record().ended_by == "agent"

    def test_ask_then_take_back(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        assert stage.ask(Cancel()) == {}
        assert stage.talking(customer, ana)
        assert (stage.people["bo"].line.over, stage.state("bo"), stage.state("ana")) == (True, "wrap_up", "talking")
        stage.check()

    def test_alternate(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        bo = stage.people["bo"]
        stage.ask(Consult("bo"), 2)
        assert stage.ask(Alternate()) == {}
        assert stage.talking(customer, ana)
        assert bo.hears == MUSIC
        stage.check()
        assert stage.ask(Alternate()) == {}
        assert stage.talking(ana, bo)
        assert customer.hears == MUSIC
        assert stage.ask(Alternate()) == {}
        assert stage.ask(Complete()) == {}
        assert stage.talking(customer, bo)
        assert ana.line.over

    def test_take_back_while_it_rings(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        bo = stage.people["bo"]
        bo.when_rung = ""
        stage.ask(Consult("bo"))
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)
        assert (bo.line.over, stage.state("bo")) == (True, "ready")
        assert stage.kinds("screen")[-1] == "screen.revoked"

    @pytest.mark.parametrize(
        ("state", "why"), [("offline", "bo is offline"), ("break", "bo is not ready (lunch)"), ("busy", "bo is talking")]
    )
    def test_who_cannot_be_asked_is_told_at_once(self, stage: Stage, state: str, why: str) -> None:
        customer, ana = stage.talk()
        if state != "offline":
            stage.ready("bo")
        if state == "break":
            stage.joined.distributor.staff.set_state("bo", AgentState.NOT_READY, "lunch")
        elif state == "busy":
            stage.calls()
            stage.pass_(2)
        answers: list[Any] = []
        stage.joined.contacts.ask("c0", Consult("bo")).addErrback(lambda failure: answers.append(str(failure.value)))
        stage.pass_()
        assert answers == [why]
        assert stage.talking(customer, ana)

    @pytest.mark.parametrize(("answer", "outcome"), [("", "no_answer"), ("decline", "declined")])
    def test_no_answer_leaves_the_customer_on_hold(self, stage: Stage, answer: str, outcome: str) -> None:
        customer, ana = stage.talk("bo")
        stage.people["bo"].when_rung = answer
        stage.ask(Consult("bo"), 12)
        ended = next(event for event in stage.told if event.kind == "consult.ended")
        assert (ended.to, ended.outcome) == ("bo", outcome)
        assert (stage.contact.stage.value, customer.hears) == ("held", MUSIC)
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)

    def test_the_one_asked_hangs_up(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        stage.people["bo"].line.hang_up()
        stage.pass_()
        assert (stage.contact.stage.value, customer.hears, stage.state("bo")) == ("held", MUSIC, "wrap_up")
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)

    def test_the_one_who_asks_hangs_up_and_the_customer_has_the_other(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        ana.line.hang_up()
        stage.pass_()
        assert stage.talking(customer, stage.people["bo"])
        stage.check()

    def test_the_one_who_asks_hangs_up_while_it_rings(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"))
        ana.line.hang_up()
        stage.pass_(0.2)
        assert customer.hears == MUSIC
        stage.pass_(1)
        assert stage.talking(customer, stage.people["bo"])

    def test_and_nobody_answers_it(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.people["bo"].when_rung = "decline"
        stage.ask(Consult("bo"))
        ana.line.hang_up()
        stage.pass_(5)
        assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0"]
        assert (stage.people["bo"].rings, stage.state("bo")) == (1, "ready")
        assert customer.hears == MUSIC

    def test_the_other_is_gone_in_the_moment_of_the_hand_over(self, stage: Stage) -> None:
        customer, _ = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        stage.ask(Complete(), 0.001)
        stage.people["bo"].line.hang_up()
        stage.pass_()
        assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0"]
        assert customer.hears == MUSIC

    @pytest.mark.parametrize("moment", ["rings", "consults", "alternates"])
    def test_the_customer_hangs_up(self, stage: Stage, moment: str) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 0.2 if moment == "rings" else 2)
        if moment == "alternates":
            stage.ask(Alternate())
        customer.line.hang_up()
        stage.pass_()
        assert (ana.line.over, stage.people["bo"].line.over) == (True, True)
        assert stage.state("ana") == "wrap_up"
        assert stage.state("bo") == ("ready" if moment == "rings" else "wrap_up")


class TestTransfer:
    def test_to_an_agent(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        assert stage.ask(ToAgent("bo")) == {}
        assert (ana.line.over, stage.state("ana"), customer.hears) == (True, "wrap_up", MUSIC)
        stage.pass_(2)
        assert stage.talking(customer, stage.people["bo"])
        stage.check()

    def test_to_an_agent_who_does_not_answer(self, stage: Stage) -> None:
        customer, _ = stage.talk("bo")
        stage.people["bo"].when_rung = "decline"
        stage.ask(ToAgent("bo"), 3)
        assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0"]
        assert customer.hears == MUSIC

    def test_to_a_queue(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(ToQueue("support")) == {}
        assert (stage.state("ana"), stage.contact.queue, customer.hears) == ("wrap_up", "support", MUSIC)
        stage.ready("chen")
        stage.pass_(2)
        assert stage.talking(customer, stage.people["chen"])
        assert ana.line.over
        stage.check()

    def test_to_a_queue_without_waiting(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(ToQueue("support", wait=False)) == "nobody is free in support"
        assert stage.ask(ToQueue("nowhere")) == "there is no queue 'nowhere'"
        assert stage.talking(customer, ana)
        stage.ready("chen")
        assert stage.ask(ToQueue("support", wait=False)) == {}

    def test_to_a_flow_for_good(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(ToFlow("nosuch")) == "there is no flow 'nosuch'"
        assert stage.ask(ToFlow("notice")) == {}
        assert (ana.line.over, stage.state("ana"), customer.hears) == (True, "wrap_up", "speech")
        stage.pass_(3)
        assert customer.line.over
        assert (stage.record().outcome, stage.record().ended_by) == ("answered", "flow")

    def test_from_hold(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Hold())
        assert stage.ask(ToAgent("bo"), 2) == {}
        assert stage.talking(customer, stage.people["bo"])
        assert ana.line.over


class TestManyCalls:
    def test_nobody_gets_the_customer_whose_id_begins_with_another_ones(self, stage: Stage) -> None:
        """Asterisk gives ids like 1800000000.1 and 1800000000.15."""
        stage.ready("ana")
        stage.customers = [Person(stage, str(2000 + number)) for number in range(20)]
        for number, customer in enumerate(stage.customers):
            stage.asterisk.call_in(NUMBER, f"+49301{number:05}", "Carl", customer)
            stage.pass_(0.001)
        ana = stage.people["ana"]
        for customer in stage.customers:
            stage.pass_(2)
            assert stage.talking(customer, ana), ana.hears
            stage.check()
            customer.line.hang_up()
            stage.pass_(6)


class TestLoan:
    def test_there_and_back(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(Lend("notice")) == {}
        assert (customer.hears, ana.hears, stage.contact.stage.value) == ("speech", MUSIC, "lent")
        assert stage.state("ana") == "held"
        stage.pass_(3)
        assert stage.talking(customer, ana)
        assert stage.state("ana") == "talking"
        assert stage.kinds("loan") == ["loan.started", "loan.ended"]
        stage.check()

    def test_taken_back(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.ask(Lend("notice"))
        assert stage.ask(Cancel()) == {}
        assert stage.talking(customer, ana)

    def test_from_hold(self, stage: Stage) -> None:
        """A long wait under the music must not delay the flow."""
        customer, ana = stage.talk()
        stage.ask(Hold())
        assert stage.ask(Lend("notice")) == {}
        assert customer.hears == "speech"
        stage.pass_(3)
        assert stage.talking(customer, ana)

    def test_the_agent_hangs_up_meanwhile(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.ask(Lend("notice"))
        ana.line.hang_up()
        stage.pass_(0.2)
        assert customer.hears == "speech"
        assert stage.state("ana") == "wrap_up"
        assert stage.ask(Hold()) == "Hold is not possible while the contact is lent"
        stage.pass_(3)
        assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0"]

    def test_the_customer_hangs_up_meanwhile(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.ask(Lend("notice"))
        customer.line.hang_up()
        stage.pass_()
        assert ana.line.over
        assert stage.state("ana") == "wrap_up"


class TestData:
    def test_data_travels_with_the_contact(self, stage: Stage) -> None:
        stage.talk("bo")
        assert stage.ask(AttachData({"order": "4711", "note": "urgent"})) == {}
        assert stage.ask(AttachData({"note": ""})) == {}
        stage.ask(Consult("bo"))
        pop = [event for event in stage.told if event.kind == "screen.pop"][-1]
        assert pop.data == {"order": "4711"}
