"""The story so far: what a scenario that failed prints."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from ..proxy import Proxy

TOLD = 60
"""Lines of the story."""
SAID = 60
"""Messages of the two wires."""
WIDTH = 220
"""Of a line."""

DULL = re.compile(
    "(Privilege|Language|AccountCode|Context|Exten|Priority|Linkedid|ConnectedLine.*|CallerIDName|ChannelState|EventList"
    "|Bridge(Type|Technology|Creator|Name|VideoSourceMode)|Dest(Language|AccountCode|Context|Exten|Priority|Linkedid"
    "|ConnectedLine.*|CallerIDName|ChannelState)|Secret|Key): .*"
)
"""Headers of AMI that no failure was ever explained by."""
TELLING = ("agi_uniqueid", "agi_channel", "agi_arg_")
"""What counts of the lines a FastAGI session begins with."""


class Story:
    """Who did what, and what happened to whom, in its order."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._began = clock.seconds()
        self._told: deque[tuple[float, str, str]] = deque(maxlen=TOLD)

    def tell(self, who: str, what: str) -> None:
        """It happens now."""
        self._told.append((self._clock.seconds(), who, what))

    def so_far(self, feed: Iterable[Mapping[str, Any]], wires: Mapping[str, Proxy]) -> str:
        """Everything in words, with the seconds since the beginning: people and the live feed; then what was said.

        ``wires``: "AMI" and "AGI" -> what the daemon speaks through, if anything is between.  ``>`` is said by the daemon.
        """
        lines = [*self._told, *((one["at"], "feed", _event(one)) for one in feed if one["kind"] != "snapshot")]
        said = [*_ami(wires["AMI"]), *_agi(wires["AGI"])] if wires else []
        return f"{self._printed(lines, TOLD)}\nlast messages (> easycall, < Asterisk):\n{self._printed(said, SAID)}"

    def _printed(self, lines: list[tuple[float, str, str]], count: int) -> str:
        newest = sorted(lines, key=lambda line: line[0])[-count:]
        return "\n".join(f"{at - self._began:8.3f}  {who:<10} {what}"[:WIDTH] for at, who, what in newest)


def _event(message: Mapping[str, Any]) -> str:
    facts = (f"{name}={value}" for name, value in message.items() if name not in ("kind", "at", "seq") and value != "")
    return f"{message['kind']} {' '.join(facts)}"


def _ami(wire: Proxy) -> list[tuple[float, str, str]]:
    return [
        (at, f"AMI {sign}", " | ".join(line for line in text.splitlines() if not DULL.fullmatch(line)))
        for sign, way in ((">", wire.to_server), ("<", wire.to_client))
        for at, _, text in way.messages(b"\r\n\r\n")
    ]


def _agi(wire: Proxy) -> list[tuple[float, str, str]]:
    """Each line with the number of its session."""
    numbers = {pipe: n for n, one in enumerate(wire.accepted, 1) for pipe in (one.to_server, one.to_client)}
    return [
        (at, f"AGI {sign} {numbers[pipe]}", text)
        for sign, way in ((">", wire.to_client), ("<", wire.to_server))
        for at, pipe, text in way.messages(b"\n")
        if not text.startswith("agi_") or text.startswith(TELLING)
    ]
