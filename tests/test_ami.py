"""AMI's codec: the same messages however the stream is cut, bounds that hold, and nothing sent that Asterisk would split."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.asterisk import ami
from easycall.asterisk.ami import (
    MAX_ACTION_LINE,
    MAX_LINE,
    MAX_MESSAGE,
    Action,
    Codec,
    Message,
    ProtocolError,
    UnsafeValue,
    variable,
)

RECORDED = (Path(__file__).parent / "transcripts" / "ami-one-leg.txt").read_bytes()
"""Asterisk 22.10.1, everything on: log-in, Originate of a Local channel into FastAGI, Status, a command, Hangup, log-off."""

GREETING = b"Asterisk Call Manager/11.0.0\r\n"

TRANSCRIPT = GREETING + (
    b"Response: Success\r\nActionID: a-1\r\nChallenge: 135729468\r\n\r\n"
    b"Response: Success\r\nActionID: a-2\r\nMessage: Authentication accepted\r\n\r\n"
    b"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 12\r\nLastReload: 12\r\nStatus: Fully Booted\r\n\r\n"
    b"Event: Newchannel\r\nPrivilege: call,all\r\nChannel: PJSIP/world-00000001\r\nChannelState: 4\r\n"
    b"ChannelStateDesc: Ring\r\nCallerIDNum: 5551234\r\nCallerIDName: J\xf6rg\r\nAccountCode: \r\nUniqueid: 17.1\r\n\r\n"
    b"Event: VarSet\r\nPrivilege: dialplan,all\r\nChannel: PJSIP/world-00000001\r\nVariable: X\r\nValue: y\r\n\r\n"
    b"Response: Success\r\nActionID: a-3\r\nEventList: start\r\nMessage: Channel status will follow\r\n\r\n"
    b"Event: Status\r\nPrivilege: Call\r\nChannel: PJSIP/world-00000001\r\nUniqueid: 17.1\r\nBridgeID: \r\n"
    b"Variable: EC_CONTACT=01H\r\nVariable: EC_ROLE=caller\r\nActionID: a-3\r\n\r\n"
    b"Event: StatusComplete\r\nActionID: a-3\r\nEventList: Complete\r\nListItems: 1\r\nItems: 1\r\n\r\n"
    b"Response: Success\r\nActionID: a-4\r\nMessage: Command output follows\r\nOutput: Name  State\r\n"
    b"Output: \r\nOutput: a: b\r\n\r\n\r\n"
    b"Event: OriginateResponse\r\nPrivilege: call,all\r\nActionID: leg-1\r\nResponse: Failure\r\nReason: 0\r\n"
    b"Uniqueid: <null>\r\n\r\n"
    b"Event: Hangup\r\nPrivilege: call,all\r\nUniqueid: 17.1\r\nCause: 16\r\nCause-txt: Normal Clearing\r\n\r\n"
    b"Response: Goodbye\r\nActionID: a-5\r\nMessage: Thanks for all the fish.\r\n\r\n"
)
WANTED = ("FullyBooted", "Newchannel", "OriginateResponse", "Hangup")


def receive(*pieces: bytes, wanted: tuple[str, ...] = WANTED) -> list[bytes]:
    """The messages' bytes of a stream that comes in pieces, with the list a-3 open."""
    codec = Codec(wanted)
    codec.open_list("a-3")
    return [message.block for piece in pieces for message in codec.receive(piece)]


def feed(codec: Codec, stream: bytes, step: int) -> list[Message]:
    return [message for at in range(0, len(stream), step) for message in codec.receive(stream[at : at + step])]


WHOLE = receive(TRANSCRIPT)


def message(name: str) -> Message:
    codec = Codec(WANTED)
    codec.open_list("a-3")
    return next(each for each in codec.receive(TRANSCRIPT) if each.name == name)


def test_the_transcript_gives_what_is_wanted_and_no_more() -> None:
    codec = Codec(WANTED)
    codec.open_list("a-3")
    names = [each.name or each.get("Response") for each in codec.receive(TRANSCRIPT)]
    assert codec.greeting == "Asterisk Call Manager/11.0.0"
    assert names == [
        *("Success", "Success", "FullyBooted", "Newchannel", "Success", "Status", "StatusComplete"),
        *("Success", "OriginateResponse", "Hangup", "Goodbye"),
    ]
    assert codec.unwanted == 1


