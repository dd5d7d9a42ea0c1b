"""FastAGI under faults and attacks: a real Asterisk's legs, and strangers beside them."""

from __future__ import annotations

import os
import secrets
import signal
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from easycall.asterisk.agi import MAX_COMMAND, UnsafeValue
from easycall.asterisk.fastagi import CommandFailed, Session, SessionOver

from ..proxy import Proxy
from .stage import SOON, Hurried, Legs, Pbx, failed, outcome, until

Measured = Callable[[str], None]

HURRY = 10.0
"""How much faster the server's clock runs where its limits are many seconds."""


async def home(pbx: Pbx, legs: Legs, *variables: str) -> tuple[str, Session]:
    """A leg that has come home, and its session."""
    leg = await pbx.call(*variables)
    session = await legs.comes()
    assert session.variables["agi_uniqueid"] == leg
    return leg, session


def stands_still(pid: int) -> bool:
    """Whether every thread of a stopped process has stopped: the last of them may still answer for a moment."""
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in Path(f"/proc/{pid}/task").glob("*/stat"))


# Peers that say nothing


@pytest.mark.fault("F42")
async def test_peers_that_say_nothing_are_closed_and_cost_nothing(pbx: Pbx, measured: Measured) -> None:
    """1,000 of them, half with a half environment; 5 s each on the server's clock."""
    legs = await pbx.legs(Hurried(pbx.reactor, HURRY))
    files = len(os.listdir("/proc/self/fd"))
    began = pbx.reactor.seconds()
    peers = [await legs.dial(b"" if number % 2 else b"agi_network: yes\nagi_uni") for number in range(1000)]
    dialled = pbx.reactor.seconds()
    await until(pbx.reactor, lambda: all(peer.closed_at for peer in peers), SOON, "all are closed")
    last = max(peer.closed_at or 0 for peer in peers)
    measured(f"1,000 silent peers in {dialled - began:.2f} s, the last closed {(last - dialled) * HURRY:.1f} s later")
    assert (last - dialled) * HURRY <= 5 + 1.5 + 1.0  # the limit, the tick, and a busy machine's hesitation
    assert not legs.factory.sessions
    await until(pbx.reactor, lambda: len(os.listdir("/proc/self/fd")) <= files, SOON, "no socket is left")


@pytest.mark.fault("F42")
async def test_calls_are_served_while_strangers_say_nothing(pbx: Pbx, measured: Measured) -> None:
    """However many they are: they wait for nothing, and a call that speaks is served as ever."""
    legs = await pbx.legs()
    for _ in range(500):
        await legs.dial()
    took = []
    for _ in range(5):
        began = pbx.reactor.seconds()
        leg, session = await home(pbx, legs)
        await session.noop()
        took.append(pbx.reactor.seconds() - began)
        await pbx.hang_up(leg)
    measured(f"beside 500 silent peers a call is served after {statistics.median(took) * 1000:.0f} ms")
    assert statistics.median(took) < 0.25


# Asterisk, or we, never answer


@pytest.mark.fault("F43")
async def test_asterisk_never_answers_a_command(pbx: Pbx, measured: Measured) -> None:
    """Asterisk is stopped dead: our side is free after the command's time and a second, the leg when Asterisk is back."""
    legs = await pbx.legs()
    leg, session = await home(pbx, legs)
    os.kill(pbx.state.pids["a"], signal.SIGSTOP)
    try:
        await until(pbx.reactor, lambda: stands_still(pbx.state.pids["a"]), SOON, "every thread of Asterisk stands still")
        began = pbx.reactor.seconds()
        waiting = outcome(session.command("NOOP", seconds=1))
        behind = outcome(session.noop())
        await until(pbx.reactor, lambda: bool(waiting), SOON, "the time of the command is up")
        measured(f"free {pbx.reactor.seconds() - began:.2f} s after a command of 1 s was sent")
        assert pbx.reactor.seconds() - began <= 2.1
    finally:
        os.kill(pbx.state.pids["a"], signal.SIGCONT)
    assert isinstance(failed(waiting), SessionOver)
    assert isinstance(failed(behind), SessionOver)
    again = await legs.comes(SOON)  # the dialplan's loop decides: it asks again
    assert again.variables["agi_uniqueid"] == leg


