"""The journal's file: what is written is found again, whatever happens to the process, the disk and the database."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from easycall.defer import start
from easycall.ports import StoreUnavailable
from easycall.stats.crash_point import CrashPoint
from easycall.stats.framing import Damage, Frame, frame, scan
from easycall.stats.journal import Entry, Journal
from easycall.stats.log_file import LogFile
from easycall.store.journal_folder import JournalFolder
from easycall.tap.disk import crash_point
from tests.disk import Disk
from tests.test_journal import MemoryArchive, complaints, up
from tests.test_record import STORY, C

HERE = Path(__file__).parent.parent
KILLS = 50


class Node:
    """Disk, database and clock of a node, and the journal of the process that runs there now."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.archive = MemoryArchive()
        self.clock = Clock()

    async def starts(self, **limits: int) -> Journal:
        room = limits.pop("room", 100_000)
        self.archive._last = max(self.archive.stored, default=0)
        self.file = LogFile(self.disk, self.clock, maybeDeferred, **limits)
        self.journal = Journal(self.clock, self.archive, self.file, room=room)
        await self.journal.start()
        return self.journal

    def is_killed(self) -> None:
        """Nothing of the process runs any more."""
        self.clock = Clock()

    def records(self, count: int) -> None:
        for _ in range(count):
            self.journal.record(up())
            self.clock.advance(0)

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)


# Frames

TEXT = st.text(max_size=30)
FRAMES = st.lists(
    st.builds(Frame, seq=st.just(0), at=st.floats(0, 2e9), kind=st.text("abc.", max_size=9), body=TEXT),
    min_size=1,
    max_size=12,
).map(lambda ones: [Frame(seq, one.at, one.kind, one.body) for seq, one in enumerate(ones, 1)])


@given(FRAMES, st.integers(0, 12), st.integers(1, 12))
def test_what_is_written_is_read(frames: list[Frame], after: int, limit: int) -> None:
    data = b"".join(map(frame, frames))
    assert scan(data, 0).frames == frames
    assert scan(data, 0).end == len(data)
    assert scan(data, 0, after, limit).frames == frames[after : after + limit]


@pytest.mark.fault("F38")
@given(FRAMES, st.data())
def test_a_torn_tail_is_found_at_every_byte(frames: list[Frame], data: st.DataObject) -> None:
    written = b"".join(map(frame, frames))
    cut = data.draw(st.integers(0, len(written)))
    found = scan(written[:cut], 0)
    assert found.frames == frames[: len(found.frames)]
    assert found.damages == []
    assert found.end == sum(len(frame(one)) for one in found.frames) <= cut


@pytest.mark.fault("F38")
@given(FRAMES, st.data())
def test_a_flipped_byte_costs_one_event_and_is_named(frames: list[Frame], data: st.DataObject) -> None:
    written = bytearray(b"".join(map(frame, frames)))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    ends = [sum(len(frame(one)) for one in frames[:n]) for n in range(1, len(frames) + 1)]
    hit = next(index for index, end in enumerate(ends) if place < end)
    found = scan(bytes(written), 0)
    assert found.frames == frames[:hit] + frames[hit + 1 :]
    if hit + 1 < len(frames):
        assert found.damages == [Damage(ends[hit - 1] if hit else 0, ends[hit], hit, hit + 2)]


# Reading


