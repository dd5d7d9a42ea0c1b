"""Rows are stored many at once, and none differs from what it would be alone."""

from __future__ import annotations

import pytest
import pytest_twisted

from easycall.ports import Database, StatementRefused
from easycall.store.contacts import ADD_EVENT
from easycall.store.inserts import insert

AWKWARD = ["", "a'b\"c", "\\", "\\u0041", "%s ? %", "\n\t\r", "ü€😀", "{'}", "null", "\x01\x7f", "$1", '{"a":"\\u0000"}']
READ = "SELECT seq, at, kind, contact, agent, body FROM events ORDER BY seq"


def test_what_may_take_many_rows() -> None:
    found = insert(ADD_EVENT)
    assert found is not None
    assert (found.table, found.columns[:2], found.row) == ("events", ("seq", "at"), "(?, ?, ?, ?, ?, ?)")
    assert found.of(1) == ADD_EVENT
    assert insert("INSERT INTO a (b, c) VALUES (?, ?)") is not None
    for other in (
        "UPDATE a SET b = ?",
        "INSERT INTO a (b) VALUES (?) ON CONFLICT (b) DO UPDATE SET b = 1",
        "INSERT INTO a (b, c) VALUES (?, 1)",
        "INSERT INTO a SELECT ?",
    ):
        assert insert(other) is None


@pytest.mark.parametrize("count", [1, 19, 20, 49, 50, 51, 120, 501])
@pytest_twisted.ensureDeferred
async def test_many_rows_are_as_one_by_one(store: Database, count: int) -> None:
    rows = [
        (seq, 0.1 * seq + 1e9, AWKWARD[seq % len(AWKWARD)], AWKWARD[-seq % len(AWKWARD)], f"a{seq}", "x" * (seq % 7))
        for seq in range(1, count + 1)
    ]
    await store.transact((ADD_EVENT, rows))
    await store.transact((ADD_EVENT, [(*row[:2], "other", *row[3:]) for row in rows]))  # those are there already
    assert await store.query(READ) == rows


@pytest_twisted.ensureDeferred
async def test_a_nul_keeps_no_row_from_being_stored(store: Database) -> None:
    await store.transact((ADD_EVENT, [(seq, 1.0, "k", "a\0b", "\\u0000", "") for seq in range(1, 61)]))
    found = await store.query(READ)
    assert len(found) == 60
    assert {row[3] for row in found} <= {"a\0b", "a\ufffdb"}
    assert {row[4] for row in found} == {"\\u0000"}


@pytest_twisted.ensureDeferred
async def test_one_wrong_row_of_many_stores_none(store: Database) -> None:
    rows = [(seq, 1.0, "k", "c", "", "") for seq in range(1, 61)]
    with pytest.raises(StatementRefused):
        await store.transact((ADD_EVENT, [*rows, (61, 1.0, None, "c", "", "")]))
    assert await store.query(READ) == []
