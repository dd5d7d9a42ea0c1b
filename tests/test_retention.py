"""What is too old is removed in the night, in small pieces, each contact as a whole; everything else stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import pytest_twisted
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from easycall import events as facts
from easycall.callback.shelf import Filter
from easycall.config import RetentionSettings
from easycall.defer import start
from easycall.events import Event
from easycall.hours import Hours, spans_of
from easycall.model import AgentState, Callback, CallbackSource, CallbackState, Message
from easycall.ports import Database, StoreUnavailable
from easycall.privacy.retention import Retention
from easycall.privacy.rules import DAY, Stored, cutoffs, expired, seconds_to_night
from easycall.stats.journal import Journal
from easycall.store import customers, expiry
from easycall.store.callbacks import CallbackShelf
from easycall.store.contacts import ContactArchive
from easycall.store.expiry import ExpiryShelf
from easycall.store.messages import MessageFiles
from easycall.store.recordings import RecordingFiles
from easycall.store.sqlite import SQLite

from .test_customers import call

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
TWO = datetime(2026, 3, 2, 2, tzinfo=UTC).timestamp()
"""In the night."""


def night(spans: str = "01:00-05:00") -> Hours:
    return Hours("night", ZoneInfo("UTC"), dict.fromkeys(range(7), spans_of([spans])))


THIRTY = RetentionSettings(contact_days=30, night=night())


# Decisions


def test_nothing_is_too_old_unless_it_is_said_so() -> None:
    assert seconds_to_night(RetentionSettings(), TWO, None) is None
    limits = cutoffs(RetentionSettings(), TWO)
    assert (limits.contacts, limits.recordings, limits.voicemails) == (None, None, None)
    limits = cutoffs(RetentionSettings(contact_days=2, voicemail_days=10), TWO)
    assert (limits.contacts, limits.recordings, limits.voicemails) == (TWO - 2 * DAY, None, TWO - 10 * DAY)


def test_it_is_done_once_a_night() -> None:
    assert seconds_to_night(THIRTY, NOON, None) == 13 * 3600
    assert seconds_to_night(THIRTY, TWO, None) == 0
    assert seconds_to_night(THIRTY, TWO, TWO - 60) == 23 * 3600
    assert seconds_to_night(THIRTY, TWO + DAY, TWO) == 0
    always = evolve(THIRTY, night=night("00:00-24:00"))
    assert seconds_to_night(always, NOON, None) == 0
    assert seconds_to_night(always, NOON, NOON - 10) == DAY - 10


@given(
    st.floats(0, 60 * DAY),
    st.none() | st.floats(0, 60 * DAY),
    st.sampled_from(["01:00-05:00", "22:00-02:00", "00:00-24:00"]),
)
def test_a_night_is_waited_for_and_comes(now: float, done: float | None, spans: str) -> None:
    settings = RetentionSettings(contact_days=2, night=night(spans))
    done = None if done is None else min(done, now)
    seconds = seconds_to_night(settings, now, done)
    assert seconds is not None
    assert 0 <= seconds <= 2 * DAY
    if seconds == 0 and done is not None and now - done < DAY:
        assert settings.night.is_open(now)
        assert settings.night.open_seconds(done, now) < now - done, "it was done in this very night"


pages = st.lists(
    st.tuples(st.floats(0, 10), st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["agent.changed", "agent.assigned"])),
    max_size=12,
)
ends = st.fixed_dictionaries({name: st.none() | st.floats(0, 10) for name in "abc"})


@given(pages, ends, st.floats(0, 10), st.frozensets(st.sampled_from("abc")))
def test_only_what_is_old_goes_and_contacts_as_a_whole(
    told: list[tuple[float, str, str]], ended: dict[str, float | None], before: float, live: frozenset[str]
) -> None:
    page = [Stored(seq, at, kind, contact, ended.get(contact)) for seq, (at, contact, kind) in enumerate(sorted(told), 1)]
    newest, last = len(page), page[-1].contact if page else ""
    found = expired(page, before, live, (newest, last))
    gone = {one.seq: one for one in page if one.seq in found.events}
    assert all(one.at < before and not one.contact and one.kind != "agent.assigned" for one in gone.values())
    assert newest not in found.events
    for contact in found.contacts:
        end = ended[contact]
        assert contact not in (*live, last)
        assert end is None or end < before
    if not found.over:
        old = {one.seq for one in page if not one.contact and one.kind != "agent.assigned"} - {newest}
        assert set(found.events) == old


# In the databases


class Quick:
    """A clock that stands, whose timers fire in the next turn."""

    def __init__(self, now: float) -> None:
        self.now = now

    def seconds(self) -> float:
        return self.now

    def callLater(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> Any:
        return reactor.callLater(0, call, *arguments)  # type: ignore[attr-defined]


class Site:
    """A database with a journal, and folders of files."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.clock = Quick(TWO)
        self.recordings = folder / "recordings"
        self.recordings.mkdir()
        self.messages = MessageFiles(folder / "mail", "/seen", 60, 5, reactor)
        self.messages.make_folder()
        self.archive = ContactArchive(database)
        self.journal = Journal(reactor, self.archive, every=0.01)  # type: ignore[arg-type]
        self.shelf = ExpiryShelf(database)
        self.live: dict[str, Any] = {}
        self.requests: dict[str, Any] = {}

    def retention(self, settings: RetentionSettings, shelf: Any = None) -> Retention:
        return Retention(
            settings,
            shelf or self.shelf,
            self.journal,
            self.clock,  # type: ignore[arg-type]
            live=lambda: self.live,
            requests=lambda: self.requests,
            sounds=RecordingFiles(self.recordings, reactor),
            voice_mails=self.messages,
        )

    async def happens(self, *events: Event) -> None:
        for event in events:
            self.journal.record(event)
            if isinstance(event, facts.RecordingStarted):
                file = self.recordings / event.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("sound")
        await self.journal.flush()

    def leaves(self, message: str, at: float) -> None:
        one = Message(message, "sales", "c", "+4930", "Eva", at, 2.0)
        (self.folder / "mail" / f"{message}.wav").write_text("sound")
        (self.folder / "mail" / f"{message}.json").write_bytes(msgspec.json.encode(one))

    async def there(self) -> dict[str, set[str]]:
        """Table -> the contacts that something is in it of."""
        found = {}
        for table in ("events", "segments", "recordings", "wrap_ups", "transactions"):
            found[table] = {contact for (contact,) in await self.database.query(f"SELECT contact FROM {table}")}  # noqa: S608
        found["contacts"] = {contact for (contact,) in await self.database.query("SELECT id FROM contacts")}
        found["files"] = {file.stem.removeprefix("R") for file in self.recordings.rglob("*.wav")}
        return found


