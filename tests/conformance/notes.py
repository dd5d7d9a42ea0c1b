"""What a check saw, in a form that is the same each time: no times, and names instead of ids."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from easycall.asterisk.ami import Message

OBSERVED = Path(__file__).parent / "observed"

STRANDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "state": {"Newchannel": ("ChannelStateDesc",), "Newstate": ("ChannelStateDesc",), "Hangup": ("Cause", "Cause-txt")},
    "far end": {"HangupRequest": ("Cause",)},
    "dial": {"DialBegin": (), "DialState": ("DialStatus",), "DialEnd": ("DialStatus",)},
    "bridge": {"BridgeEnter": (), "BridgeLeave": ()},
}
"""The events that a leg's life is read from, and those headers of them that count.

Those of one leg and one strand come in the order in which it happened.  Across strands they do not: DialState RINGING comes
before Newstate Ringing or behind it, and DialEnd before HangupRequest or behind it.
"""

ANYWHERE = re.compile(r"agi_threadid: \d+|agi_version: \S+|(?<=127\.0\.0\.1:)\d+|Timestamp: [\d.]+")
"""What belongs to the machine or the moment."""


class Notes:
    """The observations of one check."""

    def __init__(self, name: str) -> None:
        self.lines: list[str] = []
        self._file = OBSERVED / f"{name}.txt"
        self._names: dict[str, str] = {}

    def call(self, leg: str, name: str) -> None:
        """From now on write ``name`` for an id or a channel's name."""
        self._names[leg] = name

    def add(self, *what: str) -> None:
        """Note something."""
        self.lines.append(self.plain(": ".join(what)))

    def answer(self, to: str, answer: Message) -> None:
        """Note the answer to an action."""
        message = answer.get("Message")
        self.add(to, answer.get("Response") + (f", {message}" if message else ""))

    def plain(self, text: str) -> str:
        """Without what differs each time."""
        for leg in sorted(self._names, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(leg)}(?![\w.-])", self._names[leg], text)
        return ANYWHERE.sub(lambda found: re.sub(r"\S+\Z", "…", found[0]), text).replace("\r", "\\r")

    def record(self) -> None:
        """Keep the observations as what is right."""
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")

    def compare(self) -> None:
        """Raise AssertionError unless they are what was recorded."""
        assert self._file.exists(), f"{self._file.name}: nothing is recorded; --record does it, from a real Asterisk"
        recorded = self._file.read_text(encoding="utf-8").splitlines()
        difference = "\n".join(difflib.unified_diff(recorded, self.lines, "a real Asterisk", "here", lineterm="", n=9))
        assert recorded == self.lines, f"it is not as it was at a real Asterisk:\n{difference}"


def life(events: list[Message], leg: str) -> dict[str, list[str]]:
    """What events tell of a leg's life, strand by strand."""
    strands: dict[str, list[str]] = {}
    for event in events:
        for strand, kinds in STRANDS.items():
            of = event.get("DestUniqueid" if strand == "dial" else "Uniqueid")
            if event.name in kinds and of == leg:
                told = " ".join((event.name, *(event.get(header) for header in kinds[event.name])))
                strands.setdefault(strand, []).append(told)
    return strands
