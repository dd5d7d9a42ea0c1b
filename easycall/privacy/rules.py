"""What is older than it may be, and when it is removed.  Pure: ``now`` is an argument."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import frozen

from easycall.config import RetentionSettings
from easycall.events import AgentAssigned

__all__ = ["Cutoffs", "Expired", "Stored", "cutoffs", "expired", "seconds_to_night"]

DAY = 86_400.0

FOR_EVER = frozenset({AgentAssigned.kind})
"""Events that are never too old: a replay of any later day begins with them."""


@frozen
class Cutoffs:
    """What ended before these moments is too old; None: nothing is."""

    contacts: float | None
    recordings: float | None
    voicemails: float | None


def cutoffs(settings: RetentionSettings, now: float) -> Cutoffs:
    """The moments as seen from now."""
    limits = settings.contact_days, settings.recording_days, settings.voicemail_days
    return Cutoffs(*(now - days * DAY if days else None for days in limits))


@frozen
class Stored:
    """A stored event, and what is known of its contact."""

    seq: int
    at: float
    kind: str
    contact: str
    ended: float | None
    """When its contact ended; None: it is of none, or of one that has no record."""


@frozen
class Expired:
    """What of a page of events is to be removed."""

    events: tuple[int, ...] = ()
    """Events of no contact."""
    contacts: tuple[str, ...] = ()
    """Contacts that left events and no record, and whatever has an old one: each goes as a whole."""
    over: bool = False
    """All that follow are young enough."""


def expired(page: Sequence[Stored], before: float, live: Collection[str], newest: tuple[int, str]) -> Expired:
    """What is older than ``before``, of events in the order of the journal.

    ``live``: contacts that go on, which are left alone however old their events are; ``newest``: the highest number there
    is, and of which contact.  That event stays, for by it the next one is numbered, and so does its contact.
    """
    last, contact_of_last = newest
    events: list[int] = []
    contacts: dict[str, None] = {}
    for one in page:
        if one.at >= before:
            return Expired(tuple(events), tuple(contacts), over=True)
        if one.seq == last:
            continue
        if not one.contact:
            if one.kind not in FOR_EVER:
                events.append(one.seq)
        elif one.contact not in (*live, contact_of_last) and (one.ended is None or one.ended < before):
            contacts[one.contact] = None
    return Expired(tuple(events), tuple(contacts))


def seconds_to_night(settings: RetentionSettings, now: float, done: float | None) -> float | None:
    """How long until the work of a night begins: 0 in a night in which it was not done; ``done``: when it last was.

    None: nothing is ever too old.
    """
    if not settings.any:
        return None
    night = settings.night
    change = night.next_change(now)
    if not night.is_open(now):
        return DAY if change is None else change - now
    if done is None or now - done >= DAY or night.open_seconds(done, now) < now - done:
        return 0.0
    following = None if change is None else night.next_change(change)
    again = done + DAY if following is None else min(following, done + DAY)
    return max(0.0, again - now)
