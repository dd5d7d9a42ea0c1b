"""FastAGI's codec: the same items however the stream is cut, no answer taken for another, nothing sent that would split."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.asterisk import agi
from easycall.asterisk.agi import (
    MAX_COMMAND,
    MAX_ENVIRONMENT_LINES,
    Codec,
    Environment,
    Hangup,
    ProtocolError,
    Reply,
    UnsafeValue,
    command,
)

RECORDED = (Path(__file__).parent / "transcripts" / "agi-one-leg.txt").read_bytes()
"""Asterisk 22.10.1: a leg that is told a dozen things and is hung up in WAIT FOR DIGIT."""

ENVIRONMENT = (
    b"agi_network: yes\nagi_network_script: leg\nagi_request: agi://127.0.0.1:4573/leg\n"
    b"agi_channel: PJSIP/world-00000001\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: 1700000000.12\n"
    b'agi_version: 22.10.1\nagi_callerid: 5551234\nagi_calleridname: J\xf6rg: "x"\nagi_callingpres: 0\n'
    b"agi_dnid: 95588\nagi_rdnis: unknown\nagi_context: easycall\nagi_extension: s\nagi_priority: 1\n"
    b"agi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140\nagi_arg_1: caller\nagi_arg_2: \nagi_arg_3: 95588\n\n"
)
USAGE = (
    b"520-Invalid command syntax.  Proper usage follows:\n Usage: WAIT FOR DIGIT <timeout>\n"
    b" Waits up to 'timeout' milliseconds for channel to receive a DTMF digit.\n520 End of proper usage.\n"
)
REPLIES = (
    b"200 result=0\n"
    b"200 result=49 endpos=8000\n"
    b"200 result=1 (PJSIP/world-00000001)\n"
    b"200 result=1 (two\n200 result=0\nlines)\n"
    b"200 result= (timeout)\n"
    b"200 result=1234\n"
    b"510 Invalid or unknown command\n" + USAGE + b"100 result=0 Trying...\n"
    b"200 result=0 Gosub complete\n"
    b"520 Invalid command syntax.  Proper usage not available.\n"
    b"200 result=0 (timeout) endpos=16000\n"
    b'200 result=1 (speech) endpos=800 results=1 score0=95 text0="yes" grammar0=bool\n'
    b"200 result=1 (((a) b))\n"
    b"200 result=1 ()\n"
    b"200 result=-1\n"
    b"HANGUP\n"
    b"511 Command Not Permitted on a dead channel or intercept routine\n"
)
TRANSCRIPT = ENVIRONMENT + REPLIES


def receive(*pieces: bytes) -> list[Environment | Reply | Hangup]:
    codec = Codec()
    return [item for piece in pieces for item in codec.receive(piece)]


def reply(line: bytes) -> Reply:
    [item] = receive(ENVIRONMENT + line)[1:]
    assert isinstance(item, Reply)
    return item


def feed(codec: Codec, stream: bytes, step: int) -> None:
    for at in range(0, len(stream), step):
        codec.receive(stream[at : at + step])


WHOLE = receive(TRANSCRIPT)


def test_the_environment() -> None:
    environment = WHOLE[0]
    assert isinstance(environment, Environment)
    assert environment.variables["agi_uniqueid"] == "1700000000.12"
    assert environment.variables["agi_calleridname"].encode("utf-8", "surrogateescape") == b'J\xf6rg: "x"'
    assert environment.variables["agi_accountcode"] == ""
    assert environment.arguments == ("caller", "", "95588")


def test_the_replies() -> None:
    assert WHOLE[1:] == [
        Reply(200, "0", ""),
        Reply(200, "49", "", 8000),
        Reply(200, "1", "PJSIP/world-00000001"),
        Reply(200, "1", "two\n200 result=0\nlines"),
        Reply(200, "", "timeout"),
        Reply(200, "1234", ""),
        Reply(510, "", "Invalid or unknown command"),
        Reply(520, "", USAGE[4:-1].decode()),
        Reply(200, "0", "Gosub complete"),
        Reply(520, "", "Invalid command syntax.  Proper usage not available."),
        Reply(200, "0", "timeout", 16000, "endpos=16000"),
        Reply(200, "1", "speech", 800, 'endpos=800 results=1 score0=95 text0="yes" grammar0=bool'),
        Reply(200, "1", "((a) b)"),
        Reply(200, "1", ""),
        Reply(200, "-1", ""),
        Hangup(),
        Reply(511, "", "Command Not Permitted on a dead channel or intercept routine"),
    ]


def test_byte_by_byte() -> None:
    assert receive(*(TRANSCRIPT[at : at + 1] for at in range(len(TRANSCRIPT)))) == WHOLE


def test_split_at_every_position() -> None:
    for at in range(len(TRANSCRIPT)):
        assert receive(TRANSCRIPT[:at], TRANSCRIPT[at:]) == WHOLE


@given(st.lists(st.integers(0, len(TRANSCRIPT)), max_size=12))
def test_split_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TRANSCRIPT)]
    assert receive(*(TRANSCRIPT[a:b] for a, b in itertools.pairwise(edges))) == WHOLE


def test_what_a_real_asterisk_said() -> None:
    whole = receive(RECORDED)
    assert [item.data for item in whole if isinstance(item, Reply) and item.code == 200 and item.data] == [
        *('a "b" \\c; d,e', "a\nb) c", "timeout", "Gosub label not found", "timeout")
    ]
    assert [item.code for item in whole if isinstance(item, Reply) and item.code != 200] == [510, 520]
    assert isinstance(whole[-1], Hangup)
    for at in range(len(RECORDED)):
        assert receive(RECORDED[:at], RECORDED[at:]) == whole


def test_a_hangup_in_the_middle_of_a_usage_text() -> None:
    first, rest = USAGE.split(b"\n", 1)
    assert [type(item) for item in receive(ENVIRONMENT, first + b"\nHANGUP\n" + rest)] == [Environment, Hangup, Reply]


@pytest.mark.parametrize("value", ["x) endpos=5", "a b", "(", ")", "a)b", "x\ny) endpos=5", "endpos=7", "200 result=0"])
def test_a_value_is_what_it_is(value: str) -> None:
    got = reply(f"200 result=1 ({value})\n".encode())
    assert (got.data, got.endpos) == (value, None)


@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=60))
def test_a_value_is_read_whole_or_the_stream_is_refused(value: str) -> None:
    """Never a part of a value, and never its rest as another answer that looks well."""
    try:
        items = receive(ENVIRONMENT + f"200 result=1 ({value})\n".encode())[1:]
    except ProtocolError:
        assert "\n" in value
        return
    if len(items) == 1:
        assert isinstance(items[0], Reply)
        assert items[0].data == value
    else:
        assert ")\n" in value  # more than one item at once: the session ends (tests/test_fastagi.py)


@pytest.mark.parametrize(
    "line", [b"hello\n", b"20 result=1\n", b"200result=1\n", b"\n", b"200 foo\n", b"\xff\xfe\n", b"200\n"]
)
def test_a_line_that_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        receive(ENVIRONMENT + line)


def test_clean_tells_whether_something_came_behind_the_answer() -> None:
    codec = Codec()
    codec.receive(ENVIRONMENT)
    codec.receive(b"200 result=0\nHANG")
    assert codec.clean
    codec.receive(b"UP\n200")
    assert not codec.clean


def test_digits_are_not_shown() -> None:
    assert "4111" not in repr(reply(b"200 result=4111\n"))
    assert "4111" not in repr(reply(b"200 result=1 (4111)\n"))


# Bounds and forgeries of the environment (A16)


@pytest.mark.parametrize(
    "data",
    [
        b"agi_x: 1\n" * 10_000,
        b"agi_x: " + b"x" * 5000,
        b"agi_x: " + b"x" * 5000 + b"\n",
        b"".join(b"agi_%d: %s\n" % (i, b"x" * 1000) for i in range(100)),
        b"x" * 1_000_000,
        b"GET / HTTP/1.1\n",
        b"\x16\x03\x01\n",
    ],
)
@pytest.mark.parametrize("step", [1 << 30, 1000])
def test_an_environment_beyond_the_bounds_is_refused(data: bytes, step: int) -> None:
    codec = Codec()
    with pytest.raises(ProtocolError):
        feed(codec, data, step)


@pytest.mark.parametrize("number", [MAX_ENVIRONMENT_LINES, MAX_ENVIRONMENT_LINES + 1])
def test_the_bound_is_the_same_however_the_environment_is_cut(number: int) -> None:
    data = b"".join(b"agi_%d: x\n" % i for i in range(number)) + b"\n"
    for at in range(len(data) - 12, len(data)):
        codec = Codec()
        try:
            items = codec.receive(data[:at]) + codec.receive(data[at:])
        except ProtocolError:
            items = []
        assert len(items) == (number <= MAX_ENVIRONMENT_LINES)


PIECES = (
    b"\n",
    b"\n\n",
    b"agi_x: 1\n",
    b"200 result=1 (",
    b")\n",
    b"520-x\n",
    b"520 y\n",
    b"x" * 30,
    b"HANGUP\n",
    b"200 result=" + b"1" * 60 + b"\n",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_bounds_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    """A protocol error too: what comes through in one piece comes through byte by byte."""

    def received(data: bytes, step: int) -> list[Environment | Reply | Hangup] | None:
        try:
            return receive(*(data[at : at + step] for at in range(0, len(data), step)))
        except ProtocolError:
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agi, "MAX_REPLY", 60)
        patch.setattr(agi, "MAX_ENVIRONMENT", 100)
        patch.setattr(agi, "MAX_ENVIRONMENT_LINE", 60)
        for data in (b"agi_y: 1\n\n" + b"".join(pieces), b"".join(pieces)):
            assert received(data, 1) == received(data, 17) == received(data, 1 << 20)


@pytest.mark.parametrize("first", [b"agi", b"agi_network", b"\n", b"x\nagi_network: yes"])
def test_an_environment_that_begins_otherwise_is_refused(first: bytes) -> None:
    with pytest.raises(ProtocolError):
        receive(first + b"\n\n")


def test_the_first_of_a_name_counts() -> None:
    [environment] = receive(b"agi_uniqueid: 1\nagi_calleridname: x\nagi_uniqueid: 2\nrest of a name\n\n")
    assert isinstance(environment, Environment)
    assert environment.variables == {"agi_uniqueid": "1", "agi_calleridname": "x"}


def test_an_answer_without_end_is_refused() -> None:
    for line in (b"200 result=1 (" + b"x" * 70_000, b"200 result=1 (x\n" + b"y\n" * 40_000, b"520-x\n" + b"y\n" * 70_000):
        codec = Codec()
        codec.receive(ENVIRONMENT)
        with pytest.raises(ProtocolError):
            feed(codec, line, 1000)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_whatever_comes_it_is_items_or_a_protocol_error(pieces: list[bytes]) -> None:
    codec = Codec()
    codec.receive(ENVIRONMENT)
    try:
        for piece in pieces:
            codec.receive(piece.replace(b"\0", b"\n200 result=").replace(b"\1", b" ("))
    except ProtocolError:
        pass


# Commands


def parsed(line: bytes) -> list[str]:
    """What Asterisk's ``parse_args`` makes of a line: quotes group, a backslash keeps the next character."""
    words, word, quoted, escaped, open_word = [], "", False, False, False
    for character in line.decode("utf-8", "surrogateescape").removesuffix("\n"):
        if escaped:
            word, escaped, open_word = word + character, False, True
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted, open_word = not quoted, True
        elif character in " \t" and not quoted:
            if open_word:
                words.append(word)
            word, open_word = "", False
        else:
            word, open_word = word + character, True
    return [*words, word] if open_word else words


