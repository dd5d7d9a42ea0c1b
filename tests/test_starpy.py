"""starpy's interface: its signatures, what is right where starpy was wrong, and programs in its style.

The connection in memory has a clock of our own; the programs run over loopback, and against a real Asterisk.
"""

from __future__ import annotations

import datetime
import hashlib
import inspect
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from easycall.lab import lab
from easycall.lab.layout import Order, State, free_block
from easycall.starpy import error, fastagi, manager
from easycall.starpy.error import AGICommandFailure, AMICommandFailure, Disconnected
from easycall.starpy.fastagi import FastAGIFactory, FastAGIProtocol, InSequence
from easycall.starpy.manager import AMIFactory, AMIProtocol

reactor: Any = global_reactor
VAR = Path(os.environ.get("EASYCALL_LAB", Path(__file__).parent.parent / "var/lab"))
GREETING = b"Asterisk Call Manager/11.0.0\r\n"


# The signatures of starpy 1.1

AMI = {
    "registerEvent": "event, function",
    "deregisterEvent": "event, function=None",
    "sendDeferred": "message",
    "sendMessage": "message, responseCallback=None",
    "collectDeferred": "message, stopEvent",
    "errorUnlessResponse": "message, expected='Success'",
    "cleanup": "result, actionid",
    "generateActionId": "",
    "dispatchEvent": "event",
    "absoluteTimeout": "channel, timeout",
    "action": "action",
    "agentLogoff": "agent, soft",
    "agents": "",
    "changeMonitor": "channel, filename",
    "command": "command",
    "dahdiDNDoff": "channel",
    "dahdiDNDon": "channel",
    "dahdiDialOffhook": "channel, number",
    "dahdiHangup": "channel",
    "dahdiRestart": "channel",
    "dahdiShowChannels": "",
    "dahdiTransfer": "channel",
    "dbDel": "family, key",
    "dbDelTree": "family, key=None",
    "dbGet": "family, key",
    "dbPut": "family, key, value",
    "events": "eventmask=False",
    "extensionState": "exten, context",
    "getConfig": "filename",
    "getVar": "channel, variable",
    "hangup": "channel",
    "listCommands": "",
    "login": "",
    "loginChallengeResponse": "",
    "logoff": "",
    "mailboxCount": "mailbox",
    "mailboxStatus": "mailbox",
    "meetmeMute": "meetme, usernum",
    "meetmeUnmute": "meetme, usernum",
    "monitor": "channel, file, format, mix",
    "originate": "channel, context=None, exten=None, priority=None, timeout=None, callerid=None, account=None,"
    " application=None, data=None, variable={}, nowait=False, channelid=None, otherchannelid=None, codecs=None",
    "park": "channel, channel2, timeout",
    "parkedCall": "",
    "parkedCalls": "",
    "pauseMonitor": "channel",
    "ping": "",
    "playDTMF": "channel, digit",
    "queueAdd": "queue, interface, penalty=0, paused=True, membername=None, stateinterface=None",
    "queueLog": "queue, event, uniqueid=None, interface=None, msg=None",
    "queuePause": "queue, interface, paused=True, reason=None",
    "queuePenalty": "interface, penalty, queue=None",
    "queueRemove": "queue, interface",
    "queueStatus": "queue=None, member=None",
    "queues": "",
    "redirect": "channel, context, exten, priority, extraChannel=None",
    "setCDRUserField": "channel, userField, append=True",
    "setVar": "channel, variable, value",
    "sipPeers": "",
    "sipShowPeers": "peer",
    "status": "channel=None",
    "stopMonitor": "channel",
    "unParkedCall": "",
    "unpauseMonitor": "channel",
    "updateConfig": "srcfile, dstfile, reload, headers={}",
    "userEvent": "event",
    "waitEvent": "timeout",
}
AGI = {
    "answer": "",
    "channelStatus": "channel=None",
    "controlStreamFile": "filename, escapeDigits, skipMS=0, ffChar='*', rewChar='#', pauseChar=None",
    "databaseDel": "family, key",
    "databaseDeltree": "family, keyTree=None",
    "databaseGet": "family, key",
    "databasePut": "family, key, value",
    "databaseSet": "family, key, value",
    "dateAsSeconds": "date",
    "execute": "application",
    "finish": "",
    "getData": "filename, timeout=2.0, maxDigits=None",
    "getOption": "filename, escapeDigits, timeout=None",
    "getVariable": "variable",
    "hangup": "channel=None",
    "jumpOnError": "reason, difference=100, forErrors=None",
    "noop": "message=None",
    "onClose": "",
    "playback": "filename, doAnswer=1",
    "receiveChar": "timeout=None",
    "receiveText": "timeout=None",
    "recordFile": "filename, format, escapeDigits, timeout=-1, offsetSamples=None, beep=True, silence=None",
    "sayAlpha": "string, escapeDigits=None",
    "sayDate": "date, escapeDigits=None",
    "sayDateTime": "time, escapeDigits='', format=None, timezone=None",
    "sayDigits": "number, escapeDigits=None",
    "sayNumber": "number, escapeDigits=None",
    "sayPhonetic": "string, escapeDigits=None",
    "sayTime": "time, escapeDigits=None",
    "sayXXX": "baseCommand, value, escapeDigits=''",
    "sendCommand": "commandString",
    "sendImage": "filename",
    "sendText": "text",
    "setAutoHangup": "time",
    "setCallerID": "number",
    "setContext": "context",
    "setExtension": "extension",
    "setMusic": "on=True, musicClass=None",
    "setPriority": "priority",
    "setVariable": "variable, value",
    "streamFile": "filename, escapeDigits='', offset=0",
    "tddMode": "on=True",
    "verbose": "message, level=None",
    "wait": "duration",
    "waitForDigit": "timeout",
}
FACTORY = {
    "__init__": "username, secret, id=None, plaintext_login=True, on_reconnect=None",
    "login": "ip='localhost', port=5038, timeout=5, bindAddress=None",
}


def signature(function: Callable[..., Any]) -> str:
    """The arguments that can be given by position; ``seconds``, the last of some, is ours."""
    given = []
    for each in list(inspect.signature(function).parameters.values())[1:]:
        if each.kind is each.POSITIONAL_OR_KEYWORD and each.name != "seconds":
            default = dict(each.default) if str(type(each.default)) == "<class 'mappingproxy'>" else each.default
            given.append(each.name if each.default is each.empty else f"{each.name}={default!r}")
    return ", ".join(given)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (AMIProtocol, AMI),
        (FastAGIProtocol, AGI),
        (AMIFactory, FACTORY),
        (FastAGIFactory, {"__init__": "mainFunction"}),
        (InSequence, {"append": "function", "__call__": ""}),
    ],
)
def test_signatures_are_those_of_starpy(where: type, expected: dict[str, str]) -> None:
    assert {name: signature(getattr(where, name)) for name in expected} == expected


