"""What is asked over the AMI link: actions, lists, and whether the peer is still there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from easycall.asterisk import link as link_module
from easycall.asterisk.ami import Action, UnsafeValue
from easycall.asterisk.manager import ActionRefused, ActionTimeout, LinkDown, LinkLost, TooManyActions
from easycall.defer import start

from .manager_bench import Bench, failed, item

# Actions


def test_an_answer() -> None:
    bench = Bench().start()
    bench.asterisk.answers["Getvar"] = "Response: Success\r\nActionID: {id}\r\nValue: 7\r\n\r\n"
    outcome = bench.send("Getvar")
    bench.turn()
    assert outcome[0].get("Value") == "7"
    bench.stop()


def test_a_command_gives_its_output() -> None:
    bench = Bench().start()
    bench.asterisk.answers["Command"] = (
        "Response: Success\r\nActionID: {id}\r\nMessage: Command output follows\r\nOutput: a\r\nOutput: b\r\n\r\n"
    )
    outcome = bench.send("Command", Command="core show uptime")
    bench.turn()
    assert outcome[0].all("Output") == ["a", "b"]
    bench.stop()


def test_a_refusal() -> None:
    bench = Bench().start()
    bench.asterisk.answers["Hangup"] = "Response: Error\r\nActionID: {id}\r\nMessage: No such channel\r\n\r\n"
    outcome = bench.send("Hangup", Channel="17.1")
    bench.turn()
    error = failed(outcome)
    assert isinstance(error, ActionRefused)
    assert error.message == "No such channel"
    bench.stop()


def test_answers_find_their_actions_in_any_order() -> None:
    bench = Bench().start()
    one, two = bench.send("One"), bench.send("Two")
    for at, number in ((-1, 2), (-2, 1)):
        bench.peer.say(f"Response: Success\r\nActionID: {bench.given(at)}\r\nNumber: {number}\r\n\r\n")
    assert [one[0].get("Number"), two[0].get("Number")] == ["1", "2"]
    bench.stop()


def test_no_answer_in_time_and_the_late_one_is_dropped() -> None:
    bench = Bench().start()
    outcome = bench.send(seconds=3)
    bench.turn(3.1)
    assert isinstance(failed(outcome), ActionTimeout)
    bench.peer.say(f"Response: Success\r\nActionID: {bench.given()}\r\n\r\n")
    assert len(outcome) == 1
    assert bench.manager.linked
    bench.stop()


def test_each_action_has_its_own_time_limit() -> None:
    bench = Bench().start()
    outcomes = {seconds: bench.send(seconds=seconds) for seconds in (4.0, 1.0, 2.5, 1.5)}
    answered = bench.send(seconds=0.5)
    bench.peer.say(f"Response: Success\r\nActionID: {bench.given()}\r\n\r\n")
    for due in sorted(outcomes):
        bench.turn(due - bench.clock.seconds() - 0.01)
        assert not outcomes[due]
        bench.turn(0.02)
        assert isinstance(failed(outcomes[due]), ActionTimeout)
    assert answered[0].ok
    bench.stop()


def test_an_action_that_times_out_may_make_another() -> None:
    bench = Bench().start()
    second: list[Any] = []
    first = start(bench.manager.send(Action("One"), 1.0))
    first.addErrback(lambda _: start(bench.manager.send(Action("Two"), 1.0))).addBoth(second.append)
    bench.turn(1.1)
    assert not second
    bench.turn(1.0)
    assert isinstance(failed(second), ActionTimeout)
    bench.stop()


def test_a_cancelled_action_is_forgotten() -> None:
    bench = Bench().start()
    work = start(bench.manager.send(Action("Test")))
    outcome: list[Any] = []
    work.addBoth(outcome.append)
    work.cancel()
    assert isinstance(failed(outcome), CancelledError)
    bench.peer.say(f"Response: Success\r\nActionID: {bench.given()}\r\n\r\n")
    assert bench.manager.linked
    bench.stop()


def test_an_own_action_id_is_used_once_at_a_time() -> None:
    bench = Bench("OriginateResponse").start()
    outcome: list[Any] = []
    start(bench.manager.send(Action("Originate"), action_id="leg-1")).addBoth(outcome.append)
    again: list[Any] = []
    start(bench.manager.send(Action("Originate"), action_id="leg-1")).addBoth(again.append)
    assert isinstance(failed(again), ValueError)
    bench.peer.say("Response: Success\r\nActionID: leg-1\r\n\r\n")
    bench.peer.say(item("leg-1", "OriginateResponse", Response="Failure"))
    assert outcome[0].ok
    assert [event.action_id for event in bench.events] == ["leg-1"]
    bench.stop()


def test_unsafe_values_send_nothing() -> None:
    """A01."""
    bench = Bench().start()
    before = len(bench.asterisk.seen)
    outcome = bench.send("UserEvent", Note="x\r\nAction: Originate")
    assert isinstance(failed(outcome), UnsafeValue)
    assert len(bench.asterisk.seen) == before
    bench.stop()


def test_a_lost_link_fails_each_action_once_and_replays_none() -> None:
    """F04, F05."""
    bench = Bench().start()
    outcomes = [bench.send(f"Test{number}") for number in range(5)]
    outcomes.append(bench.collect())
    bench.peer.cut()
    bench.turn()
    for outcome in outcomes:
        assert isinstance(failed(outcome), LinkLost)
    assert not bench.manager.linked
    down = bench.send()
    assert isinstance(failed(down), LinkDown)
    bench.turn(5)
    assert bench.manager.linked
    assert all(len(outcome) == 1 for outcome in outcomes)
    assert [name for name in bench.asterisk.names() if name.startswith("Test")] == [f"Test{number}" for number in range(5)]
    assert bench.told[:2] == ["connected", "lost: Connection was closed cleanly."]
    bench.stop()


def test_one_lost_action_may_cancel_another() -> None:
    bench = Bench().start()
    second = start(bench.manager.send(Action("Second")))
    first: list[Any] = []
    work = start(bench.manager.send(Action("First")))
    ends: list[Any] = []
    second.addBoth(ends.append)
    work.addBoth(lambda result: (first.append(result), second.cancel()))
    bench.peer.cut()
    bench.turn()
    assert len(first) == len(ends) == 1
    bench.stop()


def test_at_most_500_actions_wait() -> None:
    bench = Bench().start()
    outcomes = [bench.send() for _ in range(link_module.MAX_PENDING)]
    before = len(bench.asterisk.seen)
    assert any(isinstance(outcome[0].value, TooManyActions) for outcome in [*outcomes, bench.send()] if outcome)
    assert len(bench.asterisk.seen) == before
    bench.stop()


# Lists


def test_a_list_is_collected_by_its_action_id_only() -> None:
    bench = Bench("Hangup", "Status").start()
    outcome = bench.collect()
    given = bench.given()
    other = bench.collect("CoreShowChannels")
    bench.peer.say(f"Response: Success\r\nActionID: {given}\r\nEventList: start\r\n\r\n")
    bench.peer.say(item(given, Uniqueid="1") + "Event: Hangup\r\nUniqueid: 9\r\n\r\n" + item("forged", Uniqueid="8"))
    bench.peer.say(item(given, Uniqueid="2") + item(given, "StatusComplete", EventList="Complete", ListItems="2"))
    [items] = outcome
    assert [each.get("Uniqueid") for each in items] == ["1", "2", ""]
    assert other == []
    assert [(each.name, each.get("Uniqueid")) for each in bench.events] == [("Hangup", "9"), ("Status", "8")]
    bench.stop()


def test_a_refused_list() -> None:
    bench = Bench().start()
    outcome = bench.collect()
    bench.peer.say(f"Response: Error\r\nActionID: {bench.given()}\r\nMessage: Permission denied\r\n\r\n")
    assert isinstance(failed(outcome), ActionRefused)
    bench.stop()


def test_lists_that_never_end_close_the_link_the_second_time() -> None:
    """F22."""
    bench = Bench().start()
    one = bench.collect()
    bench.turn(5.1)
    assert isinstance(failed(one), ActionTimeout)
    assert bench.manager.linked
    two = bench.collect()
    bench.turn(5.1)
    assert isinstance(failed(two), ActionTimeout)
    assert bench.told[1] == "lost: lists do not end"
    bench.turn(1)
    assert bench.manager.linked
    bench.stop()


# Keeping alive


def test_a_silent_peer_is_noticed_within_6_s() -> None:
    """F12, F13."""
    bench = Bench().start()
    bench.turn(10)
    assert bench.told == ["connected"]
    bench.asterisk.silent = True
    outcome = bench.send(seconds=20)
    bench.turn(6.05)
    assert bench.told == ["connected", "lost: nothing heard for 6 s"]
    assert isinstance(failed(outcome), LinkLost)
    bench.stop()


def test_events_are_signs_of_life_but_not_for_ever_without_an_answer() -> None:
    """F14; and a peer that talks and does not hear us."""
    bench = Bench().start()
    bench.asterisk.silent = True
    for _ in range(18):
        bench.turn(1)
        bench.peer.say("Event: VarSet\r\n")
    assert bench.manager.linked
    bench.turn(5)
    assert bench.told[1] == "lost: no answer to a ping within 20 s"
    bench.stop()


def test_a_stall_of_our_own_is_no_silence_of_the_peer() -> None:
    """F16."""
    bench = Bench().start()
    bench.clock.advance(8)  # nothing runs for 8 s, then the timers are looked at before the socket
    bench.turn(3)
    assert bench.told == ["connected"]
    bench.stop()
