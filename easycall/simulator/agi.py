"""FastAGI as Asterisk's side of it speaks: it tells about a leg, reads commands and answers them.  Pure.

Written apart from the daemon's own codec (:mod:`easycall.asterisk.agi`), so that one does not share the other's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["HANGUP", "MAX_LINE", "Reader", "answer", "environment", "words"]

HANGUP = b"HANGUP\n"
MAX_LINE = 8191
"""Bytes of one command with its line feed; what is longer is cut, and the rest is a command of its own."""
BUFFER = 8192
"""Bytes that are read ahead."""


def environment(variables: Iterable[tuple[str, str]]) -> bytes:
    """What is told about a leg, with the empty line at its end."""
    lines = [f"{name}: {value}" for name, value in variables]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogateescape")


def answer(code: int, text: str) -> bytes:
    """One answer; ``text`` of several lines comes as Asterisk writes it, with the code on each that has one."""
    return f"{code} {text}\n".encode("utf-8", "surrogateescape")


class Reader:
    """Cuts what comes into command lines."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[str]:
        """The lines that are read now that ``data`` has come, without their end.

        Asterisk looks for a line when there is something to read, and reads only when its buffer holds none: a second line
        that came with the first lies there until still more comes.
        """
        lines = []
        while data:
            line = self._line()
            if line is None:
                room = BUFFER - len(self._rest)
                self._rest, data = self._rest + data[:room], data[room:]
                line = self._line()
            if line is not None:
                lines.append(line)
        return lines

    def _line(self) -> str | None:
        """The first line of what lies in the buffer, if all of it does."""
        end = self._rest.find(b"\n", 0, MAX_LINE)
        if end < 0 and len(self._rest) < MAX_LINE:
            return None
        length = end if end >= 0 else MAX_LINE
        line, self._rest = self._rest[:length], self._rest[length + (end >= 0) :]
        return line.decode("utf-8", "surrogateescape")


def words(line: str) -> list[str]:
    """The words of a command: blanks part them, double quotes hold them together, a backslash takes the next as it is."""
    found: list[str] = []
    word: list[str] = []
    quoted = begun = False
    at, end = 0, len(line)
    while at < end:
        char = line[at]
        if char == "\\" and at + 1 < end:
            at += 1
            word.append(line[at])
            begun = True
        elif char == '"':
            quoted = not quoted
            begun = True
        elif char in " \t" and not quoted:
            if begun:
                found.append("".join(word))
            word, begun = [], False
        else:
            word.append(char)
            begun = True
        at += 1
    if begun:
        found.append("".join(word))
    return found
