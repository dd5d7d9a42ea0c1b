"""What a real Asterisk said, in every piece the network may cut it into: always the same messages, and what they mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from easycall.asterisk import agi, ami
from easycall.asterisk.agi import Environment, Hangup, Reply
from easycall.asterisk.ami import Message
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.fastagi import CommandFailed, FastAgiFactory, Session, SessionOver
from easycall.asterisk.leg_events import LegEvents
from easycall.asterisk.link import Link
from easycall.asterisk.roster import Roster
from easycall.defer import start

from .proxy import in_channel_order

FOLDER = Path(__file__).parent / "transcripts"
AMI = {path.stem.removeprefix("ami-"): path.read_bytes() for path in sorted(FOLDER.glob("ami-*.txt"))}
AGI = {path.stem.removeprefix("agi-"): path.read_bytes() for path in sorted(FOLDER.glob("agi-*.txt"))}

SHORT = 12_000
"""Bytes up to which a transcript is cut at every position; a longer one at some."""


def names(said: bytes) -> list[str]:
    """The names of all events in a transcript."""
    return sorted({line[7:].decode() for line in said.split(b"\r\n") if line.startswith(b"Event: ")})


def heard(pieces: Iterable[bytes], wanted: Iterable[str]) -> list[bytes]:
    """What the codec makes of a stream in pieces."""
    codec = ami.Codec(wanted)
    return [message.block for piece in pieces for message in codec.receive(piece)]


def messages(name: str) -> list[Message]:
    """All messages of a transcript."""
    return ami.Codec(names(AMI[name])).receive(AMI[name])


def events(name: str, *wanted: str) -> list[Message]:
    """The events of a transcript, of these names if any are given."""
    return [message for message in messages(name) if message.name and (not wanted or message.name in wanted)]


def in_steps(said: bytes, step: int) -> list[bytes]:
    return [said[at : at + step] for at in range(0, len(said), step)]


def places(said: bytes) -> range:
    """Where to cut it in two."""
    return range(0, len(said) + 1, 1 if len(said) <= SHORT else 7)


def test_there_is_a_transcript_of_everything() -> None:
    assert {"menu", "bridge", "transfer", "conference", "fax", "lists", "restart", "one-leg"} <= set(AMI)
    assert {"menu-1", "bridge-1", "bridge-2", "bridge-3", "transfer-1", "fax-1", "one-leg"} <= set(AGI)


@pytest.mark.parametrize("name", [*AMI, *AGI])
def test_nothing_of_the_machine_is_in_a_transcript(name: str) -> None:
    said = AMI.get(name, b"") + AGI.get(name, b"")
    for bad in (b"/home/", b"/root/", b"/work", b"/var/lab", b"Secret:", b"Key: ", b"Username:"):
        assert bad not in said


# AMI


@pytest.mark.parametrize("said", AMI.values(), ids=AMI)
def test_every_line_of_every_message_is_there(said: bytes) -> None:
    greeting, _, rest = said.partition(b"\r\n")
    codec = ami.Codec(names(said))
    blocks = [message.block for message in codec.receive(said)]
    assert codec.greeting == greeting.decode()
    assert b"".join(block + b"\r\n\r\n" for block in blocks) == rest
    assert codec.unwanted == 0
    for message in map(Message, blocks):
        lines = [f"{header}: {value}".encode("utf-8", "surrogateescape") for header, value in message.headers()]
        assert b"\r\n".join(lines) == message.block
        for header, value in message.headers():
            assert message.get(header) == message.all(header)[0]
            assert value in message.all(header.upper())


@pytest.mark.parametrize("said", AMI.values(), ids=AMI)
@pytest.mark.parametrize("wanted", [None, ("Hangup", "BridgeEnter", "FullyBooted"), ()], ids=["all", "three", "none"])
def test_ami_in_any_pieces(said: bytes, wanted: tuple[str, ...] | None) -> None:
    listened = names(said) if wanted is None else wanted
    whole = heard([said], listened)
    for step in (1, 2, 3, 7, 100, 1460):
        assert heard(in_steps(said, step), listened) == whole
    for at in places(said):
        assert heard((said[:at], said[at:]), listened) == whole


@given(st.sampled_from(sorted(AMI)), st.data())
@settings(deadline=None)
def test_ami_cut_anywhere(name: str, data: st.DataObject) -> None:
    said = AMI[name]
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=12))), len(said)]
    assert heard((said[a:b] for a, b in itertools.pairwise(edges)), names(said)) == heard([said], names(said))


@pytest.mark.parametrize("said", AMI.values(), ids=AMI)
@pytest.mark.parametrize("step", [1, 50, 1460, 1 << 20])
def test_listeners_hear_the_same_in_the_same_order(said: bytes, step: int) -> None:
    """Over the link, however the stream is cut and however many turns it takes."""
    clock, told = Clock(), list[str]()
    link = Link(clock, {name: lambda event: told.append(event.name) for name in names(said)})
    link.makeConnection(StringTransport())
    for piece in in_steps(said, step):
        link.dataReceived(piece)
    while clock.getDelayedCalls():
        clock.advance(0)
    assert told == [message.name for message in ami.Codec(names(said)).receive(said) if message.name]
    assert link.reason == ""


def test_a_menu_call() -> None:
    told = events("menu", "Newchannel", "Newstate", "HangupRequest", "Hangup")
    assert [event.name for event in told] == ["Newchannel", "Newstate", "HangupRequest", "Hangup"]
    assert len({event.get("Uniqueid") for event in told}) == 1
    assert {event.get("CallerIDName") for event in told} == {"Jörg"}
    assert (told[0].get("Exten"), told[-1].get("Cause")) == ("95588", "16")


def test_a_queue_call() -> None:
    """Ringing, answer, both into one bridge, both out of it, both gone."""
    told = events("bridge")
    caller = next(event.get("Uniqueid") for event in told if event.name == "Newchannel")
    agent = "ec-1-agent-1"
    bridge = next(event.get("BridgeUniqueid") for event in told if event.name == "BridgeCreate")
    moves = [
        (event.name, event.get("Uniqueid"), event.get("BridgeUniqueid"))
        for event in told
        if event.name.startswith("BridgeE")
    ]
    assert sorted(moves) == sorted([("BridgeEnter", caller, bridge), ("BridgeEnter", agent, bridge)])
    [response] = [event for event in told if event.name == "OriginateResponse"]
    assert (response.action_id, response.get("Response")) == (agent, "Success")
    ringing = [
        event.get("ChannelStateDesc") for event in told if event.name == "Newstate" and event.get("Uniqueid") == agent
    ]
    assert ringing == ["Ringing", "Up"]
    assert [event.get("Uniqueid") for event in told if event.name == "Hangup"] == [agent, caller]


def test_transfers() -> None:
    """The caller talks with the first agent, with the second, and with the first again, who takes him over."""
    together: dict[str, list[str]] = {}
    for event in events("transfer", "BridgeEnter"):
        together.setdefault(event.get("BridgeUniqueid"), []).append(event.get("Uniqueid"))
    caller = next(event.get("Uniqueid") for event in events("transfer", "Newchannel"))
    first, second = "ec-2-agent-1", "ec-2-agent-2"
    assert [sorted(pair) for pair in together.values()] == [sorted([caller, agent]) for agent in (first, second, first)]


def test_a_conference() -> None:
    joined = [event.get("Uniqueid") for event in events("conference", "ConfbridgeJoin")]
    assert len(joined) == 3
    assert {event.get("Conference") for event in events("conference", "ConfbridgeJoin", "ConfbridgeLeave")} == {"900"}
    assert sorted(event.get("Uniqueid") for event in events("conference", "ConfbridgeLeave")) == sorted(joined)
    assert len(events("conference", "ConfbridgeMute")) == 1


def test_a_fax() -> None:
    assert len(events("fax", "FAXStatus")) >= 2
    [sent] = events("fax", "SendFAX")
    assert sent.get("PagesTransferred") == "1"


def test_lists_and_their_ends() -> None:
    """Each item has its ActionID, the last says how many there were; refused and empty ones have no items."""
    answers = {message.action_id: message for message in messages("lists") if not message.name}
    items: dict[str, list[Message]] = {}
    for event in events("lists"):
        if event.action_id and event.name != "OriginateResponse":
            items.setdefault(event.action_id, []).append(event)
    assert len(items) >= 6
    for action_id, listed in items.items():
        assert answers[action_id].ok
        assert answers[action_id].get("EventList").lower() == "start"
        assert listed[-1].get("EventList").lower() == "complete"
        assert listed[-1].name.endswith("Complete")
        assert int(listed[-1].get("ListItems")) == len(listed) - 1
    refused = [answer for answer in answers.values() if not answer.ok]
    assert "No active conferences." in [answer.get("Message") for answer in refused]
    assert any("Invalid/unknown command" in answer.get("Message") for answer in refused)
    [command] = [answer for answer in answers.values() if answer.all("Output")]
    assert len(command.all("Output")) >= 2
    statuses = [event for event in events("lists", "Status") if event.get("BridgeID")]
    assert "EC_CONTACT=01HZZZZZZZZZZZZZZZZZZZZZZZ" in statuses[0].all("Variable")
    assert "NOT_SET=(null)" in statuses[0].all("Variable")
    assert len({status.get("BridgeID") for status in statuses}) == 1


def test_fully_booted_after_a_restart() -> None:
    """We were logged in, and had asked something, before Asterisk had booted; it says how long it has been up: 0 s."""
    told = messages("restart")
    at = next(number for number, message in enumerate(told) if message.name == "FullyBooted")
    assert told[at].get("Uptime") == "0"
    assert [message.ok for message in told[:at]] == [True] * at
    assert at >= 3


def legs_in(name: str) -> list[str]:
    """The legs that end in a transcript."""
    return [event.get("Uniqueid") for event in events(name, "Hangup")]


@pytest.mark.fault("F18")
@pytest.mark.parametrize("name", ["menu", "bridge", "transfer", "fax"])
@pytest.mark.parametrize("within_channels", [False, True])
def test_in_whatever_order_events_come_the_end_is_the_same(name: str, within_channels: bool) -> None:
    """Every leg is gone, told so once, and nothing of it is left; 8,000 orders of recorded streams in all."""
    random, told = Random(name), events(name)  # noqa: S311
    blocks = [event.block for event in told]
    assert legs_in(name)
    for _ in range(1000):
        shuffled = random.sample(blocks, len(blocks))
        play(name, [Message(block) for block in (shuffled if within_channels else in_channel_order(blocks, shuffled))])


@pytest.mark.fault("F17")
@pytest.mark.parametrize("name", ["menu", "bridge", "transfer", "fax"])
def test_events_told_twice_change_nothing(name: str) -> None:
    told = events(name)
    play(name, [event for event in told for _ in range(2)])
    play(name, told + told)


def play(name: str, told: list[Message]) -> None:
    """Let the legs of a transcript hear its events."""
    clock, gone = Clock(), list[str]()
    roster = Roster("pbx", clock)
    listeners = LegEvents(roster, lambda leg: True, lambda leg: None).listeners()
    for leg_id in legs_in(name):
        leg = roster.add(AsteriskChannel(leg_id, lambda leg: True, lambda leg: None, dialled=leg_id.startswith("ec-")))
        leg.when_gone().addCallback(lambda _, leg_id=leg_id: gone.append(leg_id))
    for event in told:
        if event.name in listeners:
            listeners[event.name](event)
            clock.advance(0.001)
    assert sorted(gone) == sorted(legs_in(name))
    assert not len(roster)
    clock.advance(10)
    assert not clock.getDelayedCalls()


# FastAGI


def read(pieces: Iterable[bytes]) -> list[Environment | Reply | Hangup]:
    codec = agi.Codec()
    return [item for piece in pieces for item in codec.receive(piece)]


@pytest.mark.parametrize("said", AGI.values(), ids=AGI)
def test_agi_in_any_pieces(said: bytes) -> None:
    whole = read([said])
    assert isinstance(whole[0], Environment)
    for step in (2, 3, 7, 100):
        assert read(in_steps(said, step)) == whole
    for at in range(len(said) + 1):
        assert read((said[:at], said[at:])) == whole
    assert read(in_steps(said, 1)) == whole


def test_what_the_menu_call_answered() -> None:
    replies = [item for item in read([AGI["menu-1"]]) if isinstance(item, Reply)]
    assert [(reply.result, reply.data) for reply in replies] == [
        *(("0", ""), ("1", ""), ("0", ""), ("12", ""), ("", "timeout"), ("49", "")),
        *(("1", "01HZZZZZZZZZZZZZZZZZZZZZZZ"), ("1", '"Jörg" <+4930123456>'), ("0", ""), ("-1", "")),
    ]
    assert replies[2].endpos == 16320
    environment = read([AGI["menu-1"]])[0]
    assert isinstance(environment, Environment)
    assert environment.arguments == ("95588", "")
    assert environment.variables["agi_calleridname"] == "Jörg"


@pytest.mark.parametrize("name", ["menu-1", "bridge-1", "bridge-2"])
def test_hung_up_or_taken_looks_the_same(name: str) -> None:
    *_, last, end = read([AGI[name]])
    assert isinstance(last, Reply)
    assert (last.code, last.result) == (200, "-1")
    assert isinstance(end, Hangup)


@pytest.mark.parametrize("name", AGI)
@pytest.mark.parametrize("step", [1, 4096])
def test_each_recorded_answer_finds_its_command(name: str, step: int) -> None:
    """Over a session, as Asterisk does it: an answer to each command, and HANGUP when it comes."""
    clock, wire, served = Clock(), StringTransport(), list[Session]()
    factory = FastAgiFactory(served.append, clock)
    session = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    assert session is not None
    session.makeConnection(wire)
    environment, _, rest = AGI[name].partition(b"\n\n")
    feed(session, environment + b"\n\n", step)
    assert served == [session]
    expected = [item for item in read([AGI[name]]) if isinstance(item, Reply)]
    for reply, said in zip(expected, answers(rest), strict=True):
        outcome: list[Any] = []
        start(session.command("NOOP")).addBoth(outcome.append)
        feed(session, said, step)
        [result] = outcome
        if isinstance(result, Failure):
            assert isinstance(result.value, CommandFailed if reply.code != 200 else SessionOver)
        else:
            assert result == reply
    if rest.endswith(b"HANGUP\n"):
        feed(session, b"HANGUP\n", step)
        assert session.over
    assert not session.over or rest.endswith(b"HANGUP\n")
    session.close()
    session.connectionLost()
    assert not clock.getDelayedCalls()


def feed(session: Session, said: bytes, step: int) -> None:
    for piece in in_steps(said, step):
        session.dataReceived(piece)


def answers(said: bytes) -> list[bytes]:
    """The bytes of each answer: as much as the codec needs to see it whole."""
    codec, found, part = agi.Codec(), list[bytes](), b""
    codec.receive(b"agi_network: yes\n\n")
    for line in said.splitlines(keepends=True):
        part += line
        for item in codec.receive(line):
            if isinstance(item, Reply):
                found.append(part)
            part = b""
    return found
