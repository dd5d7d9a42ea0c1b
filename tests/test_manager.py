"""The AMI link: against an Asterisk in memory with a clock of our own, and against a small one on a real socket."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, clientFromString
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.asterisk import link as link_module
from easycall.asterisk.ami import Action, Message, UnsafeValue
from easycall.asterisk.link import MESSAGES_PER_TURN
from easycall.asterisk.manager import (
    Account,
    ActionRefused,
    ActionTimeout,
    AmiError,
    LinkDown,
    LinkLost,
    LoginRefused,
    Manager,
    TooManyActions,
)
from easycall.defer import start
from easycall.lab.certificates import Authority

reactor: Any = global_reactor
SECRET = "very secret"


class Asterisk:
    """How an Asterisk behaves at the other end; the tests change what it does.  One object serves every connection."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.refuses_filter = True
        self.silent = False
        self.boots = True
        self.seen: list[dict[str, str]] = []
        """Every action that came, over all connections."""
        self.answers: dict[str, str] = {"Ping": "Response: Success\r\nActionID: {id}\r\nPing: Pong\r\n\r\n"}

    def names(self) -> list[str]:
        return [action["Action"] for action in self.seen if action["Action"] != "Ping"]

    def respond(self, data: bytes) -> str:
        """What it says to one action."""
        action = dict(line.split(": ", 1) for line in data.decode().split("\r\n"))
        self.seen.append(action)
        name, given = action["Action"], action["ActionID"]
        if self.silent:
            return ""
        if name == "Challenge":
            return f"Response: Success\r\nActionID: {given}\r\nChallenge: 1357\r\n\r\n"
        if name == "Login":
            return self._login(action, given)
        if name == "Filter" and name not in self.answers:
            verdict = "Error\r\nMessage: Permission denied" if self.refuses_filter else "Success\r\nMessage: Success"
            return f"Response: {verdict}\r\nActionID: {given}\r\n\r\n"
        if name == "Logoff":
            return f"Response: Goodbye\r\nActionID: {given}\r\nMessage: Thanks for all the fish.\r\n\r\n"
        return self.answers.get(name, "").format(id=given)

    def _login(self, action: dict[str, str], given: str) -> str:
        key = hashlib.md5(f"1357{self.secret}".encode(), usedforsecurity=False).hexdigest()
        proved = action["Key"] == key if action.get("AuthType") == "MD5" else action["Secret"] == self.secret
        if action["Username"] != "easycall" or not proved:
            return f"Response: Error\r\nActionID: {given}\r\nMessage: Authentication failed\r\n\r\n"
        booted = "Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 100\r\nStatus: Fully Booted\r\n\r\n"
        return f"Response: Success\r\nActionID: {given}\r\nMessage: Authentication accepted\r\n\r\n" + (
            booted if self.boots else ""
        )