# AMI, in memory


class Asterisk:
    """One connection to an Asterisk in memory: what it is sent, and what it says."""

    def __init__(self, log_in: bool = True, **options: Any) -> None:
        self.clock = Clock()
        self.factory = AMIFactory("lab", "very secret", **options)
        self.factory.clock = self.clock
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5038))
        assert isinstance(protocol, AMIProtocol)
        self.ami = protocol
        self.wire = StringTransport()
        self.last = ""
        protocol.makeConnection(self.wire)
        self.says(GREETING)
        if log_in:
            self.answers("Response: Success", "Message: Authentication accepted")

    def says(self, data: bytes) -> None:
        self.ami.dataReceived(data)

    def sent(self) -> list[list[tuple[str, str]]]:
        """The actions sent since last asked, as pairs of header and value."""
        text = self.wire.value().decode("utf-8", "surrogateescape")
        self.wire.clear()
        *blocks, rest = text.split("\r\n\r\n")
        assert rest == ""
        return [
            [(name, value) for name, _, value in (line.partition(": ") for line in block.split("\r\n"))] for block in blocks
        ]

    def asked(self) -> list[tuple[str, str]]:
        """The one action sent, without its ActionID, which must be second."""
        [action] = self.sent()
        name, self.last = action.pop(1)
        assert name == "ActionID"
        return action

    def answers(self, *lines: str, event: str = "") -> None:
        """Say something about the last action sent."""
        if sent := self.sent():
            self.last = dict(sent[-1])["ActionID"]
        first, *others = (f"Event: {event}", *lines) if event else lines
        self.says("\r\n".join([first, f"ActionID: {self.last}", *others, "", ""]).encode("utf-8", "surrogateescape"))

    def cut(self) -> None:
        self.ami.connectionLost(Failure(ConnectionLost("cable")))


def outcome(work: Deferred[Any]) -> Any:
    """What a Deferred has by now: its result, or its exception."""
    results: list[Any] = []
    work.addBoth(results.append)
    [result] = results
    return result.value if isinstance(result, Failure) else result


def pending(work: Deferred[Any]) -> bool:
    return not work.called


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


# FastAGI, in memory

HERE = IPv4Address("TCP", "127.0.0.1", 40000)
ENVIRONMENT = (
    b"agi_network: yes\nagi_channel: PJSIP/100-1\nagi_uniqueid: 17.1\nagi_context: home\nagi_extension: s\n"
    b"agi_priority: 4\nagi_arg_1: caller\nagi_channel: forged\n\n"
)


class Leg:
    """A FastAGIProtocol and the Asterisk at its other end."""

    def __init__(
        self,
        main: Callable[[FastAGIProtocol], Any] | None = None,
        environment: bytes = ENVIRONMENT,
        factory: FastAGIFactory | None = None,
    ) -> None:
        self.clock = factory.clock if factory else Clock()
        self.served: list[FastAGIProtocol] = []
        self.factory = factory or FastAGIFactory(main or self.served.append)
        self.factory.clock = self.clock
        protocol = self.factory.buildProtocol(HERE)
        assert protocol is not None
        self.agi = protocol
        self.wire = StringTransport(peerAddress=HERE)
        protocol.makeConnection(self.wire)
        self.says(environment)

    def says(self, data: bytes) -> None:
        self.agi.dataReceived(data)

    def asked(self) -> str:
        """What was sent since last asked."""
        data = self.wire.value()
        self.wire.clear()
        return data.decode("utf-8", "surrogateescape")

    def ends(self) -> None:
        """The connection ends."""
        self.agi.connectionLost(Failure(ConnectionDone()))
        assert not self.clock.getDelayedCalls()
        assert not self.factory.connections


