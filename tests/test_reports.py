"""Questions about the past: two at a time, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from easycall.ports import StoreUnavailable
from easycall.store import reports
from easycall.store.postgres import LINES
from easycall.store.reports import AT_ONCE, MOST_WAITING, WAIT_SECONDS, Reports

pytestmark = [pytest.mark.fault("F84"), pytest.mark.requirement("A3")]


class Slow:
    """A database that answers when the test lets it."""

    def __init__(self) -> None:
        self.running: list[Deferred[list[tuple[Any, ...]]]] = []
        self.most = 0

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        work: Deferred[list[tuple[Any, ...]]] = Deferred()
        self.running.append(work)
        self.most = max(self.most, len(self.running))
        return await work

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        pass

    def answers(self, index: int = 0) -> None:
        self.running.pop(index).callback([(1,)])


class Asked:
    """Somebody who asks, and what came of it."""

    def __init__(self, past: Reports) -> None:
        self.got: list[Any] = []
        self.work = Deferred.fromCoroutine(past.query("SELECT 1"))
        self.work.addCallbacks(self.got.append, lambda failure: self.got.append(failure.value))


def test_connections_are_left_for_calls_and_for_the_journal() -> None:
    assert AT_ONCE + 2 <= LINES


@given(st.lists(st.sampled_from(["ask", "answer", "leave", "wait"]), max_size=60))
def test_never_more_than_two_and_everybody_hears_within_five_seconds(steps: list[str]) -> None:
    clock, slow = Clock(), Slow()
    past, asked = Reports(slow, clock), list[tuple[float, Asked]]()
    for step in steps:
        if step == "ask":
            asked.append((clock.seconds(), Asked(past)))
        elif step == "answer" and slow.running:
            slow.answers()
        elif step == "leave" and asked:
            asked[-1][1].work.cancel()
        elif step == "wait":
            clock.advance(1.0)
        assert len(slow.running) <= AT_ONCE
        for since, one in asked:
            assert one.got or clock.seconds() - since < WAIT_SECONDS
    while slow.running:
        slow.answers()
    clock.advance(WAIT_SECONDS)
    assert slow.most <= AT_ONCE
    assert all(len(one.got) == 1 for _, one in asked)
    assert not clock.getDelayedCalls()
    last = Asked(past)
    slow.answers()
    assert last.got == [[(1,)]], "no turn was lost"


def test_a_turn_is_over_when_the_database_is_done_and_not_when_nobody_waits_any_more() -> None:
    clock, slow = Clock(), Slow()
    past = Reports(slow, clock)
    first = [Asked(past) for _ in range(AT_ONCE)]
    clock.advance(WAIT_SECONDS)
    assert [type(one.got[0]) for one in first] == [StoreUnavailable] * AT_ONCE
    late = Asked(past)
    assert len(slow.running) == AT_ONCE, "the database still works for who has gone"
    slow.answers()
    slow.answers(-1)
    assert late.got == [[(1,)]]
    slow.answers()


def test_too_many_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_WAITING", 3)
    clock, slow = Clock(), Slow()
    past = Reports(slow, clock)
    asked = [Asked(past) for _ in range(AT_ONCE + 4)]
    assert [bool(one.got) for one in asked] == [False] * (AT_ONCE + 3) + [True]
    assert MOST_WAITING > 3
    for _ in asked[:-1]:
        slow.answers()
    assert all(one.got for one in asked)
