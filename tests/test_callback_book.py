"""The book of callbacks, its shelf away, slow or mute; and the timetable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from easycall.callback.book import AGAIN_SECONDS, Book, Changed
from easycall.callback.lifecycle import begun, over
from easycall.callback.shelf import Filter, Taken
from easycall.callback.timetable import LONGEST, SOONEST, Timetable
from easycall.defer import start
from easycall.model import Callback, CallbackSource, CallbackState
from easycall.ports import StoreUnavailable

pytestmark = [pytest.mark.requirement("B2"), pytest.mark.requirement("B3")]

ONE = Callback("c1", "sales", "+4930", CallbackSource.ASKED, created=0.0, due=0.0, expires=900.0)
LINE = begun(ONE, "k1", 5.0)
CALLED_IN = over(ONE, CallbackState.CALLED_IN, "", 6.0)
NEXT = evolve(ONE, id="c2")


class Shelf:
    """In a dictionary; ``away``, ``mute`` (it does what it is told, and does not say so), or waiting at a gate."""

    def __init__(self, *stored: Callback) -> None:
        self.rows = {one.id: one for one in stored}
        self.away = self.mute = False
        self.gate: Deferred[None] | None = None
        self.puts: list[Callback] = []

    async def open(self) -> Sequence[Callback]:
        return [one for one in self.rows.values() if one.open]

    async def put(self, callback: Callback) -> None:
        if self.gate is not None:
            await self.gate
        if self.away:
            raise StoreUnavailable("away")
        which = callback.queue, callback.number
        if callback.open and any((one.queue, one.number) == which for one in await self.open() if one.id != callback.id):
            raise Taken
        self.puts.append(callback)
        self.rows[callback.id] = callback
        if self.mute:
            raise StoreUnavailable("nothing is heard")

    async def one(self, callback: str) -> Callback | None:
        return self.rows.get(callback)

    async def find(self, wanted: Filter, limit: int) -> Sequence[Callback]:
        if self.away:
            raise StoreUnavailable("away")
        which = wanted.queue, wanted.number
        return [one for one in self.rows.values() if one.open and (one.queue, one.number) == which][:limit]

    async def asked(self, number: str, since: float) -> int:
        return 0


class Desk:
    """A book, its shelf and its clock."""

    def __init__(self, *stored: Callback) -> None:
        self.clock, self.shelf = Clock(), Shelf(*stored)
        self.book = Book(self.shelf, self.clock)
        self.now(self.book.read())

    @staticmethod
    def begin(work: Any) -> list[Any]:
        answers: list[Any] = []
        start(work).addBoth(answers.append)
        return answers

    def now(self, work: Any) -> Any:
        [answer] = self.begin(work)
        if isinstance(answer, Failure):
            answer.raiseException()
        return answer

    def keeps(self, callback: Callback) -> None:
        """Keep it; what is stored in the next turn is."""
        self.book.keep(callback)
        self.clock.advance(0)

    def at_the_gate(self, work: Any) -> list[Any]:
        """Begin it, and let the shelf wait."""
        self.shelf.gate = Deferred()
        return self.begin(work)

    def goes_on(self) -> None:
        gate, self.shelf.gate = self.shelf.gate, None
        assert gate is not None
        gate.callback(None)


def test_found_by_whatever_it_is_asked_for_by_and_no_more_when_it_is_over() -> None:
    desk = Desk(ONE)
    book = desk.book
    desk.keeps(LINE)
    assert book.find("sales", "+4930") is book.of_contact("k1") is book.open["c1"] is LINE
    assert (book.of_number("+4930"), book.find("support", "+4930"), book.of_contact("")) == ([LINE], None, None)
    desk.keeps(CALLED_IN)
    assert (book.find("sales", "+4930"), book.of_contact("k1"), book.of_number("+4930"), dict(book.open)) == (
        *(None, None, []),
        {},
    )
    assert desk.shelf.rows == {"c1": CALLED_IN}


def test_what_happens_while_it_is_promised_counts() -> None:
    desk = Desk(ONE)
    answer = desk.at_the_gate(desk.book.promise(LINE))
    desk.keeps(CALLED_IN)
    desk.goes_on()
    assert answer[0].check(Changed)
    assert (dict(desk.book.open), desk.shelf.rows) == ({}, {"c1": CALLED_IN})
    assert desk.shelf.puts == [LINE, CALLED_IN]


def test_of_two_promises_the_second_holds_no_more() -> None:
    desk = Desk(ONE)
    first = desk.at_the_gate(desk.book.promise(LINE))
    second = desk.begin(desk.book.promise(evolve(ONE, reason="later")))
    desk.goes_on()
    assert (first, second[0].check(Changed)) == ([None], Changed)
    assert desk.shelf.rows == {"c1": LINE}


@pytest.mark.fault("F69")
def test_of_two_new_ones_one_is_open() -> None:
    desk = Desk()
    first, second = desk.at_the_gate(desk.book.promise(ONE)), desk.begin(desk.book.promise(NEXT))
    desk.goes_on()
    assert (first, second[0].check(Taken), dict(desk.book.open)) == ([None], Taken, {"c1": ONE})


def test_what_is_away_is_stored_later_in_its_latest_form() -> None:
    desk = Desk(ONE)
    desk.shelf.away = True
    desk.keeps(LINE)
    desk.clock.advance(AGAIN_SECONDS)
    desk.keeps(CALLED_IN)
    desk.shelf.away = False
    desk.clock.advance(AGAIN_SECONDS)
    assert desk.shelf.puts == [CALLED_IN]
    assert not desk.clock.getDelayedCalls()


@pytest.mark.fault("F69")
def test_one_that_is_over_is_in_nobodys_way() -> None:
    """It could not be stored as over; whoever is lost next is called back all the same."""
    desk = Desk(ONE)
    desk.shelf.away = True
    desk.keeps(CALLED_IN)
    with pytest.raises(StoreUnavailable):
        desk.now(desk.book.promise(NEXT))
    desk.shelf.away = False
    desk.now(desk.book.promise(NEXT))
    assert (dict(desk.book.open), desk.shelf.rows) == ({"c2": NEXT}, {"c1": CALLED_IN, "c2": NEXT})


class TestNobodyKnows:
    """The answer of the database was lost: what was asked for may be stored."""

    def lost(self, callback: Callback, *stored: Callback) -> Desk:
        desk = Desk(*stored)
        desk.shelf.mute = True
        with pytest.raises(StoreUnavailable):
            desk.now(desk.book.promise(callback))
        desk.shelf.mute = False
        assert desk.shelf.rows[callback.id] is callback
        return desk

    def test_another_form_of_one_is_taken_back(self) -> None:
        desk = self.lost(over(ONE, CallbackState.CANCELLED, "by crm", 1.0), ONE)
        assert desk.book.open == {"c1": ONE}
        desk.clock.advance(AGAIN_SECONDS)
        assert desk.shelf.rows == {"c1": ONE}

    def test_what_has_happened_since_is_stored(self) -> None:
        desk = self.lost(LINE, ONE)
        desk.keeps(CALLED_IN)
        desk.clock.advance(AGAIN_SECONDS)
        assert desk.shelf.rows == {"c1": CALLED_IN}

    def test_a_new_one_is_not_done(self) -> None:
        desk = self.lost(ONE)
        desk.shelf.away = True
        desk.clock.advance(AGAIN_SECONDS)
        desk.shelf.away = False
        desk.clock.advance(AGAIN_SECONDS)
        assert desk.shelf.rows["c1"].state is CallbackState.CANCELLED
        desk.now(desk.book.promise(NEXT))

    def test_asked_for_again_it_is_done(self) -> None:
        desk = self.lost(ONE)
        with pytest.raises(Taken):
            desk.now(desk.book.promise(NEXT))
        assert desk.now(desk.book.take_up("sales", "+4930")) == ONE
        assert desk.now(desk.book.take_up("sales", "+4930")) is None
        desk.clock.advance(AGAIN_SECONDS)
        assert (desk.book.open, desk.shelf.rows) == ({"c1": ONE}, {"c1": ONE})


@pytest.mark.parametrize("away", [False, True])
def test_when_it_stops_it_stores_what_it_can_and_waits_for_nothing(away: bool) -> None:
    desk = Desk(ONE)
    desk.shelf.away = True
    desk.keeps(LINE)
    desk.shelf.away = away
    desk.now(desk.book.stop())
    assert desk.shelf.rows == {"c1": ONE if away else LINE}
    assert not desk.clock.getDelayedCalls()


# The timetable


class Table:
    """A timetable, and what was looked at when."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.looked: list[tuple[float, str]] = []
        self.table = Timetable(self.clock, lambda name: self.looked.append((round(self.clock.seconds(), 3), name)))


