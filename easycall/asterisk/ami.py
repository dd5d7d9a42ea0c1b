"""AMI, the Asterisk Manager Interface, as bytes and messages: no sockets, no clock.

The wire, as Asterisk 22 speaks it::

    Asterisk Call Manager/11.0.0            one greeting line, with no empty line behind it

    Action: Bridge                          an action: header lines, an empty line; CR LF ends a line, but so does LF alone
    ActionID: 5f3a-17                       given back in the answer and in each item of a list
    Channel1: PJSIP/100-0000002a

    Response: Success                       the first line tells an answer from an event
    ActionID: 5f3a-17
    Message: Channels bridged

    Event: Hangup                           about 24 headers, 600 bytes
    ...

A busy Asterisk tells far more than anybody wants, so a message is only cut out of the stream and its name looked at;
headers are searched when somebody asks for one.  What is unwanted is dropped before that.

Values are mostly **not** escaped by Asterisk: whoever can put a line break into a channel variable can write headers and
whole events into this stream.  A message is a hint, to be held against ids of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from attrs import field, frozen

__all__ = [
    "MAX_ACTION_LINE",
    "MAX_ACTION_LINES",
    "MAX_LINE",
    "MAX_MESSAGE",
    "Action",
    "Codec",
    "Message",
    "ProtocolError",
    "UnsafeValue",
    "variable",
]

MAX_LINE = 64 * 1024
"""Bytes of one incoming line; more is a protocol error."""
MAX_MESSAGE = 1024 * 1024
"""Bytes of one incoming message; more is a protocol error."""
MAX_ACTION_LINE = 1022
"""Bytes of one outgoing line, without its end: Asterisk 22 refuses the whole action when one is longer."""
MAX_ACTION_LINES = 128
"""Lines of one outgoing action: Asterisk 22 refuses it when it has more."""

_GREETING = b"Asterisk Call Manager/"
_MAX_GREETING = 256
_CRLF = b"\r\n"
_END = b"\r\n\r\n"
_EVENT = b"Event: "
_RESPONSE = b"Response: "
_ACTION_ID = b"\r\nActionID: "

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,80}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_BREAKS = re.compile(r"[\r\n\0]")
_SPLITS = re.compile(r'[\x00-\x1f\x7f,"\\]')
_SKIPPED = "".join(map(chr, range(33)))
"""What Asterisk skips before it looks at a value (``ast_skip_blanks``)."""
_SUCCESS = b"Response: Success\r\n"
"""Nearly every answer."""
_OK = frozenset({b"response: success", b"response: goodbye", b"response: follows", b"response: pong"})


class UnsafeValue(ValueError):
    """A value that Asterisk would read as something else than was meant; nothing was sent.

    The text names the place and the rule, never the value: it may be a secret.
    """


class ProtocolError(Exception):
    """The peer does not speak the protocol, or goes beyond its bounds: the connection is of no more use."""


@frozen
class Action:
    """A request to Asterisk."""

    name: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """In the order they are sent.  Not shown by ``repr``: values may be private."""

    @classmethod
    def of(cls, name: str, /, **headers: str | Iterable[str]) -> Action:
        """``Action.of("Originate", Channel="PJSIP/100", Variable=["A=1", "B=2"])``: a list repeats its header."""
        pairs: list[tuple[str, str]] = []
        for header, value in headers.items():
            if isinstance(value, str):
                pairs.append((header, value))
            else:
                pairs.extend((header, each) for each in value)
        return cls(name, tuple(pairs))


def variable(name: str, value: str) -> str:
    """``NAME=value`` for a ``Variable:`` header.  Raises UnsafeValue.

    Asterisk splits that header at commas and eats quotes and backslashes (``NAME=Smith, John,PWN=1`` would set PWN), so
    these are refused.  Text written by strangers does not belong into channel variables at all.
    """
    if not _VARIABLE.fullmatch(name):
        raise UnsafeValue("name of a channel variable: only letters, digits and '_', at most 80, no digit first")
    if _SPLITS.search(value):
        raise UnsafeValue(f"channel variable {name}: no comma, quote, backslash or control character is allowed")
    return f"{name}={value}"


class Message:
    """One answer or event.  It holds its bytes; a header is searched when it is asked for, whatever its case.

    Bytes that are not UTF-8 come as surrogate escapes and turn into the same bytes again when they are encoded so.
    """

    __slots__ = ("_folded", "block", "name")

    def __init__(self, block: bytes, name: str | None = None) -> None:
        self.block = block
        """The message as it came, without the empty line at its end."""
        self.name: str = _event_name(block) if name is None else name
        """The event's name, ``""`` for an answer.  OriginateResponse is an event although it has a ``Response`` header."""
        self._folded: bytes | None = None

    def __repr__(self) -> str:
        return f"<Event {self.name}>" if self.name else "<Response>"  # no values: they may be keyed digits

    @property
    def is_event(self) -> bool:
        """True for an event, False for the answer to an action."""
        return self.name != ""

    @property
    def action_id(self) -> str:
        """The ActionID of the action this belongs to, ``""`` for an event of its own."""
        return _listed(self.block).decode("utf-8", "surrogateescape")

    @property
    def ok(self) -> bool:
        """True when it is an answer that says the action was carried out."""
        return not self.name and (self.block.startswith(_SUCCESS) or self.block.partition(_CRLF)[0].lower() in _OK)

    def get(self, header: str, default: str = "") -> str:
        """The value of the first header of that name, in any case."""
        folded = self._folded
        if folded is None:
            folded = self._folded = _CRLF + self.block.lower()
        key = _key(header)
        at = folded.find(key)
        return default if at < 0 else self._value(at + len(key) - 2)

    def all(self, header: str) -> list[str]:
        """The values of every header of that name: ``Variable``, ``ChanVariable``, and ``Output`` of a command."""
        folded = self._folded
        if folded is None:
            folded = self._folded = _CRLF + self.block.lower()
        key = _key(header)
        values = []
        at = folded.find(key)
        while at >= 0:
            values.append(self._value(at + len(key) - 2))
            at = folded.find(key, at + len(key))
        return values

    def headers(self) -> list[tuple[str, str]]:
        """Every header and its value, in order.  A line that is no header is left out."""
        lines = self.block.decode("utf-8", "surrogateescape").split("\r\n")
        return [(name, value) for line in lines for name, colon, value in (line.partition(": "),) if colon]

    def fields(self) -> dict[str, str]:
        """The first value of every header by its name in lower case: :meth:`get` for all of them at once."""
        lines = self.block.decode("utf-8", "surrogateescape").split("\r\n")
        lines.reverse()  # the first of a name is then the last to be put down
        return {name.lower(): value for line in lines for name, colon, value in (line.partition(": "),) if colon}

    def _value(self, start: int) -> str:
        """The text from ``start`` to the end of the line."""
        block = self.block
        end = block.find(_CRLF, start)
        return (block[start:end] if end >= 0 else block[start:]).decode("utf-8", "surrogateescape")


