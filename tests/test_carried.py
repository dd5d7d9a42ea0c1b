"""What the process before left open: carried from segment to segment of the journal's file, known after a start."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import pytest_twisted
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import capturedLogs

from easycall import parts
from easycall.clock import SteadyClock
from easycall.events import AgentChanged, ContactArrived, ContactEnded, Event, FlowStep
from easycall.model import AgentState
from easycall.ports import Database
from easycall.stats.codec import encode
from easycall.stats.framing import VERSION, Damage, Frame, bracketed, frame, scan, whole
from easycall.stats.journal import Entry, Journal
from easycall.stats.log_file import LogFile
from easycall.stats.record import fold
from easycall.stats.segments import Segment, recalled
from easycall.stats.standing import Numbered, Standing
from easycall.store.contacts import ContactArchive
from easycall.store.journal_folder import JournalFolder
from tests.test_journal import MemoryArchive, complaints
from tests.test_journal_file import FRAMES, Node
from tests.test_record import STORY, C
from tests.test_standing import STORIES, said

reactor: Any = _reactor


def arrived(contact: str, at: float = 1.0) -> ContactArrived:
    return ContactArrived(at=at, contact=contact, pbx="main", leg="x", caller="+491", caller_name="", dialled="1")


def step(contact: str, at: float = 2.0, node: str = "n") -> FlowStep:
    return FlowStep(at=at, contact=contact, flow="f", node=node)


def works(agent: str, state: AgentState, at: float = 3.0) -> AgentChanged:
    return AgentChanged(at=at, agent=agent, state=state)


def old_frame(seq: int, event: Event) -> bytes:
    """What the first easycall wrote; frozen here, as such files are to be read for ever."""
    kind, body = event.kind.encode(), encode(event).encode()
    rest = struct.pack(">BBIQd", 1, len(kind), len(body), seq, event.at) + kind + body
    return b"\xffECJ" + struct.pack(">I", crc32(rest)) + rest


def waited_for(work: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    [result] = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


# Frames


def data_of(frames: Iterable[Frame]) -> bytes:
    return b"".join(map(frame, frames))


@given(FRAMES, FRAMES, st.data())
def test_carried_frames_are_found_and_passed_over(live: list[Frame], carried: list[Frame], data: st.DataObject) -> None:
    """Wherever they stand between the others."""
    mixed = list(live)
    for one in reversed(list(bracketed(carried))):
        first = next((place for place, other in enumerate(mixed) if other.carried), len(mixed))
        mixed.insert(data.draw(st.integers(0, first)), one)
    found = scan(data_of(mixed), 0)
    assert (found.frames, found.damages, found.last) == (live, [], live[-1].seq)
    assert whole(found.carried) == [one._replace(carried=True) for one in carried]


@given(FRAMES, FRAMES, st.data())
def test_a_set_that_is_not_all_there_does_not_count(one: list[Frame], other: list[Frame], data: st.DataObject) -> None:
    written = [*bracketed(one), *bracketed(other)]
    cut = data.draw(st.integers(0, len(written) - 1))
    found = whole(scan(data_of(written[:cut]), 0).carried)
    assert found == ([frame._replace(carried=True) for frame in one] if cut >= len(one) + 2 else None)
    lost = data.draw(st.integers(len(one) + 2, len(written) - 1))
    assert whole(scan(data_of(written[:lost] + written[lost + 1 :]), 0).carried) != other


@pytest.mark.fault("F38")
@given(FRAMES, FRAMES, st.data())
def test_a_flipped_byte_makes_no_carried_frame_of_another(
    live: list[Frame], carried: list[Frame], data: st.DataObject
) -> None:
    """An event is never lost without being counted, and nothing carried is taken for one."""
    written = bytearray(data_of([*bracketed(carried), *live]))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    found = scan(bytes(written), 0)
    lost = sum(one.after - one.before - 1 for one in found.damages) + live[-1].seq - found.last
    assert len(found.frames) + lost == len(live)
    assert all(one in live for one in found.frames)
    assert all(isinstance(one, Damage) for one in found.damages)


# From process to process


@pytest.mark.requirement("A3")
@pytest.mark.fault("F32")
@given(st.lists(STORIES, min_size=1, max_size=4), st.booleans())
def test_a_start_knows_what_was_left(lives: list[list[Numbered]], away: bool) -> None:
    """However many processes were killed before, whether the database was there or not."""

    async def live() -> None:
        node = Node()
        told: list[Numbered] = []
        for life in lives:
            node.archive.away = False
            await node.starts(segment_bytes=600)
            assert said(node.journal.left) == said(Standing.of(told))
            node.archive.away = away
            for _, event in life:
                event = evolve(event, at=float(len(told)))
                node.journal.record(event)
                told.append((node.journal.last, event))
                node.clock.advance(0.05)
            node.is_killed()
        node.archive.away = False
        await node.starts()
        assert said(node.journal.left) == said(Standing.of(told))
        await node.journal.stop()

    waited_for(live())


@pytest.mark.fault("F38")
@given(st.data())
def test_a_crash_while_it_is_carried_leaves_the_older_segment(data: st.DataObject) -> None:
    """Wherever the newest segment was broken off."""

    async def live() -> None:
        node = Node()
        journal = await node.starts(segment_bytes=3_000)
        node.archive.away = True
        told: list[Numbered] = []
        for number in range(40):
            contact = f"c{number // 8}"
            event: Event = arrived(contact) if number % 8 == 0 else step(contact, node=str(number))
            journal.record(event)
            told.append((journal.last, event))
            node.clock.advance(0.05)
        node.is_killed()
        node.archive.away = False
        newest = max(node.disk.files)
        length = data.draw(st.integers(0, len(node.disk.files[newest])))
        node.disk.files[newest] = node.disk.files[newest][:length]
        upto = scan(node.disk.files[newest], int(newest[:-4]) - 1).last
        journal = await node.starts()
        assert said(journal.left) == said(Standing.of(told[:upto]))
        await journal.stop()

    waited_for(live())


@pytest_twisted.ensureDeferred
async def test_a_contact_that_lives_for_days_keeps_no_old_segment() -> None:
    node = Node()
    journal = await node.starts(segment_bytes=5_000)
    journal.record(arrived("old"))
    journal.record(works("ana", AgentState.READY))
    for _ in range(50):
        node.records(50)
        node.passes(0.5)
        assert len(node.disk.files) <= 3
    node.is_killed()
    node.archive.batches.clear()  # nothing of it comes from there
    journal = await node.starts()
    assert [event for _, event in journal.left.stories["old"]] == [arrived("old")]
    assert journal.left.agents["ana"].latest == works("ana", AgentState.READY)
    await journal.stop()


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_the_record_of_a_contact_that_lives_on_is_whole() -> None:
    node = Node()
    journal = await node.starts()
    for event in STORY[:4]:
        journal.record(event)
    node.clock.advance(0)
    for place in range(4, len(STORY) - 1):
        node.is_killed()
        journal = await node.starts()
        found = await journal.record_of(C)
        assert found is not None
        assert (found[0].live, len(found[1])) == (True, place)
        journal.record(STORY[place])
        node.clock.advance(0)
    journal.record(STORY[-1])
    node.passes(0.2)
    assert node.archive.records == {C: fold(C, STORY)}
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_much_that_stands_open_is_carried_in_slices() -> None:
    node = Node()
    journal = await node.starts(segment_bytes=100_000)
    contacts = [f"c{number}" for number in range(2_000)]
    for contact in contacts:
        journal.record(arrived(contact))
    node.clock.advance(0)
    node.disk.longest = 0
    while len(node.disk.files) < 2:
        journal.record(step(contacts[0]))
        node.clock.advance(0)
    assert 0 < node.disk.longest < 40_000
    node.is_killed()
    node.archive.batches.clear()
    journal = await node.starts()
    assert list(journal.left.stories) == contacts
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_more_than_the_file_may_carry_is_known_by_the_database() -> None:
    node = Node()
    journal = await node.starts(max_bytes=40_000)
    contacts = [f"c{number}" for number in range(400)]
    with capturedLogs() as lines:
        for contact in contacts:
            journal.record(arrived(contact))
            node.clock.advance(0)
        node.records(300)
        node.passes(1)
    assert any("what stands open is more than a fourth" in line for line in complaints(lines))
    assert sum(map(len, node.disk.files.values())) <= 40_000
    node.is_killed()
    journal = await node.starts(max_bytes=40_000)
    assert list(journal.left.stories) == contacts
    await journal.stop()


@pytest.mark.fault("F86")
@pytest_twisted.ensureDeferred
async def test_a_disk_that_is_full_while_it_is_carried() -> None:
    node = Node()
    journal = await node.starts(segment_bytes=10_000)
    told: list[Numbered] = []
    for number in range(400):
        if number % 50 == 20:
            node.disk.room = sum(map(len, node.disk.files.values())) + number
        if number % 50 == 40:
            node.disk.room = 1 << 40
            node.passes(1.5)
        event = arrived(f"c{number}")
        journal.record(event)
        told.append((journal.last, event))
        node.clock.advance(0)
    node.disk.room = 1 << 40
    node.passes(2)
    node.is_killed()
    node.archive.batches.clear()
    journal = await node.starts()
    assert said(journal.left) == said(Standing.of(told))
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_events_that_never_got_into_the_file_are_carried_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easycall.stats.log_file.PENDING", 2_000)
    node = Node()
    journal = await node.starts()
    node.records(1)
    node.disk.broken.add("append")
    told = [arrived(f"c{number}") for number in range(50)]
    for event in told:
        journal.record(event)
        node.clock.advance(0)
    assert node.file.gaps > 0
    node.disk.broken.clear()
    node.passes(2)
    node.is_killed()
    node.archive.batches.clear()
    journal = await node.starts()
    assert list(journal.left.stories) == [event.contact for event in told]
    await journal.stop()


# Files of another easycall


@pytest.mark.requirement("A3")
@pytest_twisted.ensureDeferred
async def test_files_of_the_first_easycall_are_taken_up() -> None:
    """With the database, which has what is older than they are."""
    node = Node()
    story: list[Event] = [works("ana", AgentState.NOT_READY), works("ana", AgentState.READY, 4.0), *STORY[:6]]
    told = list(enumerate(story, 1))
    node.archive.batches.append([Entry(seq, event, encode(event)) for seq, event in told[:3]])
    node.disk.files[f"{2:020}.log"] = b"".join(old_frame(seq, event) for seq, event in told[1:5])
    node.disk.files[f"{6:020}.log"] = b"".join(old_frame(seq, event) for seq, event in told[5:])
    journal = await node.starts()
    assert said(journal.left) == said(Standing.of(told))
    assert node.archive.stored == list(range(1, len(told) + 1))
    journal.record(STORY[6])
    node.passes(0.5)
    node.is_killed()
    node.archive.batches.clear()
    journal = await node.starts()
    assert said(journal.left) == said(Standing.of([*told, (len(told) + 1, STORY[6])]))
    await journal.stop()


@pytest.mark.parametrize("how", ["too much", "unreadable"])
@pytest_twisted.ensureDeferred
async def test_of_old_files_that_cannot_all_be_read_the_newest_count(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is the database's to tell."""
    node = Node()
    names = [f"{seq:020}.log" for seq in (1, 2, 3)]
    for seq, name in enumerate(names, 1):
        node.disk.files[name] = old_frame(seq, arrived(f"c{seq}"))
    stored = arrived("c1")
    node.archive.batches.append([Entry(1, stored, encode(stored))])
    node.archive.batches.append([Entry(2, arrived("c2"), encode(arrived("c2")))])
    if how == "too much":
        monkeypatch.setattr("easycall.stats.segments.RECALLED", len(node.disk.files[names[0]]))
    else:
        read = node.disk.read

        def fails(name: str, offset: int, size: int) -> bytes:
            if name == names[1]:
                raise OSError(5, "Input/output error")
            return read(name, offset, size)

        monkeypatch.setattr(node.disk, "read", fails)
    segments = [Segment(name, seq, len(node.disk.files[name])) for seq, name in enumerate(names, 1)]
    assert recalled(node.disk, segments, None, lambda one: one.seq) == ([3], False)
    journal = await node.starts()
    assert list(journal.left.stories) == ["c1", "c2", "c3"]
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_what_a_newer_easycall_wrote_is_passed_over_and_counted() -> None:
    node = Node()
    old, new = arrived("old"), arrived("new")
    frames = [Frame(5, 1.0, old.kind, encode(old)), Frame(6, 1.0, "contact.beamed", "{}"), Frame(7, 1.0, old.kind, "{}", 9)]
    live = [Frame(8, 1.0, new.kind, encode(new)), Frame(9, 1.0, "contact.beamed", "{}"), Frame(10, 1.0, old.kind, "{}", 9)]
    node.disk.files[f"{8:020}.log"] = data_of([*bracketed(frames), *live])
    node.archive.batches.append([Entry(7, old, encode(old))])
    with capturedLogs() as lines:
        journal = await node.starts()
    assert list(journal.left.stories) == ["old", "new"]
    assert journal.dropped == 2, "those that the database will never have"
    assert [line for line in complaints(lines) if line.startswith("journal: event 9 cannot be understood")]
    assert VERSION < 9
    await journal.stop()