def test_every_event_is_given_to_who_names_none() -> None:
    for data, step in itertools.product((TRANSCRIPT, RECORDED), (1, 7, 1460, 1 << 20)):
        codec = Codec(None)
        blocks = [block.lstrip(b"\r\n") for block in data.partition(b"\n")[2].split(b"\r\n\r\n")]
        assert [each.block for each in feed(codec, data, step)] == list(filter(None, blocks))
        assert codec.unwanted == 0


@pytest.mark.parametrize("garbage", [b"garbage\r\n\r\n", b"Event: X\r\n\r\nEvnt: X\r\n\r\n", b"\r\nX: y\r\n\r\n"])
def test_who_names_none_is_not_given_garbage(garbage: bytes) -> None:
    codec = Codec(None)
    codec.receive(GREETING)
    with pytest.raises(ProtocolError):
        codec.receive(garbage)


def test_a_closed_list_is_delivered_no_more() -> None:
    codec = Codec(WANTED)
    codec.open_list("a-3")
    codec.close_list("a-3")
    assert "Status" not in [each.name for each in codec.receive(TRANSCRIPT)]


def test_byte_by_byte() -> None:
    assert receive(*(TRANSCRIPT[at : at + 1] for at in range(len(TRANSCRIPT)))) == WHOLE


def test_split_at_every_position() -> None:
    for at in range(len(TRANSCRIPT)):
        assert receive(TRANSCRIPT[:at], TRANSCRIPT[at:]) == WHOLE


@given(st.lists(st.integers(0, len(TRANSCRIPT)), max_size=12))
def test_split_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TRANSCRIPT)]
    assert receive(*(TRANSCRIPT[a:b] for a, b in itertools.pairwise(edges))) == WHOLE


PIECES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"Event: X\r\n",
    b"Response: Y\r\n",
    b"A: " + b"x" * 55,
    b"y",
    b"B: " + b"z" * 61,
)


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_bounds_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    """A protocol error too: what comes through in one piece comes through byte by byte."""

    def received(data: bytes, step: int) -> list[bytes] | None:
        try:
            return receive(*(data[at : at + step] for at in range(0, len(data), step)), wanted=("X",))
        except ProtocolError:
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ami, "MAX_LINE", 60)
        patch.setattr(ami, "MAX_MESSAGE", 200)
        data = GREETING + b"".join(pieces)
        assert received(data, 1) == received(data, 17) == received(data, 1 << 20)


def test_what_a_real_asterisk_said() -> None:
    codec = Codec(["Newchannel", "Hangup"])
    status = Message(RECORDED[RECORDED.index(b"Event: StatusComplete") :].partition(b"\r\n\r\n")[0])
    codec.open_list(status.action_id)
    messages = codec.receive(RECORDED)
    assert [each.name for each in messages if each.name] == [
        *("Newchannel", "Newchannel", "Status", "Status", "StatusComplete", "Hangup", "Hangup")
    ]
    assert all(each.ok for each in messages if not each.name)
    assert codec.unwanted == RECORDED.count(b"\r\nEvent: ") - 7
    [output] = [each for each in messages if each.all("Output")]
    assert output.all("Output")[-1].endswith("processed")
    assert next(each for each in messages if each.name == "Status").all("Variable") == [
        "EC_CONTACT=(null)",
        'X=a "b" \\c; d,e',
    ]


def test_the_recording_byte_by_byte_and_in_pieces() -> None:
    whole = receive(RECORDED, wanted=("Newchannel", "Hangup", "VarSet"))
    for step in (1, 2, 3, 7, 100, 1460):
        pieces = (RECORDED[at : at + step] for at in range(0, len(RECORDED), step))
        assert receive(*pieces, wanted=("Newchannel", "Hangup", "VarSet")) == whole
    for at in range(0, len(RECORDED), 13):
        assert receive(RECORDED[:at], RECORDED[at:], wanted=("Newchannel", "Hangup", "VarSet")) == whole


def test_headers_are_found_in_any_case_and_the_first_wins() -> None:
    twice = Message(b"Event: X\r\nChannel: one\r\nCHANNEL: two\r\nEmpty: \r\nxChannel: three")
    assert twice.get("channel") == "one"
    assert twice.all("Channel") == ["one", "two"]
    assert twice.get("Empty", "default") == ""
    assert twice.get("Missing", "default") == "default"
    assert twice.get("event") == "X"
    assert twice.headers()[1] == ("Channel", "one")


@given(st.lists(st.sampled_from(["A", "a", "Ab", "AB", "B"]), max_size=8))
def test_all_fields_at_once_are_those_that_are_found_one_by_one(names: list[str]) -> None:
    one = Message("\r\n".join(["Event: X", "no header", *(f"{name}: {at}" for at, name in enumerate(names))]).encode())
    assert one.fields() == {name.lower(): one.get(name) for name in ["Event", *names]}