NO_KEY = "200 result=0 endpos=8000"
COMMANDS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Any]] = [
    ("answer", (), {}, "ANSWER", "200 result=0", 0),
    ("answer", (), {}, "ANSWER", "200 result=-1", AGICommandFailure),
    ("hangup", (), {}, "HANGUP", "200 result=1", 1),
    ("hangup", ("SIP/1",), {}, 'HANGUP "SIP/1"', "200 result=-1", AGICommandFailure),
    ("channelStatus", (), {}, "CHANNEL STATUS", "200 result=6", 6),
    ("noop", (), {}, "NOOP", "200 result=0", 0),
    ("noop", ('a" b',), {}, 'NOOP "a\\" b"', "200 result=0", 0),
    ("verbose", ("it's", 3), {}, 'VERBOSE "it\'s" "3"', "200 result=1", 1),
    ("setVariable", ("X", 'a "b" c'), {}, 'SET VARIABLE "X" "a \\"b\\" c"', "200 result=1", 1),
    ("setVariable", ("X", b"\xf6"), {}, 'SET VARIABLE "X" "\udcf6"', "200 result=1", 1),
    ("getVariable", ("X",), {}, 'GET VARIABLE "X"', "200 result=1 (a (b) )", "a (b) "),
    ("getVariable", ("X",), {}, 'GET VARIABLE "X"', "200 result=1 ()", ""),
    ("getVariable", ("X",), {}, 'GET VARIABLE "X"', "200 result=0", AGICommandFailure),
    ("getVariable", ("X",), {}, 'GET VARIABLE "X"', "200 result=1 (first\nsecond)", "first\nsecond"),
    ("databaseGet", ("f", "k"), {}, 'DATABASE GET "f" "k"', "200 result=1 (v w)", "v w"),
    ("databaseGet", ("f", "k"), {}, 'DATABASE GET "f" "k"', "200 result=0", AGICommandFailure),
    ("databasePut", ("f", "k", 5), {}, 'DATABASE PUT "f" "k" "5"', "200 result=1", 1),
    ("databaseSet", ("f", "k", ""), {}, 'DATABASE PUT "f" "k" ""', "200 result=0", AGICommandFailure),
    ("databaseDel", ("f", "k"), {}, 'DATABASE DEL "f" "k"', "200 result=1", 1),
    ("databaseDeltree", ("f",), {}, 'DATABASE DELTREE "f"', "200 result=1", 1),
    ("databaseDeltree", ("f", "t"), {}, 'DATABASE DELTREE "f" "t"', "200 result=0", AGICommandFailure),
    ("execute", ("Wait", 1), {}, 'EXEC "Wait" "1"', "200 result=0", "0"),
    ("execute", ("Dial", "SIP/1", 20), {}, 'EXEC "Dial" "SIP/1,20"', "200 result=-1", "-1"),
    ("execute", ("Dial", "SIP/1", 20), {"comma_delimiter": False}, 'EXEC "Dial" "SIP/1,20"', "200 result=0", "0"),
    ("execute", ("NoSuch",), {}, 'EXEC "NoSuch"', "200 result=-2", AGICommandFailure),
    ("playback", ("welcome",), {}, 'EXEC "Playback" "welcome"', "200 result=0", 0),
    ("playback", ("welcome", 0), {}, 'EXEC "Playback" "welcome,noanswer"', "200 result=-1", AGICommandFailure),
    ("streamFile", ("welcome",), {}, 'STREAM FILE "welcome" "" "0"', NO_KEY, (0, 8000)),
    ("streamFile", ("welcome", "12", 80), {}, 'STREAM FILE "welcome" "12" "80"', "200 result=49 endpos=80", (49, 80)),
    ("streamFile", ("none",), {}, 'STREAM FILE "none" "" "0"', "200 result=0 endpos=0", AGICommandFailure),
    ("streamFile", ("none",), {}, 'STREAM FILE "none" "" "0"', "200 result=-1 endpos=0", AGICommandFailure),
    (
        "controlStreamFile",
        ("welcome", "1"),
        {"pauseChar": "5"},
        'CONTROL STREAM FILE "welcome" "1" "0" "*" "#" "5"',
        NO_KEY,
        (0, 8000),
    ),
    ("getData", ("pin", 2.5, 4), {}, 'GET DATA "pin" "2500" "4"', "200 result=1234", ("1234", False)),
    ("getData", ("pin",), {}, 'GET DATA "pin" "2000"', "200 result= (timeout)", ("", True)),
    ("getData", ("pin",), {}, 'GET DATA "pin" "2000"', "200 result=12 (timeout)", ("12", True)),
    ("getData", ("pin",), {}, 'GET DATA "pin" "2000"', "200 result=-1", AGICommandFailure),
    ("getOption", ("menu", "12"), {}, 'GET OPTION "menu" "12"', "200 result=49 endpos=5", ("1", 5)),
    ("getOption", ("menu", "12", 1), {}, 'GET OPTION "menu" "12" "1000"', NO_KEY, ("", 8000)),
    ("waitForDigit", (2,), {}, 'WAIT FOR DIGIT "2000"', "200 result=53", 53),
    ("waitForDigit", (-1,), {}, 'WAIT FOR DIGIT "-1"', "200 result=0", 0),
    (
        "recordFile",
        ("msg", "wav", "#", 5),
        {"silence": 2},
        'RECORD FILE "msg" "wav" "#" "5000" "BEEP" "s=2"',
        "200 result=35 (dtmf) endpos=800",
        (35, "dtmf", 800),
    ),
    (
        "recordFile",
        ("msg", "wav", "", 1),
        {"beep": None},
        'RECORD FILE "msg" "wav" "" "1000"',
        "200 result=49 (timeout) endpos=8",
        (0, "timeout", 8),
    ),
    (
        "recordFile",
        ("msg", "wav", ""),
        {"beep": False, "offsetSamples": 0},
        'RECORD FILE "msg" "wav" "" "-1" "0"',
        "200 result=-1 (hangup) endpos=800",
        (-1, "hangup", 800),
    ),
    (
        "recordFile",
        ("/no", "wav", ""),
        {},
        'RECORD FILE "/no" "wav" "" "-1" "BEEP"',
        "200 result=-1 (writefile)",
        AGICommandFailure,
    ),
    ("sayAlpha", ("a-b 1",), {}, 'SAY ALPHA "ab1" ""', "200 result=0", 0),
    ("sayPhonetic", ("a b", "#"), {}, 'SAY PHONETIC "ab" "#"', "200 result=35", 35),
    ("sayDigits", ("+49 30",), {}, 'SAY DIGITS "4930" ""', "200 result=0", 0),
    ("sayNumber", (-1234, "*"), {}, 'SAY NUMBER "-1234" "*"', "200 result=42", 42),
    ("sayDate", (1700000000.9,), {}, 'SAY DATE "1700000000" ""', "200 result=0", 0),
    (
        "sayTime",
        (datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC),),
        {},
        'SAY TIME "1700000000" ""',
        "200 result=0",
        0,
    ),
    (
        "sayDateTime",
        (1700000000, "", "ABdY 'digits/at' IMp", "Europe/Berlin"),
        {},
        'SAY DATETIME "1700000000" "" "ABdY \'digits/at\' IMp" "Europe/Berlin"',
        "200 result=0",
        0,
    ),
    ("sendText", ("it's",), {}, 'SEND TEXT "it\'s"', "200 result=0", 0),
    ("sendImage", ("logo",), {}, 'SEND IMAGE "logo"', "200 result=-1", AGICommandFailure),
    ("receiveChar", (1,), {}, 'RECEIVE CHAR "1000"', "200 result=0 (timeout)", ("0", True)),
    ("receiveText", (), {}, 'RECEIVE TEXT "-1"', "200 result=1 (hello you)", "1 (hello you)"),
    ("setAutoHangup", (5,), {}, 'SET AUTOHANGUP "5"', "200 result=0", 0),
    ("setCallerID", ('"Bob" <1>',), {}, 'SET CALLERID "\\"Bob\\" <1>"', "200 result=1", 1),
    ("setContext", ("home",), {}, 'SET CONTEXT "home"', "200 result=0", 0),
    ("setExtension", (100,), {}, 'SET EXTENSION "100"', "200 result=0", 0),
    ("setPriority", ("start",), {}, 'SET PRIORITY "start"', "200 result=0", 0),
    ("setMusic", (False,), {}, 'SET MUSIC "off"', "200 result=0", 0),
    ("setMusic", (True, "jazz"), {}, 'SET MUSIC "on" "jazz"', "200 result=0", 0),
    ("tddMode", (None,), {}, 'TDD MODE "mate"', "200 result=1", 1),
    ("tddMode", (), {}, 'TDD MODE "on"', "200 result=0", AGICommandFailure),
    ("sendCommand", ('GET VARIABLE "A B"\n',), {}, 'GET "VARIABLE" "A B"', "200 result=1 (c)", "1 (c)"),
    ("sendCommand", ('stream file it\'s ""',), {}, 'STREAM "file" "it\'s" ""', NO_KEY, "0 endpos=8000"),
    ("noop", (), {}, "NOOP", "510 Invalid or unknown command", AGICommandFailure),
    ("noop", (), {}, "NOOP", "520-Invalid command syntax.\nUsage: NOOP\n520 End of proper usage.", AGICommandFailure),
]


def test_commands() -> None:
    """What is sent, and what the Deferred gives for an answer."""
    leg = Leg()
    for name, args, named, sent, answer, expected in COMMANDS:
        work = getattr(leg.agi, name)(*args, **named)
        assert leg.asked() == sent + "\n"
        leg.says(answer.encode() + b"\n")
        result = outcome(work)
        assert (type(result) if isinstance(expected, type) else result) == expected, (name, answer)
    leg.agi.finish()
    leg.ends()


