"""The AMI link is made: log-in, what is no log-in, and how long is waited before it is tried again."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest
from twisted.internet.defer import CancelledError, fail, succeed

from easycall.asterisk.manager import SHUTS_DOWN, LoginRefused

from .manager_bench import SECRET, Bench, failed, lines_logged

logged = pytest.fixture(lines_logged)


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


@pytest.mark.fault("F28")
@pytest.mark.parametrize(("uptime", "restarted"), [("2", True), ("0", True), ("4", False), ("500", False), ("", False)])
def test_a_restart_is_told_from_a_cut_by_the_time_it_has_been_up(uptime: str, restarted: bool) -> None:
    bench = Bench().start()
    bench.turn(20)
    assert bench.restarted == [False]
    bench.endpoint.refuses = True
    bench.peer.cut()
    bench.turn(1)
    bench.asterisk.uptime = uptime
    bench.endpoint.refuses = False
    bench.turn(2)
    assert bench.told[-1] == "connected"
    assert bench.restarted[-1] == restarted
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


@pytest.mark.fault("F26")
def test_one_that_shuts_down_while_we_are_there_is_listened_to_until_it_goes_on() -> None:
    bench = Bench().start()
    pong = bench.asterisk.answers["Ping"]
    bench.turn(30)
    bench.asterisk.answers["Ping"] = "Response: Error\r\nActionID: {id}\r\nMessage: Asterisk is shutting down\r\n\r\n"
    bench.turn(2.1)
    assert (bench.told, bench.manager.linked) == (["connected", f"lost: {SHUTS_DOWN}"], False)
    assert bench.manager.shuts_down
    bench.turn(120)
    assert bench.manager.heard == pytest.approx(bench.clock.seconds(), abs=2.1)
    bench.peer.say("Event: Hangup\r\nUniqueid: 1\r\n\r\n")
    bench.turn()
    assert [event.get("Uniqueid") for event in bench.events] == ["1"]
    bench.asterisk.answers["Ping"] = pong
    bench.turn(2.1)
    assert bench.told[2:] == ["connected"]
    assert (bench.manager.linked, bench.manager.shuts_down, len(bench.endpoint.peers)) == (True, False, 1)
    bench.asterisk.answers["Ping"] = "Response: Error\r\nActionID: {id}\r\nMessage: Asterisk is shutting down\r\n\r\n"
    bench.turn(2.1)
    bench.endpoint.refuses = True
    bench.peer.cut()
    bench.turn(10)
    assert bench.told[3:] == [f"lost: {SHUTS_DOWN}"], "told once, not again at its end"
    assert (bench.manager.heard, bench.manager.shuts_down) == (None, False)
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


@pytest.mark.fault("F24")
def test_one_that_is_away_for_five_minutes_is_not_hammered() -> None:
    bench = Bench()
    bench.endpoint.refuses = True
    bench.manager.start()
    bench.clock.pump([0.1] * 3000)
    assert 50 <= len(bench.endpoint.tries) <= 70
    bench.endpoint.refuses = False
    bench.clock.pump([0.1] * 60)
    assert bench.manager.linked
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
