"""The waiting room: every decision is the oracle's, and the reasons are told."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from easycall.acd.courses import SPARE
from easycall.acd.item import Item
from easycall.acd.seating import Seat
from easycall.acd.waiting_room import WaitingRoom
from easycall.acd.why import why_agent, why_contact
from easycall.policy import AgentOrder, Capacity, Channel, Profile, QueuePolicy, Ring, WorkItem
from easycall.skills import ANYBODY, parse
from tests.acd_oracle import Oracle
from tests.acd_streams import Stream

CHATS = Capacity({Channel.CALL: 1, Channel.CHAT: 2})


def room(*queues: QueuePolicy, agents: tuple[Profile, ...] = (), now: float = 0.0) -> WaitingRoom:
    """A waiting room with agents who are ready."""
    found = WaitingRoom()
    for policy in queues:
        found.set_queue(policy, now)
    for profile in agents:
        found.seat(profile, now)
        found.ready(profile.id, now)
    return found


def agent(name: str, *queues: str, **more: Any) -> Profile:
    return Profile(name, frozenset(queues or ("sales",)), **more)


def call(contact: str, enqueued: float = 0.0, queue: str = "sales", **more: Any) -> WorkItem:
    return WorkItem(contact, queue, enqueued, "main", **more)


@pytest.mark.seconds(300)
@pytest.mark.requirement("D1")
@pytest.mark.parametrize("seed", range(10))
def test_every_decision_of_random_streams_is_the_oracles(seed: int) -> None:
    decisions = rung_at_once = reassigned = 0
    for number in range(105):
        stream = Stream(seed * 1000 + number)
        stream.run(150)
        decisions += stream.decisions
        rung_at_once += stream.rung_at_once
        reassigned += stream.reassigned
    assert decisions > 1_000
    assert rung_at_once > 100
    assert reassigned > 30


class TestRules:
    @pytest.mark.parametrize(
        ("order", "chosen"),
        [
            (AgentOrder.LONGEST_IDLE, "ana"),
            (AgentOrder.HIGHEST_LEVEL, "bo"),
            (AgentOrder.FIXED, "cy"),
            (AgentOrder.LEAST_OCCUPIED, "cy"),
        ],
    )
    def test_agent_orders(self, order: AgentOrder, chosen: str) -> None:
        desk = room(QueuePolicy("sales", prefers=parse("billing"), agent_order=order, fixed_order=("cy", "ana")))
        for number, (name, level, worked) in enumerate((("ana", 1, 5.0), ("bo", 4, 8.0), ("cy", 2, 0.0))):
            desk.seat(agent(name, skills={"billing": level}), 0.0)
            desk.hold(name, f"own-{name}", Channel.CALL, 0.0)
            desk.finished(name, f"own-{name}", worked)
            desk.ready(name, 20.0 + number)
        assert desk.enter(call("c1", 30.0), 30.0) == [("c1", chosen)]

    def test_round_robin(self) -> None:
        desk = room(
            QueuePolicy("sales", agent_order=AgentOrder.ROUND_ROBIN),
            agents=(agent("ana"), agent("bo")),
        )
        got = []
        for number in range(4):
            [(contact, name)] = desk.enter(call(f"c{number}", number + 1.0), number + 1.0)
            got.append(name)
            desk.leave(contact)
            desk.finished(name, contact, number + 1.5)
        assert got == ["ana", "bo", "ana", "bo"]

    def test_a_ring_is_honoured_at_its_time(self) -> None:
        policy = QueuePolicy(
            "sales", parse("billing >= 3 and vip"), rings=(Ring(10, ("vip",)), Ring(20, (), {"billing": 1}))
        )
        desk = room(policy, agents=(agent("ana", skills={"billing": 2}),))
        assert desk.enter(call("c1", 5.0), 5.0) == []
        assert desk.next_due() == 15.0
        assert desk.due(24.9) == []
        assert desk.next_due() == 25.0
        assert desk.due(25.0) == [("c1", "ana")]

    def test_a_ring_that_changes_nothing_for_an_item_is_not_waited_for(self) -> None:
        policy = QueuePolicy("sales", parse("billing >= 3"), rings=(Ring(10, ("vip",)), Ring(20, (), {"billing": 1})))
        desk = room(policy, agents=(agent("ana", skills={"billing": 2}),))
        assert desk.enter(call("c1", 5.0), 5.0) == []
        assert desk.next_due() == 25.0
        assert [why_contact(desk, "c1", now).ring for now in (14.9, 15.0)] == [0, 1]
        assert desk.due(25.0) == [("c1", "ana")]
        assert [decision.ring for decision in desk.decisions] == [2]

    def test_a_ring_adds_the_agents_of_a_group(self) -> None:
        desk = room(QueuePolicy("sales", rings=(Ring(10, groups=("support",)),)), agents=(agent("ana", "support"),))
        assert desk.enter(call("c1"), 0.0) == []
        assert desk.due(10.0) == [("c1", "ana")]

    def test_the_owner_first_then_anyone(self) -> None:
        desk = room(QueuePolicy("sales"), agents=(agent("ana"), agent("bo")))
        desk.away("bo", "lunch")
        assert desk.enter(call("c1", owner="bo", owner_until=30.0), 0.0) == []
        assert desk.due(30.0) == [("c1", "ana")]

    def test_an_owner_who_logs_out_leaves_it_to_anyone(self) -> None:
        desk = room(QueuePolicy("sales"), agents=(agent("ana"), agent("bo")))
        desk.away("bo", "lunch")
        desk.enter(call("c1", owner="bo", owner_until=30.0), 0.0)
        assert desk.gone("bo", 1.0) == [("c1", "ana")]

    def test_who_refused_is_passed_over_until_the_time(self) -> None:
        desk = room(QueuePolicy("sales"), agents=(agent("ana"),))
        assert desk.enter(call("c1"), 0.0) == [("c1", "ana")]
        assert desk.refused("c1", "ana", 30.0, 1.0) == []
        assert desk.enter(call("c2", 2.0), 2.0) == [("c2", "ana")]
        desk.leave("c2")
        assert desk.finished("ana", "c2", 10.0) == []
        assert desk.due(29.9) == []
        assert desk.due(30.0) == [("c1", "ana")]

    def test_chats_beside_each_other_and_calls_alone(self) -> None:
        desk = room(QueuePolicy("sales"), agents=(agent("ana", capacity=CHATS), agent("bo", capacity=CHATS)))
        got = [desk.enter(call(f"t{n}", float(n), channel=Channel.CHAT), float(n)) for n in range(1, 6)]
        assert got == [[("t1", "ana")], [("t2", "bo")], [("t3", "ana")], [("t4", "bo")], []]
        assert desk.enter(call("c1", 6.0), 6.0) == []
        desk.leave("t1")
        assert desk.finished("ana", "t1", 7.0) == [("t5", "ana")]

    def test_a_cap_on_conversations(self) -> None:
        desk = room(QueuePolicy("sales", cap=1), agents=(agent("ana"), agent("bo")))
        assert desk.enter(call("c1"), 0.0) == [("c1", "ana")]
        assert desk.enter(call("c2", 1.0), 1.0) == []
        desk.leave("c1")
        assert desk.finished("ana", "c1", 9.0) == [("c2", "bo")]

    def test_suspended_and_resumed(self) -> None:
        desk = room(QueuePolicy("sales"), agents=(agent("ana"), agent("bo")))
        desk.suspend("pbx", "main", "link is down")
        assert [desk.enter(call(f"c{n}", float(n)), float(n)) for n in (2, 1, 3)] == [[], [], []]
        assert desk.resume("pbx", "main", 5.0) == [("c1", "ana"), ("c2", "bo")]

    def test_faults_are_told(self) -> None:
        desk = room(QueuePolicy("sales"), agents=(agent("ana"),))
        desk.enter(call("c1"), 0.0)
        with pytest.raises(ValueError, match="c1 is waiting already"):
            desk.enter(call("c1"), 0.0)
        with pytest.raises(ValueError, match="c1 is offered to ana: it must leave, or be refused"):
            desk.finished("ana", "c1", 1.0)
        with pytest.raises(ValueError, match="ana has contacts: c1"):
            desk.gone("ana", 1.0)
        desk.seat(agent("bo"), 1.0)
        with pytest.raises(KeyError, match="not offered to bo"):
            desk.refused("c1", "bo", 2.0, 1.0)
        with pytest.raises(ValueError, match="each must come later"):
            QueuePolicy("sales", rings=(Ring(5), Ring(5)))
        with pytest.raises(ValueError, match="rate 0: must be more than 0"):
            QueuePolicy("sales", rate=0)


class TestReassign:
    """The second choice, while an item is reserved and its agent not rung yet."""

    def desk(self, *names: str, policy: QueuePolicy | None = None) -> WaitingRoom:
        desk = room(policy or QueuePolicy("sales"))
        for number, name in enumerate(names, 1):
            desk.seat(agent(name, capacity=CHATS), 0.0)
            desk.ready(name, float(number))
        return desk

    def test_the_first_is_idle_as_long_as_before(self) -> None:
        desk = self.desk("ana", "bo", "cy")
        assert desk.enter(call("c1", 5.0), 5.0) == [("c1", "ana")]
        assert desk.alternatives("c1", 20) == ["bo", "cy"]
        assert desk.alternatives("c1", 1) == ["bo"]
        assert desk.reassign("c1", "cy", 5.3) == [("c1", "cy")]
        assert desk.agent_of("c1") == "cy"
        assert (desk.held_by("ana"), desk.seats["ana"].idle_since) == ((), 1.0)
        assert desk.enter(call("c2", 6.0), 6.0) == [("c2", "ana")]

    def test_who_waits_gets_the_first_at_once(self) -> None:
        desk = self.desk("ana", "bo")
        desk.set_queue(QueuePolicy("tech", requires=parse("tech")), 0.0)
        desk.seat(agent("ana", "sales", "tech", skills={"tech": 1}), 0.0)
        assert desk.enter(call("c1", 5.0), 5.0) == [("c1", "ana")]
        assert desk.enter(call("t1", 5.1, "tech"), 5.1) == []
        assert desk.reassign("c1", "bo", 5.3) == [("c1", "bo"), ("t1", "ana")]

    @pytest.mark.parametrize("why", ["away", "gone", "unknown", "the same", "busy", "refused", "skill", "owner"])
    def test_an_agent_who_may_not_have_it_changes_nothing(self, why: str) -> None:
        desk = self.desk("ana", "bo")
        owner = {"owner": "ana", "owner_until": 99.0} if why == "owner" else {}
        refused = {"refused": {"bo": 99.0}} if why == "refused" else {}
        assert desk.enter(call("c1", 5.0, **owner, **refused), 5.0) == [("c1", "ana")]
        other = {"the same": "ana", "unknown": "zed"}.get(why, "bo")
        match why:
            case "away":
                desk.away("bo", "lunch")
            case "gone":
                desk.gone("bo", 5.1)
            case "busy":
                assert desk.enter(call("c2", 5.1), 5.1) == [("c2", "bo")]
            case "skill":
                desk.amend("c1", 5.1, requires=parse("vip"))
        assert other not in desk.alternatives("c1", 20)
        assert desk.reassign("c1", other, 5.3) == []
        assert desk.agent_of("c1") == "ana"

    def test_what_is_not_reserved_has_no_second_choice(self) -> None:
        desk = self.desk()
        desk.enter(call("c1", 5.0), 5.0)
        assert desk.alternatives("c1", 20) == []
        with pytest.raises(KeyError, match="c1 is not reserved"):
            desk.reassign("c1", "ana", 5.3)
        with pytest.raises(KeyError):
            desk.reassign("c9", "ana", 5.3)

    def test_a_full_queue_stays_full_and_a_suspended_one_keeps_what_it_has(self) -> None:
        desk = self.desk("ana", "bo", policy=QueuePolicy("sales", cap=1))
        assert desk.enter(call("c1", 5.0), 5.0) == [("c1", "ana")]
        assert desk.enter(call("c2", 5.1), 5.1) == []
        desk.suspend("pbx", "main", "link is down")
        assert desk.reassign("c1", "bo", 5.3) == [("c1", "bo")]
        assert desk.lines["sales"].held == 1

    def test_going_round_forgets_what_was_not_offered(self) -> None:
        desk = self.desk("ana", "bo", policy=QueuePolicy("sales", agent_order=AgentOrder.ROUND_ROBIN))
        assert desk.enter(call("c1", 5.0), 5.0) == [("c1", "ana")]
        assert desk.reassign("c1", "bo", 5.3) == [("c1", "bo")]
        desk.leave("c1")
        desk.finished("bo", "c1", 6.0)
        assert desk.enter(call("c2", 7.0), 7.0) == [("c2", "ana")]

    def test_chats_given_meanwhile_count(self) -> None:
        desk = self.desk("ana", "bo")
        desk.away("bo", "lunch")
        assert desk.enter(call("t1", 5.0, channel=Channel.CHAT), 5.0) == [("t1", "ana")]
        assert desk.enter(call("t2", 5.2, channel=Channel.CHAT), 5.2) == [("t2", "ana")]
        desk.ready("bo", 5.25)
        assert desk.reassign("t2", "bo", 5.3) == [("t2", "bo")]
        assert (desk.held_by("ana"), desk.seats["ana"].idle_since) == (("t1",), 5.0)
        assert desk.reassign("t1", "bo", 5.4) == [("t1", "bo")]
        assert (desk.held_by("ana"), desk.seats["ana"].idle_since) == ((), 1.0)

    def test_the_decision_is_remembered_with_what_was_said_of_it(self) -> None:
        desk = self.desk("ana", "bo")
        desk.enter(call("c1", 5.0), 5.0)
        desk.note("c1", "strategy crm: timed out, own choice")
        desk.enter(call("c2", 6.0), 6.0)
        desk.reassign("c2", "bo", 6.1)
        assert [(one.contact, one.agent, one.note) for one in desk.decisions] == [
            ("c1", "ana", "strategy crm: timed out, own choice"),
            ("c2", "bo", ""),
        ]


class TestWhy:
    def desk(self) -> WaitingRoom:
        desk = room(QueuePolicy("sales", parse("billing >= 3")), QueuePolicy("support"))
        for name, level in (("ana", 4), ("bo", 2), ("cy", 3), ("dee", 5)):
            desk.seat(agent(name, "sales", "support", skills={"billing": level}), 0.0)
        desk.away("ana", "wrap-up", until=10 * 3600 + 31 * 60 + 20)
        desk.ready("bo", 1.0)
        desk.ready("cy", 2.0)
        assert desk.enter(call("c1", 3.0), 3.0) == [("c1", "cy")]
        desk.hold("dee", "x9", Channel.CALL, 4.0)
        desk.ready("dee", 4.0)
        desk.refused("c1", "cy", 10 * 3600 + 32 * 60, 5.0)
        return desk

    def test_why_a_contact_waits(self) -> None:
        told = why_contact(self.desk(), "c1", 10.0)
        assert (told.position, told.score, told.reserved, told.requires) == (1, 7.0, "", "billing >= 3")
        assert {one.id: tuple(map(str, one.why)) for one in told.agents} == {
            "ana": ("wrap-up until 10:31:20",),
            "bo": ("skill billing 2 < 3",),
            "cy": ("did not take this one, not offered again until 10:32:00",),
            "dee": ("has call x9: no room for another call",),
        }

    def test_why_an_agent_is_idle(self) -> None:
        desk = self.desk()
        desk.suspend("queue", "support", "closed")
        desk.enter(call("c2", 1.0, "support"), 6.0)
        told = why_agent(desk, "bo", 10.0)
        assert told.idle
        assert told.more == 0
        assert [(one.id, one.score, tuple(map(str, one.why))) for one in told.items] == [
            ("c2", 9.0, ("queue support: closed",)),
            ("c1", 7.0, ("skill billing 2 < 3",)),
        ]

    def test_a_decision_is_remembered_with_its_runners_up(self) -> None:
        desk = room(QueuePolicy("sales"), QueuePolicy("support"))
        desk.seat(agent("ana", "sales", "support"), 0.0)
        desk.enter(call("c1", 1.0), 1.0)
        desk.enter(call("c2", 2.0, "support"), 2.0)
        desk.ready("ana", 5.0)
        [decision] = desk.decisions.of(contact="c1")
        assert (decision.agent, decision.score, decision.idle, decision.heads) == ("ana", 4.0, 1, 2)
        assert [(one.id, one.score) for one in decision.runners] == [("c2", 3.0)]
        assert desk.decisions.of(agent="bo") == []

    def test_of_many_only_the_first_are_told_and_the_others_counted(self) -> None:
        desk = self.desk()
        desk.enter(call("c2", 4.0), 6.0)
        told = why_contact(desk, "c1", 10.0, limit=3)
        assert ([one.id for one in told.agents], told.more) == (["ana", "bo", "cy"], 1)
        assert desk.decisions.of(agent="cy", limit=1) == desk.decisions.of(agent="cy")[-1:]
        about = why_agent(desk, "bo", 10.0, limit=1)
        assert ([one.id for one in about.items], about.more) == (["c1"], 1)

    def test_who_is_eligible_comes_behind_the_one_it_is_reserved_for(self) -> None:
        desk = self.desk()
        desk.seat(agent("eve", "sales", skills={"billing": 3}), 6.0)
        desk.ready("eve", 6.0)
        desk.seat(agent("fay", "sales", skills={"billing": 3}), 6.0)
        desk.ready("fay", 6.0)
        told = {one.id: (one.eligible, tuple(map(str, one.why))) for one in why_contact(desk, "c1", 10.0).agents}
        assert (told["eve"], told["fay"]) == ((True, ("reserved for eve",)), (True, ("reserved for eve",)))
        assert told["bo"] == (False, ("skill billing 2 < 3", "reserved for eve"))

    def test_agents_who_were_not_chosen(self) -> None:
        desk = room(QueuePolicy("sales"))
        for number, name in enumerate(("ana", "bo")):
            desk.seat(agent(name, skills={"extra": number + 1}), 0.0)
            desk.ready(name, number + 1.0)
        desk.enter(call("c1", 5.0), 5.0)
        [decision] = desk.decisions
        assert (decision.agent, decision.idle, decision.at_least) == ("ana", 2, False)
        assert [(one.id, one.order) for one in decision.runners] == [("bo", (2.0,))]


class TestBounds:
    def test_classes_die(self) -> None:
        desk = room(QueuePolicy("sales"))
        for number in range(SPARE + 500):
            desk.seat(agent("ana", skills={f"s{number}": 1}), 0.0)
            desk.enter(call("c1", requires=parse(f"s{number} >= 2")), 0.0)
            desk.leave("c1")
        assert len(desk.table.columns) == 1
        assert len(desk.table.rows) <= SPARE

    def test_what_has_left_is_freed_without_the_garbage_collector(self) -> None:
        """Nothing is in a cycle."""
        gc.collect()
        gc.disable()
        items, seats = alive()  # what other tests left
        try:
            desk = room(QueuePolicy("sales", rings=(Ring(5),)), agents=tuple(agent(f"a{n}") for n in range(20)))
            for number in range(200):
                desk.enter(call(f"c{number}", float(number), owner="a3", owner_until=999.0), float(number))
            assert alive() == (items + 200, seats + 20)
            for contact in list(desk.items):
                name = desk.items[contact].agent
                if name is not None:
                    desk.refused(contact, name, 900.0, 300.0)
                desk.leave(contact)
            for name in list(desk.seats):
                desk.gone(name, 300.0)
            assert alive() == (items, seats)
        finally:
            gc.enable()


def test_an_agent_is_told_of_other_queues_whose_rings_ask_this_one_too() -> None:
    asks = QueuePolicy("loans", rings=(Ring(10.0, groups=("cards",)),))
    desk = room(QueuePolicy("cards"), asks, agents=(agent("ana", "cards"),))
    desk.away("ana", "lunch")
    desk.enter(call("c1", 0.0, "loans"), 0.0)
    desk.enter(call("c2", 5.0, "cards"), 5.0)
    assert [one.id for one in why_agent(desk, "ana", 5.0).items] == ["c2"]
    desk.due(10.0)
    why = why_agent(desk, "ana", 10.0)
    assert ([one.id for one in why.items], why.more) == (["c1", "c2"], 0)
    assert why_agent(desk, "ana", 10.0, limit=1).more == 1


def alive() -> tuple[int, int]:
    """How many items and seats there are in this process."""
    found = gc.get_objects()
    return sum(type(one) is Item for one in found), sum(type(one) is Seat for one in found)


NAMES = st.sampled_from(["ana", "bo", "cy", "dee"])
QUEUES = st.sampled_from(["sales", "support"])
NEEDS = st.sampled_from([ANYBODY, parse("billing"), parse("billing >= 2"), parse("vip and billing")])


class Desk(RuleBasedStateMachine):
    """Whatever happens: nobody twice, no more than there is room for, nobody overtaken, no pair left."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.count = 0
        rings = (Ring(5, ("vip",)), Ring(10, (), {"billing": 1}))
        self.queues = (QueuePolicy("sales", rings=rings), QueuePolicy("support", cap=2, agent_order=AgentOrder.ROUND_ROBIN))
        self.room = room(*self.queues, now=self.now)
        self.oracle = Oracle()
        self.oracle.queues = {policy.id: policy for policy in self.queues}

    def got(self, pairs: list[tuple[str, str]], happened: Any) -> None:
        expected = self.oracle.settle(self.now)
        happened()
        assert pairs == expected + self.oracle.settle(self.now)

    @rule(name=NAMES, queues=st.frozensets(QUEUES, min_size=1), billing=st.integers(0, 3), vip=st.booleans())
    def sits(self, name: str, queues: frozenset[str], billing: int, vip: bool) -> None:
        profile = Profile(name, queues, {"billing": billing} | ({"vip": 1} if vip else {}), CHATS)
        self.got(self.room.seat(profile, self.now), lambda: self.oracle.seat(profile, self.now))

    @rule(name=NAMES)
    def is_ready(self, name: str) -> None:
        if name in self.oracle.agents:
            self.got(self.room.ready(name, self.now), lambda: self.oracle.ready(name, self.now))

    @rule(name=NAMES)
    def is_away(self, name: str) -> None:
        if name in self.oracle.agents:
            self.room.away(name, "lunch")
            self.oracle.away(name)

    @rule(queue=QUEUES, chat=st.booleans(), requires=NEEDS, offset=st.sampled_from([0.0, 0.0, 30.0]))
    def comes(self, queue: str, chat: bool, requires: Any, offset: float) -> None:
        self.count += 1
        channel = Channel.CHAT if chat else Channel.CALL
        ticket = WorkItem(f"c{self.count:03}", queue, self.now, "main", channel, requires, offset)
        self.got(self.room.enter(ticket, self.now), lambda: self.oracle.enter(ticket, self.now))

    @precondition(lambda self: self.oracle.items)
    @rule(data=st.data())
    def leaves(self, data: Any) -> None:
        contact = data.draw(st.sampled_from(sorted(self.oracle.items)))
        self.room.leave(contact)
        self.oracle.leave(contact)

    @rule(data=st.data(), seconds=st.sampled_from([0.0, 3.0]))
    def is_refused(self, data: Any, seconds: float) -> None:
        offered = sorted((contact, item.agent) for contact, item in self.oracle.items.items() if item.agent is not None)
        if offered:
            contact, name = data.draw(st.sampled_from(offered))
            told = self.room.refused(contact, name, self.now + seconds, self.now)
            self.got(told, lambda: self.oracle.refused(contact, name, self.now + seconds, self.now))

    @rule(data=st.data())
    def is_reassigned(self, data: Any) -> None:
        offered = sorted(contact for contact, item in self.oracle.items.items() if item.agent is not None)
        if offered:
            contact, name = data.draw(st.sampled_from(offered)), data.draw(NAMES)
            self.got(self.room.due(self.now), lambda: None)
            assert self.room.alternatives(contact, 20) == self.oracle.alternatives(contact, self.now)
            told = self.room.reassign(contact, name, self.now)
            assert told == self.oracle.reassign(contact, name, self.now) + self.oracle.settle(self.now)

    @rule(data=st.data())
    def finishes(self, data: Any) -> None:
        held = [(name, contact) for name, person in self.oracle.agents.items() for contact in person.holds]
        held = [(name, contact) for name, contact in held if contact not in self.oracle.items]
        if held:
            name, contact = data.draw(st.sampled_from(held))
            told = self.room.finished(name, contact, self.now)
            self.got(told, lambda: self.oracle.finished(name, contact, self.now))

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = self.room.next_due()
        self.got(self.room.due(self.now), lambda: None)
        after = self.room.next_due()
        assert after is None or (after > self.now and (due is None or after >= due))

    @invariant()
    def nobody_has_more_than_there_is_room_for(self) -> None:
        for seat in self.room.seats.values():
            kinds = [hold[1] for hold in (seat.holds or {}).values()]
            assert kinds in ([], [Channel.CALL], [Channel.CHAT], [Channel.CHAT] * 2)
        held = [contact for seat in self.room.seats.values() for contact in seat.holds or ()]
        assert len(held) == len(set(held))

    @invariant()
    def no_pair_is_left(self) -> None:
        for contact, item in self.oracle.items.items():
            if item.agent is None and self.room.next_due() != self.now:
                assert not [name for name in self.oracle.agents if self.oracle.eligible(item, name, self.now)], contact


Desk.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestDesk = Desk.TestCase
