"""F56 to F58 and F60 in virtual time, hundreds of times: both leave at once, the caller leaves as the agent answers or right
after the offer, and a private call begins in the moment of an offer.  AMI events come late, doubled and out of order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import pytest

from easycall.lab.evidence import Evidence, held
from easycall.lab.invariants import lasting, violations
from easycall.simulator.faults import Chaos
from easycall.store.memory import MemoryDatabase

from .test_talk import Person, Stage
from .virtual import opened

PHONES = dict.fromkeys(("2001", "2002", "2003"), "Not in use")
LATE = 0.05
"""Seconds an event may be late."""


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


def rounds(database: MemoryDatabase, seed: int, count: int, scene: Callable[[Stage, Random], Person]) -> Stage:
    """Play a scene that often, one call after another: each time everybody is free again and nobody is left on a line."""
    dice = Random(seed)  # noqa: S311
    faults = Chaos(seed, late=0.5, doubled=0.1, slow_originate=0.5, seconds=LATE)
    stage = Stage(database, rules={"wrap_up_seconds": 0.5}, phones=PHONES, faults=faults)
    stage.ready("ana")
    for _ in range(count):
        caller = scene(stage, dice)
        stage.pass_(1.0)
        assert caller.line.over, seed
        assert not hasattr(stage.people["ana"], "line") or stage.people["ana"].line.over, "a silent leg is left"
        assert not stage.joined.contacts.live
        stage.pass_(1.0)
        assert stage.state("ana") == "ready"
        stage.customers.clear()
    ended = Counter(event.contact for event in stage.daemon.of("contact.ended"))
    assert set(ended.values()) == {1}
    assert len(ended) == count
    return stage


def wrap_ups(stage: Stage) -> Counter[str]:
    return Counter(event.contact for event in stage.daemon.of("agent.changed") if event.state == "wrap_up" and event.until)


def both_leave(stage: Stage, dice: Random) -> Person:
    caller = stage.calls()
    stage.pass_(2.0)
    ana = stage.people["ana"]
    assert stage.talking(caller, ana)
    leave = [caller.line.hang_up, ana.line.hang_up]
    dice.shuffle(leave)
    leave[0]()
    stage.pass_(dice.choice((0.0, 0.0, 0.001)))
    leave[1]()
    return caller


@pytest.mark.fault("F56")
@pytest.mark.parametrize("seed", range(4))
def test_both_hang_up_in_the_same_millisecond(seed: int, database: MemoryDatabase) -> None:
    """1,000 times: one end, one record, one wrap-up."""
    stage = rounds(database, seed, 250, both_leave)
    assert set(wrap_ups(stage).values()) == {1}
    assert len(wrap_ups(stage)) == 250
    for event in stage.daemon.of("contact.ended"):
        assert (event.outcome, event.ended_by in ("caller", "agent")) == ("answered", True)
    assert len(stage.daemon.of("talk.ended")) == 250
    stage.close()


def leaves_at_the_answer(stage: Stage, dice: Random) -> Person:
    caller = stage.calls()
    stage.pass_(1.0 - 0.1 + dice.uniform(-0.05, 0.05))
    caller.line.hang_up()
    return caller


@pytest.mark.fault("F57")
@pytest.mark.parametrize("seed", range(2))
def test_the_caller_leaves_as_the_agent_answers(seed: int, database: MemoryDatabase) -> None:
    stage = rounds(database, seed, 250, leaves_at_the_answer)
    outcomes = Counter(event.outcome.value for event in stage.daemon.of("contact.ended"))
    assert set(outcomes) == {"answered", "abandoned"}
    answered = {event.contact for event in stage.daemon.of("talk.started")}
    assert set(wrap_ups(stage)) <= answered  # who did not talk does not wrap up
    assert len(answered) == outcomes["answered"]
    stage.close()


def leaves_right_after_the_offer(stage: Stage, dice: Random) -> Person:
    caller = Person(stage, "700")
    stage.customers.append(caller)
    stage.asterisk.call_in("95588", "+4930123456", "Carl", caller)
    stage.pass_(dice.uniform(0.0, 0.06))
    caller.line.hang_up()
    return caller


@pytest.mark.fault("F58")
@pytest.mark.parametrize("seed", range(2))
def test_the_caller_leaves_right_after_the_offer(seed: int, database: MemoryDatabase) -> None:
    """The Originate may still be under way: the hang-up is a standing intent, and no phone rings on."""
    stage = rounds(database, seed, 250, leaves_right_after_the_offer)
    assert {event.outcome.value for event in stage.daemon.of("contact.ended")} <= {"abandoned", "abandoned_in_ivr"}
    assert stage.people["ana"].rings > 20
    stage.close()


@pytest.mark.fault("F60")
@pytest.mark.parametrize("seed", range(20))
def test_a_private_call_begins_around_an_offer(seed: int, database: MemoryDatabase) -> None:
    """Before, with or after the offer: nobody is in two calls, the caller reaches the agent in the end."""
    dice = Random(seed)  # noqa: S311
    stage = Stage(database, phones=PHONES, faults=Chaos(seed, late=0.5, doubled=0.1, seconds=LATE))
    stage.people["ana"].when_rung = dice.choice(("", "answer"))
    stage.ready("ana")
    friend = Person(stage, "9")
    starts = dice.uniform(0.0, 0.3)
    stage.reactor.callLater(starts, partial(stage.asterisk.call_in, "s", "1", "", friend, trunk="2001"))
    caller = stage.calls()
    stage.pass_(1.9)
    found = violations(seen(stage))
    stage.pass_(0.5)
    assert not lasting(found, violations(seen(stage)))
    friend.line.hang_up()
    stage.people["ana"].when_rung = "answer"
    stage.pass_(15)
    assert stage.talking(caller, stage.people["ana"])
    stage.close()


def seen(stage: Stage) -> Evidence:
    callers = frozenset(customer.line.id for customer in stage.customers if not customer.line.over)
    mine = tuple(channel for channel in stage.daemon.channels() if channel.contact)
    return Evidence(channels=mine, held=held(stage.joined), callers=callers)