# Without the file


@pytest_twisted.ensureDeferred
async def test_the_database_says_it_where_there_is_no_file(store: Database) -> None:
    archive = ContactArchive(store)
    now = 10 * 86_400.0
    first = Journal(reactor, archive)
    await first.start()
    told: list[Numbered] = []

    def tell(event: Event) -> None:
        first.record(event)
        told.append((first.last, event))

    first.record(arrived("forgotten", now - 8 * 86_400))  # longer ago than is looked for
    first.record(works("gone", AgentState.READY, now - 2 * 86_400))
    for number in range(150):
        tell(arrived(f"c{number}", now))
        tell(step(f"c{number}", now))
    for number in range(0, 150, 3):
        tell(ContactEnded(at=now, contact=f"c{number}", **_end()))
    for number in range(1_100):
        tell(works("ana", AgentState.READY if number % 2 else AgentState.NOT_READY, now + number / 100))
    await first.stop()
    left = Standing.of(await archive.standing(now + 60))
    assert said(left) == said(Standing.of(told))
    second = Journal(reactor, archive)
    await second.start()  # by the real time all that is long ago
    assert said(second.left)[:2] == ([], {})
    await second.stop()


def _end() -> dict[str, Any]:
    ended = STORY[-1]
    assert isinstance(ended, ContactEnded)
    return {"outcome": ended.outcome, "ended_by": ended.ended_by}


