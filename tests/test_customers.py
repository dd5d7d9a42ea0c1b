"""What is known of a customer is told and erased on request, in every database, in files, and in the journal's file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from easycall import events as facts
from easycall.acd.numbers import known_number
from easycall.config import DialingSettings
from easycall.events import Event
from easycall.model import (
    Callback,
    CallbackSource,
    CallbackState,
    Contact,
    Direction,
    EndedBy,
    FaxOutcome,
    Message,
    OfferOutcome,
    Outcome,
    Request,
)
from easycall.outbound.donotcall import Entry as Listed
from easycall.policy import Channel
from easycall.ports import Database, StoreUnavailable
from easycall.privacy.customers import Customers
from easycall.privacy.holdings import Erased
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.stats.record import Record
from easycall.store.callbacks import CallbackShelf
from easycall.store.contacts import ContactArchive
from easycall.store.customers import CustomerShelf
from easycall.store.donotcall import DoNotCallShelf
from easycall.store.journal_folder import JournalFolder
from easycall.store.messages import MessageFiles
from easycall.store.recordings import RecordingFiles
from easycall.store.requests import RequestShelf
from easycall.verbs import NotNow

GERMAN = DialingSettings(country="49")
EVA, MAX = "+49301234567", "+49309999999"
SECRETS = (EVA, "0301234567", "Eva", "Example", "Z4711Q", "Z4711Q please", "Z4711Q fax")
"""Everything that is known of Eva alone."""


def call(name: str, number: str = EVA, who: str = "Eva Example", what: str = "Z4711Q", at: float = 100.0) -> list[Event]:
    """A whole call with everything in it that may tell of a customer."""
    c = {"contact": name}
    a = {"contact": name, "agent": "ana"}
    pop = {"caller": number, "caller_name": who, "dialled": "95588", "queue": "cards", "waited": 2.0}
    return [
        facts.ContactArrived(at=at, pbx="main", leg="1.2", caller=number, caller_name=who, dialled="95588", **c),
        facts.FlowStep(at=at + 1, flow="day", node="greet", **c),
        facts.MenuAnswered(at=at + 2, node="greet", choice=f"{what} please", **c),
        facts.Collected(at=at + 3, node="id", name="customer", value=what, **c),
        facts.Queued(at=at + 4, queue="cards", position=1, **c),
        facts.Offered(at=at + 5, queue="cards", attempt=1, **a),
        facts.ScreenPop(at=at + 5, attempt=1, answers={"id": what}, data={"who": who}, **pop, **a),
        facts.OfferEnded(at=at + 6, attempt=1, outcome=OfferOutcome.ANSWERED, **a),
        facts.Answered(at=at + 6, queue="cards", waited=2.0, **a),
        facts.RecordingStarted(at=at + 6, recording=f"R{name}", file=f"2026/01/02/R{name}.wav", why="queue", **c),
        facts.DataAttached(at=at + 7, data={"name": who, "order": what}, **a),
        facts.FaxEnded(at=at + 8, operation="send", outcome=FaxOutcome.DONE, pages=1, station=f"{what} fax", **a),
        facts.TransactionReported(
            at=at + 9, name="payment", outcome="ok", reference=what, amount="120.00", currency="EUR", data={"who": who}, **a
        ),
        facts.DispositionSet(at=at + 9, queue="cards", disposition="sold", **a),
        facts.TalkEnded(at=at + 20, ended_by=EndedBy.CALLER, **a),
        facts.ContactEnded(at=at + 20.5, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER, **c),
        facts.WrapUpEnded(at=at + 30, queue="cards", started=at + 20, **a),
    ]


def known_in(text: str) -> list[str]:
    """What of Eva stands there."""
    return [secret for secret in SECRETS if secret in text]


class Site:
    """A journal with its file, a database, and folders of files."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.live: dict[str, Contact] = {}
        self.forgotten: list[str] = []
        self.shelf = CustomerShelf(database)
        self.recordings = folder / "recordings"
        self.recordings.mkdir()
        self.messages = MessageFiles(folder / "mail", "/seen", 60, 5, reactor)
        self.messages.make_folder()
        self.file = LogFile(JournalFolder(folder / "journal"), reactor, deferToThread)  # type: ignore[arg-type]
        self.archive = ContactArchive(database, lambda shown: known_number(shown, GERMAN))
        self.journal = Journal(reactor, self.archive, self.file, every=0.01)  # type: ignore[arg-type]
        self.faxes = Faxes()
        self.callbacks = Callbacks(CallbackShelf(database), self.live)

    def customers(self, shelf: Any = None) -> Customers:
        """A daemon's."""
        return Customers(
            GERMAN,
            shelf or self.shelf,
            self.journal,
            reactor,  # type: ignore[arg-type]
            live=lambda: self.live,
            forget=self.forgotten.append,
            sounds=RecordingFiles(self.recordings, reactor),
            voice_mails=self.messages,
            inbox=self.faxes,  # type: ignore[arg-type]
            callbacks=self.callbacks,
        )

    async def happens(self, *events: Event) -> None:
        for event in events:
            self.journal.record(event)
            if isinstance(event, facts.RecordingStarted):
                file = self.recordings / event.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("sound of " + event.contact)
        await self.journal.flush()

    def leaves(self, message: str, contact: str, caller: str, who: str) -> None:
        one = Message(message, "sales", contact, caller, who, 100.0, 2.0)
        (self.folder / "mail" / f"{message}.wav").write_text("sound")
        (self.folder / "mail" / f"{message}.json").write_bytes(msgspec.json.encode(one))

    async def rid_of(self) -> str:
        """Everything, when the journal's file has let go of what it may; files are removed in threads."""
        await self.journal.flush()
        for _ in range(200):
            if not known_in(await self.everything()):
                break
            await deferLater(reactor, 0.005)  # type: ignore[arg-type]
        return await self.everything()

    async def everything(self) -> str:
        """All that is stored, as one text: every table but the do-not-call list, and every file."""
        parts = []
        for table in ("events", "contacts", "segments", "recordings", "requests", "transactions", "wrap_ups", "callbacks"):
            parts.append(repr(await self.database.query(f"SELECT * FROM {table}")))  # noqa: S608
        for file in sorted(self.folder.rglob("*")):
            if file.is_file() and "easycall.db" not in file.name:
                parts.append(f"{file} {file.read_bytes()!r}")
        return "\n".join([*parts, repr(self.faxes.kept)])