def test_what_a_failure_tells() -> None:
    leg = Leg()
    works = [leg.agi.answer(), leg.agi.noop(), leg.agi.noop()]
    leg.says(b"200 result=-1\n")
    leg.says(b"510 Invalid or unknown command\n")
    leg.says(b"520-Invalid command syntax.\n520 End of proper usage.\n")
    assert [outcome(work).args[0] for work in works] == [fastagi.FAILURE_CODE, 510, 520]
    leg.ends()


def test_variables_are_known_when_the_program_begins() -> None:
    leg = Leg(environment=ENVIRONMENT[:-1])
    assert leg.served == []
    leg.says(b"\n")
    assert leg.served == [leg.agi]
    assert leg.agi.variables["agi_arg_1"] == "caller"
    assert leg.agi.variables["agi_channel"] == "PJSIP/100-1"
    leg.ends()


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
def test_no_value_can_begin_a_second_command(end: str) -> None:
    leg = Leg()
    text = f"x{end}HANGUP"
    for work in (
        leg.agi.setVariable("X", text),
        leg.agi.noop(text),
        leg.agi.verbose(text),
        leg.agi.execute("NoOp", text),
        leg.agi.execute(text),
        leg.agi.streamFile(text),
        leg.agi.databaseGet("f", text),
        leg.agi.sendText(text),
        leg.agi.sendCommand(f"NOOP {text}"),
    ):
        assert isinstance(outcome(work), error.UnsafeValue)
    assert leg.asked() == ""
    leg.ends()


@given(st.text(max_size=60))
def test_values_arrive_as_they_are_or_not_at_all(value: str) -> None:
    leg = Leg()
    work = leg.agi.setVariable("X", value)
    sent = leg.asked()
    if sent:
        assert sent.startswith('SET VARIABLE "X" "')
        assert re.sub(r"\\(.)", r"\1", sent[18:-2], flags=re.DOTALL) == value
        assert sent.count("\n") == 1
    else:
        assert isinstance(outcome(work), error.UnsafeValue)
    work.addErrback(lambda _: None)
    leg.ends()


@pytest.mark.parametrize("said", [b"HANGUP\n", b"200 result=-1\nHANGUP\n", b"511 Command Not Permitted on a dead channel\n"])
def test_a_leg_that_is_gone_ends_the_session(said: bytes) -> None:
    leg = Leg()
    first, second = leg.agi.streamFile("welcome"), leg.agi.getVariable("X")
    leg.says(said)
    assert isinstance(outcome(first), Disconnected | AGICommandFailure)
    assert isinstance(outcome(second), Disconnected)
    assert leg.wire.disconnecting
    closed: list[Any] = []
    leg.agi.onClose().addErrback(closed.append)
    leg.ends()
    assert closed[0].check(ConnectionDone)
    assert isinstance(outcome(leg.agi.noop()), Disconnected)
    later: list[Any] = []
    assert leg.agi.onClose() is leg.agi.onClose().addErrback(later.append)


def test_on_close_of_a_closed_connection_fires_at_once() -> None:
    leg = Leg()
    leg.ends()
    assert isinstance(outcome(leg.agi.onClose()), ConnectionDone)


def test_every_command_has_a_time_limit() -> None:
    for limits, ask in (
        (10, lambda agi: agi.noop()),
        (310, lambda agi: agi.streamFile("welcome")),
        (15, lambda agi: agi.waitForDigit(5)),
        (20, lambda agi: agi.execute("Wait", 100, seconds=10)),
    ):
        leg = Leg()
        work = ask(leg.agi)
        for _ in range(limits):
            assert pending(work)
            leg.clock.advance(1)
        leg.clock.advance(1)
        assert isinstance(outcome(work), Disconnected)
        leg.ends()


def test_an_idle_leg_is_kept_and_a_dead_one_is_not() -> None:
    leg = Leg()
    for _ in range(600):
        leg.clock.advance(1)
        if sent := leg.asked():
            assert sent == "NOOP\n"
            leg.says(b"200 result=0\n")
    assert not leg.wire.disconnecting
    for _ in range(45):
        leg.clock.advance(1)
    assert leg.wire.disconnected or leg.wire.aborting
    leg.ends()


@pytest.mark.parametrize("how", ["raises", "fails", "coroutine"])
def test_what_the_program_raises_is_logged_and_gives_the_leg_back(how: str, caplog: pytest.LogCaptureFixture) -> None:
    async def coroutine(agi: FastAGIProtocol) -> None:
        raise ZeroDivisionError

    def main(agi: FastAGIProtocol) -> Any:
        if how == "raises":
            raise ZeroDivisionError
        return coroutine(agi) if how == "coroutine" else Deferred.fromCoroutine(coroutine(agi))

    leg = Leg(main)
    [record] = caplog.records
    assert record.name == "FastAGI"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert leg.wire.disconnecting
    leg.ends()


def test_a_caller_who_hangs_up_is_no_fault_of_the_program(caplog: pytest.LogCaptureFixture) -> None:
    leg = Leg(lambda agi: agi.streamFile("welcome"))
    leg.says(b"HANGUP\n")
    leg.ends()
    assert caplog.records == []


def test_wait_and_in_sequence() -> None:
    leg = Leg()
    sequence = InSequence()
    sequence.append(leg.agi.noop, "one")
    sequence.append(leg.agi.wait, 2)
    sequence.append(lambda: "now")
    sequence.append(leg.agi.getVariable, variable="X")
    sequence.append(leg.agi.finish)
    work = sequence()
    assert leg.asked() == 'NOOP "one"\n'
    leg.says(b"200 result=0\n")
    leg.clock.advance(1.9)
    assert leg.asked() == ""
    leg.clock.advance(0.2)
    leg.says(b"200 result=0\n")
    results: list[Any] = []
    work.addErrback(lambda reason: results.append((reason.type, reason.results)))
    assert results == [(AGICommandFailure, [0, 0, "now"])]
    leg.ends()


def test_jump_on_error() -> None:
    leg = Leg()
    work = leg.agi.answer().addErrback(leg.agi.jumpOnError, forErrors=AGICommandFailure)
    leg.asked()
    leg.says(b"200 result=-1\n")
    for expected in ('SET CONTEXT "home"\n', 'SET EXTENSION "s"\n', 'SET PRIORITY "104"\n'):
        assert leg.asked() == expected
        leg.says(b"200 result=0\n")
    assert outcome(work) == [0, 0, 0, None]
    assert leg.wire.disconnecting
    leg.ends()
    other = Leg()
    work = other.agi.answer().addErrback(other.agi.jumpOnError, forErrors=(KeyError,))
    other.says(b"200 result=-1\n")
    assert isinstance(outcome(work), AGICommandFailure)
    other.ends()


