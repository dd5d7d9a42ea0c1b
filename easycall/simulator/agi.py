"""FastAGI as Asterisk's side of it speaks: it tells about a leg, reads commands and answers them.  Pure.

Written apart from the daemon's own codec (:mod:`easycall.asterisk.agi`), so that one does not share the other's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["HANGUP", "MAX_LINE", "Reader", "answer", "environment", "words"]

HANGUP = b"HANGUP\n"
MAX_LINE = 8191
"""Bytes of one command line; what is longer is cut, and the rest is a command of its own."""


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
        """The lines that ``data`` completes, without their end; empty ones are left out."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE:
            lines.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        cut = [line[at : at + MAX_LINE] for line in lines for at in range(0, len(line), MAX_LINE)]
        return [line.decode("utf-8", "surrogateescape") for line in cut if line.strip()]


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