class Callbacks:
    """Those that are open; one that is in line has a contact, which ends with it."""

    def __init__(self, shelf: CallbackShelf, live: dict[str, Contact]) -> None:
        self.shelf, self._live = shelf, live
        self.cancelled: list[tuple[str, str]] = []
        self.refuses = self.gone = ""
        """Whose customer is on the line, and which has just ended."""
        self.slow = False
        """Whether contacts end a moment later."""

    async def cancel(self, name: str, by: str) -> Callback:
        if name == self.refuses:
            raise NotNow("the customer is being called")
        found = await self.shelf.one(name)
        assert found is not None
        assert found.open
        over = evolve(found, state=CallbackState.CANCELLED, contact="", ended=900.0)
        await self.shelf.put(over)
        if name == self.gone:
            raise KeyError(name)
        if not self.slow:
            self._live.pop(found.contact, None)
        self.cancelled.append((name, by))
        return over


class Faxes:
    """Faxes that came."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def add(self, fax: str, contact: str, caller: str) -> None:
        self.kept[fax] = SimpleNamespace(id=fax, contact=contact, caller=caller)

    def of(self, wanted: Callable[[Any], bool]) -> list[Any]:
        return [fax for fax in self.kept.values() if wanted(fax)]

    async def remove(self, fax: str) -> bool:
        return self.kept.pop(fax, None) is not None


@pytest_twisted.async_yield_fixture
async def site(store: Database, tmp_path: Path) -> Any:
    made = Site(store, tmp_path)
    await made.journal.start()
    yield made
    await made.journal.stop()
    quiet = 0
    while quiet < 2:  # files of the journal are synced, and then removed, in threads
        busy = reactor.getDelayedCalls() or reactor.getThreadPool().working  # type: ignore[attr-defined]
        quiet = 0 if busy else quiet + 1
        await deferLater(reactor, 0.005)  # type: ignore[arg-type]


async def filled(site: Site) -> None:
    """Eva called twice and was called once, left a message and sent a fax; Max called, and consulted Eva's number."""
    await site.happens(*call("c1"), *call("c2", at=200.0, number="0301234567"), *call("m1", MAX, "Max Muster", "99"))
    outbound = call("o1", at=400.0)
    outbound[0] = evolve(outbound[0], caller="+49301", dialled=EVA, direction=Direction.OUTBOUND)
    dialled = facts.CallDialled(
        at=401.0, contact="o1", leg="l", number=EVA, trunk="t", caller_id="+49301", purpose="customer"
    )
    await site.happens(outbound[0], dialled, *outbound[1:])
    asked = {"leg": "l2", "trunk": "t", "caller_id": "+49301"}
    consult = [
        facts.CallDialled(at=150.0, contact="m2", agent="ana", number=EVA, purpose="consult", **asked),
        facts.ConsultStarted(at=150.0, contact="m2", agent="ana", to=EVA, attempt=1),
    ]
    await site.happens(*call("m2", MAX, "Max Muster", "99", at=140.0)[:-2], *consult)
    await site.happens(facts.ContactEnded(at=170.0, contact="m2", outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER))
    site.leaves("v1", "c2", EVA, "Eva Example")
    site.leaves("v2", "m1", MAX, "Max Muster")
    site.faxes.add("f1", "c1", EVA)
    site.faxes.add("f2", "m1", MAX)
    request = Request("q1", Channel.CALL_ME, "gone", 1.0, 1.0, number=EVA, name="Eva Example")
    await RequestShelf(site.database).put(request)
    await DoNotCallShelf(site.database).put(Listed(EVA, "asked us", 1.0, "crm"))
    await calls_back(site)


