"""The customer's fax machine sends and receives, in virtual time on the simulated Asterisk; who leaves when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from easycall.ivr.nodes import FaxNode, Flow, HangUpNode, SayNode
from easycall.ivr.prompt import parse_prompt
from easycall.lab.day.site import NUMBER
from easycall.model import RecordRule
from easycall.simulator.fax import Machine
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Cancel, Fax, Hold

from .test_talk import MUSIC, Person, Stage
from .virtual import STRAIGHT, opened

PROMPT_SECONDS = 2.0
FAX_SECONDS = 0.6
"""Of one page on this Asterisk."""


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[Stage]:
    stage = Stage(database)
    yield stage
    stage.close()


def machine(stage: Stage, customer: Person, **how: object) -> Machine:
    """The customer has a fax machine, and starts it when told to."""
    customer.machine = Machine(stage.folder / "received.tiff", sends=False, station="+49 30 77")
    for name, value in how.items():
        setattr(customer.machine, name, value)
    return customer.machine


@pytest.mark.requirement("F6")
class TestAnAgentSends:
    def test_and_has_the_customer_back(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        received = machine(stage, customer)
        assert stage.ask(Fax("d1")) == {}
        assert (customer.hears, ana.hears) == ("speech", MUSIC)
        assert (stage.contact.stage.value, stage.state("ana")) == ("fax", "held")
        stage.pass_(PROMPT_SECONDS)
        assert stage.kinds("fax") == ["fax.started"]
        stage.check()
        stage.pass_(FAX_SECONDS)
        assert stage.talking(customer, ana)
        assert stage.state("ana") == "talking"
        [ended] = stage.daemon.of("fax.ended")
        assert (ended.outcome, ended.pages, ended.station, ended.rate) == ("done", 1, "+49 30 77", 14400)
        assert received.file.read_bytes() == stage.papers.page.read_bytes()
        customer.line.hang_up()
        stage.pass_()
        assert [part.kind for part in stage.record().segments] == ["offer", "talk", "fax", "talk"]

    def test_from_hold(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        machine(stage, customer)
        stage.ask(Hold())
        assert stage.ask(Fax("d1")) == {}
        stage.pass_(PROMPT_SECONDS + FAX_SECONDS)
        assert stage.talking(customer, ana)

    def test_what_cannot_be_had_is_refused_and_the_two_talk_on(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(Fax("d2")) == "there is no document 'd2'"
        assert stage.talking(customer, ana)
        assert stage.kinds("fax") == []

    def test_there_are_as_many_lines_as_there_are(self, database: MemoryDatabase) -> None:
        stage = Stage(database, fax={"lines": 0})
        customer, ana = stage.talk()
        assert stage.ask(Fax("d1")) == "no fax line is free"
        assert stage.talking(customer, ana)
        stage.close()

    def test_a_machine_nobody_starts(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.ask(Fax("d1"))
        stage.pass_(PROMPT_SECONDS + 60)
        [ended] = stage.daemon.of("fax.ended")
        assert (ended.outcome, ended.error) == ("failed", "no fax machine answered within a minute")
        assert stage.talking(customer, ana)

    @pytest.mark.parametrize("after", [0.0, 0.5, PROMPT_SECONDS, PROMPT_SECONDS + 0.3])
    def test_broken_off_whenever(self, stage: Stage, after: float) -> None:
        customer, ana = stage.talk()
        machine(stage, customer)
        stage.ask(Fax("d1"))
        stage.pass_(after)
        assert stage.ask(Cancel()) == {}
        assert stage.talking(customer, ana)
        [ended] = stage.daemon.of("fax.ended")
        assert ended.outcome == "cancelled"
        assert stage.ask(Fax("d1")) == {}  # the line is free again
        stage.pass_(PROMPT_SECONDS + FAX_SECONDS)
        assert stage.talking(customer, ana)

    def test_a_machine_that_is_done_hangs_up_and_the_result_counts(self, stage: Stage) -> None:
        customer, _ = stage.talk()
        machine(stage, customer, done=lambda pages: customer.line.hang_up())
        stage.ask(Fax("d1"))
        stage.pass_(PROMPT_SECONDS + FAX_SECONDS)
        [ended] = stage.daemon.of("fax.ended")
        assert (ended.outcome, ended.pages) == ("done", 1)
        assert stage.state("ana") == "wrap_up"
        assert (stage.record().outcome, stage.record().ended_by) == ("answered", "caller")

    def test_the_customer_hangs_up_in_the_middle(self, stage: Stage) -> None:
        customer, _ = stage.talk()
        machine(stage, customer)
        stage.ask(Fax("d1"))
        stage.pass_(PROMPT_SECONDS + 0.2)
        customer.line.hang_up()
        stage.pass_()
        [ended] = stage.daemon.of("fax.ended")
        assert (ended.outcome, ended.error) == ("failed", "the other side hung up too early")
        assert stage.kinds("fax.ended", "contact.ended") == ["fax.ended", "contact.ended"]

    @pytest.mark.parametrize("after", [0.5, PROMPT_SECONDS + 0.2])
    def test_the_agents_phone_dies_and_the_fax_goes_on(self, stage: Stage, after: float) -> None:
        customer, ana = stage.talk("bo")
        machine(stage, customer)
        stage.ask(Fax("d1"))
        stage.pass_(after)
        ana.line.hang_up()
        stage.pass_(0.1)
        assert stage.state("ana") == "wrap_up"
        assert (stage.contact.stage.value, stage.contact.agent) == ("fax", "")
        stage.check()
        stage.pass_(PROMPT_SECONDS + FAX_SECONDS + 1.5 - after)
        [ended] = stage.daemon.of("fax.ended")
        assert ended.outcome == "done"
        assert stage.talking(customer, stage.people["bo"])

    def test_the_agent_is_gone_and_so_is_nobody_left_to_ask_for_anything(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Fax("d1"))
        ana.line.hang_up()
        stage.pass_(PROMPT_SECONDS + 1)
        assert stage.ask(Cancel()) == "Cancel is not possible while the contact is fax"
        stage.pass_(62)
        assert stage.talking(customer, stage.people["bo"])


@pytest.mark.requirement("M6")
class TestAnAgentReceives:
    def test_in_the_middle_of_a_talk(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        machine(stage, customer, sends=True, file=stage.papers.page)
        assert stage.ask(Fax()) == {}
        stage.pass_(PROMPT_SECONDS + FAX_SECONDS)
        assert stage.talking(customer, ana)
        [received] = stage.daemon.of("fax.received")
        assert (received.agent, received.pages, received.box) == ("ana", 1, "")
        assert stage.papers.kept[0].caller == stage.contact.caller


MAILBOX = Flow(
    STRAIGHT.name,
    "fax",
    {
        "fax": FaxNode("office", "thanks", "sorry"),
        "thanks": SayNode((parse_prompt("sound:thanks"),), "end"),
        "sorry": SayNode((parse_prompt("sound:sorry"),), "end"),
        "end": HangUpNode(),
    },
)
HOTLINE = Flow(STRAIGHT.name, "say", {"say": SayNode((parse_prompt("sound:welcome"),) * 5, "end"), "end": HangUpNode()})


def has_flow(stage: Stage, flow: Flow) -> None:
    """Every number has this flow."""
    stage.joined.contacts._script.flows[STRAIGHT.name] = flow  # type: ignore[index]


@pytest.mark.requirement("M6")
class TestAFlowReceives:
    def test_into_a_box(self, stage: Stage) -> None:
        has_flow(stage, MAILBOX)
        customer = stage.calls()
        customer.line.start_fax(Machine(stage.papers.page, sends=True))
        stage.pass_(FAX_SECONDS + 0.1)
        [received] = stage.daemon.of("fax.received")
        assert (received.box, received.pages, received.contact) == ("office", 1, "c0")
        assert [event.node for event in stage.daemon.of("ivr.step")] == ["fax", "thanks"]
        stage.pass_(3)
        assert (stage.record().outcome, stage.record().ended_by) == ("self_served", "flow")
        assert [part.kind for part in stage.record().segments] == ["fax", "ivr"]

    def test_a_machine_that_is_done_hangs_up_and_the_pages_are_kept(self, stage: Stage) -> None:
        has_flow(stage, MAILBOX)
        customer = stage.calls()
        customer.line.start_fax(Machine(stage.papers.page, sends=True, done=lambda pages: customer.line.hang_up()))
        stage.pass_(FAX_SECONDS + 0.5)
        assert len(stage.daemon.of("fax.received")) == 1
        assert stage.record().outcome == "self_served"

    def test_who_is_no_machine_goes_on_elsewhere(self, stage: Stage) -> None:
        has_flow(stage, MAILBOX)
        stage.calls()
        stage.pass_(61)
        assert [event.node for event in stage.daemon.of("ivr.step")] == ["fax", "sorry"]
        assert stage.daemon.of("fax.received") == []

    def test_who_finds_no_line_goes_on_elsewhere(self, stage: Stage) -> None:
        has_flow(stage, MAILBOX)
        stage.calls()
        stage.calls()
        assert [event.node for event in stage.daemon.of("ivr.step")] == ["fax", "fax", "sorry"]

    def test_a_machine_is_known_by_its_tone(self, database: MemoryDatabase) -> None:
        stage = Stage(database, fax={"detect": {NUMBER: "hotline"}})
        has_flow(stage, HOTLINE)
        customer = stage.calls()
        customer.line.start_fax(Machine(stage.papers.page, sends=True))
        stage.pass_(1.5 + 0.5 + FAX_SECONDS + 0.1)
        [received] = stage.daemon.of("fax.received")
        assert received.box == "hotline"
        stage.pass_(1)
        assert stage.record().outcome == "self_served"
        stage.close()

    def test_nobody_listens_for_the_tone_on_other_numbers_or_in_a_talk(self, database: MemoryDatabase) -> None:
        stage = Stage(database, fax={"detect": {NUMBER: "hotline"}})
        customer, ana = stage.talk()
        customer.line.start_fax(Machine(stage.papers.page, sends=True))
        stage.pass_(3)
        assert stage.talking(customer, ana)
        stage.close()


def test_the_agent_is_told_the_page(stage: Stage) -> None:
    stage.asterisk.settings = evolve(stage.asterisk.settings, page_seconds=25.0)
    customer, _ = stage.talk()
    machine(stage, customer)
    stage.ask(Fax("d1"))
    stage.pass_(PROMPT_SECONDS + 26)
    assert [event.page for event in stage.daemon.of("fax.progress")] == [1]
    assert stage.kinds("fax") == ["fax.started", "fax.progress", "fax.ended"]


def test_nothing_of_a_fax_is_recorded(database: MemoryDatabase) -> None:
    stage = Stage(database, rules={"record": RecordRule.ALWAYS})
    customer, ana = stage.talk()
    machine(stage, customer)
    stage.ask(Fax("d1"))
    stage.pass_(PROMPT_SECONDS + FAX_SECONDS)
    assert stage.talking(customer, ana)
    assert [event.why for event in stage.daemon.of("recording.paused")] == ["fax"]
    assert [event.why for event in stage.daemon.of("recording.resumed")] == ["fax"]
    stage.close()
