"""Chats, messages and customers who want to be called, in virtual time: one line with the callers, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from easycall.acd.agent import HANDLING
from easycall.hours import Hours
from easycall.ivr.nodes import Flow, HangUpNode, SayNode, VoicemailNode
from easycall.ivr.prompt import parse_prompt
from easycall.lab.day.site import NUMBER
from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.model import (
    AgentState,
    Closing,
    DispositionRule,
    EndedBy,
    OverflowRule,
    OverflowTo,
    OverflowWhen,
    Request,
    Stage,
)
from easycall.policy import AgentOrder, Channel
from easycall.simulator.fax import Machine
from easycall.skills import parse
from easycall.stats.record import SegmentKind
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Answer, AttachData, Close, Hold, Leave, NotNow, Pick, ToAgent, ToQueue, Verb

from .test_call_out import CAROL, OutsideStage
from .test_parking import Mail
from .virtual import STRAIGHT, opened

CHAT, MESSAGE, CALL_ME = Channel.CHAT, Channel.MESSAGE, Channel.CALL_ME


class WorkStage(OutsideStage):
    """Agents take three chats and five messages at once."""

    SITE: ClassVar[Mapping[str, Any]] = {**OutsideStage.SITE, "takes": {CHAT: 3, MESSAGE: 5}}

    def asks(self, channel: Channel = CHAT, queue: str = "sales", **more: Any) -> str:
        """Something is asked of the agents; its contact."""
        now = self.reactor.seconds()
        request = Request("", channel, queue, **{"since": now, "created": now, "number": CAROL, "name": "Carol", **more})
        contact: str = self.daemon.now(self.daemon.requests.ask(request)).id
        return contact

    def verb(self, contact: str, verb: Verb) -> Any:
        """What came of it: the facts, or the reason of a refusal."""
        answers: list[Any] = []
        self.joined.contacts.ask(contact, verb).addBoth(answers.append)
        self.pass_(0.1)
        if isinstance(answers[0], Failure):
            answers[0].trap(NotNow)
            return str(answers[0].value)
        return answers[0]

    def accepts(self, *contacts: str) -> None:
        for contact in contacts:
            assert self.verb(contact, Answer()) == {}

    def work(self, agent: str) -> list[str]:
        return list(self.joined.distributor.staff.agents[agent].work)

    def at(self, contact: str) -> tuple[Stage, str]:
        live = self.joined.contacts.live[contact]
        return live.stage, live.agent

    def gone(self, contact: str) -> None:
        """The customer has left."""
        self.joined.contacts.hang_up(contact, EndedBy.CALLER)
        self.pass_(0.1)

    def stored(self) -> list[str]:
        rows = self.daemon.now(self.daemon.database.query("SELECT id FROM requests ORDER BY id"))
        return [row[0] for row in rows]

    def close(self) -> None:
        for contact in list(self.daemon.requests.live):
            self.gone(contact)
        self.pass_(20)
        assert self.stored() == []
        super().close()


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[WorkStage]:
    stage = WorkStage(database)
    yield stage
    stage.close()


def rules(*rules: tuple[str, str]) -> tuple[OverflowRule, ...]:
    split = [(OverflowWhen(when), *to.partition(":")[::2]) for when, to in rules]
    return tuple(OverflowRule(when, OverflowTo(to), target) for when, to, target in split)


@pytest.mark.requirement("D2")
class TestAtTheDesk:
    def test_a_chat_from_its_arrival_to_its_record(self, stage: WorkStage) -> None:
        stage.ready("ana")
        chat = stage.asks(address="carol@example.net", data={"subject": "my order"})
        assert (stage.at(chat), stage.state("ana"), stage.work("ana")) == ((Stage.OFFERED, "ana"), "ready", [chat])
        [pop] = stage.daemon.of("screen.pop")
        assert (pop.contact, pop.agent, pop.channel, pop.data) == (chat, "ana", CHAT, {"subject": "my order"})
        stage.pass_(3)
        stage.accepts(chat)
        assert stage.at(chat) == (Stage.HANDLING, "ana")
        stage.check()
        stage.pass_(60)
        assert stage.verb(chat, AttachData({"order": "4711"})) == {}
        assert stage.verb(chat, Hold()) == "Hold is not possible: the contact is a chat, not a call"
        assert stage.verb(chat, Close()) == {}
        assert (stage.ended(chat), stage.work("ana"), stage.state("ana")) == (("answered", "agent"), [], "ready")
        record = stage.daemon.record(chat)
        assert record is not None
        assert (record.channel, record.agent, record.caller, record.caller_name) == (CHAT, "ana", CAROL, "Carol")
        assert record.data == {"subject": "my order", "order": "4711"}
        assert [part.kind for part in record.segments] == [SegmentKind.OFFER, SegmentKind.TALK]
        assert (round(record.waited), round(record.talked)) == (3, 60)

    def test_as_many_as_the_agent_takes_and_no_call_beside(self, stage: WorkStage) -> None:
        stage.ready("ana")
        chats = [stage.asks() for _ in range(4)]
        stage.accepts(*chats[:3])
        carl = stage.calls()
        stage.pass_(2)
        assert (stage.work("ana"), stage.state("ana"), stage.line_of("sales")) == (chats[:3], "ready", [chats[3], "c4"])
        for chat in chats[:3]:
            stage.verb(chat, Close())
        assert (stage.work("ana"), stage.line_of("sales")) == ([chats[3]], [chats[3], "c4"])
        stage.accepts(chats[3])
        stage.verb(chats[3], Close())
        stage.pass_(2)
        assert stage.talking(carl, stage.people["ana"])
        later = stage.asks()
        assert stage.work("ana") == []
        carl.line.hang_up()
        stage.pass_(6)
        assert stage.work("ana") == [later]

    def test_chats_go_round(self, stage: WorkStage) -> None:
        stage.ready("ana", "bo")
        stage.pass_(1)
        for _ in range(4):
            stage.accepts(stage.asks())
        assert (len(stage.work("ana")), len(stage.work("bo"))) == (2, 2)

    def test_one_line_for_all_kinds(self, stage: WorkStage) -> None:
        first = stage.asks(MESSAGE)
        stage.pass_(1)
        carl = stage.calls()
        second = stage.asks(CHAT)
        third = stage.asks(CALL_ME)
        early = stage.asks(CHAT, since=stage.reactor.seconds() - 300)
        assert stage.line_of("sales") == [early, first, "c1", second, third]
        [queue] = [entry for entry in stage.daemon.of("queue.entered") if entry.contact == early]
        assert queue.position == 1
        carl.line.hang_up()

    def test_an_agent_declines_and_another_gets_it(self, stage: WorkStage) -> None:
        stage.ready("ana", "bo")
        chat = stage.asks()
        assert stage.verb(chat, Leave()) == {}
        assert (stage.at(chat), stage.state("ana")) == ((Stage.OFFERED, "bo"), "ready")
        assert [event.outcome.value for event in stage.daemon.of("offer.ended")] == ["declined"]
        stage.accepts(chat)

    def test_an_offer_nobody_accepts_makes_the_agent_not_ready(self, stage: WorkStage) -> None:
        stage.ready("ana")
        chat, other = stage.asks(), stage.asks()
        stage.accepts(other)
        stage.pass_(10.5)
        ana = stage.joined.distributor.staff.agents["ana"]
        assert (ana.state, ana.reason, stage.work("ana")) == (AgentState.NOT_READY, "missed", [other])
        assert ana.missed is not None
        assert ana.missed.contact == chat
        assert stage.at(chat) == (Stage.WAITING, "")
        [revoked] = stage.daemon.of("screen.revoked")
        assert (revoked.contact, revoked.outcome.value) == (chat, "no_answer")
        stage.ready("bo")
        assert stage.at(chat) == (Stage.OFFERED, "bo")

    @pytest.mark.parametrize("accepted", [False, True])
    @pytest.mark.parametrize("how", ["log out", "desktop"])
    def test_who_leaves_the_desk_leaves_the_work(self, stage: WorkStage, accepted: bool, how: str) -> None:
        stage.ready("ana")
        chats = [stage.asks(), stage.asks()]
        later = [stage.asks() for _ in range(2)]
        if accepted:
            stage.accepts(*chats)
        stage.pass_(5)
        if how == "log out":
            stage.joined.distributor.staff.log_out("ana")
        else:
            stage.daemon.desktops.came("ana")
            stage.daemon.desktops.went("ana")
            stage.pass_(60 if accepted else 1)
            if not accepted:
                stage.daemon.joined.distributor.staff.desktop_lost("ana")
        stage.pass_(0.1)
        assert (stage.work("ana"), stage.line_of("sales")) == ([], [*chats, *later])
        stage.check()
        stage.ready("bo")
        assert stage.work("bo") == [*chats, later[0]]
        stage.accepts(*chats)
        if accepted:
            assert [event.ended_by.value for event in stage.daemon.of("talk.ended")[:2]] == ["system", "system"]

    def test_the_customer_leaves(self, stage: WorkStage) -> None:
        waiting = stage.asks()
        stage.gone(waiting)
        assert stage.ended(waiting) == ("abandoned", "caller")
        stage.ready("ana")
        offered = stage.asks()
        stage.gone(offered)
        assert (stage.ended(offered), stage.work("ana"), stage.state("ana")) == (("abandoned", "caller"), [], "ready")
        had = stage.asks()
        stage.accepts(had)
        stage.gone(had)
        assert (stage.ended(had), stage.work("ana")) == (("answered", "caller"), [])

    def test_it_goes_to_another_agent_or_queue(self, stage: WorkStage) -> None:
        stage.ready("ana")
        chat = stage.asks()
        stage.accepts(chat)
        assert stage.verb(chat, ToAgent("bo")) == "bo is offline"
        assert stage.verb(chat, ToAgent("ana")) == "ana has it already"
        stage.ready("bo")
        assert stage.verb(chat, ToAgent("bo")) == {}
        assert (stage.at(chat), stage.work("ana"), stage.work("bo")) == ((Stage.OFFERED, "bo"), [], [chat])
        stage.accepts(chat)
        assert stage.verb(chat, ToQueue("nowhere")) == "there is no queue 'nowhere'"
        assert stage.verb(chat, ToQueue("support")) == {}
        assert (stage.at(chat), stage.line_of("support"), stage.work("bo")) == ((Stage.WAITING, ""), [chat], [])
        assert stage.daemon.requests.live[chat].queue == "support"
        stage.ready("chen")
        stage.accepts(chat)
        stage.verb(chat, Close())
        record = stage.daemon.record(chat)
        assert record is not None
        assert [part.agent for part in record.segments if part.kind is SegmentKind.TALK] == ["ana", "bo", "chen"]

    def test_an_agent_given_it_by_another_does_not_take_it(self, stage: WorkStage) -> None:
        stage.ready("ana", "bo")
        chat = stage.asks()
        stage.accepts(chat)
        since = stage.joined.contacts.live[chat].arrived
        stage.pass_(5)
        stage.verb(chat, ToAgent("bo"))
        assert stage.verb(chat, Leave()) == {}
        assert stage.at(chat) == (Stage.OFFERED, "ana")
        queued = [event.since for event in stage.daemon.of("queue.entered") if event.contact == chat]
        assert queued == [since, since]
        stage.accepts(chat)

    def test_into_a_queue_only_if_somebody_has_room_there(self, stage: WorkStage) -> None:
        stage.ready("ana", "chen")
        chat = stage.asks()
        stage.accepts(chat)
        now = ToQueue("support", wait=False)
        others = [stage.asks(queue="support") for _ in range(3)]
        stage.accepts(*others)
        assert stage.at(chat) == (Stage.HANDLING, "ana")
        assert stage.verb(chat, now) == "nobody is free in support"
        stage.verb(others[0], Close())
        assert stage.verb(chat, now) == {}
        assert stage.at(chat) == (Stage.OFFERED, "chen")

    def test_an_agent_picks_it(self, stage: WorkStage) -> None:
        chat = stage.asks(queue="support")
        assert stage.verb(chat, Pick("ana")) == "ana is offline"
        stage.ready("ana")
        assert stage.verb(chat, Pick("ana")) == {}
        assert (stage.at(chat), stage.work("ana"), stage.line_of("support")) == ((Stage.OFFERED, "ana"), [chat], [])
        stage.accepts(chat)

    def test_no_call_is_put_to_who_has_no_room(self, stage: WorkStage) -> None:
        stage.ready("ana")
        stage.accepts(stage.asks())
        with pytest.raises(NotNow, match="ana takes no call beside 1 chat"):
            stage.joined.distributor.staff.reserve("ana", "c9", 1)

    def test_skills_and_priority(self, stage: WorkStage) -> None:
        stage.daemon.now(stage.daemon.profiles.set_skills("bo", {"billing": 2}, ""))
        stage.ready("ana", "bo")
        chat = stage.asks(skills="billing >= 2")
        assert stage.at(chat) == (Stage.OFFERED, "bo")
        stage.joined.distributor.staff.log_out("ana")
        stage.accepts(chat)
        stage.joined.distributor.staff.log_out("bo")
        plain, urgent = stage.asks(), stage.asks(priority_seconds=60.0)
        assert stage.line_of("sales") == [urgent, chat, plain]

    def test_without_a_link_to_asterisk(self, stage: WorkStage) -> None:
        stage.ready("ana")
        stage.daemon.now(stage.asterisk.crash())
        stage.pass_(2)
        chat = stage.asks()
        stage.accepts(chat)
        assert stage.at(chat) == (Stage.HANDLING, "ana")
        stage.verb(chat, Close())
        stage.daemon.now(stage.asterisk.start())
        stage.pass_(5)


class TestRules:
    def stage(self, database: MemoryDatabase, **rules: Any) -> WorkStage:
        return WorkStage(database, rules=rules)

    def test_a_chat_is_not_let_into_a_closed_queue_and_a_message_is(self, database: MemoryDatabase) -> None:
        never = Hours("never", ZoneInfo("UTC"), {}, {}, {})
        stage = self.stage(database, hours=never, overflow=rules(("closed", "hang_up")), closing=Closing.OVERFLOW)
        chat, message = stage.asks(), stage.asks(MESSAGE)
        stage.pass_(0.1)
        assert stage.ended(chat) == ("closed", "flow")
        assert stage.at(message) == (Stage.WAITING, "")
        stage.close()

    def test_full_and_too_long(self, database: MemoryDatabase) -> None:
        stage = self.stage(database, max_waiting=1, overflow=rules(("full", "hang_up")), max_wait_seconds=600.0)
        first, second, message = stage.asks(), stage.asks(), stage.asks(MESSAGE)
        stage.pass_(0.1)
        assert stage.ended(second) == ("full", "flow")
        stage.pass_(601)
        assert stage.ended(first) == ("overflowed", "flow")
        stage.pass_(90_000)
        assert stage.at(message) == (Stage.WAITING, "")
        stage.close()

    def test_a_rule_to_another_queue_holds_for_all(self, stage: WorkStage) -> None:
        queues: Any = stage.joined.distributor.queues
        waited = OverflowRule(OverflowWhen.WAITED, OverflowTo.QUEUE, "support", 30.0)
        queues["sales"] = evolve(queues["sales"], overflow=(waited,))
        contacts = [stage.asks(channel) for channel in (CHAT, MESSAGE, CALL_ME)]
        begun = stage.reactor.seconds()
        stage.pass_(29)
        assert stage.line_of("sales") == contacts
        stage.pass_(2)
        assert (stage.line_of("sales"), stage.line_of("support")) == ([], contacts)
        assert [item.enqueued for item in stage.joined.distributor.waiting("support")] == [begun] * 3
        assert {one.queue for one in stage.daemon.requests.live.values()} == {"support"}

    def test_what_came_of_it_must_be_said(self, database: MemoryDatabase) -> None:
        stage = self.stage(database, disposition=DispositionRule.REQUIRED, dispositions=("sold", "asked"))
        stage.ready("ana")
        chat = stage.asks()
        stage.accepts(chat)
        assert stage.verb(chat, Close()) == "say what came of it: the dispositions of sales are sold, asked"
        assert stage.verb(chat, Close("sold")) == {}
        record = stage.daemon.record(chat)
        assert record is not None
        assert record.disposition == "sold"
        stage.close()


class TestBeside:
    def test_a_call_may_interrupt_messages(self, database: MemoryDatabase) -> None:
        stage = WorkStage(database, beside={Channel.CALL: frozenset({MESSAGE})})
        stage.ready("ana")
        message = stage.asks(MESSAGE)
        stage.accepts(message)
        carl = stage.calls()
        stage.pass_(2)
        assert (stage.talking(carl, stage.people["ana"]), stage.work("ana")) == (True, [message])
        more = stage.asks(MESSAGE)
        assert stage.work("ana") == [message]  # nothing is offered to who talks
        assert stage.verb(message, Close()) == {}
        assert stage.state("ana") == "talking"
        carl.line.hang_up()
        stage.pass_(6)
        assert stage.work("ana") == [more]
        stage.close()

    def test_an_offer_missed_while_talking_counts_when_the_talk_is_over(self, database: MemoryDatabase) -> None:
        stage = WorkStage(database, beside={Channel.CALL: frozenset({MESSAGE})})
        stage.ready("ana")
        stage.asks(MESSAGE)
        carl = stage.calls()
        stage.pass_(11)
        assert stage.talking(carl, stage.people["ana"])
        assert stage.joined.distributor.staff.agents["ana"].wants == (AgentState.NOT_READY, "missed")
        carl.line.hang_up()
        stage.pass_(6)
        assert stage.state("ana") == "not_ready"
        stage.close()


@pytest.mark.requirement("D2")
class TestCallMe:
    def test_the_agent_is_rung_then_the_customer(self, stage: WorkStage) -> None:
        wanted = stage.asks(CALL_ME)
        stage.pass_(30)
        assert (stage.at(wanted), stage.carol.rings, stage.lines) == ((Stage.WAITING, ""), 0, 0)
        stage.check()
        stage.ready("ana")
        stage.pass_(5)
        assert stage.talking(stage.carol, stage.people["ana"])
        assert (stage.at(wanted), stage.state("ana"), stage.stored()) == ((Stage.TALKING, "ana"), "talking", [])
        stage.check()
        stage.carol.line.hang_up()
        stage.pass_(1)
        assert stage.ended(wanted) == ("answered", "caller")
        record = stage.daemon.record(wanted)
        assert record is not None
        assert (record.channel, record.direction.value, record.dialled, record.agent) == (CALL_ME, "outbound", CAROL, "ana")
        assert round(record.waited) in (30, 31)

    def test_an_agent_who_does_not_answer_costs_the_customer_nothing(self, stage: WorkStage) -> None:
        stage.people["ana"].when_rung = ""
        wanted = stage.asks(CALL_ME)
        later = stage.asks(CALL_ME)
        stage.ready("ana")
        stage.pass_(12)
        assert (stage.state("ana"), stage.line_of("sales"), stage.carol.rings) == ("not_ready", [wanted, later], 0)
        stage.ready("bo")
        stage.pass_(5)
        assert stage.talking(stage.carol, stage.people["bo"])
        assert stage.at(wanted) == (Stage.TALKING, "bo")

    def test_a_customer_who_is_not_reached(self, stage: WorkStage) -> None:
        stage.cause = 17
        wanted = stage.asks(CALL_ME)
        stage.ready("ana")
        stage.pass_(3)
        assert (stage.ended(wanted), stage.state("ana"), stage.lines) == (("busy", "network"), "ready", 0)

    def test_the_list_of_the_moment_counts(self, stage: WorkStage) -> None:
        wanted = stage.asks(CALL_ME)
        stage.daemon.now(stage.daemon.do_not_call.add(CAROL, "asked us", "desk"))
        stage.ready("ana")
        stage.pass_(1)
        assert (stage.ended(wanted), stage.state("ana"), stage.carol.rings) == (("not_dialled", "system"), "ready", 0)
        assert stage.daemon.of("talk.started") == []

    def test_no_line_is_free(self, stage: WorkStage) -> None:
        busy = [stage.daemon.dialling.lines.take("out") for _ in range(2)]
        wanted = stage.asks(CALL_ME)
        stage.ready("ana")
        stage.pass_(5)
        assert (stage.at(wanted), stage.state("ana")) == ((Stage.WAITING, ""), "ready")
        for line in busy:
            assert line is not None
            line.release()
        stage.pass_(35)
        assert stage.at(wanted) == (Stage.TALKING, "ana")

    def test_it_is_withdrawn(self, stage: WorkStage) -> None:
        wanted = stage.asks(CALL_ME)
        stage.gone(wanted)
        assert stage.ended(wanted) == ("abandoned", "caller")
        stage.people["ana"].when_rung = ""
        stage.ready("ana")
        rung = stage.asks(CALL_ME)
        stage.pass_(1)
        assert stage.state("ana") == "ringing"
        stage.gone(rung)
        stage.pass_(1)
        assert (stage.ended(rung)[1], stage.state("ana"), stage.carol.rings) == ("caller", "ready", 0)

    def test_one_agent_at_a_time_where_calls_ring_several(self, stage: WorkStage) -> None:
        distributor = stage.joined.distributor
        sales = distributor.queues["sales"]
        ring_all = evolve(sales.routing, agent_order=AgentOrder.RING_ALL)
        distributor.set_queue(evolve(sales, routing=ring_all))
        stage.ready("ana", "bo")
        stage.asks(CALL_ME)
        stage.pass_(5)
        assert stage.talking(stage.carol, stage.people["ana"])
        assert (stage.state("bo"), hasattr(stage.people["bo"], "line")) == ("ready", False)

    def test_no_chat_beside_a_call(self, stage: WorkStage) -> None:
        stage.asks(CALL_ME)
        stage.ready("ana")
        stage.pass_(5)
        chat = stage.asks()
        stage.pass_(1)
        assert (stage.state("ana"), stage.work("ana"), stage.line_of("sales")) == ("talking", [], [chat])


class TestRestart:
    def test_what_is_not_done_goes_on(self, database: MemoryDatabase) -> None:
        stage = WorkStage(database, rules={"overflow": rules(("nobody_logged_in", "hang_up"))})
        stage.ready("ana")
        begun = stage.reactor.seconds()
        had, offered = stage.asks(), stage.asks(data={"subject": "b"})
        stage.accepts(had)
        stage.verb(had, AttachData({"order": "1"}))
        stage.pass_(5)
        done = stage.asks()
        stage.accepts(done)
        stage.verb(done, Close())
        assert stage.stored() == [had, offered]
        assert sum(stage.daemon.stop().values()) == 0

        again = WorkStage(database)
        assert again.line_of("sales") == [offered]
        assert [item.enqueued for item in again.joined.distributor.waiting("sales")] == [begun]
        assert again.work("ana") == [had, offered]
        again.accepts(offered)
        assert again.joined.contacts.live[had].data == {"order": "1"}
        again.verb(had, Close())
        record = again.daemon.record(had)
        assert record is not None
        assert record.arrived == begun
        assert [part.agent for part in record.segments if part.kind is SegmentKind.TALK] == ["ana"]
        assert again.stored() == [offered]
        again.close()

    def test_what_changes_while_the_store_is_away_is_stored_when_it_is_back(self, stage: WorkStage) -> None:
        chat = stage.asks()
        database = stage.daemon.database
        stage.daemon.now(database.close())
        assert stage.verb(chat, AttachData({"order": "1"})) == {}
        stage.pass_(11)
        stage.daemon.now(database.open())  # empty, as it is in memory
        stage.pass_(6)
        [(data,)] = stage.daemon.now(database.query("SELECT data FROM requests WHERE id = ?", chat))
        assert data == '{"order":"1"}'

    def test_what_was_amended_stays_so(self, database: MemoryDatabase) -> None:
        stage = WorkStage(database)
        first, second = stage.asks(), stage.asks()
        wanted = parse("billing >= 2")
        stage.joined.distributor.amend(second, offset=60.0, requires=wanted, by="desk")
        assert stage.line_of("sales") == [second, first]
        stage.pass_(1)
        assert sum(stage.daemon.stop().values()) == 0
        again = WorkStage(database)
        [one, _] = again.joined.distributor.waiting("sales")
        assert (one.contact, one.offset, one.requires) == (second, 60.0, wanted)
        again.close()

    def test_a_store_that_is_away_promises_nothing(self, stage: WorkStage) -> None:
        stage.ready("ana")
        failed: list[Any] = []
        request = Request("", CHAT, "sales", 0.0, 0.0)
        stage.daemon.now(stage.daemon.database.close())
        Deferred.fromCoroutine(stage.daemon.requests.ask(request)).addErrback(failed.append)
        stage.pass_(1)
        assert [why.type.__name__ for why in failed] == ["StoreUnavailable"]
        assert (stage.daemon.requests.live, stage.work("ana")) == ({}, [])
        stage.daemon.now(stage.daemon.database.open())


class TestAutoAccept:
    def test_it_is_the_agents_as_soon_as_it_is_offered(self, database: MemoryDatabase) -> None:
        stage = WorkStage(database, auto_accept=(CHAT,))
        stage.ready("ana")
        chat, message = stage.asks(CHAT), stage.asks(MESSAGE)
        assert (stage.at(chat), stage.at(message)) == ((Stage.HANDLING, "ana"), (Stage.OFFERED, "ana"))
        stage.close()


class TestLeftByCallers:
    """A voice mail and a fax become work of the queue of their box."""

    def test_a_voice_mail_is_offered_to_an_agent(self, database: MemoryDatabase) -> None:
        mail = Mail()
        boxes = {"mailboxes": {"sales": "", "quiet": ""}, "voicemail_queues": {"sales": "support"}}
        stage = WorkStage(database, messages=mail, **boxes)
        for box in ("quiet", "sales"):
            flow = Flow(STRAIGHT.name, "box", {"box": VoicemailNode(box)})
            stage.joined.contacts._script.flows[STRAIGHT.name] = flow  # type: ignore[index]
            caller = stage.calls()
            stage.pass_(5)
            caller.line.hang_up()
            stage.pass_(1)
        [contact] = stage.line_of("support")
        assert stage.stored() == [contact]
        stage.ready("chen")
        stage.pass_(0.1)
        [pop] = stage.daemon.of("screen.pop")
        assert (pop.channel, pop.agent, pop.caller) == (Channel.VOICEMAIL, "chen", "+4930123456")
        assert pop.data == {"voicemail": "c1", "box": "sales", "contact": "c1"}
        assert stage.daemon.requests.live[contact].about == "c1"
        stage.accepts(contact)
        carl = stage.calls()
        stage.pass_(2)
        assert (stage.state("chen"), len(stage.line_of("sales"))) == ("ready", 0)
        carl.line.hang_up()
        assert stage.verb(contact, Close()) == {}
        record = stage.daemon.record(contact)
        assert record is not None
        assert (record.channel, record.outcome) == (Channel.VOICEMAIL, "answered")
        stage.close()

    def test_a_fax_is_offered_to_an_agent(self, database: MemoryDatabase) -> None:
        stage = WorkStage(database, fax_queues={"hotline": "support"}, fax={"detect": {NUMBER: "hotline"}})
        flow = Flow(STRAIGHT.name, "say", {"say": SayNode((parse_prompt("sound:welcome"),) * 5, "end"), "end": HangUpNode()})
        stage.joined.contacts._script.flows[STRAIGHT.name] = flow  # type: ignore[index]
        caller = stage.calls()
        caller.line.start_fax(Machine(stage.papers.page, sends=True))
        stage.pass_(4)
        [contact] = stage.line_of("support")
        assert stage.daemon.requests.live[contact].about == stage.daemon.of("fax.received")[0].fax
        stage.ready("chen")
        stage.accepts(contact)
        assert stage.verb(contact, Close()) == {}
        stage.close()


KINDS = (CHAT, MESSAGE, CALL_ME, Channel.VOICEMAIL, Channel.FAX)
AGENTS = ("ana", "bo", "chen")
LIMITS = {CHAT: 3, MESSAGE: 2}
BESIDE = {Channel.CALL: frozenset({MESSAGE, Channel.FAX})}


class Random(WorkStage):
    """Anything happens to anybody, and after each step everything is in order."""

    SITE: ClassVar[Mapping[str, Any]] = {**OutsideStage.SITE, "takes": LIMITS, "beside": BESIDE}

    def do(self, act: int, who: int) -> None:
        agent, staff = AGENTS[who % 3], self.joined.distributor.staff
        works = [contact for one in AGENTS for contact in self.work(one)]
        contact = works[who % len(works)] if works else ""
        match act:
            case 0 | 1 | 2:
                self.asks(KINDS[who % 5], ("sales", "support")[who % 2], since=self.reactor.seconds() - who)
            case 3:
                self.calls()
            case 4:
                with suppress(NotNow):
                    staff.log_in(agent)
                    staff.set_state(agent, AgentState.READY)
            case 5:
                with suppress(NotNow):
                    staff.log_out(agent)
            case 6 if staff.agents[agent].state is not AgentState.OFFLINE:
                staff.desktop_lost(agent)
                self.looks()
                self.pass_(0.2)
                self.looks()
                staff.desktop_came(agent)
            case 7 | 8 if contact:
                self.verb(contact, Answer())
            case 9 if contact:
                self.verb(contact, Leave())
            case 10 if contact:
                self.verb(contact, Close())
            case 11 if contact:
                self.verb(contact, ToAgent(agent) if who % 2 else ToQueue(("sales", "support")[who % 2]))
            case 12:
                for one in list(self.daemon.requests.live)[who % 4 :][:1]:
                    self.gone(one)
            case 13 if self.customers:
                self.customers[who % len(self.customers)].line.hang_up()
            case 14:
                with suppress(NotNow):
                    staff.set_state(agent, AgentState.NOT_READY, "break")
            case _:
                self.pass_(float(who))

    def looks(self) -> None:
        """No agent has more than the capacity; each piece of work is in one place, and none is lost."""
        places: dict[str, list[str]] = {}
        distributor = self.joined.distributor
        for agent in distributor.staff.agents.values():
            kinds = sorted(agent.work.values())
            if agent.state in HANDLING:
                assert set(kinds) <= BESIDE[Channel.CALL], f"{agent.id} is on the phone beside {kinds}"
            elif not set(kinds) <= {CHAT, MESSAGE}:
                assert len(kinds) == 1, f"{agent.id} has {kinds}"
            assert all(kinds.count(kind) <= LIMITS.get(kind, 1) for kind in kinds), f"{agent.id} has {kinds}"
            assert agent.state is not AgentState.OFFLINE or not kinds
            for contact in agent.work:
                places.setdefault(contact, []).append(agent.id)
            if agent.id in distributor.room.seats and not distributor._changed:
                held = {*agent.work, *([agent.contact] if agent.state in HANDLING else [])}
                assert set(distributor.room.held_by(agent.id)) == held
        waiting = {item.contact for queue in distributor.queues for item in distributor.waiting(queue)}
        for contact, request in self.daemon.requests.live.items():
            live = self.joined.contacts.live[contact]
            agents = places.pop(contact, [])
            assert len(agents) <= 1
            if request.channel is not CALL_ME:
                assert bool(agents) == (live.agent != ""), f"{contact}: {live.stage} {live.agent}, {agents}"
                assert live.stage in (Stage.OFFERED, Stage.HANDLING) if agents else live.stage is Stage.WAITING
                assert contact in waiting or agents
                assert live.stage is not Stage.HANDLING or contact not in waiting
        assert places == {}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 12)), min_size=15, max_size=60))
def test_capacity_is_never_exceeded_and_nothing_is_lost(acts: list[tuple[int, int]]) -> None:
    with opened() as database:
        stage = Random(database)
        for person in stage.people.values():
            person.when_rung = "" if len(acts) % 3 == 0 else person.when_rung
        stage.ready("ana", "bo")
        for kind in (CHAT, CHAT, MESSAGE):
            stage.asks(kind)
        for act, who in acts:
            stage.do(act, who)
            stage.looks()
        seen = []
        for _ in range(2):  # messages are on their way at any moment
            stage.pass_(0.5)
            callers = frozenset(one.line.id for one in stage.customers if not one.line.over)
            seen.append(violations(Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)))
        assert lasting(*seen) == []
        asked = {event.contact for event in stage.daemon.of("contact.arrived")}
        ended = {event.contact for event in stage.daemon.of("contact.ended")}
        assert asked - ended == set(stage.joined.contacts.live)
        stage.close()
