"""The search for planted digits: everything that was written or said, and a table of what was found."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import wave
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

__all__ = ["Logs", "Needles", "Searched", "files_below", "keys_in", "samples_of", "tone_of"]

WINDOW = 8
"""Digits in a row that do not stand somewhere by chance."""


@frozen
class Needles:
    """What is looked for: secrets, their pieces, and other ways to write them."""

    secrets: tuple[str, ...]

    def forms(self) -> set[bytes]:
        """Each as bytes."""
        found: set[str] = set()
        for secret in self.secrets:
            found |= {secret[start : start + WINDOW] for start in range(len(secret) - WINDOW + 1)}
            for mark in (" ", "-", ", ", "', '", '", "', ","):
                found |= {mark.join(secret), mark.join(secret[at : at + 4] for at in range(0, len(secret), 4))}
        forms = {text.encode() for text in found} | {text.encode("utf-16-le") for text in found}
        for secret in self.secrets:
            for shift in range(3):  # whatever stands before it
                coded = base64.b64encode(b"\0" * shift + secret.encode())
                forms.add(coded[4 if shift else 0 : -4])
            forms.add(secret.encode().hex().encode())
        return forms

    def hits(self, data: bytes) -> int:
        """How often one of them stands there."""
        return sum(data.count(form) for form in self.forms())


@frozen
class Searched:
    """Places, and what was in them."""

    needles: Needles
    places: dict[str, bytes] = field(factory=dict)

    def add(self, place: str, *what: Any) -> None:
        """Look there, too."""
        parts = [one if isinstance(one, bytes) else json.dumps(one, default=str).encode() for one in what]
        self.places[place] = b"\n".join((self.places.get(place, b""), *parts))

    def hits(self) -> dict[str, int]:
        """Place -> how often something planted stands there."""
        return {place: self.needles.hits(data) for place, data in self.places.items()}

    def table(self) -> str:
        """For people."""
        lines = [f"{place:<52} {len(self.places[place]):>10} {hits:>6}" for place, hits in self.hits().items()]
        return "\n".join((f"{'searched':<52} {'bytes':>10} {'hits':>6}", *lines))


class Logs:
    """All that is logged at any level, with every value of each event."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __enter__(self) -> Logs:
        globalLogPublisher.addObserver(self._observe)
        return self

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self._observe)

    def _observe(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))
        self.lines += [f"{name}={value!r}" for name, value in event.items()]
        if (failure := event.get("log_failure")) is not None:
            self.lines.append(failure.getTraceback(detail="verbose"))


def files_below(*folders: Path, but: Iterable[str] = ()) -> Mapping[str, bytes]:
    """Every file's content, by its name below its folder; not those in folders named ``but``."""
    found: dict[str, bytes] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            name = str(file.relative_to(folder.parent))
            if file.is_file() and not file.is_symlink() and not set(file.relative_to(folder).parts) & set(but):
                with suppress(OSError):  # gone in this moment
                    found[name] = file.read_bytes()
    return found


# Keys as tones

RATE = 8000
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477)
PAD = ("123", "456", "789", "*0#")
BLOCK = 205
"""Samples that are looked at at once: in so many each of the tones has whole waves, nearly."""


def samples_of(wav: bytes) -> tuple[int, ...]:
    """The samples of a recording."""
    with wave.open(io.BytesIO(wav)) as file:
        frames = file.readframes(file.getnframes())
    return struct.unpack(f"<{len(frames) // 2}h", frames)


def tone_of(key: str, samples: int = 800) -> list[int]:
    """A key as it sounds."""
    [(low, high)] = [(LOW[y], HIGH[x]) for y, row in enumerate(PAD) for x, one in enumerate(row) if one == key]
    angles = (2 * math.pi * n / RATE for n in range(samples))
    return [round(4000 * (math.sin(angle * low) + math.sin(angle * high))) for angle in angles]


def keys_in(samples: Sequence[int]) -> str:
    """The keys that sound in it, each once as long as it lasts."""
    keys, last = "", ""
    for at in range(0, len(samples) - BLOCK + 1, BLOCK):
        key = _key(samples[at : at + BLOCK])
        if key != last:
            keys += key
        last = key
    return keys


def _key(block: Sequence[int]) -> str:
    energy = sum(one * one for one in block) / len(block)
    if energy < 100:
        return ""
    low, high = ([_power(block, tone) for tone in tones] for tones in (LOW, HIGH))
    if max(low) + max(high) < 0.6 * energy or min(max(low), max(high)) < 0.1 * energy:
        return ""
    return PAD[low.index(max(low))][high.index(max(high))]


def _power(block: Sequence[int], tone: int) -> float:
    """How much of the energy is in one tone (Goertzel)."""
    factor = 2 * math.cos(2 * math.pi * tone / RATE)
    one = two = 0.0
    for sample in block:
        one, two = sample + factor * one - two, one
    return 2 * (one * one + two * two - factor * one * two) / len(block) ** 2