async def calls_back(site: Site) -> None:
    """Eva is to be called back, and was; once at another number, once because a CRM asked, once for a call of Max's."""
    one = Callback("b1", "cards", EVA, CallbackSource.ABANDONED, 200.0, 300.0, 9e9, session="c1", name="Eva Example")
    over = evolve(one, id="b2", state=CallbackState.REACHED, ended=500.0, data={"order": "Z4711Q"})
    elsewhere = evolve(one, id="b3", number="+4915155555", reason="Z4711Q", answers={"who": "Eva"})
    asked = evolve(one, id="b4", queue="sales", source=CallbackSource.REQUESTED, session="")
    max_ = evolve(one, id="b5", number=MAX, session="m1", name="Max Muster")
    for each in (one, over, elsewhere, asked, max_):
        await site.callbacks.shelf.put(each)
        what = {
            "queue": each.queue,
            "source": each.source,
            "session": each.session,
            "due": each.due,
            "expires": each.expires,
        }
        reason = f"{each.name} asks about {'99' if each is max_ else 'Z4711Q'}"
        told = facts.CallbackAsked(
            at=200.0, contact=each.session, callback=each.id, number=each.number, reason=reason, **what
        )
        await site.happens(told)
        if each is asked:
            await site.happens(evolve(told, contact="m1"))


def figures(record: Record) -> tuple[Any, ...]:
    """What figures are made of."""
    what = record.arrived, record.ended, record.queue, record.agent, record.outcome, record.ended_by, record.waited
    return *what, record.talked, record.segments, record.offers, record.nodes, record.wrap_ups, record.disposition


@pytest_twisted.ensureDeferred
async def test_nothing_of_the_customer_is_left_and_the_figures_stay(site: Site) -> None:
    await filled(site)
    before = {name: await site.archive.record(name) for name in ("c1", "c2", "o1", "m1", "m2")}
    stories = {name: await site.archive.events(name) for name in before}
    full = await site.everything()
    assert all(secret in full for secret in (EVA, "Eva", "Z4711Q"))
    erased = await site.customers().erase("030 1234567", "crm", 60.0)
    assert erased == Erased(done=True, contacts=3, recordings=3, voicemails=1, faxes=1, requests=1, callbacks=4)
    left = await site.rid_of()
    assert known_in(left) == []
    assert EVA in site.forgotten
    for name, was in before.items():
        record = await site.archive.record(name)
        assert record is not None
        assert was is not None
        assert figures(record) == figures(was)
        assert [(seq, type(event), event.at) for seq, event in await site.archive.events(name)] == [
            (seq, type(event), event.at) for seq, event in stories[name]
        ]
    record = await site.archive.record("c1")
    assert record is not None
    assert (record.caller, record.caller_name, record.dialled, record.answers, record.data) == ("", "", "95588", {}, {})
    assert [(one.name, one.outcome, one.amount, one.reference) for one in record.transactions] == [
        ("payment", "ok", "120.00", "")
    ]
    assert record.recordings == ()
    assert record.erased
    # Others keep theirs.
    max_ = await site.archive.record("m1")
    assert max_ == before["m1"]
    assert "v2" in left
    assert "f2" in left
    assert (site.recordings / "2026/01/02/Rm1.wav").exists()
    assert [entry.number for entry in await DoNotCallShelf(site.database).all()] == [EVA]
    # Once more there is nothing.
    assert await site.customers().erase(EVA, "crm", 60.0) == Erased(done=True)


