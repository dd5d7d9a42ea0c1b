"""starpy's FastAGI protocol on a connection in memory: each command, its answer, and the end of a leg."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from easycall.starpy import error, fastagi
from easycall.starpy.error import AGICommandFailure, Disconnected
from easycall.starpy.fastagi import FastAGIFactory, FastAGIProtocol, InSequence

from .starpy_peers import ENVIRONMENT, HERE, Leg, outcome, pending

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
