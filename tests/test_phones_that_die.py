"""A phone that dies while its agent has a customer is no hang-up; in virtual time, in every step of a talk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from easycall.model import AgentState
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Consult, Hold, Lend

from .test_talk import MUSIC, Stage
from .virtual import opened

PHONES = dict.fromkeys(("2001", "2002", "2003"), "Not in use")


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[Stage]:
    stage = Stage(database, phones=PHONES)
    yield stage
    stage.close()


@pytest.mark.fault("F55")
def test_in_talk_the_customer_gets_the_front_place(stage: Stage) -> None:
    customer, ana = stage.talk()
    later = stage.calls()
    ana.line.die()
    stage.pass_(0.5)
    assert (stage.state("ana"), stage.line_of("sales"), customer.hears) == ("wrap_up", ["c0", "c1"], MUSIC)
    [lost] = stage.daemon.of("talk.phone_lost")
    assert (lost.contact, lost.agent, lost.cause) == ("c0", "ana", "44")
    stage.ready("bo")
    stage.pass_(2)
    assert stage.talking(customer, stage.people["bo"])
    assert later.hears == MUSIC
    customer.line.hang_up()
    stage.pass_(1)
    record = stage.record()
    assert (record.outcome, record.ended_by, record.agent) == ("answered", "caller", "bo")
    stage.check()


def test_where_the_queue_says_so_the_customer_is_hung_up(database: MemoryDatabase) -> None:
    stage = Stage(database, rules={"lost_agent": "hang_up"})
    customer, ana = stage.talk()
    ana.line.die()
    stage.pass_(0.5)
    assert customer.line.over
    assert len(stage.daemon.of("talk.phone_lost")) == 1
    assert stage.record().ended_by == "agent"
    stage.close()


def test_an_agent_who_hangs_up_ends_the_contact(stage: Stage) -> None:
    customer, ana = stage.talk("bo")
    ana.line.hang_up()
    stage.pass_(0.5)
    assert customer.line.over
    assert stage.daemon.of("talk.phone_lost") == []
    assert (stage.record().ended_by, stage.state("ana")) == ("agent", "wrap_up")


def test_a_customer_whose_line_dies_has_left(stage: Stage) -> None:
    customer, ana = stage.talk()
    customer.line.die()
    stage.pass_(0.5)
    assert ana.line.over
    assert (stage.record().outcome, stage.record().ended_by, stage.state("ana")) == ("answered", "system", "wrap_up")


@pytest.mark.parametrize("verb", [Hold(), Lend("notice"), Consult("chen")], ids=["hold", "loan", "consultation"])
def test_in_every_step_somebody_gets_the_customer(stage: Stage, verb: Any) -> None:
    customer, ana = stage.talk("chen")
    stage.ask(verb)
    ana.line.die()
    stage.pass_(6)
    stage.ready("bo")
    stage.pass_(3)
    partners = [one for one in ("bo", "chen") if hasattr(stage.people[one], "line")]
    assert any(stage.talking(customer, stage.people[one]) for one in partners)
    stage.check()


@pytest.mark.fault("F51")
def test_an_agent_whose_phone_is_away_is_offered_nothing_until_it_is_back(stage: Stage) -> None:
    distributor, devices = stage.joined.distributor, stage.asterisk.core.devices
    ana = distributor.staff.agents["ana"]
    stage.ready("ana")
    devices.set_reachable("2001", False)
    stage.pass_(0.1)
    assert (ana.state, stage.daemon.of("agent.changed")[-1].hindrance) == (AgentState.READY, "phone unreachable")
    customer = stage.calls()
    stage.pass_(3)
    assert (ana.state, stage.people["ana"].rings) == (AgentState.READY, 0)
    devices.set_reachable("2001", True)
    stage.pass_(2)
    assert stage.talking(customer, stage.people["ana"])