@lru_cache(maxsize=512)
def _key(header: str) -> bytes:
    return b"\r\n" + header.encode("utf-8", "surrogateescape").lower() + b": "


def _event_name(block: bytes) -> str:
    if not block.startswith(_EVENT):
        return ""
    return block[len(_EVENT) :].partition(_CRLF)[0].decode("utf-8", "surrogateescape")


class Codec:
    """One connection's stream: :meth:`receive` takes bytes and gives messages, :meth:`encode` makes an action's bytes.

    ``wanted`` are the names of the events to be given, None for every one; answers are given always.  After a ProtocolError
    the codec is of no more use.
    """

    def __init__(self, wanted: Iterable[str] | None = ()) -> None:
        self.greeting = ""
        """What Asterisk said first, ``Asterisk Call Manager/11.0.0``; empty until it did."""
        self.unwanted = 0
        """How many messages were dropped unread."""
        self._every = wanted is None
        self._wanted = {name.encode(): name for name in wanted or ()}
        self._lists: set[bytes] = set()
        self._parts: list[bytes] = []  # of a message whose end has not come
        self._tail = b""
        self._size = 0
        self._open_line = 0

    def open_list(self, action_id: str) -> None:
        """Deliver every event with this ActionID from now on, whatever its name."""
        self._lists.add(action_id.encode())

    def close_list(self, action_id: str) -> None:
        """Undo :meth:`open_list`."""
        self._lists.discard(action_id.encode())

    def receive(self, data: bytes) -> list[Message]:
        """The wanted messages that ``data`` completes, in order.  Raises ProtocolError."""
        if not self.greeting:
            data = self._greet(data)
        elif self._parts:
            data = self._joined(data)
        if not data:
            return []
        blocks = data.split(_END)
        if rest := blocks.pop():
            self._keep(rest)
        if len(data) > MAX_LINE and blocks and len(max(blocks, key=len)) > MAX_LINE:
            _measure(blocks)
        if not blocks:
            return []
        return _all_of(blocks) if self._every else self._sorted_out(blocks)

    def _sorted_out(self, blocks: list[bytes]) -> list[Message]:
        """Turn the wanted ones of ``blocks`` into messages: the first line decides, nothing else is looked at."""
        wanted, lists, messages = self._wanted, self._lists, []
        for block in blocks:
            if block.startswith(_EVENT):
                end = block.find(_CRLF, 7)
                name = wanted.get(block[7:end] if end > 0 else block[7:])
                if name is not None:
                    messages.append(Message(block, name))
                elif lists and _listed(block) in lists:
                    messages.append(Message(block))
            elif block.startswith(_RESPONSE):
                messages.append(Message(block, ""))
            elif (message := self._other(block)) is not None:
                messages.append(message)
        self.unwanted += len(blocks) - len(messages)
        return messages

    def _other(self, block: bytes) -> Message | None:
        """A block that does not begin as an event does; some messages end with an empty line too many."""
        block = block.lstrip(_CRLF)
        if block.startswith(_RESPONSE):
            return Message(block, "")
        if block and not block.startswith(_EVENT):
            raise _neither()
        message = Message(block)
        return message if message.name.encode("utf-8", "surrogateescape") in self._wanted else None

    def _greet(self, data: bytes) -> bytes:
        """Take the greeting line off the stream; what is behind it is returned."""
        data = b"".join(self._parts) + data
        self._parts = []
        line, end, rest = data.partition(b"\n")
        begins = _GREETING if end else _GREETING[: len(line)]
        if not line.startswith(begins) or len(line) > _MAX_GREETING:
            raise ProtocolError("the greeting is not that of an Asterisk Call Manager")
        if not end:
            self._parts = [data]
            return b""
        self.greeting = line.decode("utf-8", "replace").strip()
        return rest

    def _joined(self, data: bytes) -> bytes:
        """What is kept and ``data`` in one piece if the message's end may be in it, else nothing.

        Only joined when it is worth it, so that a message in a thousand pieces is not copied a thousand times.
        """
        if _END not in self._tail + data:
            self._keep(data)
            return b""
        self._parts.append(data)
        data = b"".join(self._parts)
        self._parts, self._size, self._open_line = [], 0, 0
        return data

    def _keep(self, data: bytes) -> None:
        """Keep the beginning of a message until its end comes."""
        lengths = [len(line) for line in data.split(b"\n")]
        lengths[0] += self._open_line
        self._open_line = lengths[-1]
        self._size += len(data)
        if max(lengths) > MAX_LINE + 1 or self._size > MAX_MESSAGE + 3:  # the beginning of its end may be among it
            raise _beyond_bounds()
        self._tail = ((self._tail if self._parts else b"") + data)[-3:]
        self._parts.append(data)

    @staticmethod
    def encode(action: Action, action_id: str) -> bytes:
        """The action's bytes, ActionID second so that every error can give it back.  Raises UnsafeValue."""
        if not _is_name(action.name):
            raise UnsafeValue("name of an action: only letters, digits, '_' and '-' are allowed")
        if not _ID.fullmatch(action_id):
            raise UnsafeValue(f"{action.name}, ActionID: only letters, digits and '._:-' are allowed, at most 80")
        lines = [f"Action: {action.name}", f"ActionID: {action_id}"]
        for header, value in action.headers:
            if not (value.isprintable() and value[:1] > "/" and _header(header)[0]):  # nearly all are harmless
                _check(action.name, header, value)
            lines.append(f"{header}: {value}")
        if len(lines) > MAX_ACTION_LINES:
            raise UnsafeValue(f"{action.name}: {len(lines)} lines, Asterisk takes {MAX_ACTION_LINES}")
        data = "\r\n".join(lines).encode("utf-8", "surrogateescape") + _END
        if len(data) > MAX_ACTION_LINE:
            _measure_lines(action, data)
        return data