class Peer(StringTransport):
    """One connection in memory: a transport for the link, and the Asterisk's hand on it."""

    def __init__(self, asterisk: Asterisk, clock: Clock) -> None:
        super().__init__()
        self.asterisk = asterisk
        self.clock = clock
        self.link: Protocol = Protocol()
        self.gone = False
        self._buffer = b""

    def write(self, data: bytes) -> None:
        *actions, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for action in actions:
            if answer := self.asterisk.respond(action):
                self.clock.callLater(0, self.say, answer)

    def say(self, text: str | bytes) -> None:
        if not self.gone:
            self.link.dataReceived(text if isinstance(text, bytes) else text.encode())

    def cut(self, reason: Exception | None = None) -> None:
        if not self.gone:
            self.gone = True
            self.link.connectionLost(Failure(reason or ConnectionDone()))

    def loseConnection(self) -> None:
        self.abortConnection()

    def abortConnection(self) -> None:
        self.clock.callLater(0, self.cut)


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects links to the Asterisk in memory, and notes when."""

    def __init__(self, asterisk: Asterisk, clock: Clock) -> None:
        self.asterisk = asterisk
        self.clock = clock
        self.refuses = False
        self.hangs = False
        self.tries: list[float] = []
        self.peers: list[Peer] = []

    def connect(self, factory: Factory) -> Deferred[Any]:
        self.tries.append(self.clock.seconds())
        if self.hangs:
            return Deferred(lambda trying: trying.errback(ConnectingCancelledError(None)))
        if self.refuses:
            return fail(ConnectionRefusedError())
        peer = Peer(self.asterisk, self.clock)
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer.link = protocol
        self.peers.append(peer)
        protocol.makeConnection(peer)
        self.clock.callLater(0, peer.say, "Asterisk Call Manager/11.0.0\r\n")
        return succeed(protocol)


class Bench:
    """A Manager and everything around it, in virtual time."""

    def __init__(self, *names: str, random: float = 0.5, login: Literal["md5", "plain"] = "md5") -> None:
        self.clock = Clock()
        self.asterisk = Asterisk()
        self.endpoint = Endpoint(self.asterisk, self.clock)
        self.events: list[Message] = []
        self.told: list[str] = []
        self.on_connected: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.manager = Manager(
            "pbx",
            self.endpoint,
            Account("easycall", SECRET, login),
            self.clock,
            events=dict.fromkeys(names or ("Hangup",), self.event),
            connected=self.connected,
            lost=lambda reason: self.told.append(f"lost: {reason}"),
            random=lambda: random,
        )
        self.first_login: list[Any] = []

    def event(self, message: Message) -> None:
        self.events.append(message)

    async def connected(self) -> None:
        self.told.append("connected")
        await self.on_connected()

    def start(self) -> Bench:
        self.manager.start().addBoth(self.first_login.append)
        self.turn()
        return self

    def turn(self, seconds: float = 0.0, step: float = 0.05) -> None:
        """Let time pass in small steps, and everything happen that is due."""
        end = self.clock.seconds() + seconds
        while True:
            for _ in range(20):
                self.clock.advance(0)
            if self.clock.seconds() >= end - 1e-9:
                return
            self.clock.advance(min(step, end - self.clock.seconds()))

    @property
    def peer(self) -> Peer:
        return self.endpoint.peers[-1]

    def send(self, name: str = "Test", seconds: float = 5.0, **headers: str) -> list[Any]:
        """Start an action; the list gets its outcome."""
        outcome: list[Any] = []
        start(self.manager.send(Action.of(name, **headers), seconds)).addBoth(outcome.append)
        return outcome

    def collect(self, name: str = "Status", seconds: float = 5.0) -> list[Any]:
        outcome: list[Any] = []
        start(self.manager.collect(Action(name), seconds)).addBoth(outcome.append)
        return outcome

    def given(self, at: int = -1) -> str:
        """The ActionID of the last action but pings."""
        return [action for action in self.asterisk.seen if action["Action"] != "Ping"][at]["ActionID"]

    def stop(self) -> None:
        done: list[Any] = []
        start(self.manager.stop()).addBoth(done.append)
        self.turn(2.0)
        assert done == [None]
        assert not self.clock.getDelayedCalls()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that is logged."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event) + (event["log_failure"].getTraceback() if "log_failure" in event else ""))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def failed(outcome: list[Any]) -> Exception:
    """The one error of an action's outcome."""
    [failure] = outcome
    assert isinstance(failure, Failure)
    error = failure.value
    assert isinstance(error, Exception)
    return error


# Log-in


def test_log_in_by_challenge_and_wait_for_fully_booted() -> None:
    bench = Bench().start()
    assert bench.asterisk.names() == ["Challenge", "Login", "Filter"]
    assert bench.asterisk.seen[1]["Events"] == "system,call"
    assert "Secret" not in bench.asterisk.seen[1]
    assert bench.first_login == [None]
    assert bench.told == ["connected"]
    assert bench.manager.linked
    assert bench.manager.booted == -100
    bench.turn(1)
    assert bench.manager.uptime == 101
    bench.stop()
    assert bench.asterisk.names()[-1] == "Logoff"
    assert bench.told == ["connected", "lost: stopped"]