def changed(at: float) -> Event:
    return facts.AgentChanged(at=at, agent="ana", state=AgentState.READY)


@pytest_twisted.async_yield_fixture
async def site(store: Database, tmp_path: Path) -> Any:
    made = Site(store, tmp_path)
    await made.journal.start()
    yield made
    await made.journal.stop()


DAYS = {"old1": 40.0, "old2": 31.0, "young": 29.0, "new": 1.0}


async def filled(site: Site) -> None:
    for name, days in DAYS.items():
        await site.happens(changed(TWO - days * DAY - 1), *call(name, at=TWO - days * DAY))
    await site.happens(changed(TWO))
    one = Callback("open", "cards", "+49301", CallbackSource.ASKED, created=1.0, due=2.0, expires=TWO + DAY)
    await CallbackShelf(site.database).put(one)
    for name, days in DAYS.items():
        over = evolve(one, id=name, state=CallbackState.REACHED, ended=TWO - days * DAY)
        await CallbackShelf(site.database).put(over)


@pytest_twisted.ensureDeferred
async def test_old_contacts_go_with_all_that_is_theirs_and_young_ones_stay_whole(site: Site) -> None:
    await filled(site)
    young = {name: (await site.archive.record(name), await site.archive.events(name)) for name in ("young", "new")}
    assert await site.retention(THIRTY).night()
    there = await site.there()
    assert there.pop("events") == {"", "young", "new"}
    assert all(found == {"young", "new"} for found in there.values()), there
    for name, kept in young.items():
        assert (await site.archive.record(name), await site.archive.events(name)) == kept
    # Of no contact: what is young enough.
    moments = [at for (at,) in await site.database.query("SELECT at FROM events WHERE contact = '' ORDER BY seq")]
    assert moments == [TWO - 29 * DAY - 1, TWO - DAY - 1, TWO]


@pytest_twisted.ensureDeferred
async def test_what_went_is_told_once_a_night(site: Site) -> None:
    await filled(site)
    heard: list[Event] = []
    site.journal.subscribe(lambda _, event: heard.append(event))
    retention = site.retention(THIRTY)
    await retention.start()
    for _ in range(2000):
        if heard:
            break
        await deferLater(reactor, 0.005)  # type: ignore[arg-type]
    site.clock.now = NOON
    await retention.stop()
    [told] = heard
    assert isinstance(told, facts.DataExpired)
    assert (told.contacts, told.recordings, told.voicemails, told.callbacks) == (2, 2, 0, 2)
    assert told.events == 2 * len(call("c")) + 2