@pytest_twisted.ensureDeferred
async def test_what_is_written_while_the_disk_reads_is_not_lost() -> None:
    """All was read before, and the thread finds nothing more in what was there when it began."""
    slow: list[Deferred[None]] = []

    def in_thread(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = maybeDeferred(work, *arguments)
        return slow[0].addCallback(lambda _: done) if slow else done

    file = LogFile(Disk(), Clock(), in_thread)
    await file.open()
    for seq in (1, 2, 3):
        file.add(Frame(seq, 0.0, "k", "{}"))
    file.write()
    slow.append(Deferred())
    reading = start(file.read(3, 10))
    for seq in (4, 5):
        file.add(Frame(seq, 0.0, "k", "{}"))
    file.write()
    slow.pop().callback(None)
    assert (await reading, file.unreadable) == ([], 0)
    assert [one.seq for one in await file.read(3, 10)] == [4, 5]


# Writing


@pytest_twisted.ensureDeferred
async def test_one_write_a_turn_and_few_syncs() -> None:
    node = Node()
    journal = await node.starts()
    for _ in range(20):
        journal.record(up())
    assert node.disk.appends == 0
    node.clock.advance(0)
    assert node.disk.appends == 1
    for _ in range(100):
        journal.record(up())
        node.clock.advance(0.01)
    assert node.disk.syncs <= 6
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_who_tells_outside_writes_before() -> None:
    node = Node()
    journal = await node.starts()
    journal.record(up())
    journal.write()
    assert node.disk.appends == 1
    node.clock.advance(0)
    assert node.disk.appends == 1
    await journal.stop()


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_a_killed_process_loses_nothing_that_was_written() -> None:
    node = Node()
    await node.starts()
    node.archive.away = True
    node.records(2500)
    node.is_killed()
    node.archive.away = False
    journal = await node.starts()
    assert node.archive.stored == list(range(1, 2501))
    node.records(1)
    assert journal.last == 2501
    await journal.stop()
    assert node.archive.stored == list(range(1, 2502))


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("split", range(1, len(STORY)))
@pytest_twisted.ensureDeferred
async def test_the_record_of_a_contact_that_ended_before_the_kill_is_made(split: int) -> None:
    node = Node()
    journal = await node.starts()
    for event in STORY[:split]:
        journal.record(event)
    node.passes(0.2)
    node.archive.away = True
    for event in STORY[split:]:
        journal.record(event)
    node.clock.advance(0)
    node.is_killed()
    node.archive.away = False
    journal = await node.starts()
    assert journal.behind == 0
    assert {C: node.archive.records[C].talked} == {C: _record_of_story()}
    await journal.stop()


def _record_of_story() -> float:
    from easycall.stats.record import fold

    record = fold(C, STORY)
    assert record is not None
    return record.talked


@pytest.mark.fault("F80")
@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_a_store_that_is_long_away_costs_lag_and_no_memory() -> None:
    node = Node()
    journal = await node.starts(room=100, segment_bytes=20_000)
    node.archive.away = True
    for _ in range(10):
        node.records(500)
        node.passes(1)
        assert len(journal._projection._waiting) <= 100
    assert journal.behind == 5000
    node.archive.away = False
    node.passes(6)
    assert node.archive.stored == list(range(1, 5001))
    assert (journal.behind, journal.dropped, journal.trouble) == (0, 0, "")
    node.records(3)
    node.passes(0.2)
    assert node.archive.stored == list(range(1, 5004))
    assert len(node.disk.files) == 1, "what is stored is removed"
    await journal.stop()


@pytest.mark.fault("F80")
@pytest_twisted.ensureDeferred
async def test_a_full_file_drops_the_oldest_and_counts() -> None:
    node = Node()
    journal = await node.starts(room=10, max_bytes=40_000)
    node.archive.away = True
    with capturedLogs() as lines:
        node.records(2000)
    assert sum(map(len, node.disk.files.values())) <= 40_000
    node.archive.away = False
    node.passes(6)
    kept = node.archive.stored
    assert kept == list(range(kept[0], 2001))
    assert journal.dropped == kept[0] - 1 > 0
    assert any("thrown away before the database had them" in line for line in complaints(lines))
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_behind_a_slow_store_no_tries_queue_up() -> None:
    node = Node()
    journal = await node.starts()
    node.archive.slow = slow = Deferred()
    for _ in range(3000):
        node.records(1)
        node.clock.advance(0.1)
    assert len(journal._projection._writing.waiting) == 0
    node.archive.slow = None
    slow.callback(None)
    node.passes(1)
    assert node.archive.stored == list(range(1, 3001))
    await journal.stop()


@pytest.mark.fault("F80")
@pytest_twisted.ensureDeferred
async def test_a_start_without_the_store_goes_on_from_the_file_and_every_record_is_made() -> None:
    node = Node()
    await node.starts()
    node.records(20)
    node.passes(1)
    node.archive.away = True
    for event in STORY[:3]:
        node.journal.record(event)
    node.clock.advance(0)
    node.is_killed()
    journal = await node.starts()
    assert journal.last > 23
    assert journal.behind == 0, "nobody knows yet what the store has"
    node.records(2)
    node.is_killed()
    journal = await node.starts()
    for event in STORY[3:]:
        journal.record(event)
    node.passes(1)
    assert journal.behind == len(STORY[3:])
    node.archive.away = False
    node.passes(6)
    kept = node.archive.stored
    assert kept == sorted(set(kept))
    assert len(kept) == 20 + len(STORY) + 2
    assert node.archive.records[C].talked == _record_of_story()
    assert (journal.behind, journal.dropped) == (0, 0)
    await journal.stop()


@pytest.mark.fault("F80")
@pytest_twisted.ensureDeferred
async def test_a_store_that_goes_away_while_the_journal_starts_is_no_reason_not_to() -> None:
    node = Node()
    await node.starts()
    node.archive.away = True
    node.records(5)
    node.is_killed()
    node.archive.away, node.archive.full = False, True
    journal = await node.starts()
    node.records(1)
    assert (journal.last, journal.behind) == (6, 6)
    node.archive.full = False
    node.passes(6)
    assert node.archive.stored == list(range(1, 7))
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_a_first_start_needs_the_store() -> None:
    node = Node()
    node.archive.away = True
    with pytest.raises(StoreUnavailable, match="the journal's file has no event that says where to go on"):
        await node.starts()
    await node.journal.stop()


@pytest.mark.fault("F80")
@pytest_twisted.ensureDeferred
async def test_a_file_far_older_than_the_store_is_told_and_costs_no_record() -> None:
    node = Node()
    await node.starts()
    node.records(1)
    node.passes(1)
    node.is_killed()
    node.archive.away = True
    journal = await node.starts()
    for event in STORY:
        journal.record(event)
    node.archive.batches.append([Entry(seq, up(), "{}") for seq in (journal.last + 500,)])
    node.archive._last = journal.last + 500
    node.archive.away = False
    with capturedLogs() as lines:
        node.passes(6)
    assert any("the file is older than the database" in line for line in complaints(lines))
    assert C in node.archive.records
    await journal.stop()


# A disk that fails


@pytest.mark.fault("F86")
@pytest.mark.parametrize("how", ["full", "append", "sync"])
@pytest_twisted.ensureDeferred
async def test_a_disk_that_takes_nothing_is_told_and_heals(how: str) -> None:
    node = Node()
    journal = await node.starts()
    node.records(10)
    node.passes(0.5)
    if how == "full":
        node.disk.room = sum(map(len, node.disk.files.values())) + 20
    else:
        node.disk.broken.add(how)
    with capturedLogs() as lines:
        for _ in range(30):
            node.records(1)
            node.passes(1)
    assert journal.trouble.startswith("the journal's file cannot be written: ")
    assert len(complaints(lines)) == 1
    assert node.archive.stored == list(range(1, 41)), "the database does not suffer"
    node.disk.room = 1 << 40
    node.disk.broken.clear()
    node.passes(3)
    assert journal.trouble == ""
    assert (node.file.written, node.file.gaps, journal.dropped) == (40, 0, 0)
    node.is_killed()
    node.archive.batches.clear()
    await node.starts()
    first = min(int(name[:-4]) for name in node.disk.files)  # a file that could not be synced is not written on
    assert node.archive.stored == list(range(first, 41)), "it can be read back whole"
    await node.journal.stop()


@pytest.mark.fault("F86")
@pytest_twisted.ensureDeferred
async def test_disk_and_store_away_the_bound_holds_and_every_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easycall.stats.log_file.PENDING", 10_000)
    node = Node()
    journal = await node.starts(room=50)
    node.disk.broken.add("append")
    node.archive.away = True
    node.records(1000)
    assert node.file._pending_bytes <= 10_000
    assert journal.dropped == 950
    node.disk.broken.clear()
    node.archive.away = False
    node.passes(10)
    node.records(10)
    node.passes(1)
    assert node.archive.stored == [*range(1, 51), *range(1001, 1011)]
    assert journal.dropped == 950
    await journal.stop()


@pytest.mark.fault("F38")
@pytest_twisted.ensureDeferred
async def test_a_damaged_middle_is_passed_over_counted_and_named() -> None:
    node = Node()
    await node.starts()
    node.archive.away = True
    node.records(100)
    node.is_killed()
    [name] = node.disk.files
    data = node.disk.files[name]
    middle = len(data) // 2
    node.disk.files[name] = data[:middle] + b"\0" * 10 + data[middle + 10 :] + data[:17]
    node.archive.away = False
    with capturedLogs() as lines:
        journal = await node.starts()
    assert journal.dropped in (1, 2)
    assert len(node.archive.stored) == 100 - journal.dropped
    torn, named = complaints(lines)
    assert torn.startswith("journal: 17 bytes at the end")
    assert "cannot be read" in named
    assert name in named
    node.records(1)
    await journal.stop()
    assert node.archive.stored[-1] == 101


@pytest.mark.fault("F38")
@pytest_twisted.ensureDeferred
async def test_a_segment_that_cannot_be_read_does_not_stop_the_rest() -> None:
    node = Node()
    await node.starts(segment_bytes=2_000)
    node.archive.away = True
    node.records(100)
    node.is_killed()
    names = sorted(node.disk.files)
    node.disk.files[names[1]] = b"\0" * len(node.disk.files[names[1]])
    node.archive.away = False
    journal = await node.starts()
    assert len(node.archive.stored) + journal.dropped == 100
    assert journal.dropped == int(names[2][:-4]) - int(names[1][:-4])
    await journal.stop()


@given(st.lists(st.sampled_from(["record", "pass", "away", "back", "kill", "full", "free"]), max_size=40))
def test_whatever_happens_nothing_written_is_lost_or_doubled(steps: Sequence[str]) -> None:
    """Everything told is stored exactly once, in order, but for what was in memory only when the process died."""

    async def live() -> None:
        node = Node()
        await node.starts(room=7, segment_bytes=500)
        told: set[int] = set()
        dropped = 0
        for step in steps:
            if step == "record":
                node.records(5)
                told |= {node.journal.last - n for n in range(5)}
            elif step == "pass":
                node.passes(2)
            elif step == "kill":
                lost = {seq for seq in told - set(node.archive.stored) if seq > node.file.written}
                dropped += node.journal.dropped
                node.is_killed()
                node.disk.room, node.archive.away = 1 << 40, False
                await node.starts(room=7, segment_bytes=500)
                told -= lost  # they were in memory only, the disk being full
                gone = len(told - set(node.archive.stored))
                assert gone <= dropped
                dropped = gone
            else:
                node.archive.away = {"away": True, "back": False}.get(step, node.archive.away)
                used = sum(map(len, node.disk.files.values()))
                node.disk.room = {"full": used + 30, "free": 1 << 40}.get(step, node.disk.room)
        node.disk.room, node.archive.away = 1 << 40, False
        node.passes(12)
        missing = told - set(node.archive.stored)
        assert node.archive.stored == sorted(told - missing)
        assert len(missing) == dropped + node.journal.dropped
        await node.journal.stop()

    outcome: list[object] = []
    Deferred.fromCoroutine(live()).addBoth(outcome.append)
    if outcome != [None]:
        outcome[0].raiseException()  # type: ignore[attr-defined]


# Crash points


@pytest.mark.fault("F33")
def test_a_crash_point_is_before_or_after_one_write() -> None:
    died: list[str] = []
    for text, wanted in (("2-", ["a"]), ("2+", ["a", "b"])):
        written: list[str] = []
        point = CrashPoint(text, lambda: died.append("".join(written)))  # noqa: B023 - called in this turn of the loop
        for name in "abc":
            point.before()
            written.append(name)
            point.after()
        assert died.pop() == "".join(wanted)
    for wrong in ("", "2", "0+", "-1-", "x+"):
        with pytest.raises(ValueError, match="must be the number of a write"):
            CrashPoint(wrong, lambda: None)


@pytest.mark.fault("F33")
def test_crash_points_are_for_tests_only() -> None:
    assert crash_point({}) == (None, "")
    assert "EASYCALL_TEST=1" in crash_point({"EASYCALL_CRASH_AT": "3+"})[1]
    assert "must be the number" in crash_point({"EASYCALL_CRASH_AT": "x", "EASYCALL_TEST": "1"})[1]
    assert crash_point({"EASYCALL_CRASH_AT": "3+", "EASYCALL_TEST": "1"})[0] is not None


# The disk


@pytest.mark.fault("F41")
def test_a_second_process_is_refused_and_nobody_else_may_read(tmp_path: Path) -> None:
    first = JournalFolder(tmp_path / "journal")
    assert first.open() == {"lock": 0}
    with pytest.raises(OSError, match="another easycall uses it"):
        JournalFolder(tmp_path / "journal").open()
    first.append("1.log", b"abc")
    first.sync("1.log")
    assert (tmp_path / "journal/1.log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    first.cut("1.log", 1)
    first.append("1.log", b"d")
    assert first.read("1.log", 0, 9) == b"ad"
    first.remove("1.log")
    first.remove("1.log")
    first.close()
    again = JournalFolder(tmp_path / "journal")
    again.open()
    again.close()


def killed_writer(folder: Path, lines: int, crash: str = "") -> list[int]:
    """Let a process record, kill it when it has told so much, or where it kills itself; all that it told."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.journal_writer", str(folder), *([crash] if crash else [])],
        stdout=subprocess.PIPE,
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        if not crash:
            process.kill()
        told += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return [int(line) for line in told if line.endswith(b"\n")]


def stored(folder: Path) -> list[int]:
    database = sqlite3.connect(folder / "easycall.db")
    try:
        [(result,)] = database.execute("PRAGMA integrity_check")
        assert result == "ok"
        ended = {contact for (contact,) in database.execute("SELECT contact FROM events WHERE kind = 'contact.ended'")}
        records = [contact for (contact,) in database.execute("SELECT id FROM contacts")]
        assert sorted(records) == sorted(ended), "each contact that ended has exactly one record"
        return [seq for (seq,) in database.execute("SELECT seq FROM events ORDER BY rowid")]
    finally:
        database.close()


@pytest.mark.fault("F32", "F33", "F90")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(400)
def test_killed_again_and_again_nothing_that_was_told_is_lost_or_doubled(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = 200 if request.config.getoption("--long") else KILLS
    dice = random.Random(1)  # noqa: S311 - a test
    told: list[int] = []
    for number in range(kills):
        crash = f"{dice.randint(1, 60)}{dice.choice('+-')}" if number % 5 == 4 else ""
        told += killed_writer(tmp_path, 0 if crash else dice.choice((0, 1, dice.randint(2, 400))), crash)
    assert told == sorted(set(told)), "no number was given twice"
    before = tuple(told)
    killed_writer(tmp_path, 1)  # starting stores what the one before left
    kept = stored(tmp_path)
    assert kept == sorted(set(kept)), "in their order, once each"
    assert set(before) <= set(kept), "all that was told is there"
    assert len(before) > kills