def test_log_in_plain_sends_the_secret_once() -> None:
    bench = Bench(login="plain").start()
    assert bench.asterisk.names() == ["Login", "Filter"]
    login = {name: value for name, value in bench.asterisk.seen[0].items() if name != "ActionID"}
    assert login == {"Action": "Login", "Username": "easycall", "Secret": SECRET, "Events": "system,call"}
    assert bench.told == ["connected"]
    bench.stop()


@pytest.mark.parametrize("login", ["md5", "plain"])
def test_the_secret_is_never_told(login: Literal["md5", "plain"], logged: list[str]) -> None:
    """Whatever goes wrong: refused, refused again while running, cut, silent, no Asterisk at all."""
    bench = Bench(login=login)
    bench.asterisk.secret = "another"
    bench.start()
    assert SECRET not in repr(bench.first_login) + str(failed(bench.first_login))
    bench = Bench(login=login).start()
    bench.asterisk.secret = "changed"
    bench.peer.cut()
    bench.turn(1)
    bench.asterisk.secret, bench.asterisk.silent = SECRET, True
    bench.turn(60)
    bench.asterisk.respond = lambda data: "garbage\r\n\r\n"  # type: ignore[method-assign]
    bench.turn(60)
    bench.stop()
    assert any("refused the AMI user" in line for line in logged)
    assert any("protocol error" in line for line in logged)
    assert SECRET not in "\n".join(logged)
    assert SECRET not in repr(vars(bench.manager))


def test_not_linked_before_asterisk_has_booted() -> None:
    bench = Bench()
    bench.asterisk.boots = False
    bench.start()
    bench.turn(30)
    assert bench.first_login == [None]
    assert bench.told == []
    assert not bench.manager.linked
    bench.peer.say("Event: FullyBooted\r\nStatus: Fully Booted\r\n\r\n")
    bench.turn()
    assert bench.told == ["connected"]
    bench.stop()


def test_an_account_that_never_sees_fully_booted_is_said_so(logged: list[str]) -> None:
    bench = Bench()
    bench.asterisk.boots = False
    bench.start()
    bench.turn(61)
    bench.stop()
    assert any("read = system" in line for line in logged)
    assert bench.told == []


def test_the_first_log_in_refused_ends_it() -> None:
    bench = Bench()
    bench.asterisk.secret = "another"
    bench.start()
    error = failed(bench.first_login)
    assert isinstance(error, LoginRefused)
    assert str(error) == "pbx: Asterisk refused the AMI user 'easycall': Authentication failed"
    bench.turn(120)
    assert len(bench.endpoint.tries) == 1
    assert bench.told == []
    bench.stop()


def test_a_refusal_later_is_tried_again_at_most_every_30_s() -> None:
    """F21."""
    bench = Bench(random=0.0).start()
    bench.asterisk.secret = "changed"
    bench.peer.cut()
    bench.turn(100)
    tries = bench.endpoint.tries[1:]
    assert len(tries) == 4
    assert all(later - earlier >= 30 for earlier, later in itertools.pairwise(tries))
    bench.asterisk.secret = SECRET
    bench.turn(31)
    assert bench.manager.linked
    bench.stop()


def test_an_asterisk_that_shuts_down_is_no_refusal() -> None:
    bench = Bench()
    bench.asterisk.respond = lambda data: (  # type: ignore[method-assign]
        "Response: Error\r\nActionID: {}\r\nMessage: Asterisk is shutting down\r\n\r\n".format(
            dict(line.split(": ", 1) for line in data.decode().split("\r\n"))["ActionID"]
        )
    )
    bench.start()
    bench.turn(2)
    assert bench.first_login == []
    assert len(bench.endpoint.tries) > 2
    del bench.asterisk.respond  # type: ignore[method-assign]
    bench.turn(5)
    assert bench.first_login == [None]
    bench.stop()


def test_a_peer_that_never_speaks_is_given_up() -> None:
    bench = Bench()
    bench.asterisk.silent = True
    bench.start()
    bench.turn(5.5)
    assert len(bench.endpoint.tries) == 2
    bench.stop()


def test_a_connection_that_hangs_is_given_up_and_can_be_stopped() -> None:
    bench = Bench()
    bench.endpoint.hangs = True
    bench.start()
    bench.turn(5.5)
    assert len(bench.endpoint.tries) == 2
    bench.stop()
    assert isinstance(failed(bench.first_login), CancelledError)


