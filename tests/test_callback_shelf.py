"""Callbacks in every database: they come back as they went, and of a queue and a number one is open at most."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import DeferredList

from easycall.callback.shelf import Filter, Taken
from easycall.defer import start
from easycall.model import Attempt, Callback, CallbackSource, CallbackState, Outcome
from easycall.ports import Database, StatementRefused, StoreUnavailable
from easycall.store import callbacks
from easycall.store.callbacks import CallbackShelf
from easycall.store.sqlite import SQLite

EVA = "+49301234567"
PLAIN = Callback("c1", "cards", EVA, CallbackSource.ASKED, created=100.0, due=200.0, expires=900.0)
FULL = Callback(
    "c2",
    "sales",
    "+49309999999",
    CallbackSource.UNANSWERED,
    created=1_700_000_000.123,
    due=1_700_000_300.0,
    expires=1_700_172_800.0,
    state=CallbackState.IN_LINE,
    since=1_699_999_999.5,
    contact="k2",
    session="k1",
    agent="ana",
    name="Eva Ä.",
    zone="Europe/Berlin",
    skills="german>=5",
    priority_seconds=120.5,
    reason='about "it"',
    waited=61.5,
    answers={"menu": "1"},
    data={"order": "?%s'", "who": "\u00e4"},
    created_by="crm",
    attempts=(Attempt("k1", 5.0, Outcome.BUSY, 17, "bo", 9.0), Attempt("k2", 10.5)),
    escalated=1_700_000_400.0,
    ended=0.0,
    why="busy",
)


def ended(callback: Callback, at: float = 500.0, state: CallbackState = CallbackState.REACHED) -> Callback:
    return evolve(callback, state=state, ended=at)


def names(found: Any) -> list[str]:
    return [one.id for one in found]


def test_every_field_has_a_column_and_is_tried() -> None:
    assert callbacks.COLUMNS.split(", ") == [one.name for one in fields(Callback)]
    default = {one.name: one.default for one in fields(Callback)}
    assert [name for name, value in default.items() if getattr(FULL, name) == value] == ["ended"]


@pytest_twisted.ensureDeferred
async def test_a_callback_comes_back_as_it_went(store: Database) -> None:
    shelf = CallbackShelf(store)
    assert (await shelf.one("c1"), await shelf.open()) == (None, [])
    for one in (FULL, PLAIN):
        await shelf.put(one)
        assert await shelf.one(one.id) == one
    assert await shelf.open() == [PLAIN, FULL]
    assert await shelf.one("' OR 1=1--") is None


@pytest_twisted.ensureDeferred
async def test_a_newer_form_takes_the_place_of_the_older_one(store: Database) -> None:
    shelf = CallbackShelf(store)
    await shelf.put(PLAIN)
    every = evolve(FULL, id=PLAIN.id)
    await shelf.put(every)
    await shelf.put(every)
    assert await shelf.open() == [every]
    over = ended(every)
    await shelf.put(over)
    assert await shelf.open() == []
    assert await shelf.one(PLAIN.id) == over


@given(
    st.builds(
        Callback,
        id=st.just("c1"),
        queue=st.text(max_size=5),
        number=st.text(max_size=5),
        source=st.sampled_from(CallbackSource),
        state=st.sampled_from(CallbackState),
        created=st.floats(0, 2e9),
        due=st.floats(0, 2e9),
        expires=st.floats(0, 2e9),
        answers=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        data=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        attempts=st.lists(
            st.builds(Attempt, st.text(max_size=3), st.floats(0, 2e9), st.none() | st.sampled_from(Outcome)), max_size=3
        ).map(tuple),
    )
)
def test_whatever_is_in_it_a_row_tells_the_same(callback: Callback) -> None:
    assert callbacks.callback_of(callbacks._row(callback)) == callback


# One is open of a queue and number


@pytest.mark.fault("F69")
@pytest_twisted.ensureDeferred
async def test_of_a_queue_and_a_number_one_is_open(store: Database) -> None:
    shelf = CallbackShelf(store)
    await shelf.put(PLAIN)
    again = evolve(PLAIN, id="c3", created=150.0)
    with pytest.raises(Taken, match="c1"):
        await shelf.put(again)
    assert await shelf.one("c3") is None
    await shelf.put(evolve(again, id="c4", queue="sales"))
    await shelf.put(evolve(again, id="c5", number="+49301111111"))
    await shelf.put(ended(again))
    await shelf.put(ended(PLAIN))
    await shelf.put(evolve(again, id="c6"))
    assert names(await shelf.open()) == ["c4", "c5", "c6"]


@pytest.mark.fault("F69")
@pytest_twisted.ensureDeferred
async def test_one_that_moves_to_another_queue_finds_it_taken(store: Database) -> None:
    shelf = CallbackShelf(store)
    other = evolve(PLAIN, id="c3", queue="sales")
    await shelf.put(PLAIN)
    await shelf.put(other)
    with pytest.raises(Taken, match="c1"):
        await shelf.put(evolve(other, queue="cards"))
    assert await shelf.one("c3") == other


@pytest.mark.fault("F69")
@pytest_twisted.ensureDeferred
async def test_fifty_at_once_make_one(store: Database) -> None:
    shelf = CallbackShelf(store)
    puts = [start(shelf.put(evolve(PLAIN, id=f"c{number:02}"))) for number in range(50)]
    results = await DeferredList(puts, consumeErrors=True)
    assert sum(done for done, _ in results) == 1
    assert all(failure.check(Taken) for done, failure in results if not done)
    [one] = await shelf.open()
    assert await store.query("SELECT id FROM callbacks") == [(one.id,)]


class Refusing:
    """A database that finds the first rows wrong, and knows of no other."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.stored = 0

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return []

    async def transact(self, *statements: Any) -> None:
        self.times -= 1
        if self.times >= 0:
            raise StatementRefused("unique")
        self.stored += 1