@pytest_twisted.ensureDeferred
async def test_it_is_told_how_much_was_erased_and_not_of_whom(site: Site) -> None:
    heard: list[Event] = []
    await filled(site)
    site.journal.subscribe(lambda _, event: heard.append(event))
    await site.customers().erase(EVA, "crm", 60.0)
    [told] = heard
    assert isinstance(told, facts.CustomerErased)
    assert (told.contacts, told.recordings, told.voicemails, told.faxes, told.requests, told.by) == (3, 3, 1, 1, 1, "crm")
    assert told.callbacks == 4
    assert EVA not in repr(told)


class Killed(Exception):
    """The daemon died here."""


class Dying:
    """A shelf whose daemon is killed before, or just after, the n-th change."""

    def __init__(self, shelf: CustomerShelf, at: int, after: bool) -> None:
        self._shelf, self._left, self._after = shelf, at, after

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._shelf, name)
        if name not in ("rewrite", "make_anonymous", "remove_requests", "remove_callbacks"):
            return verb

        async def change(*arguments: Any) -> None:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            await verb(*arguments)
            if self._left == 0:
                raise Killed

        return change


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 11))
async def test_killed_at_any_step_it_is_repeated_and_ends_whole(site: Site, at: int, after: bool) -> None:
    await filled(site)
    with pytest.raises(Killed):
        await site.customers(Dying(site.shelf, at, after)).erase(EVA, "crm", 60.0)
    assert (await site.customers().erase(EVA, "crm", 60.0)).done
    left = await site.rid_of()
    assert known_in(left) == []
    assert "Max Muster" in left


@pytest_twisted.ensureDeferred
async def test_in_small_pieces_it_comes_to_the_same(site: Site) -> None:
    """A request erases for so long only; the next one goes on."""
    await filled(site)
    customers = site.customers()
    pieces = [await customers.erase(EVA, "crm", 0.0)]
    while not pieces[-1].done:
        assert len(pieces) < 20
        pieces.append(await customers.erase(EVA, "crm", 0.0))
    assert sum(one.contacts for one in pieces) == 3
    assert len(pieces) > 3
    assert known_in(await site.rid_of()) == []


@pytest_twisted.ensureDeferred
async def test_who_is_on_the_line_is_not_erased(site: Site) -> None:
    await filled(site)
    live = Contact(id="c9", pbx="main", leg="l", caller="0301234567", caller_name="", dialled="95588", arrived=900.0)
    site.live["c9"] = live
    before = await site.everything()
    with pytest.raises(NotNow, match="on the line, or waits, in contact c9"):
        await site.customers().erase(EVA, "crm", 60.0)
    assert await site.everything() == before
    site.live["c9"] = evolve(live, caller=MAX)
    assert (await site.customers().erase(EVA, "crm", 60.0)).done


async def waits_in_line(site: Site) -> None:
    """A callback of Eva's is in line."""
    [waits] = [one for one in await site.callbacks.shelf.open() if one.id == "b1"]
    await site.callbacks.shelf.put(evolve(waits, state=CallbackState.IN_LINE, contact="c9"))
    live = Contact(id="c9", pbx="", leg="", caller="", caller_name="", dialled=EVA, arrived=900.0, callback="b1")
    site.live["c9"] = evolve(live, direction=Direction.OUTBOUND)


@pytest_twisted.ensureDeferred
async def test_who_is_to_be_called_back_is_not_called_any_more(site: Site) -> None:
    await filled(site)
    await waits_in_line(site)
    assert (await site.customers().erase(EVA, "crm", 60.0)).callbacks == 4
    assert site.callbacks.cancelled == [("b1", "crm"), ("b3", "crm"), ("b4", "crm")]
    assert [one.id for one in await site.callbacks.shelf.open()] == ["b5"]


@pytest_twisted.ensureDeferred
async def test_it_goes_on_when_the_contact_of_the_callback_has_ended(site: Site) -> None:
    await filled(site)
    await waits_in_line(site)
    site.callbacks.slow, site.callbacks.gone = True, "b3"
    assert await site.customers().erase(EVA, "crm", 60.0) == Erased()
    with pytest.raises(NotNow, match="in contact c9"):
        await site.customers().erase(EVA, "crm", 60.0)
    del site.live["c9"]
    erased = await site.customers().erase(EVA, "crm", 60.0)
    assert (erased.done, erased.callbacks) == (True, 4)
    assert known_in(await site.rid_of()) == []


@pytest_twisted.ensureDeferred
async def test_while_the_customer_is_on_the_line_callbacks_stay(site: Site) -> None:
    await filled(site)
    site.live["c9"] = Contact(id="c9", pbx="", leg="", caller=EVA, caller_name="", dialled="95588", arrived=900.0)
    with pytest.raises(NotNow, match="on the line, or waits, in contact c9"):
        await site.customers().erase(EVA, "crm", 60.0)
    assert (site.callbacks.cancelled, len(await site.callbacks.shelf.open())) == ([], 4)