def test_filters_are_set_when_the_account_may() -> None:
    bench = Bench("Hangup", "Newchannel")
    bench.asterisk.refuses_filter = False
    bench.start()
    criteria = [action["MatchCriteria"] for action in bench.asterisk.seen if action["Action"] == "Filter"]
    assert criteria == [f"action(include),name({name})" for name in ("FullyBooted", "Hangup", "Newchannel")]
    bench.stop()


def test_half_a_list_of_filters_closes_the_link() -> None:
    """It would hide events that are wanted."""
    bench = Bench("Hangup", "Newchannel")
    bench.asterisk.refuses_filter = False
    bench.on_connected = lambda: fail(AssertionError("never"))
    respond, count = bench.asterisk.respond, itertools.count()

    def second_refused(data: bytes) -> str:
        answer = respond(data)
        if b"Action: Filter" in data:
            return answer if next(count) != 1 else answer.replace("Success", "Error", 1)
        return answer

    bench.asterisk.respond = second_refused  # type: ignore[method-assign]
    bench.start()
    assert bench.told == []
    bench.on_connected = lambda: succeed(None)
    bench.turn(1)
    assert bench.told == ["connected"]
    bench.stop()


# Back-off


def test_why_there_is_no_link_is_said_once_for_each_reason(logged: list[str]) -> None:
    bench = Bench()
    bench.asterisk.silent = True
    bench.start()
    bench.turn(30)
    bench.endpoint.refuses = True
    bench.turn(30)
    bench.endpoint.refuses = False
    bench.asterisk.respond = lambda data: "garbage\r\n\r\n"  # type: ignore[method-assign]
    bench.turn(30)
    bench.stop()
    assert [line for line in logged if line.startswith("AMI link")] == [
        "AMI link to pbx: Challenge: no answer within 5 s; trying again",
        "AMI link to pbx: Connection was refused by other side.; trying again",
        "AMI link to pbx: protocol error: a message that is neither an event nor a response; trying again",
    ]


def test_retry_for_ever_with_growing_pauses() -> None:
    """P4."""
    bench = Bench(random=0.5)
    bench.endpoint.refuses = True
    bench.start()
    bench.turn(60, step=0.001)
    pauses = [b - a for a, b in itertools.pairwise(bench.endpoint.tries)]
    expected = [0.25, 0.375, 0.5625, 0.84375, 1.265625, 1.8984375, 2.84765625, 4.271484375, 5.0, 5.0]
    assert pauses[:10] == pytest.approx(expected, abs=0.002)
    assert bench.first_login == []
    bench.stop()


@pytest.mark.parametrize(("random", "pause"), [(0.0, 0.2), (1.0, 0.3)])
def test_jitter(random: float, pause: float) -> None:
    bench = Bench(random=random)
    bench.endpoint.refuses = True
    bench.start()
    bench.turn(0.4, step=0.001)
    assert bench.endpoint.tries[1] == pytest.approx(pause, abs=0.002)
    bench.stop()


def test_a_cut_link_is_back_at_once_and_a_flapping_one_more_and_more_slowly() -> None:
    """F01, F15."""
    bench = Bench().start()
    bench.turn(10)
    bench.peer.cut()
    bench.turn(0.3)
    assert bench.manager.linked
    before = len(bench.endpoint.tries)
    for _ in range(20):
        bench.peer.cut()
        bench.turn(3)
    assert len(bench.endpoint.tries) - before <= 25
    bench.turn(3)
    bench.peer.cut()
    bench.turn(1.5)
    assert not bench.manager.linked
    bench.turn(10)
    bench.peer.cut()
    bench.turn(0.3)
    assert bench.manager.linked
    bench.stop()


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


def item(given: str, event: str = "Status", **headers: str) -> str:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"Event: {event}\r\nActionID: {given}\r\n{more}\r\n"


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


# On a real socket


class Server(Protocol):
    """The small Asterisk at the other end of a real connection."""

    def __init__(self, asterisk: Asterisk) -> None:
        self.asterisk = asterisk
        self._buffer = b""
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"Asterisk Call Manager/11.0.0\r\n")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        *actions, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for action in actions:
            self.transport.write(self.asterisk.respond(action).encode())

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost.callback(None)