def _check(action: str, header: str, value: str) -> None:
    """Raise UnsafeValue if Asterisk would read this header line as something else."""
    allowed, names_channel = _header(header)
    if not allowed:
        raise UnsafeValue(f"{action}: a header's name is letters, digits, '_' and '-', and not Action or ActionID")
    if _BREAKS.search(value):  # any of them ends the line for Asterisk: a second action could follow
        raise UnsafeValue(f"{action}, {header}: CR, LF and NUL are not allowed")
    if names_channel and value.lstrip(_SKIPPED).startswith("/"):
        raise UnsafeValue(f"{action}, {header}: a name that begins with '/' is a pattern for many channels")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UnsafeValue(f"{action}, {header}: not text that can be encoded") from None


def _measure_lines(action: Action, data: bytes) -> None:
    """Raise UnsafeValue if one of the lines is too long."""
    for (header, _), line in zip(action.headers, data.split(_CRLF)[2:], strict=False):
        if len(line) > MAX_ACTION_LINE:
            raise UnsafeValue(f"{action.name}, {header}: {len(line)} bytes, Asterisk takes {MAX_ACTION_LINE} in a line")


@lru_cache(maxsize=512)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=512)
def _header(name: str) -> tuple[bool, bool]:
    """Whether a header of an action may have this name, and whether its value is the name of a channel."""
    folded = name.lower()
    return _is_name(name) and folded not in ("action", "actionid"), "channel" in folded


def _all_of(blocks: list[bytes]) -> list[Message]:
    """Turn all of ``blocks`` into messages."""
    blocks = [block for each in blocks if (block := each.lstrip(_CRLF))]
    if not all(block.startswith((_EVENT, _RESPONSE)) for block in blocks):
        raise _neither()
    return [Message(block) for block in blocks]


def _listed(block: bytes) -> bytes:
    """The ActionID of a message, ``b""`` if it has none."""
    at = block.find(_ACTION_ID)
    if at < 0:
        return b""
    end = block.find(_CRLF, at + len(_ACTION_ID))
    return block[at + len(_ACTION_ID) : end if end >= 0 else None]


def _measure(blocks: list[bytes]) -> None:
    for block in blocks:
        if len(block) > MAX_MESSAGE or max(map(len, (block + b"\r").split(b"\n"))) > MAX_LINE + 1:
            raise _beyond_bounds()


def _neither() -> ProtocolError:
    return ProtocolError("a message that is neither an event nor a response")


def _beyond_bounds() -> ProtocolError:
    return ProtocolError(f"a line of more than {MAX_LINE} bytes or a message of more than {MAX_MESSAGE}")
