"""Callbacks on the simulated Asterisk, in virtual time: moments in which something once went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from easycall.callback.wish import Change, Wish
from easycall.defer import start
from easycall.model import CallbackSource, CallbackState
from easycall.simulator.virtual import VirtualCall
from easycall.store.memory import MemoryDatabase
from easycall.verbs import AttachData

from .callback_town import AGENTS, BERLIN, CUSTOMERS, RINGS, Town
from .virtual import opened

pytestmark = [pytest.mark.requirement("B2"), pytest.mark.requirement("B3")]

NOON = datetime(2026, 11, 17, 11, 0, tzinfo=BERLIN)
EVA, DORA, LEA, _ = CUSTOMERS


@pytest.fixture
def database() -> Iterator[MemoryDatabase]:
    with opened() as database:
        yield database


def ready(town: Town, *agents: str) -> None:
    for agent in agents:
        town.agent_does(agent, "ready")


def asks(town: Town, number: str, queue: str = "sales", **more: Any) -> str:
    """Ask for a callback; its id."""
    callback, new = town.daemon.now(town.callbacks.ask(Wish(queue, number, CallbackSource.REQUESTED, **more)))
    assert new
    return str(callback.id)


def dialled(town: Town) -> list[tuple[float, str, str]]:
    """When which customer was dialled for which queue, since the beginning."""
    return [(round(event.at - NOON.timestamp(), 1), event.number, event.queue) for event in town.daemon.of("call.dialled")]


@pytest.mark.fault("F74")
def test_an_agent_who_answers_when_it_is_too_late_is_let_go(database: MemoryDatabase) -> None:
    """Support rings the agent first, and closes while the agent's telephone rings."""
    town = Town(database, NOON.replace(hour=12, minute=9, second=55).timestamp())
    town.habits["chen"] = "answers", 7.0
    ready(town, "chen")
    callback = asks(town, EVA, "support")
    town.reactor.advance(6.0)
    assert town.staff.agents["chen"].state.value == "ringing"
    town.reactor.advance(10.0)
    assert town.daemon.of("call.dialled") == []
    [settled] = town.daemon.of("callback.settled")
    assert (settled.outcome.value, settled.dialled, settled.contact) == ("not_dialled", False, "c1")
    assert town.staff.agents["chen"].state.value == "ready"
    town.reactor.advance(1300.0)  # support is open again
    assert [event.contact for event in town.daemon.of("call.dialled")] == ["c2"]
    assert town.daemon.of("callback.ended")[0].callback == callback
    town.daemon.stop()


@pytest.mark.fault("F73")
def test_a_customer_of_two_queues_is_called_for_one_after_the_other(database: MemoryDatabase) -> None:
    town = Town(database, NOON.timestamp())
    town.patience[EVA] = 50.0
    ready(town, *AGENTS)
    asks(town, EVA)
    asks(town, EVA, "support")
    town.reactor.advance(50.0)
    assert dialled(town) == [(0.0, EVA, "sales")]
    town.reactor.advance(20.0)
    assert [number for _, number, _ in dialled(town)] == [EVA, EVA]
    assert dialled(town)[1][0] > 54.0  # as soon as the first call was over
    town.reactor.advance(60.0)
    assert [event.state.value for event in town.daemon.of("callback.ended")] == ["reached", "reached"]
    town.daemon.stop()


def test_who_finds_no_line_free_is_not_overtaken_when_there_is_one(database: MemoryDatabase) -> None:
    """There are two lines.  The agent had not refused, and was kept from the customer as if she had."""
    town = Town(database, NOON.timestamp())
    for number in (EVA, DORA):
        town.habits[number] = "ignores", 0.0
    ready(town, "bo", "chen")
    town.agent_does("bo", "ready")
    asks(town, EVA, "support")
    asks(town, DORA, "support")
    town.reactor.advance(4.0)
    assert len(dialled(town)) == 2
    ready(town, "ana")
    town.reactor.advance(0.1)
    asks(town, LEA)
    town.reactor.advance(2.0)
    assert town.staff.agents["ana"].state.value == "ready"
    town.reactor.advance(RINGS)
    assert dialled(town)[-1][1:] == (LEA, "sales")
    assert dialled(town)[-1][0] < 20.0
    town.reactor.advance(60.0)
    town.daemon.stop()


def test_what_is_being_stored_when_the_daemon_stops_is_begun_by_the_next(database: MemoryDatabase) -> None:
    town = Town(database, NOON.timestamp())
    callback = asks(town, EVA)
    town.shelves.lag = 4.0
    ready(town, "ana")
    town.reactor.advance(1.0)
    old = town.daemon.joined.contacts
    town.daemon.now(town.daemon.joined.daemon.stopService())
    town.reactor.advance(10.0)
    assert (old.live, town.daemon.of("callback.begun"), town.daemon.of("contact.arrived")) == ({}, [], [])
    town.shelves.lag = 0.0
    town.daemon.process.kill()
    town.daemon.restart()
    town.reactor.advance(30.0)
    assert [number for _, number, _ in dialled(town)] == [EVA]
    assert [event.callback for event in town.daemon.of("callback.ended")] == [callback]
    town.daemon.stop()
    assert not list(filter(VirtualCall.active, town.reactor.getDelayedCalls()))