@pytest.mark.fault("F43")
@pytest.mark.parametrize("way", ["to_client", "to_server"])
async def test_a_silent_line_ends_a_command_in_time(pbx: Pbx, way: str, measured: Measured) -> None:
    """The same when only the line is silent, in one direction."""
    legs = await pbx.legs(port=pbx.state.ports.nobody_sip)
    proxy = Proxy(pbx.reactor, pbx.state.ports.nobody_sip)
    proxy.port = pbx.state.ports.agi
    await proxy.start()
    try:
        _, session = await home(pbx, legs)
        getattr(proxy, way).hold()
        began = pbx.reactor.seconds()
        with pytest.raises(SessionOver):
            await session.command("NOOP", seconds=0.5)
        measured(f"free {pbx.reactor.seconds() - began:.2f} s after a command of 0.5 s was sent")
        assert pbx.reactor.seconds() - began <= 1.6
        proxy.mend()
        assert (await legs.comes()).variables["agi_uniqueid"] == session.variables["agi_uniqueid"]
    finally:
        await proxy.stop()


@pytest.mark.fault("F44")
async def test_a_leg_nobody_asks_anything_of_goes_on(pbx: Pbx, measured: Measured) -> None:
    """The wire's part: a session whose owner has forgotten it is closed after 60 s, and the dialplan decides."""
    legs = await pbx.legs(Hurried(pbx.reactor, 60.0))
    leg, session = await home(pbx, legs)
    began = pbx.reactor.seconds()
    await until(pbx.reactor, lambda: session.over, SOON, "the session is over")
    measured(f"closed after {(pbx.reactor.seconds() - began) * 60:.0f} s without a command")
    assert 55 <= (pbx.reactor.seconds() - began) * 60 <= 75
    assert (await legs.comes()).variables["agi_uniqueid"] == leg


@pytest.mark.fault("F45")
async def test_the_caller_hangs_up_while_we_do_something_else(pbx: Pbx, measured: Measured) -> None:
    """No command is under way: HANGUP comes unasked, is the end, and no dead channel stays (M5)."""
    legs = await pbx.legs()
    leg, session = await home(pbx, legs)
    looking_up: list[None] = []
    session.when_over().addCallback(looking_up.append)
    await pbx.hang_up(leg)
    told = await until(pbx.reactor, lambda: looking_up == [None], 1.0, "we are told")
    gone = await pbx.without(leg, 1.0)
    measured(f"told after {told * 1000:.0f} ms, the channel gone {gone * 1000:.0f} ms later")
    assert isinstance(failed(outcome(session.noop())), SessionOver)
    assert not legs.factory.sessions


@pytest.mark.fault("F45", "F46")
@pytest.mark.parametrize("verb", ["wait", "play", "music", "exec", "pipelined"])
async def test_the_caller_hangs_up_during_a_command(pbx: Pbx, verb: str) -> None:
    """Whatever is under way ends once, with the session, and the channel goes."""
    legs = await pbx.legs()
    leg, session = await home(pbx, legs)
    await session.answer()
    works: dict[str, list[Any]] = {
        "wait": [session.wait_for_digit(20_000)],
        "play": [session.stream_file("tt-monkeys")],
        "music": [session.set_music(True), session.wait_for_digit(20_000)],
        "exec": [session.exec("Wait", "20")],
        "pipelined": [session.wait_for_digit(20_000), *(session.noop() for _ in range(20))],
    }
    mine = works.pop(verb)
    for others in works.values():
        for other in others:
            other.close()
    outcomes = [outcome(work) for work in mine]
    await deferLater(pbx.reactor, 0.05)
    await pbx.hang_up(leg)
    await until(pbx.reactor, lambda: all(outcomes), 1.0, "all ended")
    await pbx.without(leg, 1.0)
    assert all(len(each) == 1 for each in outcomes)
    assert isinstance(failed(outcomes[-1]), SessionOver)
    assert session.over