class Servers(Factory):
    noisy = False

    def __init__(self) -> None:
        self.asterisk = Asterisk()
        self.made: list[Server] = []

    def buildProtocol(self, addr: Any) -> Server:
        self.made.append(Server(self.asterisk))
        return self.made[-1]


class Live:
    """A Manager on a real socket."""

    def __init__(self, servers: Servers, port: int) -> None:
        self.servers = servers
        self.events: list[Message] = []
        self.connected_at: list[float] = []
        self.waiting: Deferred[None] | None = None
        self.manager = Manager(
            "pbx",
            TCP4ClientEndpoint(reactor, "127.0.0.1", port),
            Account("easycall", SECRET),
            reactor,
            events={"Hangup": self.events.append},
            connected=self.connected,
            lost=lambda reason: None,
        )

    async def connected(self) -> None:
        self.connected_at.append(reactor.seconds())
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.callback(None)

    def up(self) -> Deferred[None]:
        self.waiting = Deferred()
        return self.waiting


@pytest_twisted.async_yield_fixture
async def live() -> AsyncIterator[Live]:
    servers = Servers()
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(servers)
    live = Live(servers, port.getHost().port)
    yield live
    await live.manager.stop()
    await port.stopListening()
    for server in servers.made:
        await server.lost


@pytest_twisted.ensureDeferred
async def test_live_log_in_lists_and_log_off(live: Live) -> None:
    up = live.up()
    await live.manager.start()
    await up
    live.servers.asterisk.answers["Status"] = "Response: Success\r\nActionID: {id}\r\nEventList: start\r\n\r\n" + "".join(
        [item("{id}", Uniqueid=str(number)) for number in range(500)]
        + [item("{id}", "StatusComplete", EventList="Complete")]
    )
    assert len(await live.manager.collect(Action("Status"))) == 501
    await live.manager.stop()
    assert live.servers.asterisk.names()[-1] == "Logoff"


@pytest_twisted.ensureDeferred
async def test_live_a_cut_is_repaired_within_half_a_second(live: Live) -> None:
    """F01, P4."""
    up = live.up()
    live.manager.start()
    await up
    pending = start(live.manager.send(Action("Test")))
    up, cut_at = live.up(), reactor.seconds()
    live.servers.made[-1].transport.abortConnection()  # type: ignore[union-attr]
    with pytest.raises(LinkLost):
        await pending
    assert reactor.seconds() - cut_at < 0.1
    await up
    assert live.connected_at[-1] - cut_at < 0.5


@pytest_twisted.ensureDeferred
async def test_live_a_burst_does_not_delay_an_action(live: Live) -> None:
    up = live.up()
    live.manager.start()
    await up
    live.servers.asterisk.answers["Test"] = "Response: Success\r\nActionID: {id}\r\n\r\n"
    filler = b"".join(b"Header%d: some value of a usual length\r\n" % number for number in range(14))
    burst = b"".join(b"Event: Hangup\r\nUniqueid: %d\r\n%s\r\n" % (number, filler) for number in range(10_000))
    live.servers.made[-1].transport.write(burst)  # type: ignore[union-attr]
    while not live.events:
        await deferLater(reactor, 0)
    asked = reactor.seconds()
    answer = start(live.manager.send(Action("Test")))
    while "Test" not in live.servers.asterisk.names():
        await deferLater(reactor, 0)
    assert reactor.seconds() - asked < 0.25  # the goal is 50 ms; a shared machine gets some more
    assert len(live.events) < 10_000
    assert (await answer).ok
    assert [event.get("Uniqueid") for event in live.events] == [str(number) for number in range(10_000)]


@pytest_twisted.ensureDeferred
async def test_live_a_wrong_secret(live: Live) -> None:
    live.servers.asterisk.secret = "another"
    with pytest.raises(LoginRefused):
        await live.manager.start()


