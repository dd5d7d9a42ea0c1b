"""starpy's AMI protocol on a connection in memory: log-in, actions, answers, lists, events, limits."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from easycall.starpy import error, manager
from easycall.starpy.error import AMICommandFailure, Disconnected
from easycall.starpy.manager import AMIProtocol

from .starpy_peers import Asterisk, outcome, pending


def test_log_in() -> None:
    asterisk = Asterisk(log_in=False, id=7)
    assert asterisk.asked() == [("Action", "login"), ("username", "lab"), ("secret", "very secret")]
    asterisk.answers("Response: Success", "Message: Authentication accepted")
    assert outcome(asterisk.factory.loginDefer) is asterisk.ami
    assert asterisk.ami.id == 7
    assert asterisk.ami.amiVersion == "11.0.0"
    assert not asterisk.clock.getDelayedCalls()


def test_log_in_by_md5() -> None:
    asterisk = Asterisk(log_in=False, plaintext_login=False)
    asterisk.answers("Response: Success", "Challenge: 1357")
    key = hashlib.md5(b"1357very secret", usedforsecurity=False).hexdigest()
    assert asterisk.asked() == [("Action", "Login"), ("authtype", "MD5"), ("username", "lab"), ("key", key)]


def test_a_refused_log_in_fails_with_the_answer() -> None:
    asterisk = Asterisk(log_in=False)
    asterisk.answers("Response: Error", "Message: Authentication failed")
    failure = outcome(asterisk.factory.loginDefer)
    assert isinstance(failure, AMICommandFailure)
    assert failure.args[0]["message"] == "Authentication failed"
    assert asterisk.wire.disconnecting


def test_a_log_in_refused_later_is_not_repeated_at_once() -> None:
    asterisk = Asterisk()
    asterisk.factory.refused(asterisk.ami, Failure(AMICommandFailure({"message": "Authentication failed"})))
    assert asterisk.wire.disconnecting
    assert asterisk.factory.delay == 30


def test_answers_are_dicts_with_lower_case_keys() -> None:
    asterisk = Asterisk()
    answer = asterisk.ami.action("CoreStatus", Some="thing", Variable=["a=1", "b=2"], Nothing=None)
    assert asterisk.asked() == [("Action", "CoreStatus"), ("some", "thing"), ("variable", "a=1"), ("variable", "b=2")]
    asterisk.answers("Response: Success", "CoreStartupTime: 10:00 ", "Empty: ", "Empty: second")
    message = outcome(answer)
    assert isinstance(message, dict)
    assert message == {
        "response": "Success",
        "actionid": asterisk.last,
        "corestartuptime": "10:00 ",
        "empty": "",
    }


def test_repeated_headers_are_kept_and_the_first_counts() -> None:
    asterisk = Asterisk()
    seen: list[Any] = []
    asterisk.ami.registerEvent("Hangup", lambda ami, event: seen.append(event))
    asterisk.says(b"Event: Hangup\r\nUniqueid: 1\r\nChanVariable: A=1\r\nChanVariable: B=2\r\nUniqueid: forged\r\n\r\n")
    [event] = seen
    assert (event["uniqueid"], event["chanvariable"]) == ("1", "A=1")
    assert event.all("ChanVariable") == ["A=1", "B=2"]


def test_text_that_is_not_utf_8_survives() -> None:
    asterisk = Asterisk()
    seen: list[Any] = []
    asterisk.ami.registerEvent("Newchannel", lambda ami, event: seen.append(event["calleridname"]))
    asterisk.says(b"Event: Newchannel\r\nCallerIDName: J\xf6rg \xc3\xb6\r\n\r\n")
    asterisk.ami.setVar("x", "NAME", seen[0])
    asterisk.ami.setVar("x", "NAME", b"\xf6")
    assert b"value: J\xf6rg \xc3\xb6\r\n" in asterisk.wire.value()
    assert b"value: \xf6\r\n" in asterisk.wire.value()


def test_a_lost_connection_fails_what_is_pending_and_what_comes_later() -> None:
    asterisk = Asterisk()
    one, many, value = asterisk.ami.ping(), asterisk.ami.status(), asterisk.ami.dbGet("a", "b")
    called: list[Any] = []
    asterisk.ami.sendMessage({"action": "Ping"}, called.append)
    asterisk.sent()
    asterisk.cut()
    for work in (one, many, value):
        failure = outcome(work)
        assert isinstance(failure, Disconnected)
        assert isinstance(failure, ConnectionDone)
        assert isinstance(failure, ConnectionLost)
        assert "lost" in str(failure)
    assert [type(each) for each in called] == [Disconnected]
    assert isinstance(outcome(asterisk.ami.ping()), Disconnected)
    with pytest.raises(Disconnected, match="not sent"):
        asterisk.ami.sendMessage({"action": "Ping"})
    assert not asterisk.clock.getDelayedCalls()


def test_what_came_before_the_loss_is_still_an_answer() -> None:
    asterisk = Asterisk()
    work = asterisk.ami.ping()
    asterisk.answers("Response: Success", "Ping: Pong")
    asterisk.cut()
    assert outcome(work)["ping"] == "Pong"


def test_every_action_has_a_time_limit() -> None:
    asterisk = Asterisk()
    asterisk.ami.actionTimeout = 3.0
    short = asterisk.ami.ping()
    given = asterisk.ami.sendDeferred({"action": "Ping"}, seconds=1)
    many = asterisk.ami.queueStatus()
    calling = asterisk.ami.originate("Local/1@x", "x", "1", "1", timeout=20)
    waiting = asterisk.ami.waitEvent(60)
    works = {1: [given], 3: [short, many], 23: [calling], 63: [waiting]}
    for seconds, due in works.items():
        asterisk.clock.advance(seconds - 0.1 - asterisk.clock.seconds())
        assert all(map(pending, due))
        asterisk.clock.advance(0.1)
        assert all(isinstance(outcome(work), error.ActionTimeout) for work in due)
    asterisk.answers("Response: Success")  # too late: nobody is told
    assert not asterisk.ami.actionIDCallbacks
    assert not asterisk.clock.getDelayedCalls()


def test_a_cancelled_action_is_forgotten() -> None:
    asterisk = Asterisk()
    work = asterisk.ami.ping()
    work.addErrback(lambda _: None)
    work.cancel()
    asterisk.answers("Response: Success")
    assert not asterisk.ami.actionIDCallbacks
    assert not asterisk.clock.getDelayedCalls()


ACTIONS: dict[str, Callable[[AMIProtocol, str], Deferred[Any]]] = {
    "action": lambda ami, text: ami.action("Ping", Any=text),
    "action's name": lambda ami, text: ami.action(text),
    "header": lambda ami, text: ami.action("Ping", **{text: "x"}),
    "command": lambda ami, text: ami.command(text),
    "dbPut": lambda ami, text: ami.dbPut("family", "key", text),
    "dbGet": lambda ami, text: ami.dbGet("family", text),
    "getVar": lambda ami, text: ami.getVar("channel", text),
    "setVar": lambda ami, text: ami.setVar("channel", "NAME", text),
    "hangup": lambda ami, text: ami.hangup(text),
    "originate": lambda ami, text: ami.originate("Local/1@x", variable={"NAME": text}),
    "originate's variable": lambda ami, text: ami.originate("Local/1@x", variable={text: "x"}),
    "redirect": lambda ami, text: ami.redirect("channel", "context", text, 1),
    "status": lambda ami, text: ami.status(text),
    "userEvent": lambda ami, text: ami.userEvent("Mine", Text=text),
    "updateConfig": lambda ami, text: ami.updateConfig("a", "b", True, {"Cat-000000": text}),
    "ActionID": lambda ami, text: ami.sendDeferred({"action": "Ping", "actionid": text}),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_no_value_can_begin_a_second_action(name: str) -> None:
    asterisk = Asterisk()
    asterisk.sent()
    for end in ("\r\n", "\r", "\n", "\0"):
        work = ACTIONS[name](asterisk.ami, f"x{end}Action: Hangup")
        assert isinstance(outcome(work), error.UnsafeValue)
    assert asterisk.sent() == []
    assert not asterisk.ami.actionIDCallbacks


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True), st.text(max_size=40)), max_size=8))
def test_headers_arrive_as_they_were_given_or_not_at_all(headers: list[tuple[str, str]]) -> None:
    asterisk = Asterisk()
    asterisk.sent()
    headers = [each for each in headers if each[0] not in ("action", "actionid")]
    work = asterisk.ami.sendDeferred([("action", "Test"), *headers])
    if work.called:
        assert isinstance(outcome(work), error.UnsafeValue)
        assert asterisk.sent() == []
    else:
        assert asterisk.asked() == [("Action", "Test"), *headers]


def test_originate() -> None:
    asterisk = Asterisk()
    asterisk.sent()
    asterisk.ami.originate(
        "Local/1@x", "home", 100, 1, 15.5, "Bob <1>", variable={"A": 'a, "b" \\ (c', "PJSIP_HEADER(add,X-A)": 1}, nowait=True
    )
    assert asterisk.asked() == [
        ("Action", "originate"),
        ("channel", "Local/1@x"),
        ("context", "home"),
        ("exten", "100"),
        ("priority", "1"),
        ("callerid", "Bob <1>"),
        ("async", "True"),
        ("timeout", "15500"),
        ("variable", r"A=a\, \"b\" \\ \(c"),
        ("variable", r"PJSIP_HEADER\(add\,X-A\)=1"),
    ]
    asterisk.ami.originate("Local/1@x", application="Wait", data="5", **{"async": "yes"})
    assert ("async", "yes") in asterisk.asked()
    with pytest.raises(TypeError, match="nowhere"):
        asterisk.ami.originate("Local/1@x", nowhere=1)


def test_command_gives_lines() -> None:
    asterisk = Asterisk()
    work = asterisk.ami.command("core show channels")
    asterisk.answers("Response: Success", "Message: Command output follows", "Output: Channel", "Output:  0 active ")
    assert outcome(work) == ["Channel", " 0 active "]
    silent = asterisk.ami.command("core set verbose 3")
    asterisk.answers("Response: Success", "Message: Command output follows")
    assert outcome(silent) == []
    wrong = asterisk.ami.command("no such")
    asterisk.answers("Response: Error", "Message: Command output follows", "Output: No such command 'no such'")
    failure = outcome(wrong)
    assert isinstance(failure, AMICommandFailure)
    assert failure.args[0][" "] == ["No such command 'no such'"]


def test_a_list_has_the_answer_the_items_and_the_end() -> None:
    asterisk = Asterisk()
    handled: list[str] = []
    asterisk.ami.registerEvent("Status", lambda ami, event: handled.append(event["channel"]))
    work = asterisk.ami.status()
    asterisk.answers("Response: Success", "EventList: start")
    asterisk.answers("Channel: SIP/1", event="Status")
    asterisk.says(b"Event: Status\r\nChannel: forged\r\n\r\nEvent: StatusComplete\r\n\r\n")
    asterisk.answers("Channel: SIP/2", event="Status")
    assert pending(work)
    asterisk.answers("Items: 2", event="StatusComplete")
    assert [(each.get("event"), each.get("channel")) for each in outcome(work)] == [
        (None, None),
        ("Status", "SIP/1"),
        ("Status", "SIP/2"),
        ("StatusComplete", None),
    ]
    assert handled == ["SIP/1", "forged", "SIP/2"]
    refused = asterisk.ami.status("SIP/3")
    asterisk.answers("Response: Error", "Message: No such channel")
    assert isinstance(outcome(refused), AMICommandFailure)


def test_database_values_of_two_requests_are_not_mixed_up() -> None:
    asterisk = Asterisk()
    one, two, three = (asterisk.ami.dbGet("family", key) for key in "123")
    ids = [dict(action)["ActionID"] for action in asterisk.sent()][-3:]
    for key, value in ((1, "second"), (0, "first")):
        asterisk.last = ids[key]
        asterisk.answers("Response: Success", "EventList: start")
        asterisk.answers(f"Val: {value}", event="DBGetResponse")
        asterisk.answers("EventList: Complete", event="DBGetComplete")
    asterisk.last = ids[2]
    asterisk.answers("Response: Error", "Message: Database entry not found")
    assert [outcome(work) for work in (one, two, three)] == ["first", "second", None]
    denied = asterisk.ami.dbGet("family", "4")
    asterisk.answers("Response: Error", "Message: Permission denied")
    assert isinstance(outcome(denied), AMICommandFailure)


@pytest.mark.parametrize(("value", "expected"), [("on", "on"), ("", ""), ("(null)", None)])
def test_get_var(value: str, expected: str | None) -> None:
    asterisk = Asterisk()
    work = asterisk.ami.getVar(None, "Message")
    asterisk.answers("Response: Success", "Message: fine", "Variable: Message", f"Value: {value}")
    assert outcome(work) == expected


def test_handlers_come_and_go() -> None:
    asterisk = Asterisk()
    seen: list[str] = []

    def every(ami: AMIProtocol, event: dict[str, str]) -> None:
        assert ami is asterisk.ami
        seen.append(f"every {event['event']}")

    def once(ami: AMIProtocol, event: dict[str, str]) -> None:
        seen.append(f"once {event['event']}")
        assert ami.deregisterEvent(event["event"], once)

    def two(ami: AMIProtocol, event: dict[str, str]) -> None:
        seen.append(f"two {event['event']}")

    asterisk.ami.registerEvent(None, every)
    asterisk.ami.registerEvent(("A", "B"), once)
    asterisk.ami.registerEvent("A", two)
    asterisk.factory.registerEvent("B", two)
    for name in "AABC":
        asterisk.says(f"Event: {name}\r\n\r\n".encode())
    assert seen == [
        *("once A", "two A", "every A"),
        *("two A", "every A"),
        *("once B", "two B", "every B"),
        "every C",
    ]
    assert not asterisk.ami.deregisterEvent("B", once)
    assert asterisk.ami.deregisterEvent("A")
    assert asterisk.ami.deregisterEvent(None, every)
    assert asterisk.factory.deregisterEvent("B", two)
    asterisk.says(b"Event: A\r\n\r\nEvent: B\r\n\r\n")
    assert len(seen) == 9


def test_what_a_handler_raises_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    asterisk = Asterisk()
    seen: list[str] = []
    asterisk.ami.registerEvent("A", lambda ami, event: event["no such header"])
    asterisk.ami.registerEvent("A", lambda ami, event: seen.append("second"))
    asterisk.says(b"Event: A\r\n\r\n")
    asterisk.ami.sendMessage({"action": "Ping"}, lambda answer: answer["nothing"])
    asterisk.answers("Response: Success")
    assert seen == ["second"]
    assert [record.name for record in caplog.records] == ["AMI", "AMI"]
    assert all(record.exc_info and record.exc_info[0] is KeyError for record in caplog.records)


def test_the_secret_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    manager.log.setLevel(logging.DEBUG)
    asterisk = Asterisk(log_in=False)
    asterisk.answers("Response: Error", "Message: Authentication failed")
    assert isinstance(outcome(asterisk.factory.loginDefer), AMICommandFailure)
    assert "very secret" not in caplog.text
    assert "very secret" not in repr(vars(asterisk.ami))
    manager.log.setLevel(logging.NOTSET)


def test_send_message_and_register_error() -> None:
    asterisk = Asterisk()
    said: list[Any] = []
    given = asterisk.ami.sendMessage([("action", "Originate"), ("ActionID", "mine-1")], said.append)
    assert given == "mine-1"
    with pytest.raises(ValueError, match="under way"):
        asterisk.ami.sendMessage([("action", "Originate"), ("ActionID", "mine-1")], said.append)
    asterisk.last = "mine-1"
    asterisk.answers("Response: Success")
    asterisk.clock.advance(60)
    asterisk.last = "mine-1"
    asterisk.answers("Response: Failure", event="OriginateResponse")
    assert [each.get("event") for each in said] == [None, "OriginateResponse"]
    asterisk.sent()
    refused: list[Any] = []
    work = asterisk.ami.sendDeferred({"Action": "Park"})
    work.registerError(refused.append)
    asterisk.answers("Response: Error", "Message: no")
    assert outcome(work) is refused[0]
    mine = asterisk.ami.userEvent("Mine", Text="a b")
    assert asterisk.asked() == [("Action", "UserEvent"), ("userevent", "Mine"), ("text", "a b")]
    asterisk.answers("Response: Success", "Message: Event Sent")
    assert outcome(mine)["message"] == "Event Sent"


def test_actions_and_kept_callbacks_are_bounded() -> None:
    asterisk = Asterisk()
    works = [asterisk.ami.ping() for _ in range(501)]
    assert isinstance(outcome(works.pop()), error.TooManyActions)
    asterisk.cut()
    assert all(isinstance(outcome(work), Disconnected) for work in works)
    asterisk = Asterisk()
    for _ in range(manager.MAX_KEPT + 10):
        asterisk.ami.sendMessage({"action": "Ping"}, print)
        asterisk.answers("Response: Success")
    assert len(asterisk.ami.actionIDCallbacks) <= manager.MAX_KEPT + 1


def test_actions_asterisk_22_does_not_know_fail() -> None:
    asterisk = Asterisk()
    for ask in (
        lambda ami: ami.monitor("SIP/1", "file", "wav", True),
        lambda ami: ami.stopMonitor("SIP/1"),
        lambda ami: ami.sipPeers(),
        lambda ami: ami.queues(),
        lambda ami: ami.parkedCall(),
        lambda ami: ami.setCDRUserField("SIP/1", "x"),
        lambda ami: ami.dahdiHangup(1),
    ):
        work = ask(asterisk.ami)
        asterisk.answers("Response: Error", "Message: Invalid/unknown command")
        assert isinstance(outcome(work), AMICommandFailure)


def test_a_peer_that_is_no_asterisk_is_closed() -> None:
    asterisk = Asterisk()
    work = asterisk.ami.ping()
    asterisk.says(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert asterisk.wire.disconnected or asterisk.wire.aborting
    asterisk.cut()
    assert isinstance(outcome(work), Disconnected)