@pytest_twisted.ensureDeferred
async def test_who_is_being_called_back_is_not_erased(site: Site) -> None:
    await filled(site)
    site.callbacks.refuses = "b1"
    with pytest.raises(NotNow, match="is being called"):
        await site.customers().erase(EVA, "crm", 60.0)
    assert (await site.archive.record("c1")) is not None
    assert len((await site.customers().holding(EVA, "", 9)).contacts) == 3
    site.callbacks.refuses = ""
    assert (await site.customers().erase(EVA, "crm", 60.0)).done
    assert known_in(await site.rid_of()) == []


@pytest_twisted.ensureDeferred
async def test_who_withholds_the_number_is_nobody(site: Site) -> None:
    await site.happens(*call("w1", number="", who="Anonymous"))
    for nobody in ("", "0", "anonymous"):
        with pytest.raises(ValueError, match="is no telephone number"):
            await site.customers().erase(nobody, "crm", 60.0)
    record = await site.archive.record("w1")
    assert record is not None
    assert record.caller_name == "Anonymous"


@pytest_twisted.ensureDeferred
async def test_what_is_not_stored_yet_goes_too(site: Site) -> None:
    """The contact ended in this very turn: the journal stores it before anything is looked for."""
    for event in call("c1"):
        site.journal.record(event)
    erased = await site.customers().erase(EVA, "crm", 60.0)
    assert (erased.done, erased.contacts) == (True, 1)


@pytest_twisted.ensureDeferred
async def test_the_journals_file_lets_go_of_it(site: Site) -> None:
    """It would have been kept for long, as a file of 8 MiB is written to its end."""
    await filled(site)
    files = site.folder / "journal"
    await deferLater(reactor, 0.01)  # type: ignore[arg-type] # it is written at the end of a turn
    assert any(EVA.encode() in file.read_bytes() for file in files.glob("*.log"))
    await site.customers().erase(EVA, "crm", 60.0)
    await site.rid_of()
    assert not any(EVA.encode() in file.read_bytes() for file in files.glob("*.log"))
    assert any(b"customer.erased" in file.read_bytes() for file in files.glob("*.log"))


@pytest_twisted.ensureDeferred
async def test_a_file_that_cannot_be_removed_stops_it_and_it_is_repeated(site: Site, monkeypatch: Any) -> None:
    await filled(site)

    def refuses(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr("easycall.store.recordings.os.unlink", refuses)
        with pytest.raises(PermissionError):
            await site.customers().erase(EVA, "crm", 60.0)
    record = await site.archive.record("c1")
    assert record is not None
    assert record.caller == EVA, "its record tells where the sound is until that is gone"
    assert (await site.customers().erase(EVA, "crm", 60.0)).done
    assert known_in(await site.rid_of()) == []


@pytest_twisted.ensureDeferred
async def test_a_long_contact_is_rewritten_to_its_last_event(site: Site, monkeypatch: Any) -> None:
    monkeypatch.setattr("easycall.privacy.customers.EVENTS", 3)
    begin, *rest = call("c1")
    more = [facts.DataAttached(at=103.5, contact="c1", data={"n": f"Z4711Q-{number}"}) for number in range(20)]
    await site.happens(begin, *more, *rest)
    await site.customers().erase(EVA, "crm", 60.0)
    assert known_in(await site.rid_of()) == []


@pytest_twisted.ensureDeferred
async def test_all_that_is_known_is_told(site: Site) -> None:
    await filled(site)
    found = await site.customers().holding("0301234567", "", 2)
    assert (found.count, found.contacts) == (3, ["c1", "c2"])
    assert [one.id for one in found.voicemails] == ["v1"]
    assert [one.id for one in found.faxes] == ["f1"]
    assert [(one.id, one.open) for one in found.callbacks] == [("b1", True), ("b2", False), ("b3", True), ("b4", True)]
    assert (await site.customers().holding(EVA, "c2", 2)).contacts == ["o1"]


@pytest_twisted.ensureDeferred
async def test_without_the_database_nothing_is_promised(site: Site, monkeypatch: Any) -> None:
    await filled(site)

    async def away(*_: Any) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(CustomerShelf, "make_anonymous", away)
        with pytest.raises(StoreUnavailable):
            await site.customers().erase(EVA, "crm", 60.0)
    assert (await site.customers().erase(EVA, "crm", 60.0)).done