def test_repeated_headers_are_kept() -> None:
    assert message("Status").all("Variable") == ["EC_CONTACT=01H", "EC_ROLE=caller"]


def test_command_output_is_kept_line_by_line() -> None:
    codec = Codec()
    output = next(each for each in codec.receive(TRANSCRIPT) if each.action_id == "a-4")
    assert output.all("Output") == ["Name  State", "", "a: b"]


def test_bytes_that_are_not_utf_8_survive() -> None:
    name = message("Newchannel").get("CallerIDName")
    assert name.encode("utf-8", "surrogateescape") == b"J\xf6rg"


def test_originate_response_is_an_event_though_it_has_a_response() -> None:
    event = message("OriginateResponse")
    assert event.is_event
    assert not event.ok
    assert event.action_id == "leg-1"
    assert event.get("Response") == "Failure"


@pytest.mark.parametrize(("response", "ok"), [("Success", True), ("Goodbye", True), ("Error", False), ("", False)])
def test_ok(response: str, ok: bool) -> None:
    assert Message(f"Response: {response}\r\nMessage: x".encode()).ok is ok


def test_repr_shows_no_values() -> None:
    assert "17.1" not in repr(message("Hangup"))
    assert "1234" not in repr(Action.of("SetVar", Variable="PIN=1234"))


def test_event_names_of_one_line_messages() -> None:
    codec = Codec(["Ping"])
    assert [each.name for each in codec.receive(GREETING + b"Event: Ping\r\n\r\n\r\n\r\nEvent: Ping\r\n\r\n")] == [
        "Ping",
        "Ping",
    ]


# Bounds


@pytest.mark.parametrize("step", [1 << 30, 4096])
def test_a_line_without_end_is_a_protocol_error(step: int) -> None:
    codec = Codec()
    stream = GREETING + b"Event: X\r\nA: " + b"x" * (MAX_LINE + 1)
    with pytest.raises(ProtocolError):
        feed(codec, stream, step)


@pytest.mark.parametrize("step", [1 << 30, 4096])
def test_a_long_line_that_ends_is_a_protocol_error(step: int) -> None:
    codec = Codec()
    stream = GREETING + b"Event: X\r\nA: " + b"x" * (MAX_LINE + 1) + b"\r\n\r\n"
    with pytest.raises(ProtocolError):
        feed(codec, stream, step)


@pytest.mark.parametrize("end", [b"", b"\r\n"])
@pytest.mark.parametrize("step", [1 << 30, 4096])
def test_a_message_without_end_is_a_protocol_error(step: int, end: bytes) -> None:
    codec = Codec()
    stream = GREETING + b"Event: X\r\n" + b"A: 0123456789\r\n" * (MAX_MESSAGE // 15 + 1) + end
    with pytest.raises(ProtocolError):
        feed(codec, stream, step)


def test_a_message_of_the_greatest_size_is_taken() -> None:
    block = b"Event: X\r\n" + b"A: 0123456789\r\n" * 60_000
    codec = Codec(["X"])
    stream = GREETING + block + b"\r\n"
    assert [len(each.block) for each in feed(codec, stream, 65536)] == [len(block) - 2]


@pytest.mark.parametrize(
    "garbage",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 8, b"A" * 100_000, b"Asterisk Call Mahager/1\n", b"\r\n", b"Asterisk\n"],
)
def test_a_peer_that_does_not_greet_like_asterisk_is_refused(garbage: bytes) -> None:
    with pytest.raises(ProtocolError):
        Codec().receive(garbage)


@pytest.mark.parametrize("garbage", [b"garbage\r\n\r\n", b"Evnt: X\r\n\r\n", b"\r\nX: y\r\n\r\n"])
def test_a_message_that_is_neither_event_nor_response_is_refused(garbage: bytes) -> None:
    codec = Codec()
    codec.receive(GREETING)
    with pytest.raises(ProtocolError):
        codec.receive(garbage)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_comes_it_is_messages_or_a_protocol_error(pieces: list[bytes]) -> None:
    codec = Codec(["X"])
    codec.receive(GREETING)
    try:
        for piece in pieces:
            for each in codec.receive(piece.replace(b"\n", b"\r\n\r\nEvent: X\r\n")):
                each.headers()
                each.get("a")
                each.all("b")
    except ProtocolError:
        pass


