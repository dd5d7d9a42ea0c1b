"""The databases behind their port: transactions and records in each; of SQLite also migrations and what goes wrong."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue

from easycall.defer import start
from easycall.events import DispositionSet, Event, RecordingPaused, RecordingStarted
from easycall.model import Direction, LastTalk, Request
from easycall.policy import Channel
from easycall.ports import Database, StatementRefused, StoreUnavailable
from easycall.stats.codec import encode
from easycall.stats.journal import Entry, Journal
from easycall.stats.record import Segment, SegmentKind, fold
from easycall.store import sqlite
from easycall.store.contacts import ADD_EVENT, ContactArchive
from easycall.store.memory import MemoryDatabase
from easycall.store.requests import RequestShelf
from easycall.store.sqlite import SQLite
from easycall.store.talks import LAST_TALK, TalkArchive
from tests.test_record import OVERFLOWED, STORY, C


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "easy call%20.db"


@pytest_twisted.async_yield_fixture
async def database(path: Path) -> AsyncIterator[SQLite]:
    database = SQLite(str(path), reactor)
    await database.open()
    yield database
    await database.close()


def threads() -> int:
    return sum("PoolThread" in thread.name for thread in threading.enumerate())


def files(path: Path) -> dict[str, int]:
    """What lies beside the database: the end of each name, and its mode."""
    return {file.name.removeprefix(path.name): file.stat().st_mode & 0o777 for file in path.parent.iterdir()}


def entries(events: list[Event], first: int = 1) -> list[Entry]:
    return [Entry(seq, event, encode(event)) for seq, event in enumerate(events, first)]


@pytest_twisted.ensureDeferred
async def test_created_private_and_closed_without_a_trace(path: Path) -> None:
    before = threads()
    database = SQLite(str(path), reactor)
    await database.open()
    assert await database.query("PRAGMA journal_mode") == [("wal",)]
    assert await database.query("PRAGMA synchronous") == [(2,)]
    assert await database.query("PRAGMA foreign_keys") == [(1,)]
    await ContactArchive(database).append(entries(STORY), [])
    assert files(path) == {"": 0o600, ".lock": 0o600, "-wal": 0o600, "-shm": 0o600}
    await database.close()
    await database.close()
    assert threads() == before
    assert files(path) == {"": 0o600, ".lock": 0o600}


@pytest_twisted.ensureDeferred
async def test_opened_again_it_has_what_was_stored(path: Path) -> None:
    for round_ in range(2):
        database = SQLite(str(path), reactor)
        await database.open()
        archive = ContactArchive(database)
        assert await archive.last() == round_
        await archive.append(entries(STORY[:1], first=round_ + 1), [])
        await database.close()


@pytest_twisted.ensureDeferred
async def test_a_record_comes_back_as_it_went(store: Database) -> None:
    archive = ContactArchive(store)
    record = fold(C, STORY)
    assert record is not None
    await archive.append(entries(STORY), [record])
    assert await archive.record(C) == record
    assert await archive.events(C) == list(enumerate(STORY, 1))
    assert await archive.last() == len(STORY)
    assert await archive.record("' OR 1=1--") is None


@pytest_twisted.ensureDeferred
async def test_that_an_end_is_estimated_is_kept(store: Database) -> None:
    archive = ContactArchive(store)
    record = fold(C, [*STORY[:-1], evolve(STORY[-1], end_estimated=True)])
    assert record is not None
    assert record.end_estimated
    await archive.append([], [record])
    assert await archive.record(C) == record


@pytest_twisted.ensureDeferred
async def test_a_disposition_is_kept_in_time_and_late(store: Database) -> None:
    archive = ContactArchive(store)
    said = [DispositionSet(at=STORY[-1].at - 1, contact=C, agent="ana", queue="cards", disposition="no interest")]
    late = DispositionSet(at=STORY[-1].at + 60, contact=C, agent="ana", queue="cards", disposition="sold")
    record = fold(C, [*STORY, *said])
    assert record is not None
    assert record.disposition == "no interest"
    await archive.append(entries([*STORY, *said]), [record])
    assert await archive.record(C) == record
    await archive.append([Entry(100, late, encode(late))], [])
    assert await archive.record(C) == evolve(record, disposition="sold")
    assert [one.disposition for one in await archive.ended(5)] == ["sold"]
    assert fold(C, [*STORY, *said, late]) == evolve(record, disposition="sold")


@pytest_twisted.ensureDeferred
async def test_the_last_talk_with_a_number_is_found(store: Database) -> None:
    archive, talks = ContactArchive(store, lambda shown: f"+49{shown[1:]}"), TalkArchive(store)
    first = fold(C, STORY)
    assert first is not None
    later = evolve(first, id="02C", arrived=500.0, ended=600.0, caller="", dialled="0301", direction=Direction.OUTBOUND)
    later = evolve(later, segments=(Segment(SegmentKind.TALK, 520.0, 600.0, "cy", "sales", 1),))
    await archive.append([], [first, later])
    assert await talks.last_talk("+49301", "cards", 0.0) == LastTalk(133.25, "bo", "cards")
    assert await talks.last_talk("+49301", "", 0.0) == LastTalk(520.0, "cy", "sales")
    assert await talks.last_talk("+49301", "cards", 140.0) is None
    assert await talks.last_talk("0301", "", 0.0) is None


@pytest_twisted.ensureDeferred
async def test_the_last_talk_is_found_by_its_index(database: SQLite) -> None:
    plan = " ".join(map(str, await database.query(f"EXPLAIN QUERY PLAN {LAST_TALK}", "x", 0.0, 0.0, "", "")))
    assert "contacts_of_customer (customer=? AND ended>?)" in plan


@pytest_twisted.ensureDeferred
async def test_the_chain_of_queues_is_kept(store: Database) -> None:
    archive = ContactArchive(store)
    record = fold(C, OVERFLOWED)
    assert record is not None
    assert len(record.overflows) == 2
    await archive.append(entries(OVERFLOWED), [record])
    assert await archive.record(C) == record
    assert [one.overflows for one in await archive.ended(5)] == [record.overflows]


@pytest_twisted.ensureDeferred
async def test_a_batch_written_twice_is_there_once(store: Database) -> None:
    archive = ContactArchive(store)
    record = fold(C, STORY)
    assert record is not None
    for _ in range(2):
        await archive.append(entries(STORY), [record])
    assert await archive.events(C) == list(enumerate(STORY, 1))
    assert await archive.record(C) == record


@pytest_twisted.ensureDeferred
async def test_an_end_never_seen_is_drawn_up_to_the_last_event(store: Database) -> None:
    archive = ContactArchive(store)
    await archive.append(entries(STORY[:6]), [])
    assert await archive.record(C) == fold(C, STORY[:6])


@pytest_twisted.ensureDeferred
async def test_ended_contacts_come_in_pages_latest_first(store: Database) -> None:
    archive = ContactArchive(store)
    records = []
    for number in range(5):
        record = fold(f"c{number}", STORY)
        assert record is not None
        records.append(record)
    await archive.append([], records)
    page = await archive.ended(2)
    assert [record.id for record in page] == ["c4", "c3"]
    assert [record.id for record in await archive.ended(10, page[-1].id)] == ["c2", "c1", "c0"]
    assert await archive.ended(10, "unknown") == []


AWKWARD = [
    (1, 1.5, "it's 100% \\ ?", "%s", "", '{"a": "\\u0000", "b": "陈 😀"}'),
    (2**40, -1e300, ";--", "$1", "\n", "'"),
]


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_values_come_back_as_they_went_whatever_is_in_them(store: Database) -> None:
    for add in (ADD_EVENT, ADD_EVENT.replace("DO NOTHING", "DO UPDATE SET body = excluded.body")):
        await store.transact((add, AWKWARD))
        assert await store.query("SELECT * FROM events ORDER BY seq") == AWKWARD
        assert await store.query("SELECT seq FROM events WHERE kind = ? AND at < ?", ";--", 0.0) == [(2**40,)]


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_more_rows_than_go_into_one_message(store: Database) -> None:
    rows = [(seq, 0.0, "k", "", "", "") for seq in range(2_303)]
    changed = [("c", seq) for seq in range(0, 2_303, 2)]
    await store.transact((ADD_EVENT, rows), (ADD_EVENT, []), ("UPDATE events SET contact = ? WHERE seq = ?", changed))
    assert await store.query("SELECT contact, count(*) FROM events GROUP BY contact ORDER BY contact") == [
        ("", 1_151),
        ("c", 1_152),
    ]
    twice = [(1, 0.0, "k", "", "", ""), (1, 0.0, "k", "", "", "")]
    deleted = [(seq,) for seq in range(2_303)]
    with pytest.raises(StatementRefused):
        await store.transact(("DELETE FROM events WHERE seq = ?", deleted), (ADD_EVENT.partition(" ON ")[0], twice))
    assert await store.query("SELECT count(*) FROM events") == [(2_303,)]


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_what_is_refused_is_not_quoted(store: Database) -> None:
    card = "4929 1234 1234 1234"
    add = "INSERT INTO do_not_call (number, reason, added, added_by) VALUES (?, ?, ?, ?)"
    with pytest.raises(StatementRefused) as refused:
        await store.transact((add, [(card, card, 1.0, card), (card, card, 1.0, card)]))
    assert "4929" not in str(refused.value)


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_requests_are_kept_until_they_are_done(store: Database) -> None:
    shelf = RequestShelf(store)
    chat = Request("r1", Channel.CHAT, "sales", 5.0, 4.0, number="+4930", name="Ä", skills="vip", data={"a": "b"})
    late = evolve(chat, id="r0", since=9.0)
    for one in (late, evolve(chat, queue="cards"), chat):
        await shelf.put(one)
    assert await shelf.all() == [chat, late]
    record = fold("r0", STORY)
    assert record is not None
    await ContactArchive(store).append([], [record])
    await shelf.clean()
    assert await shelf.all() == [chat]
    await shelf.remove("r1")
    assert await shelf.all() == []


@pytest_twisted.ensureDeferred
async def test_all_or_nothing(store: Database) -> None:
    row = (1, 1.0, "k", "", "", "{}")
    add = "INSERT INTO events (seq, at, kind, contact, agent, body) VALUES (?, ?, ?, ?, ?, ?)"
    with pytest.raises(StatementRefused):
        await store.transact((add, [row]), (add, [row]))
    assert await store.query("SELECT count(*) FROM events") == [(0,)]


@pytest_twisted.ensureDeferred
async def test_closed_is_unavailable(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="not open"):
        await SQLite(str(path), reactor).query("SELECT 1")
    with pytest.raises(StoreUnavailable, match="not open"):
        await MemoryDatabase().query("SELECT 1")


@pytest_twisted.ensureDeferred
async def test_what_is_in_memory_can_be_forgotten() -> None:
    database = MemoryDatabase()
    await database.open()
    archive = ContactArchive(database)
    record = fold(C, STORY)
    assert record is not None
    await archive.append(entries(STORY), [record])
    await database.clear()
    assert (await archive.last(), await archive.ended(9), await archive.events(C)) == (0, [], [])
    await archive.append(entries(STORY), [record])
    assert await archive.record(C) == record
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_is_refused(database: SQLite, path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="another easycall uses it"):
        await SQLite(str(path), reactor).open()


@pytest_twisted.ensureDeferred
async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    database = SQLite(str(path), reactor)
    await database.open()
    await database.transact(("UPDATE alembic_version SET version_num = ?", [("9999",)]))
    await database.close()
    before = threads()
    with pytest.raises(StoreUnavailable, match=r"its schema is version 9999, this easycall knows versions up to \d{4}"):
        await SQLite(str(path), reactor).open()
    assert threads() == before


@pytest.fixture(params=[b"this is no database, and long enough" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def broken(path: Path, request: pytest.FixtureRequest) -> Path:
    path.write_bytes(request.param)
    return path


@pytest_twisted.ensureDeferred
async def test_a_broken_file_is_refused_in_words(broken: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"easy call%20\.db: .*(not a database|malformed)"):
        await SQLite(str(broken), reactor).open()


@pytest_twisted.ensureDeferred
async def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"No such file or directory.*nowhere"):
        await SQLite(str(tmp_path / "nowhere" / "x.db"), reactor).open()


@pytest_twisted.ensureDeferred
async def test_a_statement_that_never_ends_is_broken_off(database: SQLite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "STATEMENT_SECONDS", 0.1)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(StoreUnavailable, match="interrupted"):
        await database.query(endless)
    monkeypatch.undo()
    assert await database.query("SELECT 1") == [(1,)]


@pytest_twisted.ensureDeferred
async def test_a_full_disk_is_survived(database: SQLite) -> None:
    """The page limit of SQLite gives the error of a full disk (SQLITE_FULL) without one."""
    journal = Journal(reactor, ContactArchive(database))
    await journal.start()
    [(pages,)] = await database.query("PRAGMA page_count")
    await database.query(f"PRAGMA max_page_count={pages}")
    for _ in range(300):
        for event in STORY:
            journal.record(event)
    with pytest.raises(StoreUnavailable, match="full"):
        await journal.flush()
    assert journal.behind == 300 * len(STORY)
    await database.query("PRAGMA max_page_count=1000000")
    await journal.stop()
    assert await database.query("SELECT count(*) FROM events") == [(300 * len(STORY),)]
    [(contacts,)] = await database.query("SELECT count(*) FROM contacts")
    assert contacts == 1


@pytest_twisted.ensureDeferred
async def test_a_backup_holding_the_file_blocks_only_the_thread(database: SQLite, path: Path) -> None:
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    writing = start(ContactArchive(database).append(entries(STORY), []))
    turns = 0
    for _ in range(20):
        await deferLater(reactor, 0.005)
        turns += 1
    assert not writing.called
    other.rollback()
    other.close()
    await writing
    assert turns == 20
    assert await ContactArchive(database).last() == len(STORY)


KILLED_AFTER_TWO_STATEMENTS = """
import os, sys
from alembic import op
from easycall.store import migrations
execute, done = op.execute, []
def dies(statement):
    execute(statement)
    done.append(statement)
    if len(done) == 2:
        os._exit(9)