# While it is read


def in_thread(work: Any, *arguments: Any) -> Deferred[Any]:
    return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)


@pytest_twisted.ensureDeferred
async def test_the_reactor_turns_while_a_start_reads(tmp_path: Path) -> None:
    """How fast, is measured by bench/start.py."""
    folder = tmp_path / "journal"
    folder.mkdir()
    written, seq = bytearray(data_of(bracketed([]))), 0
    while len(written) < 1 << 20:
        seq += 1
        event = step(f"c{seq // 20}", node="n" * 60) if seq % 20 else arrived(f"c{seq // 20}")
        written += frame(Frame(seq, event.at, event.kind, encode(event)))
    (folder / f"{1:020}.log").write_bytes(written)
    clock: Any = SteadyClock(reactor)
    journal = Journal(clock, MemoryArchive(seq), LogFile(JournalFolder(folder), clock, in_thread))
    turns: list[float] = []
    turning = LoopingCall(lambda: turns.append(clock.seconds()))
    turning.start(0)
    await journal.start()
    turning.stop()
    assert sum(map(len, journal.left.stories.values())) == seq - 19
    assert len(turns) > 20, "more than the few in which threads give their results"
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_memory_settles_once_the_journal_has_started() -> None:
    """Else the collector looks at the database's driver, and at all that was left, in the middle of calls."""
    node = Node()
    await node.starts()
    node.is_killed()
    journal = Journal(node.clock, node.archive, LogFile(node.disk, node.clock, maybeDeferred))
    known: list[int] = []
    part = parts.journal(journal, None, loaded=lambda: known.append(journal.last))
    await part.start()
    assert known == [journal.last]
    await part.stop()
