"""What events say of that which stays with a contact, whoever has it: its session, its data and its recording."""

from __future__ import annotations

from collections.abc import Mapping

from easycall import events as facts
from easycall.recovery.left_off.state import LeftOff, Taker

__all__ = ["TAKERS"]


def _data(state: LeftOff, event: facts.DataAttached) -> None:
    for key, value in event.data.items():
        if value:
            state.contact.data[key] = value
        else:
            state.contact.data.pop(key, None)


def _records(state: LeftOff, event: facts.RecordingStarted) -> None:
    state.recording, state.file, state.declined = event.recording, event.file, False
    state.pauses.clear()


def _pauses(state: LeftOff, event: facts.RecordingPaused) -> None:
    state.pauses[event.why] = None


def _resumes(state: LeftOff, event: facts.RecordingResumed) -> None:
    state.pauses.pop(event.why, None)


def _stops(state: LeftOff, event: facts.RecordingStopped) -> None:
    state.recording = state.file = ""
    state.declined = event.why == "agent"
    state.pauses.clear()


def _joins(state: LeftOff, event: facts.SessionJoined) -> None:
    state.contact.session, state.contact.waited = event.session, event.waited


TAKERS: Mapping[type[facts.Event], Taker] = {
    facts.DataAttached: _data,
    facts.SessionJoined: _joins,
    facts.RecordingStarted: _records,
    facts.RecordingPaused: _pauses,
    facts.RecordingResumed: _resumes,
    facts.RecordingStopped: _stops,
}
