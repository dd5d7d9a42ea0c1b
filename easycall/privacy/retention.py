"""What is too old is removed in the night, piece by piece.

Each piece is small: one transaction, and then a rest.  While the journal has much to store it waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.config import RetentionSettings
from easycall.defer import cancelled, start
from easycall.events import DataExpired, Event
from easycall.model import Message, Request
from easycall.ports import StoreUnavailable
from easycall.privacy.rules import Stored, cutoffs, expired, seconds_to_night

__all__ = ["Retention", "Shelf", "Sounds", "VoiceMails"]

log = Logger()

CONTACTS = 20
"""Contacts in one piece,"""
EVENTS = 500
"""events of no contact,"""
CALLBACKS = 500
"""callbacks,"""
FILES = 20
"""and files."""
REST_SECONDS = 0.1
"""Between two pieces."""
BEHIND = 1_000
"""While so many events wait for the database, calls have much to tell: nothing is removed."""
AWAY_SECONDS = 60.0
"""How long after the database, or a disk, was away it goes on."""
TRIES = 3
"""What fails so often in a row is left for later: what else is too old goes on."""
LONGEST_SECONDS = 3_600.0
"""How long it sleeps at most: clocks are put right."""


class Shelf(Protocol):
    """What is stored.  Every method raises StoreUnavailable."""

    async def newest(self) -> tuple[int, str]:
        """The highest number of an event, and of which contact."""

    async def contacts(self, before: float, limit: int) -> Sequence[str]:
        """Contacts that ended before that, and may go."""

    async def events(self, after: int, limit: int) -> Sequence[Stored]:
        """The next events, in the order of the journal."""

    async def callbacks(self, before: float, limit: int) -> Sequence[str]:
        """Callbacks that ended before that."""

    async def count(self, contact: str) -> int:
        """How many events a contact has."""

    async def sounds_of(self, contact: str) -> Sequence[tuple[str, str]]:
        """Recordings of a contact that have a file, and the file."""

    async def sounds(self, before: float, limit: int) -> Sequence[tuple[str, str]]:
        """Recordings that ended before that and have a file."""

    async def sounds_gone(self, recordings: Sequence[str]) -> None:
        """Their files are no more."""

    async def remove_contacts(self, contacts: Sequence[str]) -> None:
        """Remove contacts, each of them whole."""

    async def remove_events(self, events: Sequence[int]) -> None:
        """Remove events of no contact."""

    async def remove_callbacks(self, callbacks: Sequence[str]) -> None:
        """Remove callbacks."""


class Sounds(Protocol):
    """The files of recordings."""

    async def remove(self, file: str) -> bool:
        """Remove one; False when there was none.  Raises OSError."""


class VoiceMails(Protocol):
    """The messages in the voice mail boxes.  Every method raises OSError."""

    async def before(self, moment: float, limit: int) -> Sequence[Message]:
        """Messages that were left before that, the oldest first."""

    async def remove(self, message: str) -> bool:
        """Remove one; False when there was none."""


class Journal(Protocol):
    """Where facts go."""

    @property
    def behind(self) -> int:
        """Events that wait for the store."""

    def record(self, event: Event) -> None:
        """Note something that happened."""

    async def flush(self) -> None:
        """Store everything recorded so far.  Raises StoreUnavailable."""


class Retention:
    """Removes what is too old, every night, from :meth:`start` to :meth:`stop`."""

    def __init__(
        self,
        settings: RetentionSettings,
        shelf: Shelf,
        journal: Journal,
        clock: IReactorTime,
        *,
        live: Callable[[], Mapping[str, Any]],
        requests: Callable[[], Mapping[str, Request]],
        sounds: Sounds | None = None,
        voice_mails: VoiceMails | None = None,
    ) -> None:
        """``live``: the contacts of now; ``requests``: what waits for an agent, voice mails among it."""
        self._settings = settings
        self._shelf = shelf
        self._journal = journal
        self._clock = clock
        self._live = live
        self._requests = requests
        self._sounds = sounds
        self._voice_mails = voice_mails
        self._running: Deferred[None] | None = None
        self._removed: Counter[str] = Counter()

    async def start(self) -> None:
        """Wait for the night."""
        self._running = start(self._nights())
        self._running.addErrback(_log_unless_cancelled)

    async def stop(self) -> None:
        """Remove nothing more."""
        running, self._running = self._running, None
        if running is not None:
            await cancelled(running)

    async def _nights(self) -> None:
        done: float | None = None
        while (seconds := seconds_to_night(self._settings, self._clock.seconds(), done)) is not None:
            if seconds > 0:
                await self._rest(min(seconds, LONGEST_SECONDS))
                continue
            if await self.night():
                done = self._clock.seconds()
            self._tell()

    def _tell(self) -> None:
        removed, self._removed = self._removed, Counter()
        if any(removed.values()):
            self._journal.record(
                DataExpired(
                    at=self._clock.seconds(),
                    contacts=removed["contacts"],
                    events=removed["events"],
                    recordings=removed["recordings"],
                    voicemails=removed["voicemails"],
                    callbacks=removed["callbacks"],
                )
            )

    async def night(self) -> bool:
        """Remove all that is too old, as long as it is night; whether all of it is gone."""
        limits = cutoffs(self._settings, self._clock.seconds())
        works: list[Callable[[], Awaitable[bool]]] = []
        if (voicemails := limits.voicemails) is not None:
            works.append(lambda: self._old_voicemails(voicemails))
        if (recordings := limits.recordings) is not None:
            works.append(lambda: self._old_sounds(recordings))
        if (contacts := limits.contacts) is not None:
            walk = _Walk()
            works += [
                lambda: self._old_callbacks(contacts),
                lambda: self._old_contacts(contacts),
                lambda: self._old_events(contacts, walk),
            ]
        return all([await self._whole(work) for work in works])

    async def _whole(self, work: Callable[[], Awaitable[bool]]) -> bool:
        """Piece by piece, until there is no more, or no more night, or it fails too often; whether there is no more."""
        more, failures = True, 0
        while more:
            if not self._settings.night.is_open(self._clock.seconds()):
                return False
            if self._journal.behind > BEHIND:
                await self._rest(1.0)
                continue
            try:
                more = await work()
            except (StoreUnavailable, OSError) as why:
                log.warn("what is too old cannot be removed now: {why}", why=str(why))
                failures += 1
                await self._rest(AWAY_SECONDS)
                if failures == TRIES:
                    return False
            else:
                failures = 0
                await self._rest(REST_SECONDS)
        return True

    async def _rest(self, seconds: float) -> None:
        await deferLater(self._clock, seconds)

    # One piece each; whether there may be more

    async def _old_voicemails(self, before: float) -> bool:
        if self._voice_mails is None:
            return False
        waiting = {request.about for request in self._requests().values() if request.about}
        removed = 0
        for message in await self._voice_mails.before(before, FILES + len(waiting)):
            if message.id not in waiting:
                removed += await self._voice_mails.remove(message.id)
        self._removed["voicemails"] += removed
        return removed > 0

    async def _old_sounds(self, before: float) -> bool:
        found = await self._shelf.sounds(before, FILES)
        await self._remove_files(found)
        if found:
            await self._shelf.sounds_gone([recording for recording, _ in found])
        return len(found) == FILES

    async def _old_callbacks(self, before: float) -> bool:
        found = await self._shelf.callbacks(before, CALLBACKS)
        if found:
            await self._shelf.remove_callbacks(found)
        self._removed["callbacks"] += len(found)
        return len(found) == CALLBACKS

    async def _old_contacts(self, before: float) -> bool:
        found = await self._shelf.contacts(before, CONTACTS)
        await self._remove_contacts(found)
        return len(found) == CONTACTS

    async def _old_events(self, before: float, walk: _Walk) -> bool:
        """What is of no contact, and what contacts without a record left."""
        live = set(self._live())
        await self._journal.flush()  # who is not live has a record then
        page = await self._shelf.events(walk.after, EVENTS)
        found = expired(page, before, live, await self._shelf.newest())
        if found.events:
            await self._shelf.remove_events(found.events)
            self._removed["events"] += len(found.events)
        await self._remove_contacts(found.contacts)
        walk.after = page[-1].seq if page else walk.after
        return not found.over and len(page) == EVENTS

    async def _remove_contacts(self, contacts: Sequence[str]) -> None:
        for first in range(0, len(contacts), CONTACTS):
            piece = contacts[first : first + CONTACTS]
            events = 0
            for contact in piece:
                events += await self._shelf.count(contact)
                await self._remove_files(await self._shelf.sounds_of(contact))
            await self._shelf.remove_contacts(piece)
            self._removed["contacts"] += len(piece)
            self._removed["events"] += events

    async def _remove_files(self, found: Sequence[tuple[str, str]]) -> None:
        """The files first: what still has a row is found again."""
        if self._sounds is not None:
            for _, file in found:
                self._removed["recordings"] += await self._sounds.remove(file)


def _log_unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("what is too old is not removed any more", failure)


class _Walk:
    """How far the events were looked at tonight."""

    after = 0