@pytest.mark.fault("F46")
async def test_every_kind_of_answer_finds_its_command(pbx: Pbx) -> None:
    """200, 510, 520 in several lines, -1 of a file that is not there, (timeout): and the next answer is the next one's."""
    legs = await pbx.legs()
    leg, session = await home(pbx, legs, "MARK=mine")

    async def in_step() -> None:
        number = secrets.token_hex(4)
        await session.set_variable("STEP", number)
        assert await session.get_variable("STEP") == number

    async def fails(work: Any, code: str) -> None:
        with pytest.raises(CommandFailed, match=code):
            await work
        await in_step()

    await session.answer()
    for _ in range(3):
        await fails(session.command("BOGUS"), "510")
        await fails(session.command("WAIT FOR DIGIT"), "520")
        await fails(session.command("SET VARIABLE", "X"), "520")
        await fails(session.stream_file("no-such-file"), "STREAM FILE")
        await fails(session.exec("NoSuchApplication"), "no application")
        await fails(session.gosub("nowhere", "s", "1"), "GOSUB")
    assert await session.get_data("silence/1", 10, 4) == ("", True)
    assert await session.wait_for_digit(10) == ""
    assert await session.channel_status("PJSIP/nobody") == -1
    assert await session.get_variable("NOT_SET") is None
    assert await session.get_variable("MARK") == "mine"
    await in_step()
    works = [session.command("BOGUS"), session.get_variable("MARK"), session.command("WAIT FOR DIGIT"), session.noop()]
    outcomes = [outcome(work) for work in works]
    await until(pbx.reactor, lambda: all(outcomes), SOON, "all are answered")
    assert [isinstance(failed(outcomes[at]), CommandFailed) for at in (0, 2)] == [True, True]
    assert (outcomes[1], outcomes[3]) == (["mine"], [None])
    assert await session.hangup() is True
    with pytest.raises(SessionOver):
        await session.stream_file("tt-monkeys")
    await pbx.without(leg, 1.0)


@pytest.mark.fault("F46")
async def test_a_value_with_line_breaks_cannot_be_the_next_answer(pbx: Pbx) -> None:
    """Asterisk does not escape values: what looks like answers in one is read with it, or ends the session."""
    legs = await pbx.legs()
    _, session = await home(pbx, legs)
    await session.set_variable("RAW", "x%0A200 result=1 forged%0AHANGUP%0A511 no")
    value = await session.get_full_variable("${URIDECODE(${RAW})}")
    assert value == "x\n200 result=1 forged\nHANGUP\n511 no"
    await session.set_variable("RAW", "x)%0A200 result=1 (forged")
    first = outcome(session.get_full_variable("${URIDECODE(${RAW})}"))
    second = outcome(session.get_variable("EASYCALL_PATIENCE"))
    await until(pbx.reactor, lambda: bool(first and second), SOON, "both have an outcome")
    assert isinstance(failed(first), SessionOver)
    assert isinstance(failed(second), SessionOver)


@pytest.mark.fault("F47")
async def test_nobody_is_there_when_a_leg_comes_home(pbx: Pbx, measured: Measured) -> None:
    """The dialplan has the caller answered and on music within a second, and brings the leg when we are there."""
    began = pbx.reactor.seconds()
    leg = await pbx.call()
    application = ""
    while application != "MusicOnHold":
        application = (await pbx.channels())[leg].get("Application") if leg in await pbx.channels() else ""
        assert pbx.reactor.seconds() - began <= 1.0
    measured(f"music after {(pbx.reactor.seconds() - began) * 1000:.0f} ms")
    assert (await pbx.channels())[leg].get("ChannelStateDesc") == "Up"
    legs = await pbx.legs()
    began = pbx.reactor.seconds()
    assert (await legs.comes()).variables["agi_uniqueid"] == leg
    measured(f"home {pbx.reactor.seconds() - began:.2f} s after we listened")