@pytest_twisted.ensureDeferred
async def test_live_nobody_listens(live: Live) -> None:
    manager = Manager(
        "pbx",
        TCP4ClientEndpoint(reactor, "127.0.0.1", 9),
        Account("easycall", SECRET),
        reactor,
        events={},
        connected=live.connected,
        lost=lambda reason: None,
    )
    first_login = manager.start()
    with pytest.raises(AmiError):
        await manager.send(Action("Ping"))
    await deferLater(reactor, 0.05)
    await manager.stop()
    with pytest.raises(CancelledError):
        await first_login


# Over TLS, to one that is not the Asterisk it should be

UNTRUSTED = "is not signed by a CA we trust (trustRoots), or is not valid today"


class OverTls:
    """The small Asterisk with a certificate, and a Manager that sends its secret plain to the right one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trusted = Authority("ours")
        (folder / "trusted").mkdir()
        self.trusted.write(folder / "trusted/ca.pem")
        self.servers = Servers()
        self.told: list[str] = []

    async def tried(self, seconds: float) -> None:
        """Let the Manager do what it can in so many seconds, or until it is connected."""
        certificate = DefaultOpenSSLContextFactory(f"{self.folder}/peer.pem", f"{self.folder}/peer.pem")
        port = reactor.listenSSL(0, self.servers, certificate, interface="127.0.0.1")
        number = port.getHost().port
        manager = Manager(
            "pbx",
            clientFromString(reactor, f"tls:localhost:{number}:trustRoots={self.folder}/trusted"),
            Account("easycall", SECRET, "plain"),
            reactor,
            events={},
            connected=self.connected,
            lost=self.told.append,
        )
        manager.start().addErrback(lambda failure: failure.trap(CancelledError))
        limit = reactor.seconds() + seconds
        while reactor.seconds() < limit and not self.told:
            await deferLater(reactor, 0.01)
        await manager.stop()
        await maybeDeferred(port.stopListening)
        for server in self.servers.made:
            await server.lost

    async def connected(self) -> None:
        self.told.append("connected")


@pytest.fixture
def over_tls(tmp_path: Path) -> OverTls:
    return OverTls(tmp_path)


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_the_host_of_a_ca_we_trust(over_tls: OverTls) -> None:
    over_tls.trusted.vouch(over_tls.folder / "peer.pem", "localhost")
    await over_tls.tried(5)
    assert over_tls.told == ["connected", "stopped"]
    assert over_tls.servers.asterisk.seen[0]["Secret"] == SECRET


@pytest.mark.parametrize("stranger", ["another CA", "expired", "another host"])
@pytest_twisted.ensureDeferred
async def test_a_stranger_gets_no_word_of_us(over_tls: OverTls, stranger: str, logged: list[str]) -> None:
    """A13."""
    peer = over_tls.folder / "peer.pem"
    if stranger == "another CA":
        Authority("ours").vouch(peer, "localhost")
    elif stranger == "expired":
        over_tls.trusted.vouch(peer, "localhost", valid=timedelta(minutes=-1))
    else:
        over_tls.trusted.vouch(peer, "localhost.example", "pbx")
    await over_tls.tried(1)
    assert over_tls.told == []
    assert over_tls.servers.asterisk.seen == []
    assert len(over_tls.servers.made) > 1
    [line] = [line for line in logged if line.startswith("AMI link")]
    why = "is for another host than the one we connect to" if stranger == "another host" else UNTRUSTED
    assert line == f"AMI link to pbx: TLS: the certificate of Asterisk {why}; trying again"


@pytest.mark.logs_failures
@pytest_twisted.ensureDeferred
async def test_a_certificate_that_names_nobody_is_no_certificate_for_everybody(over_tls: OverTls, logged: list[str]) -> None:
    """Twisted 26.10 lets it pass, and logs that as a failure."""
    over_tls.trusted.vouch(over_tls.folder / "peer.pem")
    await over_tls.tried(1)
    assert over_tls.told == []
    assert over_tls.servers.asterisk.seen == []
    assert len(over_tls.servers.made) > 1
    assert [line for line in logged if line.startswith("AMI link")] == [
        "AMI link to pbx: TLS: the certificate of Asterisk names no host: it needs a subjectAltName; trying again"
    ]
