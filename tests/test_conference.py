"""A conference of three and back to two, keys sent to the line, leaving; in virtual time on the simulated Asterisk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from easycall.model import Party
from easycall.simulator.applications import APPLICATIONS
from easycall.verbs import (
    Alternate,
    Cancel,
    Complete,
    Consult,
    Drop,
    Hold,
    Leave,
    Merge,
    Mute,
    Park,
    Retrieve,
    SendDigits,
)

from .test_talk import CUSTOMER_SAYS, MUSIC, SAYS, Person, Stage
from .virtual import opened


@pytest.fixture
def stage() -> Iterator[Stage]:
    with opened() as database:
        stage = Stage(database)
        yield stage
        stage.close()


def together(stage: Stage) -> tuple[Person, Person, Person]:
    """A customer, Ana and Bo in a conference."""
    customer, ana = stage.talk("bo")
    stage.ask(Consult("bo"), 2)
    assert stage.ask(Merge()) == {}
    return customer, ana, stage.people["bo"]


def waiting(stage: Stage) -> list[str]:
    return [item.contact for item in stage.joined.distributor.waiting("sales")]


class TestConference:
    @pytest.mark.parametrize("alternating", [False, True])
    def test_three_hear_each_other(self, stage: Stage, alternating: bool) -> None:
        customer, ana = stage.talk("bo")
        bo = stage.people["bo"]
        stage.ask(Consult("bo"), 2)
        if alternating:
            stage.ask(Alternate())
        assert stage.ask(Merge()) == {}
        assert (customer.hears, ana.hears, bo.hears) == ("speech", "speech", "speech")  # two voices each
        assert (stage.contact.stage.value, stage.state("ana"), stage.state("bo")) == ("conference", "talking", "talking")
        stage.check()
        assert stage.kinds("conference") == ["conference.started"]

    def test_before_there_are_three_there_is_none(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        assert stage.ask(Merge()) == "Merge is not possible while the contact is talking"
        stage.ask(Consult("bo"))
        assert stage.ask(Merge()) == "Merge is not possible while the contact is consulting"
        stage.ask(Cancel())
        assert stage.talking(customer, ana)

    def test_one_is_muted(self, stage: Stage) -> None:
        customer, ana, bo = together(stage)
        assert stage.ask(Mute(Party.CONSULTED)) == {}
        assert (customer.hears, ana.hears, bo.hears) == (SAYS["ana"], CUSTOMER_SAYS, "speech")
        assert stage.ask(Mute(Party.CUSTOMER)) == {}
        assert (ana.hears, bo.hears) == ("", SAYS["ana"])
        assert stage.ask(Mute(Party.CONSULTED, muted=False)) == {}
        assert stage.ask(Mute(Party.CUSTOMER, muted=False)) == {}
        assert (customer.hears, ana.hears, bo.hears) == ("speech", "speech", "speech")
        muted = [(event.party, event.muted) for event in stage.daemon.of("conference.muted")]
        assert muted == [("consulted", True), ("customer", True), ("consulted", False), ("customer", False)]

    @pytest.mark.parametrize("verb", [Drop(Party.CONSULTED), Cancel()])
    def test_the_second_is_dropped(self, stage: Stage, verb: Any) -> None:
        customer, ana, bo = together(stage)
        assert stage.ask(verb) == {}
        assert stage.talking(customer, ana)
        assert (bo.line.over, stage.state("bo"), stage.contact.stage.value) == (True, "wrap_up", "talking")
        stage.check()
        assert stage.ask(Hold()) == {}
        assert stage.ask(Retrieve()) == {}

    @pytest.mark.parametrize("verb", [Drop(Party.AGENT), Complete(), Leave()])
    def test_the_first_leaves_it_to_the_second(self, stage: Stage, verb: Any) -> None:
        customer, ana, bo = together(stage)
        assert stage.ask(verb, 0.5) == {}
        assert stage.talking(customer, bo)
        assert (ana.line.over, stage.state("ana"), stage.contact.agent) == (True, "wrap_up", "bo")
        stage.check()

    def test_the_customer_is_not_dropped(self, stage: Stage) -> None:
        together(stage)
        assert stage.ask(Drop(Party.CUSTOMER)) == "without the customer there is no contact: hangup ends it"
        assert stage.contact.stage.value == "conference"

    def test_it_is_given_to_nobody_else(self, stage: Stage) -> None:
        together(stage)
        assert stage.ask(Park()) == "Park is not possible while the contact is conference"

    @pytest.mark.parametrize("who", ["ana", "bo"])
    def test_an_agent_hangs_up_and_two_talk_on(self, stage: Stage, who: str) -> None:
        customer, ana, bo = together(stage)
        stage.people[who].line.hang_up()
        stage.pass_()
        stays = bo if who == "ana" else ana
        assert stage.talking(customer, stays)
        assert stage.contact.agent == ("bo" if who == "ana" else "ana")
        assert stage.daemon.of("conference.ended")[0].left == ("agent" if who == "ana" else "consulted")
        stage.check()

    def test_both_agents_hang_up_and_the_customer_is_first_in_line(self, stage: Stage) -> None:
        customer, ana, bo = together(stage)
        later = stage.calls()
        ana.line.hang_up()
        bo.line.hang_up()
        stage.pass_()
        assert waiting(stage) == ["c0", "c1"]
        assert (customer.hears, later.hears) == (MUSIC, MUSIC)
        stage.check()

    def test_the_customer_hangs_up_and_both_wrap_up(self, stage: Stage) -> None:
        customer, ana, bo = together(stage)
        customer.line.hang_up()
        stage.pass_()
        assert (ana.line.over, bo.line.over) == (True, True)
        assert (stage.state("ana"), stage.state("bo")) == ("wrap_up", "wrap_up")
        record = stage.record()
        assert (record.outcome, record.ended_by) == ("answered", "caller")
        assert [part.kind.value for part in record.segments][-4:] == ["offer", "talk", "consult", "conference"]

    def test_it_can_be_had_twice(self, stage: Stage) -> None:
        customer, ana, _ = together(stage)
        stage.ask(Drop(Party.CONSULTED))
        stage.ready("chen")
        stage.ask(Consult("chen"), 2)
        assert stage.ask(Merge()) == {}
        assert customer.hears == "speech"
        stage.ask(Drop(Party.CONSULTED))
        assert stage.talking(customer, ana)

    def test_it_lives_through_the_loss_of_the_link(self, stage: Stage) -> None:
        customer, ana, bo = together(stage)
        stage.asterisk.cut_ami()
        stage.pass_(5)
        assert (customer.hears, ana.hears, bo.hears) == ("speech", "speech", "speech")
        bo.line.hang_up()
        stage.pass_()
        assert stage.talking(customer, ana)


@pytest.mark.logs_failures
class TestNoConference:
    """An Asterisk on which ConfBridge does not work."""

    @pytest.fixture(autouse=True)
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fails(asterisk: Any, channel: Any, data: str) -> None:
            """It returns at once."""

        monkeypatch.setitem(APPLICATIONS, "confbridge", fails)  # type: ignore[arg-type]

    def test_while_consulting_the_agents_go_on(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        assert stage.ask(Merge(), 2).startswith("the conference could not be made")
        assert stage.talking(ana, stage.people["bo"])
        assert customer.hears == MUSIC
        stage.check()
        assert stage.ask(Complete()) == {}

    def test_while_alternating_customer_and_agent_go_on(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        stage.ask(Alternate())
        assert stage.ask(Merge(), 2).startswith("the conference could not be made")
        assert stage.talking(customer, ana)
        stage.check()

    def test_somebody_hangs_up_meanwhile(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        stage.ask(Merge(), 0.001)
        stage.people["bo"].line.hang_up()
        stage.pass_(3)
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)


class TestOnTheWay:
    """An Asterisk on which it takes a while, or a second try, until a leg is in the conference."""

    @pytest.mark.parametrize("seconds", [0.5, 1.5, 3.5])
    def test_they_come_late(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        join = APPLICATIONS["confbridge"]

        async def slow(asterisk: Any, channel: Any, data: str) -> None:
            await channel.sleep(seconds)
            await join(asterisk, channel, data)

        monkeypatch.setitem(APPLICATIONS, "confbridge", slow)
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        assert stage.ask(Merge(), 5) == {}
        assert (customer.hears, ana.hears, stage.people["bo"].hears) == ("speech", "speech", "speech")
        stage.check()

    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_one_comes_home_once_more(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
        """As one does who was told to come home twice."""
        join, joining = APPLICATIONS["confbridge"], []
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)

        async def redirected(asterisk: Any, channel: Any, data: str) -> None:
            joining.append(channel)
            if len(joining) == which + 1:
                channel.redirect(("easycall", "s", 1))
                await channel.sleep(1)
            await join(asterisk, channel, data)

        monkeypatch.setitem(APPLICATIONS, "confbridge", redirected)
        assert stage.ask(Merge(), 2) == {}
        assert [joining.count(channel) for channel in joining[:3]] == [1 + (which == number) for number in range(3)]
        assert (customer.hears, ana.hears, stage.people["bo"].hears) == ("speech", "speech", "speech")
        stage.check()


class TestDigits:
    def test_keys_reach_the_customers_line_and_nothing_else(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        heard: list[str] = []
        customer.heard_key = heard.append  # type: ignore[method-assign]
        assert stage.ask(SendDigits("12w#"), 0.1) is None
        stage.check()
        stage.pass_(3)
        assert stage.talking(customer, ana)
        stage.check()
        assert heard == ["1", "2", "#"]
        [event] = stage.daemon.of("digits.sent")
        assert (event.number, event.agent) == (4, "ana")
        assert "12w" not in repr((SendDigits("12w#"), *stage.told))

    def test_in_a_conference_and_not_on_hold(self, stage: Stage) -> None:
        together(stage)
        assert stage.ask(SendDigits("1"), 1) == {}
        stage.ask(Drop(Party.CONSULTED))
        stage.ask(Hold())
        assert stage.ask(SendDigits("1"), 1) == "SendDigits is not possible while the contact is held"

    def test_while_alternating(self, stage: Stage) -> None:
        customer, ana = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        assert stage.ask(SendDigits("1")) == "SendDigits is not possible while the contact is consulting"
        stage.ask(Alternate())
        assert stage.ask(SendDigits("1"), 1) == {}
        assert stage.talking(customer, ana)
        assert stage.people["bo"].hears == MUSIC
        stage.check()

    def test_the_agent_hangs_up_meanwhile_and_the_customer_is_first_in_line(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        stage.joined.contacts.ask("c0", SendDigits("123456789")).addErrback(lambda why: None)
        stage.pass_(0.3)
        ana.line.hang_up()
        stage.pass_(4)
        assert waiting(stage) == ["c0"]
        assert customer.hears == MUSIC

    def test_the_customer_hangs_up_meanwhile(self, stage: Stage) -> None:
        customer, _ = stage.talk()
        answers: list[Any] = []
        stage.joined.contacts.ask("c0", SendDigits("123456789")).addErrback(lambda why: answers.append(str(why.value)))
        stage.pass_(0.3)
        customer.line.hang_up()
        stage.pass_(1)
        assert answers == ["the call ended meanwhile"]


class TestLeave:
    def test_the_agent_leaves_and_the_contact_ends(self, stage: Stage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(Leave()) == {}
        assert (customer.line.over, ana.line.over, stage.record().ended_by) == (True, True, "agent")

    def test_on_hold_the_customer_is_first_in_line(self, stage: Stage) -> None:
        customer, _ = stage.talk()
        stage.ask(Hold())
        assert stage.ask(Leave()) == {}
        assert waiting(stage) == ["c0"]
        assert customer.hears == MUSIC

    def test_while_consulting_the_second_has_the_customer(self, stage: Stage) -> None:
        customer, _ = stage.talk("bo")
        stage.ask(Consult("bo"), 2)
        assert stage.ask(Leave(), 0.5) == {}
        assert stage.talking(customer, stage.people["bo"])