# Encoding


def test_the_action_id_is_the_second_header() -> None:
    data = Codec.encode(Action.of("Originate", Channel="PJSIP/100", Variable=["A=1", "B=2"]), "x-1")
    assert data == (b"Action: Originate\r\nActionID: x-1\r\nChannel: PJSIP/100\r\nVariable: A=1\r\nVariable: B=2\r\n\r\n")


@pytest.mark.parametrize("bad", ["a\r\nAction: Ping", "a\nb", "a\rb", "a\0b", "\n\nAction: Logoff"])
def test_line_breaks_are_refused_everywhere(bad: str) -> None:
    """A01, A02: nothing of it is sent."""
    with pytest.raises(UnsafeValue):
        Codec.encode(Action("Ping", (("Message", bad),)), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action("Ping", ((bad, "x"),)), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action(bad), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action("Ping"), bad)


def test_other_line_separators_are_text() -> None:
    assert "a\u2028b\u0085c".encode() in Codec.encode(Action.of("UserEvent", Text="a\u2028b\u0085c"), "1")


def test_the_error_does_not_show_the_value() -> None:
    with pytest.raises(UnsafeValue) as caught:
        Codec.encode(Action.of("Setvar", Value="41111111\n"), "1")
    assert "4111" not in str(caught.value)
    assert "Value" in str(caught.value)


def test_length_limits() -> None:
    """A03, M9."""
    fits = "x" * (MAX_ACTION_LINE - len("Value: "))
    Codec.encode(Action.of("Setvar", Value=fits), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action.of("Setvar", Value=fits + "x"), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action.of("Setvar", Value="ö" * (MAX_ACTION_LINE // 2)), "1")
    Codec.encode(Action.of("Originate", Variable=["A=1"] * 126), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action.of("Originate", Variable=["A=1"] * 127), "1")


@pytest.mark.parametrize("header", ["Channel", "channel", "Channel1", "ExtraChannel", "OtherChannel"])
@pytest.mark.parametrize("pattern", ["//", "/^PJSIP/", " //", "\t /./"])
def test_channel_patterns_are_refused(header: str, pattern: str) -> None:
    """A05, M13: ``Hangup`` of ``//`` hangs up every call."""
    with pytest.raises(UnsafeValue):
        Codec.encode(Action("Hangup", ((header, pattern),)), "1")


def test_an_action_does_not_bring_its_own_action_id() -> None:
    with pytest.raises(UnsafeValue):
        Codec.encode(Action.of("Ping", ActionID="2"), "1")


def test_lone_surrogates_are_refused_and_escaped_bytes_sent_as_they_were() -> None:
    with pytest.raises(UnsafeValue):
        Codec.encode(Action.of("Ping", A="\ud800"), "1")
    with pytest.raises(UnsafeValue):
        Codec.encode(Action.of("Ping", A="\udc0a"), "1")
    assert b"A: \xf6\r\n" in Codec.encode(Action.of("Ping", A="\udcf6"), "1")


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
                lambda name: name.lower() not in ("action", "actionid")
            ),
            st.text(max_size=200),
        ),
        max_size=10,
    )
)
def test_what_is_encoded_is_read_back_or_refused(headers: list[tuple[str, str]]) -> None:
    """One action stays one action, with these headers and no others."""
    try:
        data = Codec.encode(Action("Test", tuple(headers)), "id-1")
    except UnsafeValue:
        return
    assert data.count(b"\n") == len(headers) + 3
    assert data.count(b"\r\n\r\n") == 1
    assert b"\0" not in data
    read = Message(data[:-4]).headers()
    assert read == [("Action", "Test"), ("ActionID", "id-1"), *headers]


@pytest.mark.parametrize("value", ["01HXYZ", "a-b_c.d:e=", "J\xf6rg M\xfcller", "", "${SHELL(id)}"])
def test_variable(value: str) -> None:
    assert variable("EC_CONTACT", value) == f"EC_CONTACT={value}"


@pytest.mark.parametrize("value", ["Smith, John,PWN=1", '"', "\\", "a\nb", "\0", "\x7f"])
def test_variable_refuses_what_asterisk_would_split(value: str) -> None:
    """A04, M11."""
    with pytest.raises(UnsafeValue):
        variable("X", value)


@pytest.mark.parametrize("name", ["", "1X", "X=Y", "X,Y", "CHANNEL(language)", "X Y", "X\n"])
def test_variable_refuses_names(name: str) -> None:
    with pytest.raises(UnsafeValue):
        variable(name, "x")