@pytest_twisted.ensureDeferred
async def test_one_whose_other_has_just_ended_is_stored_and_a_wrong_one_refused() -> None:
    late, wrong = Refusing(1), Refusing(100)
    await CallbackShelf(late).put(PLAIN)
    assert late.stored == 1
    with pytest.raises(StatementRefused):
        await CallbackShelf(wrong).put(PLAIN)
    assert wrong.times == 100 - callbacks.TRIES


@pytest_twisted.ensureDeferred
async def test_a_database_that_is_away_is_said_to_be(tmp_path: Any) -> None:
    shelf = CallbackShelf(SQLite(str(tmp_path / "easycall.db"), reactor))
    for work in (shelf.put(PLAIN), shelf.open(), shelf.one("c1"), shelf.find(Filter(), 5), shelf.asked(EVA, 0.0)):
        with pytest.raises(StoreUnavailable):
            await work


# Looked for


@pytest_twisted.ensureDeferred
async def test_found_by_what_is_asked_for_the_latest_first(store: Database) -> None:
    shelf = CallbackShelf(store)
    for number in range(6):
        one = evolve(PLAIN, id=f"c{number}", queue="cards" if number % 2 else "sales", number=f"+4930{number % 3}")
        await shelf.put(one if number > 3 else ended(one, state=CallbackState.EXPIRED if number else CallbackState.MET))
    for wanted, found in (
        (Filter(), "543210"),
        (Filter(queue="cards"), "531"),
        (Filter(number="+49301"), "41"),
        (Filter(queue="cards", number="+49301"), "1"),
        (Filter(states={CallbackState.SCHEDULED, CallbackState.MET}), "540"),
        (Filter(states={CallbackState.EXPIRED}, queue="sales"), "2"),
        (Filter(before="c4"), "3210"),
        (Filter(before="c4", queue="cards", states=[CallbackState.EXPIRED]), "31"),
        (Filter(queue="none"), ""),
    ):
        assert names(await shelf.find(wanted, 10)) == [f"c{number}" for number in found], wanted
    assert names(await shelf.find(Filter(), 2)) == ["c5", "c4"]
    assert names(await shelf.find(Filter(before="c4"), 2)) == ["c3", "c2"]


@pytest_twisted.ensureDeferred
async def test_how_often_a_number_was_to_be_called_back(store: Database) -> None:
    shelf = CallbackShelf(store)
    for number, at in enumerate((10.0, 20.0, 30.0)):
        await shelf.put(evolve(PLAIN, id=f"c{number}", queue=f"q{number}", created=at, ended=at if number == 2 else 0.0))
    await shelf.put(evolve(PLAIN, id="other", number="+4930", created=25.0))
    assert [await shelf.asked(EVA, since) for since in (0.0, 10.0, 25.0, 30.0)] == [3, 2, 1, 0]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("sql", "plan"),
    [
        (callbacks.OPEN, "(ended=?)"),
        (callbacks.OTHER, "open_callbacks (queue=? AND number=?)"),
        (callbacks.ASKED, "callbacks_of_number (number=? AND created>?)"),
        (callbacks._search(Filter(number="x"))[0], "callbacks_of_number (number=?)"),
        (callbacks._search(Filter(queue="x", before="y"))[0], "callbacks_of_queue (queue=? AND id<?)"),
        (callbacks._search(Filter(states=CallbackState))[0], "callbacks_by_state (state=?)"),
    ],
)
async def test_nothing_is_looked_for_without_an_index(tmp_path: Any, sql: str, plan: str) -> None:
    database = SQLite(str(tmp_path / "easycall.db"), reactor)
    await database.open()
    try:
        found = await database.query(f"EXPLAIN QUERY PLAN {sql}", *[1] * sql.count("?"))
    finally:
        await database.close()
    assert plan in " ".join(map(str, found))
