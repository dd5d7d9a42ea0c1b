"""What lives in the database when that is away at the start: read later, and until then nothing that needs it is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from easycall.acd.profiles import Profiles
from easycall.config import DialingSettings
from easycall.events import AgentAssigned, CallDialled, VoicemailLeft
from easycall.loading import LONGEST_PAUSE, Loading
from easycall.model import Profile, Queue, Request
from easycall.outbound.caps import Window
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall, Entry
from easycall.outbound.lines import Lines
from easycall.outbound.rules import NotDialled, Rules, Why
from easycall.policy import Channel
from easycall.ports import StoreUnavailable, StoreUnusable
from easycall.service import CannotStart, Part
from easycall.work.requests import Requests

from .fakes_journal import Notes
from .test_profiles import QUEUES, staff_of

pytestmark = [pytest.mark.requirement("A3"), pytest.mark.fault("F80")]

CAROL = "+49301234567"


def now(work: Any) -> Any:
    """The result of what waits for nothing."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    assert results, "it waits"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


class Shelf:
    """Any shelf, whose database can be away."""

    def __init__(self, *kept: Any) -> None:
        self.kept = list(kept)
        self.away = True
        self.put_down: list[Any] = []

    def _look(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def all(self) -> list[Any]:
        self._look()
        return self.kept

    async def clean(self) -> None:
        self._look()

    async def put(self, one: Any) -> None:
        self._look()
        self.put_down.append(one)

    async def remove(self, one: str) -> None:
        self._look()

    async def dialled(self, since: float, most: int) -> Iterable[CallDialled]:
        self._look()
        return self.kept


# The loop


class Store:
    """Three parts that read from a database, and what they do."""

    def __init__(self) -> None:
        self.clock, self.away, self.read = Clock(), True, list[str]()
        self.tries = 0
        self.loading = Loading(self.clock)
        self.parts = [self._part(name) for name in "abc"]

    def _part(self, name: str) -> Part:
        async def read() -> None:
            self.tries += 1
            if self.away:
                raise StoreUnavailable("it is away")
            self.read.append(name)

        return self.loading.part(name, read)

    def starts(self) -> None:
        for part in self.parts:
            now(part.start())


def test_all_are_read_in_order_when_it_is_back_and_no_more_is_asked_than_needed() -> None:
    store = Store()
    store.starts()
    assert store.loading.trouble == "the database was away at the start, and these are not read yet: a, b, c (it is away)"
    for _ in range(6000):
        store.clock.advance(0.1)
    assert store.tries < 3 + 600 / LONGEST_PAUSE + 5, "one at a time, and seldom"
    store.away = False
    store.clock.advance(LONGEST_PAUSE)
    assert (store.read, store.loading.missing, store.loading.trouble) == (["a", "b", "c"], [], "")
    assert not store.clock.getDelayedCalls()


def test_what_can_be_read_is_not_read_again() -> None:
    store = Store()
    store.away = False
    now(store.parts[0].start())
    store.away = True
    now(store.parts[1].start())
    store.away = False
    now(store.parts[2].start())
    store.clock.advance(LONGEST_PAUSE)
    assert store.read == ["a", "c", "b"]


def test_it_stops() -> None:
    store = Store()
    store.starts()
    now(store.loading.stop())
    assert not store.clock.getDelayedCalls()
    now(store.loading.stop())


def test_what_only_the_operator_mends_is_a_reason_not_to_start() -> None:
    async def read() -> None:
        raise StoreUnusable("database x: password authentication failed")

    with pytest.raises(CannotStart, match=r"store\.url: database x: password authentication failed"):
        now(Loading(Clock()).part("database", read).start())


# Who reads


def test_nobody_can_tell_who_is_on_the_list_before_it_is_read() -> None:
    shelf = Shelf(Entry(CAROL, "", 1.0, "crm"))
    numbers = DoNotCall(shelf, Clock(), Notes())
    with pytest.raises(StoreUnavailable):
        now(numbers.start())
    shelf.away = False  # it is back, and not read yet
    for asked in (lambda: CAROL in numbers, lambda: numbers.entries, lambda: now(numbers.add("+4930999", "", "crm"))):
        with pytest.raises(StoreUnavailable, match="could not be read yet"):
            asked()
    now(numbers.start())
    assert CAROL in numbers


@pytest.mark.parametrize("unread", ["list", "history"])
def test_a_customer_is_not_called_and_somebody_whom_an_agent_asks_is(unread: str) -> None:
    clock = Clock()
    numbers, history = DoNotCall(Shelf(), clock, Notes()), Shelf()
    rules = Rules(DialingSettings(allow=("+49",), country="49"))
    dialling = Dialling(rules, Lines(()), numbers, clock, history)
    numbers._shelf.away, history.away = unread == "list", unread == "history"  # type: ignore[attr-defined]
    for part in (numbers, dialling):
        try:
            now(part.start())  # type: ignore[attr-defined]
        except StoreUnavailable:
            continue
    queue = Queue("sales", "Sales")
    with pytest.raises(NotDialled, match="customers are not called while the database is away") as caught:
        dialling.route(CAROL, agent="ana", queue=queue, customer=True)
    assert caught.value.why is Why.NOT_READ
    with pytest.raises(NotDialled) as caught:
        dialling.route(CAROL, agent="ana", queue=queue)
    assert caught.value.why is Why.NO_TRUNK, "nothing but that there is none here is in the way"


@given(st.lists(st.floats(0, 100), max_size=30), st.lists(st.floats(0, 100), max_size=30), st.floats(0, 200))
def test_what_is_told_late_counts_as_if_it_was_told_in_time(first: list[float], late: list[float], moment: float) -> None:
    window, other = Window(60.0), Window(60.0)
    for at in sorted(first) + late:
        window.add("n", at)
    for at in sorted(first + late):
        other.add("n", at)
    assert window.room("n", 3, moment + 100) == other.room("n", 3, moment + 100)
    assert window.count("n", moment + 100) == other.count("n", moment + 100)


def test_what_this_process_dialled_is_not_counted_twice() -> None:
    clock = Clock()
    clock.advance(1000.0)
    of_before = CallDialled(
        at=900.0, number=CAROL, agent="ana", queue="sales", purpose="customer", trunk="t", caller_id="", leg="l"
    )
    of_now = CallDialled(
        at=1001.0, number=CAROL, agent="ana", queue="sales", purpose="customer", trunk="t", caller_id="", leg="l"
    )
    history = Shelf(of_before, of_now)
    dialling = Dialling(Rules(DialingSettings()), Lines(()), (), clock, history)
    with pytest.raises(StoreUnavailable):
        now(dialling.start())
    history.away = False
    now(dialling.start())
    [*windows] = [cap.window.count(CAROL, 1002.0) for cap in dialling._caps._caps[:2]]
    assert windows == [1, 1]


def test_profiles_that_come_late_hold_for_who_works_already() -> None:
    notes, shelf = Notes(), Shelf(Profile("ana", ("support", "gone"), None, 5.0, "desk"))
    staff = staff_of("sales", notes=notes)
    profiles = Profiles(staff, shelf, Clock())
    with pytest.raises(StoreUnavailable):
        now(profiles.start())
    shelf.away = False
    staff.log_in("ana")
    with pytest.raises(StoreUnavailable, match="could not be read yet"):
        now(profiles.join("ana", "support", "desk"))
    now(profiles.start())
    assert staff.agents["ana"].queues == staff.agents["ana"].own_queues == ("support",)
    [told] = [event for event in notes.events if isinstance(event, AgentAssigned)]
    assert (told.queues, told.skills) == (("support",), staff.agents["ana"].skills)
    now(profiles.join("ana", "sales", "desk"))
    assert shelf.put_down[-1].queues == ("support", "sales"), "what was stored is not lost"


class Carriers:
    """Live contacts that only begin."""

    def __init__(self) -> None:
        self.live: dict[str, Any] = {}
        self.begun: list[tuple[str, bool]] = []

    def request(self, request: Request, *, restored: bool = False, had: Any = None) -> Any:
        self.begun.append((request.id, restored))

    def still_with(self, request: Request, agent: str, attempt: int) -> Any:
        return None


class Journal(Notes):
    """One whose database is there."""

    async def resume(self, contact: str) -> None:
        pass

    async def record_of(self, contact: str) -> None:
        return None


def test_requests_that_come_late_are_there_once() -> None:
    """A voice mail left meanwhile may be stored before the others are read: it is not begun twice."""
    clock, journal, carriers = Clock(), Journal(), Carriers()
    old = Request("r0", Channel.CHAT, "sales", since=1.0, created=1.0)
    shelf, ids = Shelf(old), iter(["r1", "r2"])
    boxes = {"sales": "sales"}
    requests = Requests(carriers, shelf, journal, clock, lambda: next(ids), queues=QUEUES, voicemail=boxes, fax={})
    with pytest.raises(StoreUnavailable):
        now(requests.start())
    left = VoicemailLeft(at=5.0, contact="c1", box="sales", message="m1", seconds=3.0)
    journal.record(left)
    clock.advance(0)
    with pytest.raises(StoreUnavailable, match="could not be read yet"):
        now(requests.ask(old))
    shelf.away = False
    shelf.kept.append(requests.live["r1"])
    now(requests.start())
    assert carriers.begun == [("r1", False), ("r0", True)]
    now(requests.ask(Request("", Channel.CHAT, "sales", since=9.0, created=9.0)))
    assert sorted(requests.live) == ["r0", "r1", "r2"]
    now(requests.stop())
