"""FastAGI sessions: in memory with a clock of our own, and on real sockets with hostile peers."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, ISystemHandle
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.asterisk import fastagi
from easycall.asterisk.agi import Reply, UnsafeValue
from easycall.asterisk.fastagi import CommandFailed, FastAgiFactory, Session, SessionOver, TooManyCommands
from easycall.defer import start

reactor: Any = global_reactor
HERE = IPv4Address("TCP", "127.0.0.1", 40000)
ENVIRONMENT = b"agi_network: yes\nagi_uniqueid: 17.1\nagi_callerid: 5551234\nagi_arg_1: caller\n\n"
USAGE = b"520-Invalid command syntax.  Proper usage follows:\n Usage: X\n520 End of proper usage.\n"


class Transport(StringTransport):
    """Keeps each write, and tells the protocol of its end in a later turn."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.writes: list[bytes] = []
        self.protocol: Protocol = Protocol()
        self.closed = ""

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def loseConnection(self) -> None:
        self._close("closed")

    def abortConnection(self) -> None:
        self._close("aborted")

    def _close(self, how: str) -> None:
        if not self.closed:
            self.closed = how
            self.clock.callLater(0, self.protocol.connectionLost, Failure(ConnectionDone()))


class Leg:
    """A session and the Asterisk at its other end."""

    def __init__(self, environment: bytes = ENVIRONMENT, serve: Callable[[Session], None] | None = None) -> None:
        self.clock = Clock()
        self.served: list[Session] = []
        self.factory = FastAgiFactory(serve or self.served.append, self.clock)
        session = self.factory.buildProtocol(HERE)
        assert session is not None
        self.session = session
        self.wire = Transport(self.clock)
        self.wire.protocol = session
        session.makeConnection(self.wire)
        self.over: list[None] = []
        session.when_over().addCallback(self.over.append)
        if environment:
            self.says(environment)

    def says(self, data: bytes) -> None:
        self.session.dataReceived(data)

    def does(self, work: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
        """Start a command; the list gets its outcome."""
        outcome: list[Any] = []
        start(work).addBoth(outcome.append)
        return outcome

    def time(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def ended(self) -> bool:
        """Over, closed, told once, and nothing left."""
        self.clock.advance(0)
        return (
            self.session.over
            and bool(self.wire.closed)
            and self.over == [None]
            and not self.factory.sessions
            and not self.clock.getDelayedCalls()
        )


def failed(outcome: list[Any]) -> Exception:
    [failure] = outcome
    assert isinstance(failure, Failure)
    error = failure.value
    assert isinstance(error, Exception)
    return error


# The beginning


def test_a_session_is_served_when_its_leg_is_known() -> None:
    leg = Leg(environment=b"")
    leg.says(ENVIRONMENT[:-1])
    assert leg.served == []
    leg.says(ENVIRONMENT[-1:])
    assert leg.served == [leg.session]
    assert leg.factory.sessions == {leg.session}
    assert leg.session.variables["agi_uniqueid"] == "17.1"
    assert leg.session.arguments == ("caller",)


@pytest.mark.parametrize("said", [b"", ENVIRONMENT[:20]])
def test_a_silent_peer_is_closed_after_5_s(said: bytes) -> None:
    """F42."""
    leg = Leg(environment=said)
    leg.time(4.75)
    assert not leg.wire.closed
    leg.time(0.5)
    assert leg.wire.closed == "aborted"
    assert leg.ended()
    assert leg.served == []


def test_a_slow_peer_does_not_win_time() -> None:
    leg = Leg(environment=b"agi_")
    for _ in range(6):
        leg.time(1)
        if not leg.wire.closed:
            leg.says(b"x")
    assert leg.ended()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n", b"agi_x: 1\n" * 300, b"x" * 5000])
def test_a_hostile_environment_is_closed(data: bytes) -> None:
    """A16."""
    leg = Leg(environment=data)
    assert leg.ended()
    assert leg.served == []


@pytest.mark.parametrize(
    "address", [IPv4Address("TCP", "10.0.0.1", 1), IPv6Address("TCP", "::2", 1), UNIXAddress(b"x"), None]
)
def test_strangers_are_closed_at_once(address: IAddress | None) -> None:
    factory = FastAgiFactory(lambda session: None, Clock())
    assert factory.buildProtocol(address) is None
    assert factory.refused == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_allowed_peers(host: str) -> None:
    assert FastAgiFactory(lambda session: None, Clock()).buildProtocol(IPv6Address("TCP", host, 1)) is not None


@pytest.mark.parametrize("address", [IPv4Address("TCP", "192.0.2.1", 1), UNIXAddress(b"x"), None])
def test_everybody_is_let_in_if_that_is_wanted(address: IAddress | None) -> None:
    factory = FastAgiFactory(lambda session: None, Clock(), peers=None)
    assert factory.buildProtocol(address) is not None
    assert FastAgiFactory(lambda session: None, Clock(), peers=()).buildProtocol(HERE) is None


def test_too_many_sessions_are_shed() -> None:
    """F49: closed at once, never silently kept."""
    clock = Clock()
    factory = FastAgiFactory(lambda session: None, clock, limit=2)
    for _ in range(2):
        session = factory.buildProtocol(HERE)
        assert session is not None
        session.makeConnection(Transport(clock))
        session.dataReceived(ENVIRONMENT)
    assert factory.buildProtocol(HERE) is None


def test_of_too_many_that_say_nothing_the_oldest_is_closed() -> None:
    """F42: who speaks does not wait for them."""
    clock = Clock()
    factory = FastAgiFactory(lambda session: None, clock)
    sessions = [factory.buildProtocol(HERE) for _ in range(fastagi.MAX_SILENT + 2)]
    assert [session.over for session in sessions if session] == [True] * 2 + [False] * fastagi.MAX_SILENT
    assert factory.refused == 2


@pytest.mark.logs_failures
def test_what_serve_raises_is_logged_and_closes_the_session() -> None:
    failures: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    def serve(session: Session) -> None:
        raise KeyError("x")

    globalLogPublisher.addObserver(observe)
    leg = Leg(serve=serve)
    globalLogPublisher.removeObserver(observe)
    assert len(failures) == 1
    assert leg.ended()


# Commands


def test_commands_go_one_at_a_time_in_one_write_each() -> None:
    leg = Leg()
    one = leg.does(leg.session.set_variable("A", "x y"))
    two = leg.does(leg.session.get_variable("A"))
    assert leg.wire.writes == [b'SET VARIABLE "A" "x y"\n']
    leg.says(b"200 result=1\n")
    assert leg.wire.writes[1:] == [b'GET VARIABLE "A"\n']
    leg.says(b"200 result=1 (x y)\n")
    assert (one, two) == ([None], ["x y"])


@implementer(ISystemHandle)
class SocketTransport(Transport):
    """One that has a socket to write to."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.socket, self.asterisk = socket.socketpair()
        self.socket.setblocking(False)
        self.asterisk.setblocking(False)

    def getHandle(self) -> socket.socket:
        return self.socket

    def sent(self) -> bytes:
        with suppress(BlockingIOError):
            return self.asterisk.recv(1 << 20)
        return b""


@pytest.fixture
def leg_on_a_socket() -> Iterator[Leg]:
    leg = Leg(environment=b"")
    leg.wire = SocketTransport(leg.clock)
    leg.wire.protocol = leg.session
    leg.session.makeConnection(leg.wire)
    leg.says(ENVIRONMENT)
    yield leg
    leg.wire.socket.close()
    leg.wire.asterisk.close()


def test_a_command_goes_straight_to_the_socket_at_the_end_of_the_turn(leg_on_a_socket: Any) -> None:
    leg = leg_on_a_socket
    outcome = leg.does(leg.session.get_variable("A"))
    assert leg.wire.sent() == b""
    leg.clock.advance(0)
    assert leg.wire.sent() == b'GET VARIABLE "A"\n'
    leg.says(b"200 result=1 (x)\n")
    assert outcome == ["x"]
    assert leg.wire.writes == []


def test_what_the_socket_does_not_take_the_transport_sends(leg_on_a_socket: Any) -> None:
    leg = leg_on_a_socket
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += leg.wire.socket.send(b"x" * 1000)
    leg.does(leg.session.get_variable("A"))
    leg.clock.advance(0)
    assert leg.wire.writes == [b'GET VARIABLE "A"\n']
    assert leg.wire.sent() == b"x" * filled


def test_what_was_told_before_the_session_was_closed_is_sent(leg_on_a_socket: Any) -> None:
    leg = leg_on_a_socket
    outcome = leg.does(leg.session.set_variable("A", "1"))
    leg.session.close()
    assert leg.wire.sent() == b'SET VARIABLE "A" "1"\n'
    assert isinstance(failed(outcome), SessionOver)
    leg.clock.advance(0)
    assert leg.wire.sent() == b""


def test_nothing_is_sent_behind_the_end(leg_on_a_socket: Any) -> None:
    leg = leg_on_a_socket
    outcome = leg.does(leg.session.set_variable("A", "1"))
    leg.session.connectionLost(Failure(ConnectionDone()))
    leg.clock.advance(0)
    assert isinstance(failed(outcome), SessionOver)
    assert (leg.wire.sent(), leg.wire.writes) == (b"", [])


def test_refused_words_send_nothing() -> None:
    leg = Leg()
    outcome = leg.does(leg.session.set_variable("A", "x\nEXEC System"))
    assert isinstance(failed(outcome), UnsafeValue)
    assert leg.wire.writes == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"510 Invalid or unknown command\n", 510), (USAGE, 520), (b"503 result=-2 Memory allocation failure\n", 503)],
)
def test_a_failed_command_does_not_end_the_session(answer: bytes, code: int) -> None:
    """F46: and the next answer is the next command's."""
    leg = Leg()
    one = leg.does(leg.session.command("NOOP", "4111"))
    two = leg.does(leg.session.get_variable("A"))
    leg.says(answer)
    failure = failed(one)
    assert isinstance(failure, CommandFailed)
    assert (str(failure), failure.code) == (f"NOOP: Asterisk answers {code}", code)
    leg.says(b"200 result=0\n")
    assert two == [None]
    assert not leg.session.over


@pytest.mark.parametrize("end", [b"HANGUP\n", b"511 Command Not Permitted on a dead channel or intercept routine\n"])
def test_the_end_fails_everything_that_waits_once_and_closes(end: bytes) -> None:
    """M5: until the socket is closed Asterisk keeps a dead channel."""
    leg = Leg()
    outcomes = [leg.does(leg.session.noop()) for _ in range(3)]
    leg.says(end)
    for outcome in outcomes:
        assert isinstance(failed(outcome), SessionOver)
    assert leg.wire.closed == "closed"
    assert leg.ended()
    assert len(leg.wire.writes) == 1
    assert isinstance(failed(leg.does(leg.session.noop())), SessionOver)
    leg.says(b"200 result=0\n")  # what still comes is nobody's


def test_a_session_outlives_a_hang_up_for_as_long_as_it_is_told_to() -> None:
    leg = Leg()
    with leg.session.outliving_hang_up():
        fax = leg.does(leg.session.command("EXEC", "SendFAX", "page"))
        leg.says(b"200 result=-1\nHANGUP\n")
        assert fax[0].result == "-1"
        status = leg.does(leg.session.get_variable("FAXSTATUS"))
        leg.says(b"200 result=1 (FAILED)\n")
        assert status == ["FAILED"]
        assert not leg.session.over
    assert leg.ended()


def test_a_session_that_outlived_nothing_goes_on() -> None:
    leg = Leg()
    with leg.session.outliving_hang_up():
        pass
    assert not leg.session.over
    leg.says(b"HANGUP\n")
    assert leg.ended()


def test_a_hangup_while_nothing_is_under_way() -> None:
    leg = Leg()
    leg.says(b"HANG")
    leg.says(b"UP\n")
    assert leg.ended()


def test_a_bridged_leg_answers_minus_one_then_hangup() -> None:
    """facts: taken or hung up look the same, and both are the end of the session."""
    leg = Leg()
    outcome = leg.does(leg.session.wait_for_digit(20_000))
    leg.says(b"200 result=-1\nHANGUP\n")
    assert isinstance(failed(outcome), SessionOver)
    assert leg.ended()


MEDIA: list[Callable[[Session], Any]] = [
    lambda session: session.answer(),
    lambda session: session.stream_file("x"),
    lambda session: session.get_data("x", 1000, 4),
    lambda session: session.wait_for_digit(1000),
    lambda session: session.exec("Wait", "1"),
    lambda session: session.say_digits("12"),
    lambda session: session.record_file("x", "wav", "#", 1000),
]


@pytest.mark.parametrize("command", MEDIA)
@pytest.mark.parametrize("end", [b"HANGUP\n", b"511 Command Not Permitted on a dead channel or intercept routine\n"])
@pytest.mark.parametrize("together", [True, False])
def test_minus_one_of_a_media_command_and_hangup(command: Callable[[Session], Any], end: bytes, together: bool) -> None:
    leg = Leg()
    outcome = leg.does(command(leg.session))
    if together and end == b"HANGUP\n":
        leg.says(b"200 result=-1\n" + end)
    else:
        leg.says(b"200 result=-1\n")
        leg.says(end)
    assert isinstance(failed(outcome), SessionOver)
    assert leg.ended()


@pytest.mark.parametrize("command", MEDIA)
def test_minus_one_of_a_media_command_while_the_leg_is_there(command: Callable[[Session], Any]) -> None:
    """F50: STREAM FILE and GET DATA say -1 of a file that does not exist, just as of a leg that does not."""
    leg = Leg()
    outcome = leg.does(command(leg.session))
    leg.says(b"200 result=-1 endpos=0\n")
    assert outcome == []
    assert leg.wire.writes[-1] == b"NOOP\n"
    leg.says(b"200 result=0\n")
    assert isinstance(failed(outcome), CommandFailed)
    assert not leg.session.over
    leg.session.close()


def test_minus_one_of_other_commands_is_an_answer() -> None:
    leg = Leg()
    outcome = leg.does(leg.session.channel_status("PJSIP/x"))
    leg.says(b"200 result=-1\n")
    assert outcome == [-1]
    assert not leg.session.over


def test_a_lost_connection() -> None:
    leg = Leg()
    outcome = leg.does(leg.session.noop())
    leg.session.connectionLost(Failure(ConnectionDone()))
    assert isinstance(failed(outcome), SessionOver)
    assert leg.over == [None]
    assert not leg.factory.sessions


def test_close() -> None:
    leg = Leg()
    outcome = leg.does(leg.session.noop())
    leg.session.close()
    leg.session.close()
    assert isinstance(failed(outcome), SessionOver)
    assert leg.ended()
    late: list[None] = []
    leg.session.when_over().addCallback(late.append)
    assert late == [None]


def test_at_most_so_many_commands_wait() -> None:
    leg = Leg()
    for _ in range(fastagi.MAX_WAITING + 1):
        leg.does(leg.session.noop())
    assert isinstance(failed(leg.does(leg.session.noop())), TooManyCommands)
    leg.session.close()


# In step with Asterisk


def test_a_cancelled_command_on_its_way_keeps_its_answer() -> None:
    leg = Leg()
    work = start(leg.session.get_variable("A"))
    ends: list[Any] = []
    work.addBoth(ends.append)
    second = leg.does(leg.session.get_variable("B"))
    work.cancel()
    assert isinstance(failed(ends), CancelledError)
    assert len(leg.wire.writes) == 1
    leg.says(b"200 result=1 (a)\n")
    assert second == []
    leg.says(b"200 result=1 (b)\n")
    assert second == ["b"]


def test_a_cancelled_command_that_waits_is_never_sent() -> None:
    leg = Leg()
    first = leg.does(leg.session.get_variable("A"))
    work = start(leg.session.set_variable("B", "x"))
    work.addErrback(lambda failure: None)
    third = leg.does(leg.session.get_variable("C"))
    work.cancel()
    leg.says(b"200 result=1 (a)\n")
    leg.says(b"200 result=1 (c)\n")
    assert (first, third) == (["a"], ["c"])
    assert b"".join(leg.wire.writes) == b'GET VARIABLE "A"\nGET VARIABLE "C"\n'


def test_a_cancelled_command_still_has_its_time_limit() -> None:
    leg = Leg()
    work = start(leg.session.command("NOOP", seconds=3))
    work.addErrback(lambda failure: None)
    work.cancel()
    leg.time(4.5)
    assert leg.ended()


@pytest.mark.parametrize("said", [b"200 result=0\n", b"200 result=1 (x)\n", b"520-x\n520 y\n"])
def test_an_answer_to_no_command_ends_the_session(said: bytes) -> None:
    leg = Leg()
    leg.says(said)
    assert leg.ended()


@pytest.mark.parametrize(
    "said",
    [
        b"200 result=1 (a)\n200 result=1 (b)\n",
        b"200 result=1 (a)\n200 res",
        b"200 result=1 (a)\nb)\n",
        b"200 result=1 (a)\n\n",
        b"200 result=1 (a)\nHANGOVER",
    ],
)
def test_the_rest_of_a_value_is_never_the_next_answer(said: bytes) -> None:
    """A value with line breaks, made to look like two answers: neither is believed, though a command follows at once."""
    leg = Leg()

    async def two() -> list[str | None]:
        return [await leg.session.get_variable("A"), await leg.session.get_variable("PIN")]

    outcome = leg.does(two())
    leg.says(said)
    assert isinstance(failed(outcome), SessionOver)
    assert leg.ended()
    assert len(leg.wire.writes) == 1


def test_a_value_with_line_breaks_is_read_whole() -> None:
    leg = Leg()
    outcome = leg.does(leg.session.get_variable("A"))
    leg.says(b"200 result=1 (a\nHANGUP\n")
    assert outcome == []
    leg.says(b"b)\n")
    assert outcome == ["a\nHANGUP\nb"]
    assert not leg.session.over


@given(
    st.lists(st.sampled_from(["result", "usage", "unknown", "text", "lines"]), min_size=1, max_size=15),
    st.lists(st.integers(0, 2000), max_size=10),
    st.lists(st.booleans(), min_size=15, max_size=15),
)
def test_each_answer_finds_its_command(kinds: list[str], cuts: list[int], cancels: list[bool]) -> None:
    """Whatever is answered, however it is cut, and whatever is cancelled."""
    leg = Leg()
    works = [start(leg.session.command("NOOP", str(number))) for number in range(len(kinds))]
    outcomes: list[list[Any]] = []
    for work in works:
        outcomes.append([])
        work.addBoth(outcomes[-1].append)
    for number, kind in enumerate(kinds):
        if cancels[number]:
            works[number].cancel()
        if leg.wire.writes[-1] != b'NOOP "%d"\n' % number:
            continue  # it was cancelled while it waited
        answer = {
            "result": b"200 result=%d\n" % number,
            "usage": USAGE,
            "unknown": b"510 Invalid or unknown command\n",
            "text": b"200 result=%d (some text)\n" % number,
            "lines": b"200 result=%d (two\n200 result=99\nlines)\n" % number,
        }[kind]
        edges = sorted({0, len(answer), *(cut % len(answer) for cut in cuts)})
        for at, end in itertools.pairwise(edges):
            leg.says(answer[at:end])
    for number, (outcome, kind) in enumerate(zip(outcomes, kinds, strict=True)):
        if cancels[number]:
            assert isinstance(failed(outcome), CancelledError)
        elif kind in ("usage", "unknown"):
            assert isinstance(failed(outcome), CommandFailed)
        else:
            assert isinstance(outcome[0], Reply)
            assert outcome[0].result == str(number)
    assert not leg.session.over
    leg.session.close()


# Time


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        (lambda session: session.answer(), 10),
        (lambda session: session.wait_for_digit(25_000), 35),
        (lambda session: session.stream_file("x", seconds=20), 30),
        (lambda session: session.get_data("x", 5000, 4, seconds=10), 40),
        (lambda session: session.command("NOOP", seconds=2), 2),
    ],
)
def test_each_command_has_a_time_limit_of_what_it_does(command: Callable[[Session], Any], limit: float) -> None:
    """F43."""
    leg = Leg()
    outcome = leg.does(command(leg.session))
    leg.time(limit - 0.25)
    assert outcome == []
    leg.time(1.25)
    assert isinstance(failed(outcome), SessionOver)
    assert leg.wire.closed == "aborted"
    assert leg.ended()


