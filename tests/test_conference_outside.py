"""A conference with somebody outside: who hears whom, whoever leaves it, what is recorded; in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from easycall.model import Party
from easycall.simulator.applications import APPLICATIONS
from easycall.verbs import Alternate, Cancel, Complete, Consult, Drop, Hold, Leave, Merge, Mute, Retrieve, SendDigits

from .test_call_out import DORA, DORA_SAYS, OutsideStage
from .test_talk import CUSTOMER_SAYS, MUSIC, SAYS, Person
from .virtual import opened


@pytest.fixture
def stage() -> Iterator[OutsideStage]:
    with opened() as database:
        stage = OutsideStage(database)
        yield stage
        stage.close()


def together(stage: OutsideStage) -> tuple[Person, Person, Person]:
    """A customer, Ana and Dora, who is outside, in a conference."""
    customer, ana = stage.talk()
    stage.ask(Consult(number=DORA), 2)
    assert stage.ask(Merge()) == {}
    return customer, ana, stage.dora


@pytest.mark.requirement("F4")
@pytest.mark.requirement("P2")
class TestThree:
    @pytest.mark.parametrize("alternating", [False, True])
    def test_they_hear_each_other(self, stage: OutsideStage, alternating: bool) -> None:
        customer, ana = stage.talk()
        stage.ask(Consult(number=DORA), 2)
        if alternating:
            stage.ask(Alternate())
        assert stage.ask(Merge()) == {}
        assert (customer.hears, ana.hears, stage.dora.hears) == ("speech", "speech", "speech")  # two voices each
        assert (stage.contact.stage, stage.contact.consulted, stage.state("ana")) == ("conference", DORA, "talking")
        [started] = stage.daemon.of("conference.started")
        assert (started.agent, started.to) == ("ana", DORA)
        stage.check()

    def test_before_the_one_outside_answers_there_is_none(self, stage: OutsideStage) -> None:
        stage.talk()
        stage.ask(Consult(number=DORA))
        assert stage.ask(Merge()) == "Merge is not possible while the contact is consulting"

    def test_each_is_muted(self, stage: OutsideStage) -> None:
        customer, ana, dora = together(stage)
        assert stage.ask(Mute(Party.CONSULTED)) == {}
        assert (customer.hears, ana.hears, dora.hears) == (SAYS["ana"], CUSTOMER_SAYS, "speech")
        assert stage.ask(Mute(Party.CUSTOMER)) == {}
        assert (ana.hears, dora.hears) == ("", SAYS["ana"])
        assert stage.ask(Mute(Party.CONSULTED, muted=False)) == {}
        assert (customer.hears, ana.hears) == ("speech", DORA_SAYS)

    def test_keys_go_to_the_customers_line_alone(self, stage: OutsideStage) -> None:
        customer, _, dora = together(stage)
        heard: list[str] = []
        customer.heard_key = heard.append  # type: ignore[method-assign]
        dora.heard_key = lambda key: heard.append(f"{key} outside")  # type: ignore[method-assign]
        assert stage.ask(SendDigits("12"), 1) == {}
        assert heard == ["1", "2"]


@pytest.mark.requirement("F4")
class TestBackToTwo:
    @pytest.mark.parametrize("verb", [Drop(Party.CONSULTED), Cancel()])
    def test_the_one_outside_is_dropped(self, stage: OutsideStage, verb: Any) -> None:
        customer, ana, dora = together(stage)
        assert stage.ask(verb) == {}
        assert stage.talking(customer, ana)
        assert (dora.line.over, stage.lines, stage.contact.stage, stage.contact.consulted) == (True, 0, "talking", "")
        stage.check()
        assert stage.ask(Hold()) == {}
        assert stage.ask(Retrieve()) == {}

    def test_the_one_outside_hangs_up(self, stage: OutsideStage) -> None:
        customer, ana, dora = together(stage)
        dora.line.hang_up()
        stage.pass_()
        assert stage.talking(customer, ana)
        assert stage.lines == 0
        assert stage.daemon.of("conference.ended")[0].left == "consulted"
        stage.check()

    @pytest.mark.parametrize("verb", [Drop(Party.AGENT), Complete(), Leave(), None])
    def test_the_agent_leaves_the_customer_with_the_one_outside(self, stage: OutsideStage, verb: Any) -> None:
        customer, ana, dora = together(stage)
        if verb is None:
            ana.line.hang_up()
            stage.pass_()
        else:
            assert stage.ask(verb, 0.5) == {}
        assert stage.talking(customer, dora)
        assert (ana.line.over, stage.state("ana"), stage.contact.stage) == (True, "wrap_up", "outside")
        assert (stage.contact.agent, stage.contact.consulted, stage.lines) == ("", "", 1)
        stage.check()
        assert stage.ask(Hold()) == "the customer talks with nobody"
        stage.pass_(3)
        dora.line.hang_up()
        stage.pass_()
        assert (stage.ended(), customer.line.over, stage.lines) == (("answered", "outside"), True, 0)
        kinds = [part.kind for part in stage.record().segments if part.seconds]
        assert kinds[-3:] == ["consult", "conference", "outside"]

    def test_all_but_the_customer_hang_up_and_the_customer_is_first_in_line(self, stage: OutsideStage) -> None:
        customer, ana, dora = together(stage)
        ana.line.hang_up()
        dora.line.hang_up()
        stage.pass_()
        assert (stage.line_of("sales"), customer.hears, stage.lines) == (["c0"], MUSIC, 0)
        stage.check()

    def test_the_customer_hangs_up_and_nobody_outside_is_left_on_a_line(self, stage: OutsideStage) -> None:
        customer, ana, dora = together(stage)
        customer.line.hang_up()
        stage.pass_()
        assert (ana.line.over, dora.line.over, stage.lines) == (True, True, 0)
        assert stage.ended() == ("answered", "caller")

    def test_it_lives_through_the_loss_of_the_link(self, stage: OutsideStage) -> None:
        customer, ana, dora = together(stage)
        stage.asterisk.cut_ami()
        stage.pass_(5)
        assert (customer.hears, ana.hears, dora.hears) == ("speech", "speech", "speech")
        ana.line.hang_up()
        stage.pass_()
        assert stage.talking(customer, dora)


@pytest.mark.logs_failures
class TestNoConference:
    """An Asterisk on which ConfBridge does not work."""

    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fails(asterisk: Any, channel: Any, data: str) -> None:
            """It returns at once."""

        monkeypatch.setitem(APPLICATIONS, "confbridge", fails)  # type: ignore[arg-type]

    def test_the_two_who_talked_go_on(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        stage.ask(Consult(number=DORA), 2)
        assert stage.ask(Merge(), 2).startswith("the conference could not be made")
        assert stage.talking(ana, stage.dora)
        assert customer.hears == MUSIC
        assert stage.ask(Alternate()) == {}
        assert stage.ask(Merge(), 2).startswith("the conference could not be made")
        assert stage.talking(customer, ana)
        stage.check()
