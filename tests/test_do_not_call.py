"""The do-not-call list: stored before it is said yes to, and obeyed after every start."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from twisted.internet.defer import Deferred

from easycall.events import NumberListed, NumberUnlisted
from easycall.outbound.donotcall import DoNotCall, Entry
from easycall.ports import Database, StoreUnavailable
from easycall.store.donotcall import DoNotCallShelf

from .clocks import clock_at
from .fakes_journal import Notes

NUMBER = "+49301234567"


async def test_it_outlives_the_daemon(store: Database) -> None:
    notes = Notes()
    first = DoNotCall(DoNotCallShelf(store), clock_at(5.0), notes)
    await first.add(NUMBER, "asked us", "crm")
    await first.add("+4930999999", "", "crm")
    await first.add(NUMBER, "asked again", "desk")
    await first.remove("+4930999999", "desk")
    assert notes.events == [
        NumberListed(at=5.0, number=NUMBER, reason="asked us", by="crm"),
        NumberListed(at=5.0, number="+4930999999", reason="", by="crm"),
        NumberListed(at=5.0, number=NUMBER, reason="asked again", by="desk"),
        NumberUnlisted(at=5.0, number="+4930999999", by="desk"),
    ]
    second = DoNotCall(DoNotCallShelf(store), clock_at(9.0), Notes())
    assert NUMBER not in second
    await second.start()
    assert dict(second.entries) == {NUMBER: Entry(NUMBER, "asked again", 5.0, "desk")}


class SlowShelf:
    """Stores when the test lets it."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[None]] = []

    async def all(self) -> Iterable[Entry]:
        return ()

    async def put(self, entry: Entry) -> None:
        self.waiting.append(Deferred())
        await self.waiting[-1]

    async def remove(self, number: str) -> None:
        raise StoreUnavailable("away")


def test_yes_is_said_and_told_when_it_is_stored() -> None:
    shelf, notes = SlowShelf(), Notes()
    numbers = DoNotCall(shelf, clock_at(), notes)
    said: list[object] = []
    Deferred.fromCoroutine(numbers.add(NUMBER, "", "crm")).addBoth(said.append)
    assert not said
    assert not notes.events
    shelf.waiting[0].callback(None)
    assert said
    assert notes.kinds == ["donotcall.added"]
    assert NUMBER in numbers


def test_who_asked_goes_away_and_what_was_stored_is_obeyed() -> None:
    shelf = SlowShelf()
    numbers = DoNotCall(shelf, clock_at(), Notes())
    asked = Deferred.fromCoroutine(numbers.add(NUMBER, "", "crm"))
    asked.addErrback(lambda failure: None)
    asked.cancel()
    shelf.waiting[0].callback(None)
    assert NUMBER in numbers


def test_what_could_not_be_stored_was_not_changed() -> None:
    shelf, notes = SlowShelf(), Notes()
    numbers = DoNotCall(shelf, clock_at(), notes)
    said: list[object] = []
    Deferred.fromCoroutine(numbers.add(NUMBER, "", "crm")).addErrback(said.append)
    shelf.waiting[0].errback(StoreUnavailable("away"))
    assert said
    assert NUMBER not in numbers
    Deferred.fromCoroutine(numbers.add(NUMBER, "", "crm"))
    shelf.waiting[1].callback(None)
    gone = Deferred.fromCoroutine(numbers.remove(NUMBER, "crm"))
    gone.addErrback(lambda failure: failure.trap(StoreUnavailable))
    assert NUMBER in numbers
    assert notes.kinds == ["donotcall.added"]


def test_what_is_not_listed_cannot_be_taken_off() -> None:
    numbers = DoNotCall(SlowShelf(), clock_at(), Notes())
    with pytest.raises(KeyError):
        numbers.remove(NUMBER, "crm").send(None)


def test_two_take_it_off_and_one_is_told() -> None:
    class Shelf(SlowShelf):
        async def remove(self, number: str) -> None:
            await self.put(Entry(number, "", 0.0, ""))

    shelf, notes = Shelf(), Notes()
    numbers = DoNotCall(shelf, clock_at(), notes)
    Deferred.fromCoroutine(numbers.add(NUMBER, "", "crm"))
    shelf.waiting[0].callback(None)
    for name in ("ana", "bo"):
        Deferred.fromCoroutine(numbers.remove(NUMBER, name))
    for stored in shelf.waiting[1:]:
        stored.callback(None)
    assert [event.by for event in notes.of(NumberUnlisted)] == ["ana"]
    assert NUMBER not in numbers