def test_peers_and_number_of_connections_can_be_limited() -> None:
    factory = FastAGIFactory(print)
    factory.limit = 1
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)) is not None
    assert factory.buildProtocol(HERE) is None
    factory = FastAGIFactory(print)
    factory.peers = {"192.0.2.1"}
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1)) is not None
    assert factory.buildProtocol(HERE) is None


def test_one_server_behind_all_legs_of_a_factory() -> None:
    """Each program has its own leg, whoever begins, is cut or ends first; no leg leaves a timer."""
    first = Leg(environment=b"")
    others = [Leg(environment=b"", factory=first.factory) for _ in range(2)]
    for leg in (others[1], first, others[0]):
        leg.says(ENVIRONMENT.replace(b"17.1", b"17.%d" % id(leg)))
    assert first.served == [others[1].agi, first.agi, others[0].agi]
    assert [leg.agi.variables["agi_uniqueid"] for leg in (first, *others)] == [f"17.{id(leg)}" for leg in (first, *others)]
    works = [leg.agi.noop(number) for number, leg in enumerate((first, *others))]
    assert [leg.asked() for leg in (first, *others)] == ['NOOP "0"\n', 'NOOP "1"\n', 'NOOP "2"\n']
    others[0].says(b"HANGUP\n")
    others[0].agi.connectionLost(Failure(ConnectionDone()))
    first.says(b"200 result=7\n")
    others[1].says(b"200 result=8\n")
    assert [outcome(work) for work in (works[0], works[2])] == [7, 8]
    assert isinstance(outcome(works[1]), Disconnected)
    assert first.factory.connections == {first.agi, others[1].agi}
    others[1].agi.connectionLost(Failure(ConnectionDone()))
    first.ends()


def test_hostile_peers_are_closed() -> None:
    for data in (b"GET / HTTP/1.1\n", b"agi_x: 1\n" * 300, b"x" * 5000):
        leg = Leg(environment=data)
        assert leg.wire.disconnected or leg.wire.aborting
        assert leg.served == []
        leg.ends()


# Programs in starpy's style, over loopback


class Manager(Protocol):
    """An AMI server that answers a few actions; what its ``server`` says goes for every connection."""

    server: Server

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.rest = b""
        self.lost = False
        self.server.connections.append(self)
        self.transport.write(GREETING)

    def dataReceived(self, data: bytes) -> None:
        *blocks, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for block in blocks:
            action = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in block.decode().split("\r\n"))
            }
            self.server.seen.append(action)
            for message in self.server.answer(action):
                self.says(message.format(id=action["actionid"]))

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True

    def says(self, message: str) -> None:
        assert self.transport is not None
        self.transport.write(message.replace("\n", "\r\n").encode() + b"\r\n\r\n")


class Server(ServerFactory):
    """See Manager."""

    noisy = False

    def __init__(self) -> None:
        self.connections: list[Manager] = []
        self.seen: list[dict[str, str]] = []
        self.secret = "secret"

    def buildProtocol(self, addr: Any) -> Manager:
        manager = Manager()
        manager.server = self
        return manager

    def answer(self, action: dict[str, str]) -> Iterator[str]:
        name = action["action"].lower()
        if name == "login" and action["secret"] != self.secret:
            yield "Response: Error\nActionID: {id}\nMessage: Authentication failed"
        elif name == "logoff":
            yield "Response: Goodbye\nActionID: {id}"
            reactor.callLater(0, self.connections[-1].transport.loseConnection)
        elif name == "status":
            yield "Response: Success\nActionID: {id}\nEventList: start"
            yield "Event: Status\nActionID: {id}\nUniqueid: 1\nChannel: SIP/1"
            yield "Event: StatusComplete\nActionID: {id}\nItems: 1"
        elif name != "silence":
            yield "Response: Success\nActionID: {id}\nOutput: line one\nOutput: line two"


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    """A Server and its port; connections are closed at the end."""
    ours = Server()
    port = reactor.listenTCP(0, ours, interface="127.0.0.1")
    yield ours, port.getHost().port
    await maybeDeferred(port.stopListening)
    for each in ours.connections:
        each.transport.abortConnection()  # type: ignore[union-attr]


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Let the reactor turn until something is so."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        await deferLater(reactor, 0.005)


def run_command(port: int, lines: list[str]) -> Deferred[Any]:
    """Log in, run a command, log off: callbacks inside of callbacks, as starpy's programs are written."""

    def on_connect(ami: AMIProtocol) -> Deferred[Any]:
        def on_result(result: list[str]) -> Deferred[Any]:
            lines.extend(result)
            return ami.logoff()

        def on_error(reason: Failure) -> Failure:
            return reason

        return ami.command("database show").addCallbacks(on_result, on_error)

    return AMIFactory("lab", "secret").login("127.0.0.1", port, timeout=5).addCallback(on_connect)


@inlineCallbacks
def call_an_extension(port: int, channel: str, place: tuple[str, str, str]) -> Any:
    """Connect a channel to a place in the dialplan."""
    ami = yield AMIFactory("lab", "secret").login("127.0.0.1", port)
    try:
        yield ami.originate(channel, *place)
        events = yield ami.status()
    finally:
        yield ami.logoff()
    return [event["channel"] for event in events if event.get("event") == "Status"]


class ChannelTracker:
    """Counts channels; a new AMIProtocol after each loss, by ``on_reconnect``."""

    def __init__(self) -> None:
        self.channels: dict[str, Any] = {}
        self.connections = 0

    def main(self, factory: AMIFactory, port: int) -> Deferred[Any]:
        factory.on_reconnect = self.use
        factory.initialDelay = 0.01
        return self.use(factory.login("127.0.0.1", port))

    def use(self, connecting: Deferred[AMIProtocol]) -> Deferred[Any]:
        return connecting.addCallback(self.on_connect).addErrback(lambda reason: reason.printTraceback())

    def on_connect(self, ami: AMIProtocol) -> Deferred[Any]:
        self.connections += 1
        ami.registerEvent("Newchannel", lambda ami, event: self.channels.setdefault(event["uniqueid"], event))
        ami.registerEvent("Hangup", self.on_hangup)
        return ami.status().addCallback(self.on_status)

    def on_status(self, events: list[Any]) -> None:
        for event in events:
            if "uniqueid" in event:
                self.channels[event["uniqueid"]] = event

    def on_hangup(self, ami: AMIProtocol, event: Any) -> None:
        del self.channels[event["uniqueid"]]


@pytest_twisted.ensureDeferred
async def test_a_program_of_callbacks(server: tuple[Server, int]) -> None:
    lines: list[str] = []
    answer = await run_command(server[1], lines)
    assert lines == ["line one", "line two"]
    assert answer["response"] == "Goodbye"
    assert [action["action"] for action in server[0].seen] == ["login", "command", "logoff"]
    await deferLater(reactor, 0.05)
    assert len(server[0].connections) == 1  # who logs off is not connected again