def test_a_command() -> None:
    assert command("SET VARIABLE", "X", 'a "b" \\c') == b'SET VARIABLE "X" "a \\"b\\" \\\\c"\n'
    assert command("ANSWER") == b"ANSWER\n"
    assert command("STREAM FILE", "welcome", "") == b'STREAM FILE "welcome" ""\n'


@given(st.lists(st.text(max_size=100), max_size=5))
def test_each_word_arrives_as_it_is_or_is_refused(words: list[str]) -> None:
    """A18."""
    try:
        line = command("SET VARIABLE", *words)
    except UnsafeValue:
        assert any(re.search("[\r\n\0\ud800-\udfff]", word) for word in words)
        return
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_COMMAND + 1
    assert parsed(line) == ["SET", "VARIABLE", *words]


@pytest.mark.parametrize("word", ["a\nSET VARIABLE PWN yes", "a\rb", "a\0b", "x" * MAX_COMMAND, "\ud800"])
def test_words_that_would_split_are_refused_and_not_shown(word: str) -> None:
    """A18, M7."""
    with pytest.raises(UnsafeValue) as caught:
        command("SET VARIABLE", "PIN", word)
    assert word not in str(caught.value)


@pytest.mark.parametrize("verb", ["", "answer", "ANSWER\n", "ANSWER\nHANGUP", ' "X"', "A  B"])
def test_a_verb_is_one_of_ours(verb: str) -> None:
    with pytest.raises(UnsafeValue):
        command(verb)
