"""Several agents are rung at once and one has the caller (F59), in virtual time on the simulated Asterisk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from random import Random
from typing import Any

import pytest
from attrs import evolve

from easycall.acd.staff import REFUSED_SECONDS
from easycall.events import Offered, OfferEnded, ScreenPopRevoked
from easycall.lab.evidence import Evidence, held
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import lasting, violations
from easycall.model import AgentState, AutoAnswer, OfferOutcome
from easycall.policy import AgentOrder, QueuePolicy
from easycall.simulator.faults import Chaos
from easycall.store.memory import MemoryDatabase
from easycall.verbs import Answer

from .test_talk import Person, Stage
from .virtual import opened

PHONES = dict.fromkeys(("2001", "2002", "2003"), "Not in use")
AGENTS = ("ana", "bo", "chen")
FREE_SECONDS = 0.5
"""Who did not win is free again within so many seconds."""


def set_up(database: MemoryDatabase, *, most: int = 5, **daemon: Any) -> Stage:
    """Ana, Bo and Chen are rung at once for ``sales``, and are ready; nobody answers unless told."""
    stage = Stage(database, rules={"wrap_up_seconds": 0.5}, **daemon)
    distributor = stage.joined.distributor
    policy = QueuePolicy("sales", agent_order=AgentOrder.RING_ALL, most_rung=most)
    queues: Any = distributor.queues
    queues["sales"] = evolve(queues["sales"], routing=policy)
    distributor.room.set_queue(policy, stage.reactor.seconds())
    for person in stage.people.values():
        person.when_rung = ""
    stage.ready(*AGENTS)
    return stage


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


@pytest.fixture
def stage(database: MemoryDatabase) -> Iterator[Stage]:
    stage = set_up(database)
    yield stage
    stage.close()


def rung(stage: Stage) -> list[str]:
    """Whose phones ring."""
    return [name for name in AGENTS if stage.state(name) == "ringing"]


def outcomes(stage: Stage) -> dict[str, str]:
    """Agent -> how the latest offer ended."""
    return {event.agent: event.outcome.value for event in stage.told if isinstance(event, OfferEnded)}


class TestOneWins:
    def test_all_phones_ring_and_the_first_to_answer_has_the_caller(self, stage: Stage) -> None:
        carl = stage.calls()
        stage.pass_()
        assert rung(stage) == [*AGENTS]
        assert stage.contact.rung == ("bo", "chen")
        assert [(one.agent, one.at_once, one.attempt) for one in stage.told if isinstance(one, Offered)] == [
            ("ana", 3, 1),
            ("bo", 3, 2),
            ("chen", 3, 3),
        ]
        stage.check()
        bo = stage.people["bo"]
        bo.line.answer()
        stage.pass_(FREE_SECONDS)
        assert stage.talking(carl, bo)
        assert [stage.state(name) for name in AGENTS] == ["ready", "talking", "ready"]
        assert [stage.people[name].line.over for name in AGENTS] == [True, False, True]
        assert [stage.people[name].line.cause for name in ("ana", "chen")] == [26, 26]  # no missed call on these phones
        revoked = [event for event in stage.told if isinstance(event, ScreenPopRevoked)]
        assert {(one.agent, one.outcome.value, one.by) for one in revoked} == {
            ("ana", "answered_elsewhere", "bo"),
            ("chen", "answered_elsewhere", "bo"),
        }
        assert not any(agent.missed for agent in stage.joined.distributor.staff.agents.values())
        assert (stage.contact.agent, stage.contact.rung) == ("bo", ())
        stage.check()
        carl.line.hang_up()
        stage.pass_(1)
        record = stage.record()
        assert (record.outcome, record.agent) == ("answered", "bo")
        parts = [(part.kind.value, part.agent, part.outcome and part.outcome.value) for part in record.segments]
        assert [part for part in parts if part[0] in ("offer", "talk")] == [
            ("offer", "ana", "answered_elsewhere"),
            ("offer", "bo", "answered"),
            ("talk", "bo", None),
        ]

    def test_who_declines_leaves_the_others_ringing(self, stage: Stage) -> None:
        carl = stage.calls()
        stage.pass_()
        stage.people["ana"].line.decline()
        stage.pass_()
        assert rung(stage) == ["bo", "chen"]
        assert stage.state("ana") == "ready"
        assert (stage.contact.agent, stage.contact.rung) == ("bo", ("chen",))
        stage.check()
        stage.people["chen"].line.answer()
        stage.pass_(FREE_SECONDS)
        assert stage.talking(carl, stage.people["chen"])
        assert outcomes(stage) == {"ana": "declined", "bo": "answered_elsewhere", "chen": "answered"}

    def test_the_last_one_out_gives_the_place_back(self, stage: Stage) -> None:
        stage.calls()
        second = stage.calls()
        stage.pass_()
        assert stage.line_of("sales") == ["c0", "c1"]
        for name in AGENTS:
            stage.people[name].when_rung = "answer"
            stage.people[name].line.decline()
        stage.pass_(2.5)
        # All three refused the first one, and are rung for the second; it keeps its place.
        assert stage.line_of("sales") == ["c0"]
        assert any(stage.talking(second, stage.people[name]) for name in AGENTS)
        stage.pass_(31)
        assert len([one for one in stage.told if isinstance(one, Offered) and one.contact == "c0"]) >= 5

    def test_nobody_answers(self, stage: Stage) -> None:
        stage.calls()
        stage.pass_(12)
        assert set(outcomes(stage).values()) == {"no_answer"}
        assert {stage.state(name) for name in AGENTS} == {"not_ready"}
        assert stage.line_of("sales") == ["c0"]

    def test_the_caller_leaves(self, stage: Stage) -> None:
        carl = stage.calls()
        stage.pass_()
        carl.line.hang_up()
        stage.pass_(FREE_SECONDS)
        assert {stage.state(name) for name in AGENTS} == {"ready"}
        assert set(outcomes(stage).values()) == {"caller_left"}
        assert all(stage.people[name].line.over for name in AGENTS)
        assert not stage.joined.distributor.room.beside

    def test_so_many_at_most_and_everybody_who_waits_gets_one_first(self, database: MemoryDatabase) -> None:
        stage = set_up(database, most=2)
        stage.calls()
        stage.pass_()
        assert rung(stage) == ["ana", "bo"]
        stage.calls()
        stage.pass_()
        assert rung(stage) == [*AGENTS]
        assert [agent.contact for agent in stage.joined.distributor.staff.agents.values()] == ["c0", "c0", "c1"]
        stage.check()
        stage.close()

    def test_two_callers_who_waited_share_those_who_come(self, database: MemoryDatabase) -> None:
        stage = set_up(database)
        staff = stage.joined.distributor.staff
        for name in AGENTS:
            staff.set_state(name, AgentState.NOT_READY)
        stage.calls()
        stage.calls()
        policy = stage.joined.distributor.queues["sales"].routing
        box = next(iter(stage.joined.contacts.live.values())).pbx
        stage.joined.distributor.freeze(box)
        for name in AGENTS:
            staff.set_state(name, AgentState.READY)
        assert not rung(stage)
        stage.joined.distributor.thaw(box)
        stage.pass_()
        assert policy.at_once == 5
        assert sorted(agent.contact for agent in staff.agents.values()) == ["c0", "c0", "c1"]
        stage.check()
        stage.close()

    def test_the_cap_counts_a_caller_once(self, database: MemoryDatabase) -> None:
        stage = set_up(database, most=2)
        policy = evolve(stage.joined.distributor.queues["sales"].routing, cap=2)
        stage.joined.distributor.room.set_queue(policy, stage.reactor.seconds())
        stage.calls()
        stage.pass_()
        assert rung(stage) == ["ana", "bo"]
        stage.calls()
        stage.pass_()
        assert rung(stage) == [*AGENTS]
        stage.people["bo"].line.answer()
        stage.pass_()
        assert stage.joined.distributor.room.lines["sales"].held == 2
        stage.close()
        assert stage.joined.distributor.room.lines["sales"].held == 0

    def test_it_is_answered_from_the_desktop(self, database: MemoryDatabase) -> None:
        stage = set_up(database)
        for agent in stage.joined.distributor.staff.agents.values():
            agent.auto_answer = AutoAnswer.ASKED
        carl = stage.calls()
        stage.pass_()
        assert stage.ask(Answer()) == "the phones of ana, bo, chen ring: say which agent answers"
        stage.people["bo"].when_rung = "answer"  # rung again, it answers by itself
        assert stage.ask(Answer("bo"), 0.1) == {}
        stage.pass_(1.5)
        assert stage.talking(carl, stage.people["bo"])
        assert outcomes(stage) == {"ana": "answered_elsewhere", "bo": "answered", "chen": "answered_elsewhere"}
        stage.close()

    def test_why_names_them_all(self, stage: Stage) -> None:
        stage.calls()
        stage.pass_()
        room = stage.joined.distributor.room
        why = stage.joined.distributor.why_contact("c0", UTC, 10)
        assert why is not None
        assert why.reserved == "ana, bo, chen"
        assert {told.why[0].words for told in why.agents} == {"reserved for ana, bo, chen"}
        assert [one.agent for one in stage.joined.distributor.decided(10, contact="c0")] == [*AGENTS]
        assert room.beside == {"c0": ("bo", "chen")}


def answers_together(stage: Stage, dice: Random) -> Person:
    """Two answer within a millisecond, in any order; sometimes in the same moment."""
    carl = stage.calls()
    stage.pass_(0.4)
    first, second = dice.sample(AGENTS, 2)
    stage.reactor.callLater(0.1, stage.people[first].line.answer)
    later = dice.choice((0.0, dice.uniform(0, 1e-6), dice.uniform(0, 1e-3), 0.02))
    stage.reactor.callLater(0.1 + later, _answer, stage, second)
    return carl


def answers_as_the_caller_leaves(stage: Stage, dice: Random) -> Person:
    carl = stage.calls()
    stage.pass_(0.4)
    stage.reactor.callLater(0.1, _answer, stage, dice.choice(AGENTS))
    stage.reactor.callLater(0.1 + dice.uniform(-0.03, 0.03), carl.line.hang_up)
    return carl


def declines_as_another_answers(stage: Stage, dice: Random) -> Person:
    """The phones that are called off are the ones that are answered or refused in that moment."""
    carl = stage.calls()
    stage.pass_(0.4)
    one, other, third = dice.sample(AGENTS, 3)
    stage.reactor.callLater(0.1, _answer, stage, one)
    stage.reactor.callLater(0.1 + dice.uniform(-0.02, 0.02), _decline, stage, other)
    stage.reactor.callLater(0.1 + dice.uniform(0.0, 0.03), _answer, stage, third)
    return carl


def _answer(stage: Stage, name: str) -> None:
    if not stage.people[name].line.over:
        stage.people[name].line.answer()


def _decline(stage: Stage, name: str) -> None:
    if not stage.people[name].line.over:
        stage.people[name].line.decline()


@pytest.mark.fault("F59")
@pytest.mark.seconds(240)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("scene", "count"),
    [(answers_together, 250), (answers_as_the_caller_leaves, 125), (declines_as_another_answers, 125)],
)
def test_races(scene: Any, count: int, seed: int, database: MemoryDatabase) -> None:
    """1,000 times two answers in one moment, and twice 500 times the others: never two, and the loser is free at once."""
    dice = Random(seed)  # noqa: S311
    faults = Chaos(seed, late=0.5, doubled=0.1, slow_originate=0.5, seconds=0.02)
    stage = set_up(database, phones=PHONES, faults=faults)
    fairness = Fairness(REFUSED_SECONDS)
    unfair: list[str] = []
    stage.joined.journal.subscribe(lambda sequence, event: unfair.append(fairness.take(event)))
    for _ in range(count):
        carl = scene(stage, dice)
        stage.pass_(0.1 + FREE_SECONDS)
        talking = [name for name in AGENTS if stage.state(name) == "talking"]
        found = violations(seen(stage))
        assert len(talking) <= 1, seed
        assert carl.line.over or stage.talking(carl, stage.people[talking[0]]), seed
        states = Counter(stage.state(name) for name in AGENTS)
        assert states["ready"] >= 2, states
        assert set(states) <= {"ready", "talking", "wrap_up"}, states
        on_a_line = [name for name in AGENTS if not stage.people[name].line.over]
        assert on_a_line == talking, seed
        stage.pass_(0.2)
        assert not lasting(found, violations(seen(stage)))
        carl.line.hang_up()
        stage.pass_(1.5)
        assert not stage.joined.contacts.live
        assert {stage.state(name) for name in AGENTS} == {"ready"}
        assert not stage.joined.distributor.room.beside
        stage.customers.clear()
    assert not list(filter(None, unfair))
    won = Counter(event.agent for event in stage.daemon.of("talk.started"))
    assert min(won[name] for name in AGENTS) > count / 25
    ended = Counter(event.contact for event in stage.daemon.of("contact.ended"))
    assert (len(ended), set(ended.values())) == (count, {1})
    assert OfferOutcome.NO_ANSWER.value not in {event.outcome.value for event in stage.daemon.of("offer.ended")}
    stage.close()


def seen(stage: Stage) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    return Evidence(channels=stage.daemon.channels(), held=held(stage.joined), callers=callers)