@pytest_twisted.ensureDeferred
async def test_a_program_of_inline_callbacks(server: tuple[Server, int]) -> None:
    assert await call_an_extension(server[1], "SIP/1", ("home", "s", "1")) == ["SIP/1"]
    assert server[0].seen[1]["exten"] == "s"


@pytest_twisted.ensureDeferred
async def test_a_program_with_on_reconnect(server: tuple[Server, int]) -> None:
    tracker, factory = ChannelTracker(), AMIFactory("lab", "secret")
    await tracker.main(factory, server[1])
    assert list(tracker.channels) == ["1"]
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    await until(lambda: tracker.connections == 2)
    server[0].connections[1].says("Event: Newchannel\nUniqueid: 2")
    server[0].connections[1].says("Event: Hangup\nUniqueid: 1")
    await until(lambda: list(tracker.channels) == ["2"])
    await factory.loginDefer
    factory.stopTrying()  # type: ignore[no-untyped-call]


@pytest_twisted.ensureDeferred
async def test_without_on_reconnect_handlers_go_over_to_the_next_connection(server: tuple[Server, int]) -> None:
    factory = AMIFactory("lab", "secret")
    factory.initialDelay = 0.01
    events: DeferredQueue[Any] = DeferredQueue()

    class Own(AMIProtocol):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.registerEvent("Own", self.on_own)

        def on_own(self, ami: AMIProtocol, event: Any) -> None:
            events.put((self is ami, event["number"]))

    factory.protocol = Own
    ami = await factory.login("127.0.0.1", server[1])
    ami.registerEvent("Hangup", lambda ami, event: events.put((ami, event["uniqueid"])))
    factory.registerEvent("Shutdown", lambda ami, event: events.put((ami, "shutdown")))
    lost = ami.sendDeferred({"action": "silence"})
    await until(lambda: server[0].seen[-1]["action"] == "silence")
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    with pytest.raises(Disconnected):
        await lost
    await until(lambda: len(server[0].seen) == 3)
    again = await factory.loginDefer
    server[0].connections[1].says("Event: Hangup\nUniqueid: 1")
    server[0].connections[1].says("Event: Shutdown")
    server[0].connections[1].says("Event: Own\nNumber: 5")
    assert [await events.get(), await events.get(), await events.get()] == [(again, "1"), (again, "shutdown"), (True, "5")]
    await deferLater(reactor, 0)
    assert events.pending == []
    await again.logoff()


@pytest_twisted.ensureDeferred
async def test_a_connection_once_made_is_made_again_for_ever(
    server: tuple[Server, int], caplog: pytest.LogCaptureFixture
) -> None:
    """A refused connection and a refused log-in end nothing once there was one."""
    factory = AMIFactory("lab", "secret")
    factory.initialDelay = factory.maxDelay = 0.01
    await factory.login("127.0.0.1", server[1])
    server[0].secret = "changed"
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    await until(lambda: len(server[0].connections) > 3)
    server[0].secret = "secret"
    await until(lambda: factory.loginDefer.called)
    ami = await factory.loginDefer
    assert (await ami.ping())["response"] == "Success"
    assert "Authentication failed" in caplog.text
    await ami.logoff()


@pytest_twisted.ensureDeferred
async def test_an_asterisk_that_is_down_for_a_while_is_reached_again(server: tuple[Server, int]) -> None:
    port = reactor.listenTCP(0, server[0], interface="127.0.0.1")
    number = port.getHost().port
    factory = AMIFactory("lab", "secret")
    factory.initialDelay = factory.maxDelay = 0.01
    await factory.login("127.0.0.1", number)
    await maybeDeferred(port.stopListening)
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    await until(lambda: factory.retries > 3)
    assert not factory.loginDefer.called
    port = reactor.listenTCP(number, server[0], interface="127.0.0.1")
    ami = await factory.loginDefer
    await ami.logoff()
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_the_first_log_in_refused_or_impossible_ends_it(server: tuple[Server, int]) -> None:
    factory = AMIFactory("lab", "wrong")
    factory.initialDelay = 0.01
    with pytest.raises(AMICommandFailure) as refused:
        await factory.login("127.0.0.1", server[1])
    assert refused.value.args[0]["message"] == "Authentication failed"
    await deferLater(reactor, 0.05)
    assert len(server[0].connections) == 1
    port = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
    number = port.getHost().port
    await maybeDeferred(port.stopListening)
    with pytest.raises(ConnectionRefusedError):
        await AMIFactory("lab", "secret").login("127.0.0.1", number)


@pytest_twisted.ensureDeferred
async def test_a_log_in_can_be_given_up(server: tuple[Server, int]) -> None:
    server[0].answer = lambda action: iter(())  # type: ignore[method-assign]
    work = AMIFactory("lab", "secret").login("127.0.0.1", server[1])
    await until(lambda: server[0].seen)
    work.cancel()
    with pytest.raises(CancelledError):
        await work
    await until(lambda: server[0].connections[0].lost)


def say_the_time(agi: FastAGIProtocol) -> Deferred[Any]:
    """A FastAGI program of a few steps, one after another."""
    sequence = fastagi.InSequence()
    sequence.append(agi.sayDateTime, 1700000000)
    sequence.append(agi.finish)
    return sequence().addErrback(lambda reason: agi.finish())


class CountingService:
    """Answers, waits, and says how often it was called: one callback after another."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, agi: FastAGIProtocol) -> Deferred[Any]:
        return agi.answer().addCallbacks(self.on_answered, lambda reason: agi.finish(), callbackArgs=(agi,))

    def on_answered(self, result: int, agi: FastAGIProtocol) -> Deferred[Any]:
        self.count += 1
        said = agi.wait(0.01).addCallback(lambda _: agi.sayNumber(self.count, "*"))
        return said.addBoth(lambda result: agi.finish())


class Caller(Protocol):
    """Asterisk's end of FastAGI: tells about its leg and answers every command."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.rest = ""
        self.over: Deferred[list[str]] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(ENVIRONMENT)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        *lines, self.rest = (self.rest + data.decode()).split("\n")
        for line in lines:
            self.commands.append(line)
            self.transport.write(b"200 result=0\n")

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(self.commands)


@pytest_twisted.ensureDeferred
async def test_programs_over_fast_agi() -> None:
    counting = CountingService()
    for program, expected in (
        (say_the_time, ['SAY DATETIME "1700000000" ""']),
        (counting, ["ANSWER", 'SAY NUMBER "1" "*"']),
        (counting, ["ANSWER", 'SAY NUMBER "2" "*"']),
    ):
        factory = FastAGIFactory(program)
        port = reactor.listenTCP(0, factory, 50, "127.0.0.1")
        try:
            address = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
            caller = await connectProtocol(address, Caller())
            assert await caller.over == expected
            await until(lambda: not factory.connections)  # noqa: B023
        finally:
            await maybeDeferred(port.stopListening)