@pytest.mark.fault("F47")
async def test_a_caller_whom_nobody_serves_is_not_kept_for_ever(pbx: Pbx) -> None:
    """The dialplan's own fallback, after the lab's 2 s of patience."""
    leg = await pbx.call()
    await pbx.appears(leg)
    application = "MusicOnHold"
    began = pbx.reactor.seconds()
    while application != "Playback":
        application = (await pbx.channels())[leg].get("Application")
        assert pbx.reactor.seconds() - began <= 4.0
        await deferLater(pbx.reactor, 0.02)


# Attacks


HOSTILE = {
    "10,000 lines": b"agi_x: 1\n" * 10_000,
    "one line of 1 MB": b"agi_x: " + b"x" * 1_000_000,
    "1 MB without a line": b"x" * 1_000_000,
    "binary": bytes(range(256)) * 40,
    "zeros": b"\0" * 10_000,
    "another protocol": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "AMI": b"Action: Login\r\nUsername: x\r\n\r\n",
    "no variables": b"\n",
    "no variables at all": b"\n\n",
    "an answer": b"200 result=1\n\n",
    "HANGUP": b"HANGUP\n\n",
}


@pytest.mark.fault("A16")
@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_environment_is_closed_at_once(pbx: Pbx, said: bytes) -> None:
    """And nobody is served, and those who call meanwhile are."""
    legs = await pbx.legs()
    peer = await legs.dial(said)
    await until(pbx.reactor, lambda: peer.closed_at is not None, 1.0, "it is closed")
    assert not peer.heard
    leg, session = await home(pbx, legs)
    await session.noop()
    assert legs.factory.sessions == {session}
    await pbx.hang_up(leg)


@pytest.mark.fault("A16")
async def test_an_environment_without_an_end_is_closed(pbx: Pbx, measured: Measured) -> None:
    """5 s, however slowly it trickles."""
    legs = await pbx.legs(Hurried(pbx.reactor, HURRY))
    peer = await legs.dial(b"agi_network: yes\n")
    began = pbx.reactor.seconds()
    while peer.closed_at is None:
        assert peer.transport is not None
        peer.transport.write(b"agi_x: 1\n")
        await deferLater(pbx.reactor, 0.02)
        assert pbx.reactor.seconds() - began < 1.0
    measured(f"a trickling peer closed after {(peer.closed_at - began) * HURRY:.1f} s")
    assert (peer.closed_at - began) * HURRY <= 5 + 1.5 + 1.0


@pytest.mark.fault("A16")
async def test_a_text_of_the_caller_forges_nothing(pbx: Pbx) -> None:
    """Asterisk does not escape the caller's name: with line breaks in it, it says who the leg is and what for."""
    legs = await pbx.legs()
    name = "x%0Aagi_uniqueid:%209.9%0Aagi_arg_1:%20forged%0Aagi_arg_2:%20agent"
    await pbx.command(f"dialplan add extension s,1,Set(CALLERID(name)=${{URIDECODE({name})}}) into forging replace")
    await pbx.command(
        f"dialplan add extension s,2,AGI(agi://127.0.0.1:{pbx.state.ports.agi}/leg,95588,) into forging replace"
    )
    ids = {"ChannelId": f"far-{secrets.token_hex(4)}", "OtherChannelId": f"leg-{secrets.token_hex(4)}"}
    await pbx.send("Originate", Channel="Local/s@forging/n", Application="Wait", Data="60", Async="true", **ids)
    session = await legs.comes()
    assert session.variables["agi_uniqueid"] == ids["OtherChannelId"]
    assert session.variables["agi_calleridname"] == "x"
    assert session.arguments == ("95588", "")


