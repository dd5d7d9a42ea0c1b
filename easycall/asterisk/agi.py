"""FastAGI, Asterisk's gateway interface over TCP, as bytes and messages: no sockets, no clock.

The wire, as Asterisk 22 speaks it; LF ends a line, and a CR before it would belong to the text::

    agi_network: yes                        Asterisk connects and tells about the leg, up to an empty line
    agi_uniqueid: 1700000000.12             ...
    agi_arg_1: caller

    STREAM FILE "welcome" "12"              we send one command, one line, and wait for its answer
    200 result=49 endpos=8000               the answer; 49 is the key "1"

    200 result=1 (PJSIP/100)                text of an answer is in brackets, and is not escaped
    200 result= (timeout)                   GET DATA without a key
    100 result=0 Trying...                  not an answer yet (GOSUB)
    510 Invalid or unknown command          we made a mistake
    520-Invalid command syntax.  ...        so too, in several lines up to
    520 End of proper usage.
    511 Command Not Permitted on a dead ... the leg is not ours any more
    HANGUP                                  so too, at any moment and unasked
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from easycall.asterisk.ami import ProtocolError, UnsafeValue

__all__ = [
    "MAX_COMMAND",
    "Codec",
    "Environment",
    "Hangup",
    "ProtocolError",
    "Reply",
    "UnsafeValue",
    "command",
]

MAX_COMMAND = 4000
"""Bytes of one command.  Asterisk cuts a line at 8,191 bytes and runs the rest as a second command."""
MAX_ENVIRONMENT_LINES = 200
MAX_ENVIRONMENT_LINE = 4 * 1024
MAX_ENVIRONMENT = 64 * 1024
MAX_REPLY = 64 * 1024

_VERB = re.compile(r"[A-Z]+(?: [A-Z]+)*")
_BREAKS = re.compile(r"[\r\n\0]")
_PLAIN = re.compile(r"200 result=(\S*)(?: \(([^()]*)\))?")
"""Nearly every answer."""
_RESULT = re.compile(r"result=(\S*)(?: (.*))?", re.DOTALL)
_WITH_REST = re.compile(
    r"\((speech|digit|timeout|hangup|dtmf|randomerror|waitfor)\) ((?:digit=. )?endpos=-?\d+(?: results=.*)?)", re.DOTALL
)
"""Answers of RECORD FILE and SPEECH RECOGNIZE, which go on behind their brackets; all others end with them."""
_ENDPOS = re.compile(r"(?:^|\s)endpos=(-?\d+)")
_CLOSED = re.compile(r"\)\Z")
_ARGUMENT = re.compile(r"agi_arg_([1-9]\d{0,2})")


@frozen
class Environment:
    """What Asterisk tells about the leg when it connects."""

    variables: Mapping[str, str] = field(repr=False)
    """``agi_uniqueid`` and so on.  The first of a name counts: texts of the caller come late and could forge a second.

    Of arguments, which come later still, the last counts.
    """
    arguments: tuple[str, ...]
    """The arguments of the dialplan's ``AGI()``, in order."""


@frozen
class Reply:
    """The answer to a command.  Its texts may be keyed digits, so ``repr`` does not show them."""

    code: int
    """200, or 510, 511, 520, 503."""
    result: str = field(repr=False)
    """What stands behind ``result=``: a number, keyed digits, or nothing."""
    data: str = field(repr=False)
    """What stands in brackets, or else behind the result; of an error its text."""
    endpos: int | None = None
    """Where in the file playing or recording ended, in samples, for commands that tell it."""
    rest: str = field(default="", repr=False)
    """What stands behind the brackets."""


@frozen
class Hangup:
    """Asterisk says that the leg is not ours any more: hung up, or taken into a bridge."""


def command(verb: str, *words: str) -> bytes:
    """The bytes of one command, ``command("SET VARIABLE", "X", "a b")``; each word arrives as it is.

    Raises UnsafeValue for CR, LF, NUL and for more than 4,000 bytes; it never cuts.  The error does not show the words.
    """
    if not _VERB.fullmatch(verb):
        raise UnsafeValue("an AGI command is made of capital letters")
    parts = [verb]
    for number, word in enumerate(words, 1):
        if _BREAKS.search(word):  # the rest of the word would be run as a second command
            raise UnsafeValue(f"{verb}, word {number}: CR, LF and NUL are not allowed")
        parts.append('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"')
    try:
        line = " ".join(parts).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UnsafeValue(f"{verb}: not text that can be encoded") from None
    if len(line) > MAX_COMMAND:
        raise UnsafeValue(f"{verb}: {len(line)} bytes, the limit is {MAX_COMMAND}")
    return line + b"\n"