# Against a real Asterisk


@pytest.fixture(scope="module")
def state() -> Iterator[State]:
    """A lab of these tests' own."""
    with lab.tied(Order(VAR, f"starpy-{os.getpid()}", free_block(), 2), lambda text: None) as up:
        yield up


@pytest_twisted.async_yield_fixture
async def ami(state: State) -> AsyncIterator[AMIProtocol]:
    """Logged in to the lab's PBX, by MD5."""
    factory = AMIFactory("lab", state.secrets["lab"], plaintext_login=False)
    connection = await factory.login("127.0.0.1", state.ports.a_ami)
    yield connection
    await connection.logoff()


@pytest_twisted.ensureDeferred
async def test_real_log_ins(state: State, ami: AMIProtocol) -> None:
    assert ami.amiVersion is not None
    plain = await AMIFactory("lab", state.secrets["lab"]).login("127.0.0.1", state.ports.a_ami)
    assert (await plain.ping())["ping"] == "Pong"
    assert (await plain.logoff())["response"] == "Goodbye"
    for plaintext in (True, False):
        with pytest.raises(AMICommandFailure) as refused:
            await AMIFactory("lab", "wrong", plaintext_login=plaintext).login("127.0.0.1", state.ports.a_ami)
        assert refused.value.args[0]["message"] == "Authentication failed"


@pytest_twisted.ensureDeferred
async def test_real_commands_database_and_configuration(ami: AMIProtocol) -> None:
    lines = await ami.command("core show version")
    assert lines[0].startswith("Asterisk 22")
    with pytest.raises(AMICommandFailure):
        await ami.command("no such command")
    assert await ami.dbGet("starpy", "key") is None
    values = ["plain", "a b, 'c'", "", "käse", "trailing "]
    for value in values:
        await ami.dbPut("starpy", "key", value)
        assert await ami.dbGet("starpy", "key") == value
    await gatherResults([ami.dbPut("starpy", str(number), number) for number in range(20)])
    found = await gatherResults([ami.dbGet("starpy", str(number)) for number in range(20)])
    assert found == [str(number) for number in range(20)]
    await ami.dbDel("starpy", "key")
    with pytest.raises(AMICommandFailure):
        await ami.dbDel("starpy", "key")
    await ami.dbDelTree("starpy")
    assert await ami.dbGet("starpy", "3") is None
    assert "ping" in await ami.listCommands()
    assert "lab" in (await ami.getConfig("manager.conf")).values()
    assert (await ami.mailboxCount("100@default"))["newmessages"] == "0"
    assert (await ami.extensionState("1", "home"))["status"] == "-1"


@pytest_twisted.ensureDeferred
async def test_real_variables(ami: AMIProtocol) -> None:
    for value in ("a b, c", 'x "y"', "trailing"):
        await ami.setVar(None, "STARPY", value)
        assert await ami.getVar(None, "STARPY") == value
    assert await ami.getVar(None, "STARPY_NOT_SET") in ("", None)


@pytest_twisted.ensureDeferred
async def test_real_calls(ami: AMIProtocol) -> None:
    """Originate with variables, status, redirect, hangup, and the events of it all."""
    seen: list[Any] = []
    ami.registerEvent(("Newchannel", "Hangup", "OriginateResponse"), lambda ami, event: seen.append(event))
    values = {"PLAIN": "x", "__COMMA": 'a, "b" \\ (c', "CALLERID(name)": "Böb, Jr", "LATIN": b"J\xf6rg"}
    answer = await ami.originate(
        "Local/s@easycall/n", application="Wait", data="20", timeout=5, variable=values, nowait=True, channelid="starpy-1"
    )
    assert answer["response"] == "Success"
    await until(lambda: any(event["event"] == "OriginateResponse" for event in seen))
    listed = await ami.status()
    assert (listed[0]["response"], listed[-1]["event"]) == ("Success", "StatusComplete")
    [channel] = [event["channel"] for event in listed if event.get("uniqueid") == "starpy-1"]
    assert len(await ami.status(channel)) == 3
    for name, value in values.items():
        expected = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        assert await ami.getVar(channel, name.lstrip("_")) == expected
    await ami.setVar(channel, "LATER", "a b")
    assert await ami.getVar(channel, "LATER") == "a b"
    await ami.absoluteTimeout(channel, 30)
    await ami.redirect(channel, "easycall", "s", 1)
    await until(lambda: any(event["event"] == "Newchannel" for event in seen))
    for leg in [event["uniqueid"] for event in await ami.status() if "uniqueid" in event]:
        await maybeDeferred(ami.hangup, leg).addErrback(lambda reason: reason.trap(AMICommandFailure))
    await until(lambda: any(event["event"] == "Hangup" and event["uniqueid"] == "starpy-1" for event in seen))
    with pytest.raises(AMICommandFailure) as refused:
        await ami.hangup(channel)
    assert refused.value.args[0]["message"] == "No such channel"
    with pytest.raises(AMICommandFailure):
        await ami.originate("Local/nobody@nowhere", application="Wait", data="1", timeout=2)


@pytest_twisted.ensureDeferred
async def test_real_events(ami: AMIProtocol) -> None:
    mine: DeferredQueue[Any] = DeferredQueue()
    ami.registerEvent("UserEvent", lambda ami, event: mine.put(event))
    await ami.userEvent("Mine", Text="a b", Other="c")
    event = await mine.get()
    assert (event["userevent"], event["text"], event["other"]) == ("Mine", "a b", "c")
    await ami.events(False)
    await ami.userEvent("Unheard")
    await ami.events(True)
    waiting = ami.waitEvent(5)
    await ami.userEvent("Heard")
    assert (await mine.get())["userevent"] == "Heard"
    [*_, last] = await waiting
    assert last["event"] == "WaitEventComplete"


@pytest_twisted.ensureDeferred
async def test_real_queues_parking_and_agents(state: State, ami: AMIProtocol) -> None:
    (state.folder / "a/etc/queues.conf").write_text("[general]\n[sales]\n")
    (state.folder / "a/etc/res_parking.conf").write_text("[default]\n")
    (state.folder / "a/etc/agents.conf").write_text("[1001]\n")
    for module in ("app_queue.so", "res_parking.so", "app_agent_pool.so"):
        await ami.action("ModuleLoad", Module=module, LoadType="load")
    assert [event.get("event") for event in await ami.parkedCalls()] == [None, "ParkedCallsComplete"]
    assert [event.get("agent") for event in await ami.agents()] == [None, "1001", None]
    await ami.queueAdd("sales", "Local/1@easycall", 2, False, "Ana")
    await ami.queuePause("sales", "Local/1@easycall", True, "lunch")
    await ami.queuePenalty("Local/1@easycall", 5, "sales")
    await ami.queueLog("sales", "NOTE", "1.1", "Local/1@easycall", "hello")
    answer, *events = await ami.queueStatus("sales")
    assert answer["response"] == "Success"
    assert [event["event"] for event in events] == ["QueueParams", "QueueMember", "QueueStatusComplete"]
    member = events[1]
    assert (member["name"], member["penalty"], member["paused"], member["pausedreason"]) == ("Ana", "5", "1", "lunch")
    await ami.queueRemove("sales", "Local/1@easycall")
    with pytest.raises(AMICommandFailure):
        await ami.queueRemove("sales", "Local/1@easycall")