def test_the_time_of_a_waiting_command_counts_from_when_it_is_sent() -> None:
    leg = Leg()
    leg.does(leg.session.wait_for_digit(25_000))
    second = leg.does(leg.session.answer())
    leg.time(30)
    leg.says(b"200 result=0\n")
    leg.time(9)
    leg.says(b"200 result=0\n")
    assert second == [None]


def test_a_forgotten_session_is_closed() -> None:
    """F44: nothing is asked of it any more."""
    leg = Leg()
    leg.time(fastagi.IDLE_SECONDS + 1)
    assert leg.ended()


# What the answers mean


@pytest.mark.parametrize(
    ("call", "sent", "answer", "result"),
    [
        (lambda s: s.answer(), b"ANSWER", b"200 result=0", None),
        (lambda s: s.hangup(), b"HANGUP", b"200 result=1", True),
        (lambda s: s.channel_status(), b"CHANNEL STATUS", b"200 result=6", 6),
        (lambda s: s.stream_file("hello", "12"), b'STREAM FILE "hello" "12" "0"', b"200 result=49 endpos=800", "1"),
        (lambda s: s.stream_file("hello"), b'STREAM FILE "hello" "" "0"', b"200 result=0 endpos=800", ""),
        (lambda s: s.get_data("pin", 5000, 4), b'GET DATA "pin" "5000" "4"', b"200 result=1234", ("1234", False)),
        (lambda s: s.get_data("pin", 5000, 4), b'GET DATA "pin" "5000" "4"', b"200 result=12 (timeout)", ("12", True)),
        (lambda s: s.get_data("pin", 5000, 4), b'GET DATA "pin" "5000" "4"', b"200 result= (timeout)", ("", True)),
        (lambda s: s.get_data("pin", 5000, 4), b'GET DATA "pin" "5000" "4"', b"200 result=", ("", False)),
        (lambda s: s.wait_for_digit(1000), b'WAIT FOR DIGIT "1000"', b"200 result=35", "#"),
        (lambda s: s.wait_for_digit(1000), b'WAIT FOR DIGIT "1000"', b"200 result=0", ""),
        (lambda s: s.set_music(True, "jazz"), b'SET MUSIC "on" "jazz"', b"200 result=0", None),
        (lambda s: s.set_music(False), b'SET MUSIC "off"', b"200 result=0", None),
        (lambda s: s.set_variable("A", "b"), b'SET VARIABLE "A" "b"', b"200 result=1", None),
        (lambda s: s.get_variable("A"), b'GET VARIABLE "A"', b"200 result=0", None),
        (lambda s: s.get_variable("A"), b'GET VARIABLE "A"', b"200 result=1 ()", ""),
        (lambda s: s.get_full_variable("${A}"), b'GET FULL VARIABLE "${A}"', b"200 result=1 (b)", "b"),
        (lambda s: s.database_put("f", "k", "v"), b'DATABASE PUT "f" "k" "v"', b"200 result=1", True),
        (lambda s: s.database_get("f", "k"), b'DATABASE GET "f" "k"', b"200 result=1 (v)", "v"),
        (lambda s: s.database_deltree("f"), b'DATABASE DELTREE "f"', b"200 result=0", False),
        (lambda s: s.exec("Playback", "a", "noanswer"), b'EXEC "Playback" "a,noanswer"', b"200 result=0", "0"),
        (lambda s: s.say_number(12), b'SAY NUMBER "12" ""', b"200 result=0", ""),
        (lambda s: s.verbose("hi", 3), b'VERBOSE "hi" "3"', b"200 result=1", None),
        (lambda s: s.gosub("c", "s", "1", "a", "b"), b'GOSUB "c" "s" "1" "a,b"', b"100 result=0 X...\n200 result=0", None),
        (lambda s: s.record_file("f", "wav", "#", 5000, beep=True, silence=3),
         b'RECORD FILE "f" "wav" "#" "5000" "0" "beep" "s=3"',
         b"200 result=35 (dtmf) endpos=8000", Reply(200, "35", "dtmf", 8000, "endpos=8000")),
        (lambda s: s.receive_text(1000), b'RECEIVE TEXT "1000"', b"200 result=1 (hi)", "hi"),
        (lambda s: s.speech_create(), b'SPEECH CREATE ""', b"200 result=0", False),
    ],
)  # fmt: skip
def test_commands(call: Callable[[Session], Any], sent: bytes, answer: bytes, result: Any) -> None:
    leg = Leg()
    outcome = leg.does(call(leg.session))
    assert leg.wire.writes == [sent + b"\n"]
    leg.says(answer + b"\n")
    assert outcome == [result]
    leg.session.close()


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda s: s.exec("Nothing"), b"200 result=-2"),
        (lambda s: s.gosub("c", "s", "1"), b"200 result=-1 Gosub label not found"),
        (lambda s: s.record_file("f", "wav", "#", 5000), b"200 result=-1 (writefile)\n200 result=0"),
        (lambda s: s.wait_for_digit(1000), b"200 result=41111111"),
        (lambda s: s.wait_for_digit(1000), b"200 result=x4111"),
        (lambda s: s.channel_status(), b"200 result=4111x"),
    ],
)
def test_answers_that_mean_failure(call: Callable[[Session], Any], answer: bytes) -> None:
    leg = Leg()
    outcome = leg.does(call(leg.session))
    for line in answer.splitlines(keepends=True):
        leg.says(line.rstrip() + b"\n")
    failure = failed(outcome)
    assert isinstance(failure, CommandFailed)
    assert failure.code is None
    assert "4111" not in str(failure)
    leg.session.close()