def test_each_is_looked_at_once_at_the_latest_time_that_was_set() -> None:
    one = Table()
    for name, when in (("a", 10.0), ("b", 5.0), ("a", 3.0), ("b", 20.0), ("c", 7.0)):
        one.table.at(name, when)
    one.table.drop("c")
    one.table.drop("c")
    one.clock.pump([0.5] * 100)
    assert one.looked == [(3.0, "a"), (20.0, "b")]
    assert not one.clock.getDelayedCalls()


def test_nothing_goes_round_faster_than_it_may() -> None:
    one = Table()
    looked: list[float] = []

    def look(name: str) -> None:
        looked.append(one.clock.seconds())
        table.at(name, one.clock.seconds() - 5.0)

    table = Timetable(one.clock, look)
    table.at("a", 0.0)
    one.clock.pump([SOONEST / 5] * 500)
    assert 80 <= len(looked) <= 100
    table.stop()
    table.at("b", 0.0)
    assert not one.clock.getDelayedCalls()


def test_a_clock_that_is_set_is_noticed_within_an_hour() -> None:
    one = Table()
    one.table.at("a", 90_000.0)
    [timer] = one.clock.getDelayedCalls()
    assert timer.getTime() == LONGEST
    one.clock.pump([LONGEST] * 25)
    assert one.looked == [(90_000.0, "a")]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 40), st.integers(0, 9)), max_size=30))
def test_as_a_dictionary_that_is_gone_through_every_second(steps: list[tuple[str, int | None, int]]) -> None:
    one, times, expected = Table(), dict[str, float](), []
    for name, when, passes in steps:
        if when is None:
            one.table.drop(name)
            times.pop(name, None)
        else:
            one.table.at(name, when + 0.5)
            times[name] = max(when + 0.5, one.clock.seconds() + SOONEST)
        end = one.clock.seconds() + passes
        expected += sorted((round(at, 3), name) for name, at in times.items() if at <= end)
        times = {name: at for name, at in times.items() if at > end}
        one.clock.pump([0.05] * (passes * 20))
    assert sorted(name for _, name in one.looked) == sorted(name for _, name in expected)