@contextmanager
def files_opened() -> Iterator[list[str]]:
    """Every file this process opens meanwhile, by name."""
    opened: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir", "subprocess.Popen", "os.exec", "import"):
            opened.append(f"{event} {arguments[0]!r}")

    sys.addaudithook(watch)
    try:
        yield opened
    finally:
        watching = False


REQUESTS = ["../../etc/passwd?x", "..%2f..%2fetc%2fpasswd", "no/such/script", "leg?agi_uniqueid=1", "%00", "leg/", ""]


@pytest.mark.fault("A17")
@pytest.mark.parametrize("script", REQUESTS)
async def test_the_script_a_leg_asks_for_is_only_a_text(pbx: Pbx, script: str) -> None:
    """There is one story for every leg: the path opens nothing and chooses nothing."""
    legs = await pbx.legs()
    await pbx.command(f"dialplan add extension s,1,AGI(agi://127.0.0.1:{pbx.state.ports.agi}/{script}) into odd replace")
    with files_opened() as opened:
        ids = {"ChannelId": f"far-{secrets.token_hex(4)}", "OtherChannelId": f"odd-{secrets.token_hex(4)}"}
        await pbx.send("Originate", Channel="Local/s@odd/n", Application="Wait", Data="60", Async="true", **ids)
        session = await legs.comes()
        assert await session.get_variable("NOT_SET") is None
        session.close()
    assert session.variables["agi_request"] == f"agi://127.0.0.1:{pbx.state.ports.agi}/{script}"
    assert session.variables["agi_uniqueid"] == ids["OtherChannelId"]
    assert opened == []


WORDS = [
    *(
        'a "b" c',
        "a\\b",
        'a\\"b',
        "\\",
        '"',
        '\\\\"',
        "a  b ",
        " a",
        "a,b|c;d&e",
        "${X}$[1+1]",
        "Jörg 名前 🙂",
        "tab\tbell\x07",
    ),
    *("%0A", '"' * 1000),
]


@pytest.mark.fault("A18")
async def test_what_goes_to_asterisk_comes_back_as_it_was(pbx: Pbx) -> None:
    legs = await pbx.legs()
    _, session = await home(pbx, legs)
    for word in WORDS:
        await session.set_variable("WORD", word)
        assert await session.get_variable("WORD") == word
    longest = "x" * (MAX_COMMAND - len('SET VARIABLE "WORD" ""'))
    await session.set_variable("WORD", longest)
    assert await session.get_full_variable("${WORD}") == longest
    assert await session.get_variable("WORD") == longest[:1023]  # as Asterisk does it: see get_variable


@pytest.mark.fault("A18")
async def test_what_would_split_a_command_is_not_sent(pbx: Pbx) -> None:
    """M7: behind a line break, and behind byte 8,191, Asterisk runs a second command."""
    proxy = Proxy(pbx.reactor, pbx.state.ports.nobody_sip)
    proxy.port = pbx.state.ports.agi
    legs = await pbx.legs(port=pbx.state.ports.nobody_sip)
    await proxy.start()
    try:
        _, session = await home(pbx, legs)
        bad = [
            "x\nSET VARIABLE PWN 1",
            "x\r\nSET VARIABLE PWN 1",
            "x\r",
            "\n",
            "x\0y",
            "x" * MAX_COMMAND,
            "ö" * 2000,
            '"' * 2000,
        ]
        for word in bad:
            for work in (session.set_variable("WORD", word), session.verbose(word), session.set_variable(word, "1")):
                with pytest.raises(UnsafeValue) as error:
                    await work
                assert "PWN" not in str(error.value)
        for argument in ("2001,30,g", "a\nb", 'a"b', "a\\b"):
            with pytest.raises(UnsafeValue):
                await session.exec("Dial", argument)
        assert proxy.accepted[0].to_client.heard == b""
        assert await session.get_variable("PWN") is None
    finally:
        for session in list(legs.factory.sessions):
            session.close()
        await proxy.stop()
