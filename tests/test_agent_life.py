"""The life of agents in the whole daemon, in virtual time: the talk, what comes of it, the desktop, the next day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from easycall.model import AgentState, DispositionRule, OfferOutcome
from easycall.verbs import Complete, Consult
from tests.test_talk import Stage
from tests.virtual import opened

RULES: dict[str, Any] = {
    "disposition": DispositionRule.REQUIRED,
    "dispositions": ("sold", "no interest"),
    "disposition_seconds": 20.0,
}


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened() as database:
        stage = Stage(database, rules=RULES)
        yield stage
        stage.close()


def dispose(stage: Stage, agent: str, disposition: str) -> None:
    stage.joined.distributor.staff.wrap_ups.dispose(agent, disposition, "desk")


class TestDispositions:
    @pytest.mark.parametrize("contact_lives", [True, False])
    def test_it_stands_in_the_record_said_in_the_talk_or_when_the_contact_has_long_ended(
        self, stage: Stage, contact_lives: bool
    ) -> None:
        customer, _ = stage.talk()
        if contact_lives:
            dispose(stage, "ana", "no interest")
        customer.line.hang_up()
        stage.pass_(4)
        assert stage.record().disposition == ("no interest" if contact_lives else "")
        dispose(stage, "ana", "sold")
        assert stage.record().disposition == "sold"
        assert [event.disposition for event in stage.daemon.of("contact.disposition")][-1] == "sold"
        stage.pass_(2)
        assert stage.state("ana") == "ready"

    def test_the_next_caller_waits_until_it_is_said(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        second = stage.calls()
        customer.line.hang_up()
        stage.pass_(15)
        assert (stage.state("ana"), stage.line_of("sales")) == ("wrap_up", ["c1"])
        dispose(stage, "ana", "sold")
        stage.pass_(2)
        assert stage.talking(second, ana)

    def test_who_was_only_asked_owes_nothing_who_got_the_customer_does(self, stage: Stage) -> None:
        customer, _ = stage.talk("bo", "chen")
        stage.ask(Consult("bo"), 2)
        stage.people["bo"].line.hang_up()
        stage.pass_(6)
        assert stage.state("bo") == "ready"
        stage.ask(Consult("chen"), 2)
        assert stage.ask(Complete()) == {}
        customer.line.hang_up()
        stage.pass_(10)
        assert (stage.state("ana"), stage.state("chen")) == ("wrap_up", "wrap_up")
        dispose(stage, "chen", "sold")
        assert stage.state("chen") == "ready"
        stage.pass_(20)
        ana = stage.joined.distributor.staff.agents["ana"]
        assert (ana.state, ana.reason) == (AgentState.NOT_READY, "disposition missing")


class TestQueues:
    def test_who_joins_gets_the_caller_who_waits_already_and_serves_the_queue_after_a_restart(self) -> None:
        with opened() as database:
            stage = Stage(database)
            customer = stage.calls()
            stage.joined.distributor.staff.log_in("bo", queues=["support"])
            stage.joined.distributor.staff.set_state("bo", AgentState.READY)
            stage.pass_(2)
            assert stage.line_of("sales") == ["c0"]
            stage.daemon.now(stage.daemon.profiles.join("bo", "sales", "desk"))
            stage.pass_(2)
            assert stage.talking(customer, stage.people["bo"])
            stage.daemon.now(stage.daemon.profiles.set_queues("chen", ("support",), "sue"))
            stage.daemon.now(stage.daemon.profiles.set_skills("chen", {"lang:zh": 3}, "sue"))
            stage.close()

            again = Stage(database)
            again.ready("bo", "chen")
            bo, chen = (again.joined.distributor.staff.agents[name] for name in ("bo", "chen"))
            assert (bo.queues, chen.queues, chen.skills) == (("sales",), ("support",), {"lang:zh": 3})
            again.close()


class TestDesktops:
    @pytest.mark.fault("F62")
    def test_the_call_of_an_agent_whose_desktop_died_goes_on_and_nothing_is_offered_after_it(self, stage: Stage) -> None:
        stage.daemon.desktops.came("ana")
        customer, ana = stage.talk()
        stage.daemon.desktops.went("ana")
        stage.pass_(29)
        assert stage.daemon.of("agent.changed")[-1].hindrance == ""
        stage.pass_(2)
        assert stage.talking(customer, ana)
        assert stage.daemon.of("agent.changed")[-1].hindrance == "desktop lost"
        stage.check()
        dispose(stage, "ana", "sold")
        second = stage.calls()
        customer.line.hang_up()
        stage.pass_(30)
        assert (stage.state("ana"), stage.line_of("sales")) == ("ready", ["c1"])
        stage.daemon.desktops.came("ana")
        stage.pass_(2)
        assert stage.talking(second, ana)

    def test_the_lease_of_a_daemon_that_stops_is_no_timer_that_is_left(self, stage: Stage) -> None:
        stage.ready("ana")
        stage.daemon.desktops.went("ana")


class TestMissed:
    @pytest.mark.fault("F54")
    def test_the_banner_names_the_contact_also_when_somebody_else_took_it(self, stage: Stage) -> None:
        stage.people["ana"].when_rung = ""
        stage.ready("ana")
        customer = stage.calls()
        stage.pass_(1)
        stage.ready("bo")
        stage.pass_(12)
        assert stage.talking(customer, stage.people["bo"])
        [missed] = [event for event in stage.daemon.of("offer.ended") if event.outcome is OfferOutcome.NO_ANSWER]
        ana = stage.joined.distributor.staff.agents["ana"]
        assert ana.missed is not None
        assert (ana.missed.contact, ana.missed.at) == ("c0", missed.at)
