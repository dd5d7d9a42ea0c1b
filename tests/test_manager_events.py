"""What the AMI link tells those above it: events in order and in bursts, that it is up, and its stop."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.logger import LogEvent, globalLogPublisher

from easycall.asterisk import link as link_module
from easycall.asterisk.ami import Action
from easycall.asterisk.link import MESSAGES_PER_TURN
from easycall.asterisk.manager import Account, ActionTimeout, LinkDown, LinkLost
from easycall.defer import start

from .manager_bench import SECRET, Bench, failed, item

# Events


def test_events_come_in_order_and_only_those_wanted() -> None:
    bench = Bench("Hangup", "Newchannel").start()
    bench.peer.say("Event: Newchannel\r\nUniqueid: 1\r\n\r\nEvent: VarSet\r\n\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n")
    assert [event.name for event in bench.events] == ["Newchannel", "Hangup"]
    bench.stop()


@pytest.mark.logs_failures
def test_a_listener_that_fails_is_logged_and_the_link_lives() -> None:
    failures: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    globalLogPublisher.addObserver(observe)
    bench = Bench("Hangup").start()
    bench.event = lambda message: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    bench.manager._events["Hangup"] = bench.event
    bench.peer.link._events["Hangup"] = bench.event  # type: ignore[attr-defined]
    bench.peer.say("Event: Hangup\r\n\r\nEvent: Hangup\r\n\r\n")
    globalLogPublisher.removeObserver(observe)
    assert len(failures) == 2
    assert bench.manager.linked
    bench.stop()


def test_a_burst_does_not_delay_an_action() -> None:
    """10,000 events in one read: a bounded number a turn, and the action goes out behind the first portion."""
    bench = Bench("Hangup").start()
    bench.asterisk.answers["Test"] = "Response: Success\r\nActionID: {id}\r\n\r\n"
    burst = b"".join(b"Event: Hangup\r\nUniqueid: %d\r\n\r\n" % number for number in range(10_000))
    bench.peer.say(burst)
    assert len(bench.events) == MESSAGES_PER_TURN
    outcome = bench.send("Test")
    assert bench.asterisk.names()[-1] == "Test"
    bench.turn()
    assert [event.get("Uniqueid") for event in bench.events] == [str(number) for number in range(10_000)]
    assert outcome[0].ok
    bench.stop()


def test_what_came_before_the_end_is_handed_on_before_the_loss() -> None:
    bench = Bench("Hangup").start()
    order: list[str] = []
    bench.manager._lost = lambda reason: order.append(f"lost after {len(bench.events)}")
    outcome = bench.send()
    burst = "".join(f"Event: Hangup\r\nUniqueid: {number}\r\n\r\n" for number in range(1000))
    bench.peer.say(burst + f"Response: Success\r\nActionID: {bench.given()}\r\n\r\n")
    bench.peer.cut()
    assert isinstance(failed(bench.send()), LinkDown)
    bench.turn()
    assert order == ["lost after 1000"]
    assert outcome[0].ok
    bench.stop()


def test_too_many_waiting_events_close_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_QUEUED", 1000)
    bench = Bench("Hangup").start()
    bench.peer.say(b"Event: Hangup\r\n\r\n" * 1001)
    bench.turn()
    assert bench.told == ["connected", "lost: too many events waiting"]
    bench.turn(1)
    assert bench.manager.linked
    bench.stop()


def test_events_handed_on_do_not_count_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_QUEUED_BYTES", 1000)
    bench = Bench("Hangup").start()
    for _ in range(100):
        bench.peer.say(b"Event: Hangup\r\n\r\n" * 10)
    assert len(bench.events) == 1000
    assert bench.manager.linked
    bench.peer.say(b"Event: Hangup\r\n\r\n" * 1000)
    bench.turn()
    assert not bench.manager.linked
    bench.stop()


@pytest.mark.parametrize("garbage", [b"garbage\r\n\r\n", b"Event: X\r\nA: " + b"x" * 70_000, b"\r\n\r\nx: y\r\n\r\n"])
def test_garbage_closes_the_link_once(garbage: bytes) -> None:
    """F20, A11."""
    bench = Bench().start()
    outcome = bench.send()
    bench.peer.say(garbage)
    bench.peer.say(garbage)
    bench.peer.say(f"Response: Success\r\nActionID: {bench.given()}\r\n\r\nEvent: Hangup\r\n\r\n")
    bench.turn(1)
    assert isinstance(failed(outcome), LinkLost)
    assert bench.events == []
    assert len(bench.endpoint.tries) == 2
    assert bench.manager.linked
    bench.stop()


# Those above


def test_connected_may_use_the_link() -> None:
    bench = Bench()
    bench.asterisk.answers["Status"] = "Response: Success\r\nActionID: {id}\r\nEventList: start\r\n\r\n" + item(
        "{id}", "StatusComplete", EventList="Complete"
    )
    got: list[Any] = []
    bench.on_connected = lambda: start(bench.manager.collect(Action("Status"))).addCallback(got.append)
    bench.start()
    assert [message.name for message in got[0]] == ["StatusComplete"]
    bench.stop()


def test_when_getting_ready_fails_the_link_is_made_anew() -> None:
    bench = Bench()
    bench.on_connected = lambda: fail(ActionTimeout("Status: no answer"))
    bench.start()
    assert bench.told == ["connected", "lost: could not get ready"]
    assert not bench.manager.linked
    bench.on_connected = lambda: succeed(None)
    bench.turn(1)
    assert bench.told[2:] == ["connected"]
    assert bench.manager.linked
    bench.stop()


@pytest.mark.logs_failures
def test_a_bug_in_getting_ready_does_not_end_the_loop() -> None:
    bench = Bench()
    bench.on_connected = lambda: fail(KeyError("x"))
    bench.start()
    bench.on_connected = lambda: fail(CancelledError())
    bench.turn(0.3)
    bench.on_connected = lambda: succeed(None)
    bench.turn(1)
    assert bench.told == ["connected", "lost: could not get ready"] * 2 + ["connected"]
    bench.stop()


def test_a_loss_while_getting_ready_ends_that() -> None:
    bench = Bench()
    cancelled: list[bool] = []
    bench.on_connected = lambda: Deferred(lambda _: cancelled.append(True))
    bench.start()
    bench.peer.cut()
    bench.turn()
    assert cancelled == [True]
    assert bench.told == ["connected", "lost: Connection was closed cleanly."]
    bench.on_connected = lambda: succeed(None)
    bench.turn(1)
    assert bench.manager.linked
    bench.stop()


def test_stop_ends_even_what_ignores_its_cancelling() -> None:
    bench = Bench()

    async def stubborn() -> None:
        try:
            await Deferred()
        except CancelledError:
            return

    bench.on_connected = lambda: start(stubborn())
    bench.start()
    bench.stop()
    bench.turn(60)
    assert len(bench.endpoint.tries) == 1


def test_stop_while_there_is_no_link() -> None:
    bench = Bench()
    bench.endpoint.refuses = True
    bench.start()
    bench.turn(1)
    bench.stop()
    assert isinstance(failed(bench.first_login), CancelledError)
    with pytest.raises(RuntimeError):
        bench.manager.start()


def test_stop_with_actions_under_way() -> None:
    bench = Bench().start()
    outcome = bench.send()
    bench.stop()
    assert isinstance(failed(outcome), LinkLost)


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(Account("easycall", SECRET))