@pytest_twisted.ensureDeferred
async def test_what_is_gone_with_asterisk_22(ami: AMIProtocol) -> None:
    for ask in (
        lambda: ami.monitor("x", "y", "wav", True),
        lambda: ami.stopMonitor("x"),
        lambda: ami.changeMonitor("x", "y"),
        lambda: ami.pauseMonitor("x"),
        lambda: ami.unpauseMonitor("x"),
        lambda: ami.sipPeers(),
        lambda: ami.sipShowPeers("x"),
        lambda: ami.queues(),
        lambda: ami.parkedCall(),
        lambda: ami.unParkedCall(),
        lambda: ami.setCDRUserField("x", "y"),
    ):
        with pytest.raises(AMICommandFailure) as refused:
            await ask()
        assert "unknown command" in refused.value.args[0]["message"]
    assert (await ami.meetmeMute("1", "1"))["response"] == "Error"


async def visit(state: State, ami: AMIProtocol, program: Callable[[FastAGIProtocol], Any], **call: Any) -> Any:
    """Send a leg of the PBX to a FastAGI program, and give what that comes to."""
    result: Deferred[Any] = Deferred()

    def main(agi: FastAGIProtocol) -> None:
        maybeDeferred(program, agi).addBoth(result.callback)

    port = reactor.listenTCP(state.ports.agi, FastAGIFactory(main), 50, "127.0.0.1")
    call = {"application": "Wait", "data": "20", **call}
    try:
        answer = ami.originate("Local/s@easycall/n", timeout=10, **call, channelid="visit-1", otherchannelid="visit-2")
        answer.addErrback(lambda reason: reason.trap(AMICommandFailure))  # a program that does not answer the call
        return await result
    finally:
        await maybeDeferred(port.stopListening)
        await ami.hangup("visit-1").addErrback(lambda reason: reason.trap(AMICommandFailure))
        await answer
        await ami.dbDelTree("starpy").addErrback(lambda reason: reason.trap(AMICommandFailure))


@pytest_twisted.ensureDeferred
async def test_a_real_leg(state: State, ami: AMIProtocol) -> None:
    @inlineCallbacks
    def program(agi: FastAGIProtocol) -> Any:
        assert agi.variables["agi_uniqueid"] == "visit-2"
        assert (yield agi.answer()) == 0
        assert (yield agi.channelStatus()) == 6
        for value in ("a b  c", 'x "y" \\', "", "käse", "{}|,;"):
            assert (yield agi.setVariable("A", value)) == 1
            assert (yield agi.getVariable("A")) == value
        try:
            yield agi.getVariable("NOT_SET")
        except AGICommandFailure as failure:
            code = failure.args[0]
        assert code == fastagi.FAILURE_CODE
        assert (yield agi.getVariable("CONTEXT")) == "easycall"
        yield agi.noop('x" y')
        yield agi.verbose("it's fine", 1)
        yield agi.databasePut("starpy", "a", "b c")
        assert (yield agi.databaseGet("starpy", "a")) == "b c"
        yield agi.databaseDel("starpy", "a")
        assert (yield agi.execute("Set", "B=1 2")) == "0"
        assert (yield agi.getVariable("B")) == "1 2"
        assert (yield agi.execute("Set", "ARRAY(C,D)=5,6")) == "0"
        assert (yield agi.sendCommand('GET VARIABLE "D"')) == "1 (6)"
        for wrong, expected in ((agi.execute("NoSuchApplication"), -1), (agi.sendCommand("NO SUCH"), 510)):
            try:
                yield wrong
            except AGICommandFailure as failure:
                code = failure.args[0]
            assert code == expected
        yield agi.setContext("easycall")
        yield agi.setExtension("s")
        yield agi.setPriority(1)
        yield agi.setCallerID("100")
        yield agi.setMusic(True)
        yield agi.wait(0.05)
        yield agi.setMusic(False)
        agi.finish()
        return "done"

    result = await visit(state, ami, program)
    assert result == "done", result


@pytest_twisted.ensureDeferred
async def test_sounds_and_keys_of_a_real_leg(state: State, ami: AMIProtocol) -> None:
    async def press(keys: str) -> None:
        """Press keys at the other end of the leg."""
        [channel] = [event["channel"] for event in await ami.status() if event.get("uniqueid") == "visit-1"]
        for key in keys:
            await ami.playDTMF(channel, key)

    @inlineCallbacks
    def program(agi: FastAGIProtocol) -> Any:
        yield agi.answer()
        key, end = yield agi.streamFile("beep")
        assert key == 0
        assert end > 0
        try:
            code = yield agi.streamFile("no/such/file")
        except AGICommandFailure as failure:
            code = failure.args[0]
        assert code == fastagi.FAILURE_CODE
        assert (yield agi.playback("beep")) == 0
        assert (yield agi.sayDigits("1")) == 0
        assert (yield agi.getData("beep", 0.2)) == ("", True)
        reading = agi.getData("beep", 2, 3)
        yield Deferred.fromCoroutine(press("42#"))
        assert (yield reading) == ("42", False)
        waiting = agi.waitForDigit(3)
        yield Deferred.fromCoroutine(press("7"))
        assert (yield waiting) == ord("7")
        choosing = agi.getOption("beep", "12", 3)
        yield Deferred.fromCoroutine(press("2"))
        assert (yield choosing)[0] == "2"
        key, why, end = yield agi.recordFile(str(state.prompts / "recorded"), "wav", "#", 0.3, beep=False)
        assert (key, why) == (0, "timeout")
        agi.finish()
        return "done"

    result = await visit(state, ami, program)
    assert result == "done", result


@pytest_twisted.ensureDeferred
async def test_a_real_caller_hangs_up(state: State, ami: AMIProtocol) -> None:
    @inlineCallbacks
    def program(agi: FastAGIProtocol) -> Any:
        closed: list[Failure] = []
        agi.onClose().addErrback(closed.append)
        yield agi.answer()
        playing = agi.waitForDigit(-1)
        yield ami.hangup("visit-1")
        try:
            yield playing
        except (Disconnected, AGICommandFailure):
            yield deferLater(reactor, 0.05)
        else:
            raise AssertionError("it went on")
        assert closed
        with pytest.raises(Disconnected):
            yield agi.noop()
        return "done"

    result = await visit(state, ami, program)
    assert result == "done", result
