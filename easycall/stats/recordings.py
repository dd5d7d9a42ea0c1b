"""A contact's recordings: a fold over its events.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import singledispatchmethod

from attrs import evolve, frozen

from easycall.events import (
    Event,
    RecordingFailed,
    RecordingPaused,
    RecordingResumed,
    RecordingStarted,
    RecordingStopped,
)

__all__ = ["FAULT", "Gap", "Recording", "recordings_of"]

FAULT = "fault"
"""Why there is a gap that nobody asked for."""


@frozen
class Gap:
    """A stretch of silence in a recording: nothing that was said then is in it."""

    started: float
    ended: float | None
    """None while it lasts."""
    why: str
    """``agent`` asked for it, nobody was there (``hold``, ``waiting``), ``fault``, or whoever needs silence by name."""


@frozen
class Recording:
    """One file.  Gaps of different reasons may overlap."""

    id: str
    file: str
    """Its path in the folder of recordings."""
    started: float
    ended: float | None = None
    """None while it runs."""
    gaps: tuple[Gap, ...] = ()


def recordings_of(ordered: Iterable[Event], end: float | None) -> tuple[Recording, ...]:
    """The recordings of one contact from its events in the order of their time.

    ``end``: when the contact ended, and with it whatever runs; None while it lives.
    """
    shelf = _Shelf()
    for event in ordered:
        shelf.take(event)
    return tuple(shelf.found.values() if end is None else (_ended(one, end) for one in shelf.found.values()))


def _ended(recording: Recording, at: float) -> Recording:
    """One that is over, and every gap of it; what was over already stays as it is."""
    if recording.ended is not None:
        return recording
    at = max(at, recording.started)
    gaps = tuple(gap if gap.ended is not None else evolve(gap, ended=max(at, gap.started)) for gap in recording.gaps)
    return evolve(recording, ended=at, gaps=gaps)


class _Shelf:
    """The recordings so far.  What is told twice, or of an unknown recording, counts once, or not at all."""

    def __init__(self) -> None:
        self._found: dict[str, Recording] = {}

    @property
    def found(self) -> Mapping[str, Recording]:
        """By id, in the order in which they began."""
        return self._found

    @singledispatchmethod
    def take(self, event: Event) -> None:
        """What one event means.  Events of other kinds mean nothing."""

    @take.register
    def _(self, event: RecordingStarted) -> None:
        self._found.setdefault(event.recording, Recording(event.recording, event.file, event.at))

    @take.register
    def _(self, event: RecordingPaused) -> None:
        self._open(event.recording, event.at, event.why)

    @take.register
    def _(self, event: RecordingFailed) -> None:
        self._open(event.recording, event.at, FAULT)

    @take.register
    def _(self, event: RecordingResumed) -> None:
        recording = self._running(event.recording)
        if recording is not None:
            gaps = (
                evolve(gap, ended=event.at) if gap.why == event.why and gap.ended is None else gap for gap in recording.gaps
            )
            self._found[recording.id] = evolve(recording, gaps=tuple(gaps))

    @take.register
    def _(self, event: RecordingStopped) -> None:
        recording = self._running(event.recording)
        if recording is not None:
            self._found[recording.id] = _ended(recording, event.at)

    def _open(self, recording_id: str, at: float, why: str) -> None:
        recording = self._running(recording_id)
        if recording is not None and not any(gap.why == why and gap.ended is None for gap in recording.gaps):
            self._found[recording_id] = evolve(recording, gaps=(*recording.gaps, Gap(at, None, why)))

    def _running(self, recording_id: str) -> Recording | None:
        recording = self._found.get(recording_id)
        return recording if recording is not None and recording.ended is None else None