@pytest.mark.parametrize("what", ["cancelled", "put off"])
def test_an_attempt_that_was_leaving_the_line_at_a_kill_is_ended(database: MemoryDatabase, what: str) -> None:
    town = Town(database, NOON.timestamp())
    town.agent_does("ana", "pauses")
    name = asks(town, EVA)
    town.reactor.advance(1.0)
    assert town.callbacks.live[name].state is CallbackState.IN_LINE
    contact = town.callbacks.live[name].contact
    change = Change(due=NOON.timestamp() + 600.0)
    town.ask(town.callbacks.cancel(name, "crm") if what == "cancelled" else town.callbacks.edit(name, change, "crm"))
    town.restart(orderly=False, unsent=True, away=1.0)
    town.reactor.advance(5.0)
    [ended] = town.daemon.of("contact.ended")
    assert (ended.contact, ended.outcome.value, ended.end_estimated) == (contact, "cancelled", True)
    assert len(town.callbacks.live) == (what == "put off")
    town.daemon.stop()


@pytest.mark.fault("F69")
def test_a_lost_customer_is_called_back_when_only_the_answer_of_the_database_was_lost(database: MemoryDatabase) -> None:
    town = Town(database, NOON.timestamp())
    town.calls(EVA, "sales")
    town.reactor.advance(10.0)
    town.shelves.mute = 1
    town.callers[EVA].line.hang_up()
    town.reactor.advance(10.0)
    [asked] = town.daemon.of("callback.asked")
    assert list(town.callbacks.live) == [asked.callback]
    ready(town, "ana")
    town.reactor.advance(60.0)
    assert [event.state.value for event in town.daemon.of("callback.ended")] == ["reached"]
    rows = dict(database._open.execute("SELECT id, state FROM callbacks"))
    assert (rows.pop(asked.callback), [*rows.values()]) == ("reached", ["cancelled"])
    town.daemon.stop()


@pytest.mark.fault("F73")
def test_a_customer_who_called_in_while_the_database_was_away_is_not_called_after_a_kill(database: MemoryDatabase) -> None:
    """That it is over was told and could not be stored."""
    town = Town(database, NOON.timestamp())
    name = asks(town, EVA, due=NOON.timestamp() + 60.0)
    town.shelves.away = True
    town.calls(EVA, "sales")
    ready(town, "ana")
    town.reactor.advance(30.0)
    assert [event.state.value for event in town.daemon.of("callback.ended")] == ["called_in"]
    town.callers[EVA].line.hang_up()
    town.reactor.advance(1.0)
    town.restart(orderly=False, unsent=False, away=1.0)
    town.shelves.away = False
    town.reactor.advance(200.0)
    assert (dialled(town), len(town.daemon.of("callback.ended")), dict(town.callbacks.live)) == ([], 1, {})
    assert dict(database._open.execute("SELECT id, state FROM callbacks")) == {name: "called_in"}
    town.daemon.stop()


@pytest.mark.fault("F70")
def test_what_was_known_of_a_lost_customer_is_known_by_the_callback_that_the_next_process_makes(
    database: MemoryDatabase,
) -> None:
    town = Town(database, NOON.timestamp())
    town.calls(EVA, "sales")
    town.reactor.advance(10.0)
    [contact] = town.daemon.joined.contacts.live
    town.daemon.joined.contacts.ask(contact, AttachData({"order": "4711"}))
    town.reactor.advance(1.0)
    town.shelves.away = True
    town.callers[EVA].line.hang_up()
    town.reactor.advance(1.0)
    assert not town.daemon.of("callback.asked")
    town.restart(orderly=False, unsent=False, away=1.0)
    town.shelves.away = False
    town.reactor.advance(60.0)
    [callback] = town.callbacks.live.values()
    assert (callback.source, callback.data, callback.session) == (CallbackSource.ABANDONED, {"order": "4711"}, contact)
    town.daemon.stop()


@pytest.mark.fault("F70")
def test_an_attempt_that_was_stored_as_begun_and_not_told_is_told_by_the_next_process(database: MemoryDatabase) -> None:
    town = Town(database, NOON.timestamp())
    name = asks(town, EVA, due=NOON.timestamp() + 5.0)
    town.agent_does("ana", "pauses")
    town.shelves.lag = 2.0  # it is stored after half of it, and the process hears of that when all of it is over
    town.reactor.advance(6.5)
    [(state, contact)] = database._open.execute("SELECT state, contact FROM callbacks")
    assert (state, town.daemon.of("callback.begun")) == ("in_line", [])
    town.shelves.lag = 0.0
    town.restart(orderly=False, unsent=False, away=1.0)
    town.reactor.advance(5.0)
    assert [(event.callback, event.contact) for event in town.daemon.of("callback.begun")] == [(name, contact)]
    town.restart(orderly=False, unsent=False, away=1.0)
    town.reactor.advance(5.0)
    assert len(town.daemon.of("callback.begun")) == 1
    town.daemon.stop()