@pytest_twisted.ensureDeferred
async def test_old_callbacks_go_and_open_ones_stay_however_old(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easycall.privacy.retention.CALLBACKS", 1)
    await filled(site)
    assert await site.retention(RetentionSettings(recording_days=30, voicemail_days=30, night=night())).night()
    assert len(await CallbackShelf(site.database).find(Filter(), 10)) == 5
    assert await site.retention(THIRTY).night()
    assert {one.id for one in await CallbackShelf(site.database).find(Filter(), 10)} == {"open", "young", "new"}


@pytest_twisted.ensureDeferred
async def test_the_sound_goes_before_the_record(site: Site) -> None:
    await filled(site)
    assert await site.retention(RetentionSettings(recording_days=30, night=night())).night()
    there = await site.there()
    assert there["files"] == {"young", "new"}
    assert there["contacts"] == set(DAYS)
    record = await site.archive.record("old1")
    assert record is not None
    [recording] = record.recordings
    assert recording.file == ""
    assert await RecordingFiles(site.recordings, reactor).size(recording.file) is None
    assert not await site.shelf.sounds(TWO - 30 * DAY, 10), "they are not looked at again every night"


@pytest_twisted.ensureDeferred
async def test_old_voice_mails_go_but_for_those_that_wait_for_an_agent(site: Site) -> None:
    for number in range(50):
        site.leaves(f"v{number:02}", TWO - 40 * DAY)
    site.leaves("w1", TWO - DAY)
    site.requests["r1"] = SimpleNamespace(about="v07")
    assert await site.retention(RetentionSettings(voicemail_days=30, night=night())).night()
    assert {file.name for file in (site.folder / "mail").iterdir()} == {"v07.json", "v07.wav", "w1.json", "w1.wav"}


@pytest_twisted.ensureDeferred
async def test_contacts_that_live_or_left_no_record(site: Site) -> None:
    lost = [evolve(event, contact="lost") for event in call("lost", at=TWO - 50 * DAY)[:5]]
    chat = [evolve(event, contact="chat") for event in call("chat", at=TWO - 45 * DAY)[:5]]
    await site.happens(*lost, *chat, changed(TWO))
    site.live["chat"] = object()
    assert await site.retention(THIRTY).night()
    assert (await site.there())["events"] == {"", "chat"}
    assert len(await site.archive.events("chat")) == 5


@pytest_twisted.ensureDeferred
async def test_the_next_event_has_a_number_of_its_own_though_all_is_old(site: Site) -> None:
    """The latest event stays, and its contact with it: as a whole or not at all."""
    await site.happens(*call("old1", at=TWO - 50 * DAY), *call("old2", at=TWO - 40 * DAY))
    last = await site.archive.last()
    assert await site.retention(THIRTY).night()
    assert await site.archive.last() == last
    there = await site.there()
    assert there["contacts"] == there["events"] == {"old2"}
    assert len(await site.archive.events("old2")) == len(call("c"))


@pytest_twisted.ensureDeferred
async def test_assignments_are_kept_for_replays(site: Site) -> None:
    assigned = facts.AgentAssigned(at=TWO - 90 * DAY, agent="ana", queues=("cards",), serves=("cards",))
    await site.happens(assigned, changed(TWO - 80 * DAY), changed(TWO))
    assert await site.retention(THIRTY).night()
    assert [kind for (kind,) in await site.database.query("SELECT kind FROM events ORDER BY seq")] == [
        "agent.assigned",
        "agent.changed",
    ]


class Killed(Exception):
    """The daemon died here."""


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", ["remove_contacts", "remove_events", "sounds_of"])
async def test_killed_in_the_middle_no_contact_is_half_there(site: Site, verb: str, after: bool) -> None:
    await filled(site)

    class Dying:
        def __getattr__(self, name: str) -> Any:
            wanted = getattr(site.shelf, name)
            if name != verb:
                return wanted

            async def dies(*arguments: Any) -> Any:
                if after:
                    await wanted(*arguments)
                raise Killed

            return dies

    with pytest.raises(Killed):
        await site.retention(THIRTY, Dying()).night()
    for name in DAYS:
        events, record = await site.archive.events(name), await site.archive.record(name)
        assert len(events) in (0, len(call("c")))
        assert (record is None) == (not events)
    assert await site.retention(THIRTY).night()
    assert (await site.there())["contacts"] == {"young", "new"}


@pytest_twisted.ensureDeferred
async def test_pieces_are_small(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what calls tell is never behind a long transaction."""
    monkeypatch.setattr("easycall.privacy.retention.CONTACTS", 2)
    monkeypatch.setattr("easycall.privacy.retention.EVENTS", 3)
    for number in range(7):
        await site.happens(*call(f"c{number}", at=TWO - 50 * DAY + number * 100), changed(TWO - 40 * DAY))
    await site.happens(changed(TWO))
    sizes: list[int] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            wanted = getattr(site.shelf, name)

            async def noted(what: Any) -> Any:
                sizes.append(len(what))
                return await wanted(what)

            return noted if name.startswith("remove") else wanted

    assert await site.retention(THIRTY, Noting()).night()
    assert max(sizes) <= 3
    assert (await site.there())["events"] == {""}


# Beside calls, in virtual time


class Slow:
    """A journal that has much to store."""

    def __init__(self) -> None:
        self.behind = 5_000
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    async def flush(self) -> None:
        """It is done."""


class Counting:
    """A shelf that only counts, and may be away."""

    def __init__(self, pieces: int, away: int = 0) -> None:
        self.asked, self.removed, self._pieces, self._away = 0, 0, pieces, away

    async def contacts(self, before: float, limit: int) -> list[str]:
        self.asked += 1
        if self._away:
            self._away -= 1
            raise StoreUnavailable("away")
        self._pieces -= 1
        return [f"c{number}" for number in range(limit)] if self._pieces >= 0 else []

    async def callbacks(self, before: float, limit: int) -> list[str]:
        return []

    async def count(self, contact: str) -> int:
        return 1

    async def sounds_of(self, contact: str) -> list[tuple[str, str]]:
        return []

    async def remove_contacts(self, contacts: list[str]) -> None:
        self.removed += len(contacts)

    async def events(self, after: int, limit: int) -> list[Stored]:
        return []

    async def newest(self) -> tuple[int, str]:
        return 0, ""


def virtual(shelf: Counting, journal: Slow, now: float) -> tuple[Retention, Clock, Deferred[None]]:
    clock = Clock()
    clock.rightNow = now
    retention = Retention(THIRTY, shelf, journal, clock, live=dict, requests=dict)  # type: ignore[arg-type]
    return retention, clock, start(retention.start())


def passes(clock: Clock, seconds: float, step: float = 0.5) -> None:
    clock.pump([step] * round(seconds / step))


@pytest_twisted.ensureDeferred
async def test_while_the_journal_is_behind_nothing_is_removed() -> None:
    shelf, journal = Counting(3), Slow()
    retention, clock, _ = virtual(shelf, journal, TWO)
    passes(clock, 600)
    assert shelf.asked == 0
    journal.behind = 10
    passes(clock, 10)
    assert shelf.removed == 60
    await retention.stop()


@pytest_twisted.ensureDeferred
async def test_by_day_it_rests_and_goes_on_in_the_next_night() -> None:
    shelf, journal = Counting(10**9), Slow()
    journal.behind = 0
    retention, clock, _ = virtual(shelf, journal, NOON)
    passes(clock, 12 * 3600, 600)
    assert shelf.removed == 0
    passes(clock, 3600, 60)
    passes(clock, 4 * 3600, 1)
    removed = shelf.removed
    assert removed > 0
    passes(clock, 12 * 3600, 600)
    assert shelf.removed == removed
    passes(clock, 12 * 3600, 60)
    assert shelf.removed > removed
    assert sum(event.contacts for event in journal.events if isinstance(event, facts.DataExpired)) == shelf.removed
    await retention.stop()


@pytest_twisted.ensureDeferred
async def test_a_database_that_is_away_is_tried_again() -> None:
    shelf, journal = Counting(1, away=2), Slow()
    journal.behind = 0
    retention, clock, _ = virtual(shelf, journal, TWO)
    passes(clock, 50)
    assert (shelf.asked, shelf.removed) == (1, 0)
    passes(clock, 200)
    assert shelf.removed == 20
    await retention.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("sql", "plan"),
    [
        (expiry.CONTACTS, "contacts_by_arrival (arrived<?)"),
        (expiry.EVENTS, "SEARCH events USING INDEX sqlite_autoindex_events_1 (seq>?)"),
        (expiry.SOUNDS, "recordings_with_sound (started<?)"),
        (expiry.REMOVE_CONTACT[0], "events_of_contact (contact=?)"),
        (customers.CONTACTS, "contacts_of_customer (customer=?)"),
        (customers.TOLD, "calls_out (at>?)"),
        (customers.TOLD, "callbacks_asked (at>?)"),
        (customers.CALLBACKS, "callbacks_of_number (number=?)"),
        (customers.CALLBACKS, "callbacks_of_session (session=?)"),
        (expiry.CALLBACKS, "callbacks_by_end (ended>? AND ended<?)"),
        (customers.EVENTS, "events_of_contact (contact=? AND seq>?)"),
    ],
)
async def test_nothing_is_looked_for_without_an_index(tmp_path: Path, sql: str, plan: str) -> None:
    database = SQLite(str(tmp_path / "easycall.db"), reactor)
    await database.open()
    try:
        found = await database.query(f"EXPLAIN QUERY PLAN {sql}", *[1] * sql.count("?"))
    finally:
        await database.close()
    assert plan in " ".join(map(str, found))
