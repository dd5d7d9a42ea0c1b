"""Calls out, in virtual time on the simulated Asterisk: a customer is called, one outside is asked or gets the customer.

Every failure of the network, every party who hangs up in every step, the last line, the lost link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from twisted.internet.task import deferLater

from easycall.config import DialingSettings
from easycall.events import CallDialled, CallFailed
from easycall.model import AgentState, EndedBy, First, Stage, Trunk
from easycall.outbound.call import CallOut
from easycall.outbound.rules import NotDialled, Why
from easycall.ports import Channel
from easycall.simulator.faults import Faults
from easycall.simulator.line import FarEnd, Unreachable
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Alternate, Cancel, Complete, Consult, Hold, NotNow, Retrieve, ToNumber

from .test_talk import MUSIC, Person
from .test_talk import Stage as TalkStage
from .virtual import opened

CAROL, DORA = "+493012345678", "+493087654321"
SHOWN, OTHER = "+493055501", "+493055502"
CAROL_SAYS, DORA_SAYS = "701", "702"


class OutsideStage(TalkStage):
    """A trunk with two lines; Carol and Dora have telephones outside."""

    SITE: ClassVar[Mapping[str, Any]] = {
        "dialing": DialingSettings(country="49", allow=("+49",), deny=("+49900",), ring_seconds=10.0),
        "trunks": (Trunk("out", "sim", "PJSIP/{number}@out", 2, caller_ids=(SHOWN, OTHER)),),
    }

    def __init__(self, database: MemoryDatabase, **more: Any) -> None:
        super().__init__(database, **more)
        self.carol, self.dora = Person(self, CAROL_SAYS), Person(self, DORA_SAYS)
        self.cause = 0
        """Why outside declines; 0: Carol and Dora take their calls."""

    def outside(self, dialled: str) -> FarEnd | Unreachable | None:
        number, _, endpoint = dialled.removeprefix("PJSIP/").partition("@")
        if endpoint != "out":
            return super().outside(dialled)
        if self.cause:
            return Refuses(self.cause)
        return {CAROL: self.carol, DORA: self.dora}.get(number)

    def call(self, first: First = First.CUSTOMER, number: str = CAROL, agent: str = "ana", **more: Any) -> str:
        return self.joined.contacts.call(CallOut(agent, number, "sales", first, **more)).id

    @property
    def lines(self) -> int:
        return self.daemon.dialling.lines.used("out")

    def failed(self) -> tuple[str, int]:
        [event] = [event for event in self.told if isinstance(event, CallFailed)]
        return event.outcome.value, event.cause

    def ended(self, contact: str = "c0") -> tuple[str, str]:
        """The outcome and who ended it."""
        [event] = [event for event in self.daemon.of("contact.ended") if event.contact == contact]
        return event.outcome.value, event.ended_by.value

    def close(self) -> None:
        self.pass_(1)  # what was asked for last has rung
        for person in (self.carol, self.dora):
            if hasattr(person, "line"):
                person.line.hang_up()
        super().close()
        assert self.lines == 0


class Refuses(FarEnd):
    """A number that is not put through."""

    def __init__(self, cause: int) -> None:
        self.cause = cause

    def rung(self, caller: str, caller_name: str) -> None:
        self.line.decline(self.cause)


class LateHangup(Faults):
    """The end of a channel is told behind all else."""

    def event(self, name: str) -> Sequence[float] | None:
        return (0.1,) if name == "Hangup" else None


@pytest.fixture
def stage() -> Iterator[OutsideStage]:
    with opened() as database:
        stage = OutsideStage(database)
        yield stage
        stage.close()


@pytest.mark.requirement("F7")
class TestCustomerFirst:
    def test_the_customer_then_the_agent(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        assert stage.call(data={"order": "4711"}) == "c0"
        assert (stage.contact.stage, stage.contact.agent, stage.state("ana")) == (Stage.DIALLING, "ana", "reserved")
        assert stage.lines == 1
        stage.pass_()
        stage.check()
        assert stage.carol.rings == 1
        assert not hasattr(stage.people["ana"], "line")
        stage.pass_(0.55)
        assert stage.carol.hears == MUSIC
        stage.pass_()
        assert (stage.state("ana"), stage.carol.hears, stage.contact.stage) == ("ringing", MUSIC, Stage.OFFERED)
        [pop] = stage.daemon.of("screen.pop")
        assert (pop.direction, pop.caller, pop.dialled, pop.data) == ("outbound", SHOWN, CAROL, {"order": "4711"})
        stage.pass_(1)
        assert stage.talking(stage.carol, stage.people["ana"])
        stage.check()
        assert stage.ask(Hold()) == {}
        assert stage.ask(Retrieve()) == {}
        stage.carol.line.hang_up()
        stage.pass_()
        assert (stage.ended(), stage.state("ana"), stage.lines) == (("answered", "caller"), "wrap_up", 0)
        assert stage.kinds("call", "contact", "offer", "talk.s") == [
            *("contact.arrived", "call.dialled", "call.ringing", "call.answered"),
            *("offer.made", "offer.ended", "talk.started", "contact.ended"),
        ]
        record = stage.record()
        assert (record.direction, record.caller, record.dialled) == ("outbound", SHOWN, CAROL)
        assert [part.kind for part in record.segments] == ["dial", "offer", "talk", "hold", "talk"]

    @pytest.mark.parametrize(
        ("cause", "outcome"),
        [(17, "busy"), (21, "declined"), (1, "unallocated"), (34, "congestion"), (20, "unreachable"), (18, "no_answer")],
    )
    @pytest.mark.parametrize("first", First)
    def test_why_a_customer_is_not_reached_is_told(
        self, stage: OutsideStage, first: First, cause: int, outcome: str
    ) -> None:
        stage.ready("ana")
        stage.cause = cause
        stage.call(first)
        stage.pass_(2)
        assert stage.failed() == (outcome, cause)
        assert stage.ended() == (outcome, "network")
        assert (stage.state("ana"), stage.lines) == ("ready", 0)

    @pytest.mark.parametrize("first", First)
    def test_a_customer_who_does_not_answer(self, stage: OutsideStage, first: First) -> None:
        stage.ready("ana")
        stage.carol.when_rung = ""
        stage.call(first)
        stage.pass_(14)
        assert stage.failed()[0] == "no_answer"
        assert (stage.ended(), stage.state("ana"), stage.lines) == (("no_answer", "network"), "ready", 0)

    def test_a_number_that_asterisk_knows_nothing_of(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        stage.call(number="+49301111111")
        stage.pass_(2)
        assert stage.ended() == ("unreachable", "network")

    @pytest.mark.fault("F71")
    @pytest.mark.parametrize("refusal", ["decline", ""])
    def test_an_agent_who_does_not_take_it_costs_the_customer_nothing(self, stage: OutsideStage, refusal: str) -> None:
        stage.ready("ana", "bo")
        stage.people["ana"].when_rung = refusal
        stage.joined.distributor.staff.set_state("bo", AgentState.NOT_READY)
        stage.call()
        stage.pass_(13)
        assert stage.carol.hears == MUSIC
        [item] = stage.joined.distributor.waiting("sales")
        assert item.contact == "c0"
        assert stage.people["ana"].rings == 1
        stage.ready("bo")
        stage.pass_(2)
        assert stage.talking(stage.carol, stage.people["bo"])
        stage.check()

    @pytest.mark.parametrize(
        ("moment", "outcome"),
        [
            (0.0, ("cancelled", "api")),
            (0.5, ("cancelled", "api")),
            (1.5, ("abandoned", "api")),
            (3.0, ("answered", "api")),
        ],
    )
    def test_it_is_called_off_in_every_step(self, stage: OutsideStage, moment: float, outcome: tuple[str, str]) -> None:
        stage.ready("ana")
        stage.call()
        stage.pass_(moment)
        stage.joined.contacts.hang_up("c0", EndedBy.API)
        stage.pass_(1)
        assert (stage.ended(), stage.lines) == (outcome, 0)
        assert stage.state("ana") == ("wrap_up" if outcome[0] == "answered" else "ready")
        assert not hasattr(stage.carol, "line") or stage.carol.line.over

    def test_the_customer_leaves_while_the_agent_rings(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        stage.call()
        stage.pass_(1.5)
        stage.carol.line.hang_up()
        stage.pass_()
        assert (stage.ended(), stage.state("ana")) == (("abandoned", "caller"), "ready")
        assert stage.people["ana"].line.over

    def test_the_agent_must_be_ready(self, stage: OutsideStage) -> None:
        with pytest.raises(NotNow, match="ana is offline"):
            stage.call()
        stage.joined.distributor.staff.log_in("ana")
        with pytest.raises(NotNow, match="ana is not ready"):
            stage.call()
        assert (stage.lines, dict(stage.joined.contacts.live)) == (0, {})


@pytest.mark.requirement("F7")
class TestAgentFirst:
    def test_the_agent_then_the_customer(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        ana = stage.people["ana"]
        stage.call(First.AGENT)
        stage.pass_()
        assert (stage.state("ana"), stage.carol.rings, stage.lines) == ("ringing", 0, 1)
        stage.check()
        stage.pass_(1)
        assert (ana.hears, stage.state("ana"), stage.carol.rings) == (MUSIC, "held", 1)
        stage.check()
        stage.pass_(1)
        assert stage.talking(stage.carol, ana)
        assert stage.state("ana") == "talking"
        stage.check()
        ana.line.hang_up()
        stage.pass_()
        assert (stage.ended(), stage.state("ana"), stage.lines) == (("answered", "agent"), "wrap_up", 0)
        assert [part.kind for part in stage.record().segments] == ["offer", "dial", "talk"]

    def test_an_agent_on_a_break_may_call_and_is_on_it_again(self, stage: OutsideStage) -> None:
        stage.joined.distributor.staff.log_in("ana")
        stage.joined.distributor.staff.set_state("ana", AgentState.NOT_READY, "paper work")
        stage.carol.when_rung = "decline"
        stage.call(First.AGENT)
        stage.pass_(3)
        ana = stage.joined.distributor.staff.agents["ana"]
        assert (stage.ended()[0], ana.state, ana.reason) == ("busy", "not_ready", "paper work")

    @pytest.mark.parametrize("refusal", ["decline", ""])
    def test_an_agent_who_does_not_take_it(self, stage: OutsideStage, refusal: str) -> None:
        stage.ready("ana")
        stage.people["ana"].when_rung = refusal
        stage.call(First.AGENT)
        stage.pass_(13)
        assert (stage.ended(), stage.carol.rings, stage.lines) == (("no_agent", "agent"), 0, 0)

    def test_the_agent_hangs_up_while_the_customer_rings(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        stage.call(First.AGENT)
        stage.pass_(1.5)
        stage.people["ana"].line.hang_up()
        stage.pass_()
        assert stage.carol.line.over
        assert (stage.failed()[0], stage.ended(), stage.lines) == ("cancelled", ("cancelled", "agent"), 0)
        assert stage.state("ana") == "ready"

    @pytest.mark.parametrize("moment", [0.0, 0.5, 1.5, 3.0])
    def test_it_is_called_off_in_every_step(self, stage: OutsideStage, moment: float) -> None:
        stage.ready("ana")
        stage.call(First.AGENT)
        stage.pass_(moment)
        stage.joined.contacts.hang_up("c0", EndedBy.API)
        stage.pass_(1)
        assert stage.ended() == ("answered" if moment == 3.0 else "cancelled", "api")
        assert stage.lines == 0
        assert not stage.joined.contacts.live

    @pytest.mark.parametrize("tenths", range(-3, 4))
    def test_the_agent_leaves_as_the_customer_answers(self, stage: OutsideStage, tenths: int) -> None:
        """Whatever comes first: nobody is left in silence, and the customer who was there waits with music."""
        stage.ready("ana")
        stage.call(First.AGENT)
        stage.pass_(1.2)
        stage.reactor.run_until(lambda: hasattr(stage.carol, "line"), within=2)
        stage.pass_(1.0 + tenths / 1000)
        stage.people["ana"].line.hang_up()
        stage.pass_(1)
        assert stage.carol.line.over or stage.carol.hears == MUSIC
        if not stage.carol.line.over:
            assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0"]


@pytest.mark.requirement("F7")
class TestRefused:
    @pytest.mark.fault("A23")
    @pytest.mark.parametrize(
        ("number", "why"),
        [
            ("+4490012345", Why.NOT_ALLOWED),
            ("0900 1234567", Why.NOT_ALLOWED),
            ("110", Why.NOT_A_NUMBER),
            (SHOWN, Why.OWN_NUMBER),
            ("Local/9@default", Why.NOT_A_NUMBER),
        ],
    )
    def test_what_must_not_be_dialled(self, stage: OutsideStage, number: str, why: Why) -> None:
        stage.ready("ana")
        with pytest.raises(NotDialled) as refused:
            stage.call(number=number)
        assert (refused.value.why, stage.lines, stage.state("ana")) == (why, 0, "ready")

    def test_the_do_not_call_list(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        stage.daemon.now(stage.daemon.do_not_call.add(CAROL, "asked us", "crm"))
        with pytest.raises(NotDialled, match="do-not-call"):
            stage.call()
        stage.daemon.now(stage.daemon.do_not_call.remove(CAROL, "crm"))
        stage.call()
        stage.pass_(1.5)
        assert stage.carol.hears == MUSIC

    def test_two_want_the_last_line(self, stage: OutsideStage) -> None:
        stage.ready("ana", "bo", "chen")
        stage.call()
        stage.call(number=DORA, agent="bo")
        with pytest.raises(NotDialled, match=r"no line of trunk out is free \(2 of 2 in use\)"):
            stage.call(number="+49309999999", agent="chen")
        assert stage.state("chen") == "ready"
        stage.pass_(0.5)
        stage.joined.contacts.hang_up("c0", EndedBy.API)
        stage.pass_(0.5)
        assert stage.lines == 1

    def test_a_caller_on_the_trunk_has_a_line_too(self, stage: OutsideStage) -> None:
        assert stage.daemon.dialling.lines.occupy("sim", "PJSIP/elsewhere") is None
        line = stage.daemon.dialling.lines.occupy("sim", "PJSIP/out")
        assert line is not None
        assert stage.lines == 1
        line.release()

    def test_the_caller_id(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        with pytest.raises(NotDialled, match="not among the caller ids"):
            stage.call(caller_id="+493055509")
        stage.call(caller_id="030 55502")
        assert stage.contact.caller == OTHER
        assert stage.daemon.of("call.dialled")[0].caller_id == OTHER

    def test_no_link_no_call(self, stage: OutsideStage) -> None:
        stage.ready("ana")
        stage.asterisk.cut_ami()
        stage.pass_(0.1)
        with pytest.raises(NotDialled, match="cannot be reached"):
            stage.call()
        stage.pass_(5)


@pytest.mark.fault("F04")
@pytest.mark.parametrize("thousandths", [*range(12), 500, 1005])
@pytest.mark.parametrize("first", First)
def test_the_link_is_cut_around_the_call(stage: OutsideStage, first: First, thousandths: int) -> None:
    """The customer is dialled once or not at all, is never left in silence, and everything is free in the end."""
    stage.ready("ana")
    stage.call(first)
    if first is First.AGENT:
        stage.pass_(1.0)
    stage.pass_(thousandths / 1000)
    stage.asterisk.cut_ami()
    stage.pass_(20)
    assert stage.carol.rings <= 1
    if stage.carol.rings and not stage.carol.line.over:
        assert stage.talking(stage.carol, stage.people["ana"])
    else:
        assert not stage.joined.contacts.live
        assert stage.state("ana") == "ready"
    stage.check()


def test_the_intent_is_told_before_the_act(stage: OutsideStage) -> None:
    stage.ready("ana")
    stage.call()
    assert [type(event) for event in stage.told if event.contact == "c0" and event.kind.startswith("call")] == [CallDialled]
    assert stage.carol.rings == 0


class TestConsultOutside:
    def test_ask_then_complete(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        dora = stage.dora
        assert stage.ask(Consult(number="030 87654321")) == {}
        assert (customer.hears, stage.state("ana"), stage.contact.consulted) == (MUSIC, "held", DORA)
        stage.check()
        stage.pass_(1.5)
        assert stage.talking(ana, dora)
        assert stage.ask(Alternate()) == {}
        assert stage.talking(customer, ana)
        assert dora.hears == MUSIC
        assert stage.ask(Alternate()) == {}
        stage.check()
        assert stage.ask(Complete()) == {}
        assert stage.talking(customer, dora)
        assert (ana.line.over, stage.state("ana"), stage.contact.stage) == (True, "wrap_up", Stage.OUTSIDE)
        assert stage.ask(Hold()) == "the customer talks with nobody"
        stage.check()
        stage.pass_(3)
        dora.line.hang_up()
        stage.pass_()
        assert (stage.ended(), customer.line.over, stage.lines) == (("answered", "outside"), True, 0)
        assert [part.kind for part in stage.record().segments][-2:] == ["hold", "outside"]

    def test_the_customer_hangs_up_on_the_one_outside(self, stage: OutsideStage) -> None:
        """That the customer left the bridge is told before the end of the call."""
        customer, _ = stage.talk()
        stage.ask(Consult(number=DORA), 2)
        assert stage.ask(Complete()) == {}
        stage.asterisk.core.faults = LateHangup()
        customer.line.hang_up()
        stage.pass_(2)
        assert stage.ended() == ("answered", "caller")
        assert stage.daemon.of("outside.ended")[0].ended_by is EndedBy.CALLER

    def test_ask_then_take_back(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        stage.ask(Consult(number=DORA), 2)
        assert stage.ask(Cancel()) == {}
        assert stage.talking(customer, ana)
        assert (stage.dora.line.over, stage.lines) == (True, 0)

    def test_the_agent_leaves_while_it_rings(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        stage.ask(Consult(number=DORA))
        ana.line.hang_up()
        stage.pass_(2)
        assert stage.talking(customer, stage.dora)
        customer.line.hang_up()
        stage.pass_()
        assert stage.dora.line.over

    @pytest.mark.parametrize(("cause", "outcome"), [(17, "busy"), (1, "unallocated")])
    def test_why_it_is_not_reached(self, stage: OutsideStage, cause: int, outcome: str) -> None:
        customer, ana = stage.talk()
        stage.cause = cause
        stage.ask(Consult(number=DORA), 1)
        assert stage.failed() == (outcome, cause)
        assert (customer.hears, stage.contact.stage, stage.lines) == (MUSIC, Stage.HELD, 0)
        assert stage.ask(Retrieve()) == {}
        assert stage.talking(customer, ana)

    def test_what_must_not_be_dialled_is_refused_at_once(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        assert "does not allow" in stage.ask(Consult(number="+4490012345"))
        assert "does not allow" in stage.ask(ToNumber("+4490012345"))
        assert stage.talking(customer, ana)
        lines = [stage.daemon.dialling.lines.take("out") for _ in range(2)]
        assert "no line of trunk out is free" in stage.ask(ToNumber(DORA))
        for line in lines:
            assert line is not None
            line.release()

    @pytest.mark.parametrize("moment", [0.3, 1.0, 1.5])
    def test_the_customer_hangs_up(self, stage: OutsideStage, moment: float) -> None:
        customer, ana = stage.talk()
        stage.ask(Consult(number=DORA), moment)
        customer.line.hang_up()
        stage.pass_()
        assert (ana.line.over, stage.dora.line.over, stage.lines) == (True, True, 0)


class TestConsultGroup:
    def test_whoever_is_free_longest_is_asked(self, stage: OutsideStage) -> None:
        _, ana = stage.talk()
        stage.ready("chen")
        assert stage.ask(Consult(queue="support")) == {}
        assert stage.contact.consulted == "chen"
        stage.pass_(1.5)
        assert stage.talking(ana, stage.people["chen"])
        stage.check()

    def test_nobody_free_is_told_at_once(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(Consult(queue="support")) == "nobody is free in support"
        assert stage.ask(Consult(queue="nowhere")) == "there is no queue 'nowhere'"
        assert stage.talking(customer, ana)


class TestTransferOutside:
    def test_without_asking(self, stage: OutsideStage) -> None:
        customer, ana = stage.talk()
        assert stage.ask(ToNumber(DORA)) == {}
        assert (ana.line.over, stage.state("ana"), customer.hears) == (True, "wrap_up", MUSIC)
        stage.check()
        stage.pass_(1.5)
        assert stage.talking(customer, stage.dora)
        stage.check()
        stage.pass_(3)
        stage.dora.line.hang_up()
        stage.pass_()
        assert (stage.ended(), stage.lines) == (("answered", "outside"), 0)
        assert [part.kind for part in stage.record().segments][-3:] == ["talk", "dial", "outside"]

    @pytest.mark.parametrize("cause", [17, 1, 34])
    def test_who_is_not_reached_leaves_the_customer_first_in_line(self, stage: OutsideStage, cause: int) -> None:
        customer, _ = stage.talk()
        stage.cause = cause
        stage.ask(ToNumber(DORA), 2)
        assert [item.contact for item in stage.joined.distributor.waiting("sales")] == ["c0"]
        assert (customer.hears, stage.lines) == (MUSIC, 0)
        stage.check()

    @pytest.mark.parametrize("moment", [0.0, 0.001, 0.3, 1.0, 1.2, 1.203, 1.5, 3.0])
    def test_the_customer_hangs_up(self, stage: OutsideStage, moment: float) -> None:
        customer, _ = stage.talk()
        stage.joined.contacts.ask("c0", ToNumber(DORA)).addErrback(lambda failure: failure.trap(NotNow))
        stage.pass_(moment)
        customer.line.hang_up()
        stage.pass_(1)
        assert (stage.ended()[1], stage.lines) == ("caller", 0)
        assert not hasattr(stage.dora, "line") or stage.dora.line.over

    def test_the_customer_comes_home_without_the_link(self, stage: OutsideStage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody is dialled before it is back."""
        customer, _ = stage.talk()
        switch = stage.joined.pbxs[0].switch
        fetch = switch.fetch

        async def fetched_and_cut(*legs: Channel) -> None:
            await fetch(*legs)
            stage.asterisk.cut_ami()
            while switch.up:
                await deferLater(stage.reactor, 0.001)

        monkeypatch.setattr(switch, "fetch", fetched_and_cut)
        stage.joined.contacts.ask("c0", ToNumber(DORA))
        stage.pass_(0.1)
        assert customer.hears == MUSIC
        stage.pass_(5)
        assert stage.talking(customer, stage.dora)
        stage.check()

    @pytest.mark.parametrize("thousandths", [*range(8), 500])
    def test_the_link_is_cut_meanwhile(self, stage: OutsideStage, thousandths: int) -> None:
        customer, _ = stage.talk()
        stage.joined.contacts.ask("c0", ToNumber(DORA))
        stage.pass_(thousandths / 1000)
        stage.asterisk.cut_ami()
        stage.pass_(15)
        assert stage.talking(customer, stage.dora)
        stage.check()