class Codec:
    """One connection's stream: :meth:`receive` takes bytes and gives the environment, then answers and hang-ups.

    After a ProtocolError the codec is of no more use.
    """

    def __init__(self) -> None:
        self._begun: bytearray | None = bytearray()  # the environment as far as it came; None behind it
        self._line = b""  # the one whose end has not come
        self._lines: list[str] = []  # of an answer in several lines
        self._ends = _CLOSED
        self._size = 0

    @property
    def clean(self) -> bool:
        """True while nothing came behind the last complete item, except perhaps the beginning of HANGUP."""
        return not self._lines and b"HANGUP".startswith(self._line)

    def receive(self, data: bytes) -> list[Environment | Reply | Hangup]:
        """What ``data`` completes, in order.  Raises ProtocolError."""
        received: list[Environment | Reply | Hangup] = []
        if self._begun is not None:
            environment, data = self._begin_with(self._begun, data)
            if environment is None:
                return received
            received.append(environment)
            self._begun = None
        data = self._line + data if self._line else data
        lines = data.split(b"\n")
        if len(data) > MAX_REPLY and max(map(len, lines)) > MAX_REPLY:
            raise _too_long()
        self._line = lines.pop()
        for line in lines:
            if (item := self._reply_line(line.decode("utf-8", "surrogateescape"))) is not None:
                received.append(item)
        if self._size + len(self._line) > MAX_REPLY:
            raise _too_long()
        return received

    @staticmethod
    def _begin_with(begun: bytearray, data: bytes) -> tuple[Environment | None, bytes]:
        """The environment, once ``data`` completes what has begun, and what is behind it."""
        seen = len(begun)
        begun += data
        end = begun.find(b"\n\n", max(seen - 1, 0))
        block, rest = (begun.removesuffix(b"\n"), b"") if end < 0 else (begun[:end], bytes(begun[end + 2 :]))
        first, ended, _ = begun[:MAX_ENVIRONMENT_LINE].partition(b"\n")
        if not (first.startswith(b"agi_") and b":" in first if ended else b"agi_".startswith(first[:4])):
            raise ProtocolError("the peer is no Asterisk: the first line is no agi_ variable")
        if len(block) > MAX_ENVIRONMENT_LINE and (
            len(block) > MAX_ENVIRONMENT or max(map(len, block.split(b"\n"))) > MAX_ENVIRONMENT_LINE
        ):
            raise ProtocolError("an environment that is too long")
        if block.count(b"\n") >= MAX_ENVIRONMENT_LINES:
            raise ProtocolError(f"an environment of more than {MAX_ENVIRONMENT_LINES} lines")
        return (None if end < 0 else _environment(block)), rest

    def _reply_line(self, line: str) -> Reply | Hangup | None:
        if self._lines:
            return self._more(line)
        if (plain := _PLAIN.fullmatch(line)) is not None:
            return Reply(200, plain[1], plain[2] or "")
        if line == "HANGUP":
            return Hangup()
        code, mark, rest = line[:3], line[3:4], line[4:]
        if not (code.isascii() and code.isdigit()) or mark not in (" ", "-"):
            raise ProtocolError("a line that is no answer")
        if mark == "-":
            self._begin(line, re.compile(rf"\A{code} "))
            return None
        data = rest.partition(" ")[2]
        if data.startswith("(") and not data.endswith(")") and not _WITH_REST.fullmatch(data):
            self._begin(line, _CLOSED)  # a value with a line break in it: up to the closing bracket it is all value
            return None
        return None if code == "100" else _reply(int(code), rest)

    def _begin(self, line: str, ends: re.Pattern[str]) -> None:
        self._lines, self._ends, self._size = [line], ends, len(line)

    def _more(self, line: str) -> Reply | Hangup | None:
        """A further line of an answer in several lines."""
        usage = self._lines[0][3] == "-"
        if usage and line == "HANGUP":
            return Hangup()
        self._lines.append(line)
        self._size += len(line) + 1
        if self._size > MAX_REPLY:
            raise _too_long()
        if not self._ends.search(line):
            return None
        text = "\n".join(self._lines)
        self._lines, self._size = [], 0
        return Reply(int(text[:3]), "", text[4:]) if usage else _reply(int(text[:3]), text[4:])


def _too_long() -> ProtocolError:
    return ProtocolError(f"an answer of more than {MAX_REPLY} bytes")


def _reply(code: int, text: str) -> Reply:
    """An answer from what stands behind its code."""
    match = _RESULT.fullmatch(text)
    if match is None:
        if code == 200:
            raise ProtocolError("an answer without a result")
        return Reply(code, "", text)
    result, data, rest = match[1], match[2] or "", ""
    if data.startswith("("):
        with_rest = _WITH_REST.fullmatch(data)
        data, rest = with_rest.groups() if with_rest else (data[1:-1], "")
        endpos = _ENDPOS.search(rest)
    elif (endpos := _ENDPOS.search(data)) is not None:
        data = data[: endpos.start()]
    return Reply(code, result, data, int(endpos[1]) if endpos else None, rest)


def _environment(block: bytearray) -> Environment:
    variables: dict[str, str] = {}
    for line in block.decode("utf-8", "surrogateescape").split("\n"):
        name, colon, value = line.partition(":")
        if colon and name.startswith("agi_arg_"):  # these come behind every text of a caller
            variables[name] = value.removeprefix(" ")
        elif colon and name.startswith("agi_"):  # else a further line of a value with a line break in it
            variables.setdefault(name, value.removeprefix(" "))
    numbered = {
        int(found[1]): value
        for name, value in variables.items()
        if name.startswith("agi_arg_") and (found := _ARGUMENT.fullmatch(name))
    }
    return Environment(variables, tuple(numbered.get(number, "") for number in range(1, max(numbered, default=0) + 1)))