op.execute = dies
migrations.upgrade_sqlite(sys.argv[1])
"""


@pytest_twisted.ensureDeferred
async def test_killed_during_its_first_upgrade_it_starts_from_nothing(path: Path) -> None:
    """The upgrade is one transaction: broken off in the middle, no table is left of it."""
    _, _, code = await getProcessOutputAndValue(
        sys.executable, ["-c", KILLED_AFTER_TWO_STATEMENTS, str(path)], env=dict(os.environ)
    )
    assert code == 9
    database = SQLite(str(path), reactor)
    await database.open()
    assert await ContactArchive(database).last() == 0
    await database.close()


RECORDED: list[Event] = [
    RecordingStarted(at=STORY[0].at + 1, contact=C, recording="R1", file="2027/01/15/R1.wav", why="queue"),
    RecordingPaused(at=STORY[0].at + 2, contact=C, recording="R1", why="agent"),
]


@pytest_twisted.ensureDeferred
async def test_a_recording_is_found_from_its_first_moment_on(store: Database) -> None:
    archive = ContactArchive(store)
    first, whole = [STORY[0], *RECORDED], [*STORY, *RECORDED]
    await archive.append(entries(first), [])
    assert await archive.recordings.contact_of("R1") == C
    assert await archive.recordings.contact_of("R2") == ""
    [(contact, running)] = await archive.recordings.page(5, "", 0, 1e12)
    assert (contact, running.ended, running.gaps) == (C, None, ())
    record = fold(C, whole)
    assert record is not None
    for _ in range(2):  # a batch whose commit was not confirmed is written again
        await archive.append(entries(whole, first=10), [record])
    await archive.append(entries(first), [])
    assert await archive.record(C) == record
    [recording] = record.recordings
    assert (recording.ended, [gap.ended for gap in recording.gaps]) == (record.ended, [record.ended])
    assert await archive.recordings.page(5, "", 0, 1e12) == [(C, recording)]
    assert await archive.recordings.page(5, "R1", 0, 1e12) == []
    assert await archive.recordings.page(5, "", 0, recording.started) == []


@pytest_twisted.ensureDeferred
async def test_a_recording_whose_daemon_died_ends_with_the_last_that_is_known(store: Database) -> None:
    archive = ContactArchive(store)
    await archive.append(entries([STORY[0], *RECORDED]), [])
    record = await archive.record(C)
    assert record is not None
    assert [one.ended for one in record.recordings] == [RECORDED[-1].at]