@pytest.mark.parametrize(
    "words", [("Dial", "PJSIP/1,20,g"), ("Dial", 'a"b'), ("Dial", "a\\b"), ("System(x)", "a"), ("", "")]
)
def test_exec_refuses_what_would_split(words: tuple[str, ...]) -> None:
    leg = Leg()
    assert isinstance(failed(leg.does(leg.session.exec(*words))), UnsafeValue)
    assert leg.wire.writes == []


def test_keyed_digits_reach_no_log() -> None:
    """A83."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(f"{formatEvent(event)} {event}")

    globalLogPublisher.addObserver(observe)
    for rest in (b"\n", b"\nrest\n", b"\n200 result=0\n", b" (timeout\n)\nHANGUP\nxx\n", b"\xff\n"):
        leg = Leg()
        outcome = leg.does(leg.session.get_data("pin", 1000, 16))
        leg.says(b"200 result=4111111111111111" + rest)
        if isinstance(outcome[0], Failure):
            lines.append(outcome[0].getTraceback())
        leg.says(b"HANGUP\n")
    globalLogPublisher.removeObserver(observe)
    assert lines
    assert "4111" not in "".join(lines)


# On real sockets


class Caller(Protocol):
    """An Asterisk that brings one leg: answers each command from a table, and notes the end."""

    def __init__(self, first: bytes = ENVIRONMENT) -> None:
        self.first = first
        self.heard: list[bytes] = []
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.first)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        for line in data.splitlines():
            self.heard.append(line)
            self.transport.write(b"200 result=1 (%s)\n" % line if line.startswith(b"GET") else b"200 result=0\n")

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.ended.callback(None)


class Live:
    """The factory on a real port."""

    def __init__(self) -> None:
        self.problems: list[Failure] = []
        self.factory = FastAgiFactory(self.serve, reactor)
        self.port = 0

    def serve(self, session: Session) -> None:
        start(self.story(session)).addErrback(self.problems.append)

    async def story(self, session: Session) -> None:
        await session.answer()
        for number in range(5):
            assert await session.get_variable(f"V{number}") == f'GET VARIABLE "V{number}"'
        assert await session.wait_for_digit(100) == ""
        session.close()

    async def call(self, first: bytes = ENVIRONMENT) -> Caller:
        caller: Caller = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), Caller(first))
        return caller


@pytest_twisted.async_yield_fixture
async def live() -> AsyncIterator[Live]:
    live = Live()
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(live.factory)
    live.port = port.getHost().port
    yield live
    for session in list(live.factory.sessions):
        session.close()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_live_many_legs_at_once(live: Live) -> None:
    callers = [await live.call() for _ in range(100)]
    await gatherResults([caller.ended for caller in callers])
    assert [len(caller.heard) for caller in callers] == [7] * 100
    assert live.problems == []
    assert not live.factory.sessions


@pytest_twisted.ensureDeferred
async def test_live_hostile_peers_are_closed_and_others_served(live: Live) -> None:
    hostile = [
        await live.call(data)
        for data in (b"\x00" * 10_000, b"agi_x: 1\n" * 10_000, b"x" * 1_000_000, b"GET / HTTP/1.0\r\n\r\n")
    ]
    good = await live.call()
    await gatherResults([caller.ended for caller in (*hostile, good)])
    assert len(good.heard) == 7
    assert live.problems == []


@pytest_twisted.ensureDeferred
async def test_live_a_stop_closes_every_session(live: Live) -> None:
    waiting: Deferred[None] = Deferred()

    async def story(session: Session) -> None:
        waiting.callback(None)
        await session.wait_for_digit(20_000)

    live.story = story  # type: ignore[method-assign]
    caller = await live.call()
    caller.dataReceived = lambda data: None  # type: ignore[method-assign]
    await waiting
    for session in list(live.factory.sessions):
        session.close()
    await caller.ended
    assert [type(problem.value) for problem in live.problems] == [SessionOver]


# Keys on the wire


@pytest.mark.fault("A83")
@pytest.mark.parametrize(
    "said",
    [
        b"200 result={}\n",
        b"200 result={} (timeout)\n",
        b"200 result=-1 ({})\n",
        b"510 {}\n",
        b"520-{}\n {}\n520 End of proper usage.\n",
        b"520 {}\n",
        b"511 {}\n",
        b"200 {}\n",
        b"{}\n",
        b"200 result={}\n200 result={}\n",
        b"200 result=1 ({}\n",
        b"HANGUP{}\n",
    ],
)
def test_what_a_caller_keys_is_in_no_log_and_no_error(said: bytes) -> None:
    """Whatever Asterisk answers, and whatever then goes wrong."""
    planted = "4111111111111111"
    told: list[str] = []

    def observe(event: LogEvent) -> None:
        told.extend((formatEvent(event), *(repr(value) for value in event.values())))

    leg = Leg()
    globalLogPublisher.addObserver(observe)
    try:
        outcome = leg.does(leg.session.get_data("silence/1", 5000, 16))
        leg.says(said.replace(b"{}", planted.encode()))
        if not outcome:
            leg.says(b"200 result=1\n")
        leg.time(400)
    finally:
        globalLogPublisher.removeObserver(observe)
    told.extend(repr(each) for each in (leg.session, leg.factory))
    for failure in outcome:
        if isinstance(failure, Failure):
            told += [str(failure.value), repr(failure.value), failure.getTraceback(), repr(failure)]
    assert not [line for line in told if planted[:6] in line]
