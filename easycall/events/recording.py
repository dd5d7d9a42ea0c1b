"""The facts of sound that is kept: recordings of talks, and voice mail."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event

__all__ = [
    "RecordingFailed",
    "RecordingHeard",
    "RecordingPaused",
    "RecordingResumed",
    "RecordingStarted",
    "RecordingStopped",
    "VoicemailLeft",
    "VoicemailStarted",
]


@frozen(kw_only=True)
class RecordingStarted(Event):
    """The customer's leg is recorded from now on, through every transfer."""

    kind = "recording.started"
    recording: str
    file: str
    """Its path in the folder of recordings."""
    why: str
    """``queue``: its rule wants it; ``agent``: the agent does."""


@frozen(kw_only=True)
class RecordingPaused(Event):
    """Silence is recorded from now on, and why; there may be several reasons at once."""

    kind = "recording.paused"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingResumed(Event):
    """One reason for a pause is over; while another holds, it is still silence that is recorded."""

    kind = "recording.resumed"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingStopped(Event):
    """The recording is over: by an ``agent``, a ``queue`` that is not recorded, a ``flow``, or the contact has ``ended``."""

    kind = "recording.stopped"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingFailed(Event):
    """Asterisk does not record what it should; the call goes on.  ``recording`` is empty when it could not begin."""

    kind = "recording.failed"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingHeard(Event):
    """Somebody fetched the sound of a recording."""

    kind = "recording.heard"
    recording: str
    by: str
    """The name of the API token."""


@frozen(kw_only=True)
class VoicemailStarted(Event):
    """The customer hears the greeting of a voice mail box."""

    kind = "voicemail.started"
    box: str


@frozen(kw_only=True)
class VoicemailLeft(Event):
    """The customer left a message."""

    kind = "voicemail.left"
    box: str
    message: str
    """Its id, for listening to it."""
    seconds: float