@pytest.mark.fault("F70")
@pytest.mark.parametrize("put_off_before", [False, True])
def test_a_change_that_was_stored_and_not_told_is_told_by_the_next_process(
    database: MemoryDatabase, put_off_before: bool
) -> None:
    town = Town(database, NOON.timestamp())
    name = asks(town, EVA, due=NOON.timestamp() + 600.0)
    if put_off_before:
        town.daemon.now(town.callbacks.edit(name, Change(due=NOON.timestamp() + 900.0, priority_seconds=60.0), "crm"))
    before = len(town.daemon.of("callback.changed"))
    town.shelves.lag = 2.0  # it is stored after half of it, and the process hears of that when all of it is over
    town.ask(town.callbacks.edit(name, Change(due=NOON.timestamp() + 1200.0, agent="ana"), "crm"))
    town.reactor.advance(1.5)
    assert len(town.daemon.of("callback.changed")) == before
    town.shelves.lag = 0.0
    for _ in range(2):
        town.restart(orderly=False, unsent=False, away=1.0)
        town.reactor.advance(5.0)
        changed = town.daemon.of("callback.changed")[before:]
        priority = 60.0 if put_off_before else 0.0
        told = [(one.callback, one.due - NOON.timestamp(), one.agent, one.priority, one.by) for one in changed]
        assert told == [(name, 1200.0, "ana", priority, "")]
    town.daemon.stop()


def test_what_was_told_of_a_callback_is_not_told_again(database: MemoryDatabase) -> None:
    """It was asked for, changed and put off by what came of an attempt."""
    town = Town(database, NOON.timestamp())
    town.habits[EVA] = "busy", 0.0
    ready(town, "ana")
    name = asks(town, EVA, due=NOON.timestamp() + 5.0)
    other = asks(town, DORA, due=NOON.timestamp() + 2000.0)
    town.daemon.now(town.callbacks.edit(other, Change(due=NOON.timestamp() + 1900.0, queue="support"), "crm"))
    town.reactor.advance(20.0)
    assert [event.callback for event in town.daemon.of("callback.settled")] == [name]
    town.restart(orderly=False, unsent=False, away=1.0)
    town.reactor.advance(5.0)
    assert [(event.callback, event.by) for event in town.daemon.of("callback.changed")] == [(other, "crm")]
    town.daemon.stop()


@pytest.mark.fault("F69")
def test_who_asks_and_goes_away_while_the_database_fails_is_no_failure_of_ours(database: MemoryDatabase) -> None:
    """Nothing was promised, and nothing is logged as gone wrong (the fixture of all tests looks)."""
    town = Town(database, NOON.timestamp())
    name = asks(town, DORA, due=NOON.timestamp() + 600.0)
    town.shelves.lag = 4.0
    asking = start(town.callbacks.ask(Wish("sales", EVA, CallbackSource.REQUESTED)))
    changing = start(town.callbacks.edit(name, Change(due=NOON.timestamp() + 900.0), "crm"))
    town.reactor.advance(1.0)
    for waiting in (asking, changing):
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        waiting.cancel()
    town.shelves.away = True
    town.reactor.advance(10.0)
    assert [(one.id, one.due - NOON.timestamp()) for one in town.callbacks.live.values()] == [(name, 600.0)]
    town.daemon.stop()


@pytest.mark.fault("F71")
def test_who_has_answered_and_waits_has_not_waited_too_long_after_a_restart(database: MemoryDatabase) -> None:
    """The place is that of a call of yesterday."""
    town = Town(database, NOON.timestamp())
    town.habits["ana"], town.patience[EVA] = ("declines", 1.0), 600.0
    ready(town, "ana")
    name = asks(town, EVA, since=NOON.timestamp() - 86_400.0)
    town.reactor.advance(12.0)
    contact = town.callbacks.live[name].contact
    assert [item.contact for item in town.daemon.joined.distributor.waiting("sales")] == [contact]
    town.restart(orderly=False, unsent=False, away=1.0)
    town.reactor.advance(10.0)
    assert [item.contact for item in town.daemon.joined.distributor.waiting("sales")] == [contact]
    ready(town, "bo")
    town.reactor.advance(10.0)
    assert [event.state.value for event in town.daemon.of("callback.ended")] == ["reached"]
    town.reactor.advance(100.0)
    town.daemon.stop()
