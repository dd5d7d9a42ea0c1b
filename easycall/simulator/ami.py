"""AMI as Asterisk's side of it speaks: actions come in, answers and events go out.  Pure.

Written apart from the daemon's own codec (:mod:`easycall.asterisk.ami`), so that one does not share the other's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

__all__ = ["GREETING", "MAX_LINE", "MAX_LINES", "VERSION", "Reader", "Request", "arguments", "message"]

VERSION = "11.0.0"
GREETING = f"Asterisk Call Manager/{VERSION}\r\n".encode()
MAX_LINE = 1022
"""Bytes of a line of an action, without its end."""
MAX_LINES = 128

Headers = Iterable[tuple[str, str]]


@frozen
class Request:
    """An action as it came."""

    headers: tuple[tuple[str, str], ...]
    fault: str = ""
    """Why it could not be read; empty when it could."""

    def get(self, name: str) -> str:
        """The value of a header, in any case; the first, and empty when there is none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        wanted = name.lower()
        return [value for header, value in self.headers if header.lower() == wanted]


class Reader:
    """Cuts what comes into actions."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[tuple[str, str]] = []
        self._fault = ""

    def receive(self, data: bytes) -> list[Request]:
        """The actions that ``data`` completes.  LF ends a line, a CR before it belongs to the end."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: MAX_LINE + 2]  # enough to know that it is too long
        requests = []
        for line in lines:
            if line := line.removesuffix(b"\r").partition(b"\0")[0]:
                self._take(line)
            elif self._lines or self._fault:
                requests.append(Request(tuple(self._lines), self._fault))
                self._lines, self._fault = [], ""
        return requests

    def _take(self, line: bytes) -> None:
        if len(line) > MAX_LINE:  # what stands behind it is read all the same: an ActionID there is given back
            self._fault = self._fault or "Failed to parse message: line too long"
            return
        if len(self._lines) >= MAX_LINES:
            self._fault = self._fault or "Too many lines in message or allocation failure"
            return
        name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        self._lines.append((name, value.lstrip(" ")))


def arguments(text: str) -> list[str]:
    """A header's value cut at its commas; quotes and backslashes keep one, and are eaten, brackets keep one."""
    found = [""]
    depth, quoted, at = 0, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            found[-1] += text[at]
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted and not depth:
            found.append("")
        else:
            depth += (char in "([{") - (char in ")]}")
            found[-1] += char
        at += 1
    return [part.lstrip(" ") for part in found]


def message(headers: Headers, *, escaped: bool = True) -> bytes:
    """The bytes of an answer or event.

    Asterisk escapes control characters in most values; in those of Getvar, Status and UserEvent it does not, and whoever can
    put a line break into a variable can forge headers and whole events there (``escaped=False``).
    """
    pairs = list(headers)
    if escaped and not "".join([value for _, value in pairs]).isprintable():
        pairs = [(name, _escaped(value)) for name, value in pairs]
    return ("\r\n".join([f"{name}: {value}" for name, value in pairs]) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _escaped(value: str) -> str:
    return value.replace("\r", "\\r").replace("\n", "\\n").replace("\0", "")
