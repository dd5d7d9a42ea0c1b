"""The recording of a contact: the customer's leg, for as long as somebody serves the customer, through every transfer.

It is on or off, and silence is recorded while there is a reason for a pause; several may hold at once.  What is wanted is
kept apart from what Asterisk has confirmed, and :meth:`Recorder._align` brings the one to the other; events tell only what
was confirmed.  Nothing that goes wrong with a recording costs the customer the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.defer import dropped, limited, start
from easycall.events import (
    RecordingFailed,
    RecordingPaused,
    RecordingResumed,
    RecordingStarted,
    RecordingStopped,
)
from easycall.model import Queue, RecordRule, Stage
from easycall.ports import BridgeFailed, CannotRecord, HungUp
from easycall.stats.recordings import FAULT

if TYPE_CHECKING:
    from easycall.live import LiveContact

__all__ = ["AGENT", "CannotPause", "Recorder", "Recordings", "file_of"]

log = Logger()

PROOF_SECONDS = 2.0
"""Within which Asterisk must confirm a pause: a matter of a millisecond."""
FIRST_LOOK_SECONDS = 3.0
LOOK_SECONDS = 10.0
"""When it is looked first whether there is a file, and how often then whether it grows.  Asterisk writes pieces of 2 s."""

AGENT = "agent"
"""The reason of a pause that an agent asked for."""
AUTOMATIC = {
    Stage.HELD: "hold",
    Stage.CONSULTING: "hold",
    Stage.FAX: "fax",
    Stage.WAITING: "waiting",
    Stage.OFFERED: "waiting",
    Stage.PARKED: "waiting",
    Stage.DIALLING: "waiting",
    Stage.OUTSIDE: "outside",
}
"""Stages in which nobody of ours talks with the customer -> the reason of the pause."""


class CannotPause(Exception):
    """Asterisk has not confirmed a pause: what is said now may be recorded.  The text says why."""


@frozen
class Recordings:
    """What the recordings of all contacts share."""

    asterisk_directory: str
    """Their folder as Asterisk sees it."""
    new_id: Callable[[], str]
    size: Callable[[str], Awaitable[int | None]]
    """How many bytes a file of the folder has, None when it is not there.  Does not raise."""


def file_of(recording: str, began: float) -> str:
    """Where a recording lies in its folder: a folder for each day, in UTC."""
    return f"{datetime.fromtimestamp(began, UTC):%Y/%m/%d}/{recording}.wav"


class Recorder:
    """See the module.  Whoever needs silence in the recording uses :attr:`on`, :meth:`pause` and :meth:`resume`."""

    def __init__(self, live: LiveContact, recordings: Recordings | None) -> None:
        self._live = live
        self._recordings = recordings
        self._id = ""
        self._file = ""
        self._reasons: dict[str, None] = {}
        """Why silence is wanted, in the order in which they came."""
        self._told: dict[str, None] = {}
        """The reasons that were told."""
        self._muted: bool | None = False
        """What Asterisk has confirmed; None while it may be either."""
        self._ending = ""
        """Why it shall end."""
        self._declined = False
        """An agent stopped it: it is not begun again unasked."""
        self._changing = DeferredLock()
        self._works: set[Deferred[None]] = set()

    @property
    def on(self) -> bool:
        """A recording runs, paused or not."""
        return bool(self._id)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why silence is recorded."""
        return tuple(self._reasons)

    def held_by_others(self) -> str:
        """A reason for the pause that neither an agent nor the stage of the contact lifts; empty when there is none."""
        return next((why for why in self._reasons if why not in (AGENT, *AUTOMATIC.values())), "")

    # Begin

    async def prepare(self, queue: Queue) -> None:
        """A talk is about to begin, under the rules of this queue.  Raises HungUp; other faults only cost the recording."""
        if self.on and queue.record is RecordRule.NEVER:
            await self._stop_in_time("queue")
        elif not self.on and queue.record is RecordRule.ALWAYS and not self._declined:
            try:
                await self.begin("queue")
            except CannotRecord as why:
                log.error("contact {contact} is not recorded: {why}", contact=self._live.contact.id, why=why)

    async def begin(self, why: str) -> None:
        """Record from now on; the customer's leg is at home then.  Raises CannotRecord, HungUp."""
        live = self._live
        if self._recordings is None:
            raise CannotRecord("there is no folder for recordings")
        recording = self._recordings.new_id()
        file = file_of(recording, live.now())
        try:
            await live.switch.record(live.customer, f"{self._recordings.asterisk_directory}/{file}")
        except (CannotRecord, BridgeFailed) as refusal:
            if not live.customer.gone:
                live.tell(RecordingFailed, live.contact.agent, recording="", why=str(refusal))
                raise CannotRecord(str(refusal)) from None
            self._begun(recording, file, why)
            raise HungUp from None
        except (CancelledError, HungUp):
            self._begun(recording, file, why)  # perhaps: then there is a file that must be found
            raise
        self._begun(recording, file, why)

    def _begun(self, recording: str, file: str, why: str) -> None:
        live = self._live
        self._id, self._file, self._muted, self._ending, self._declined = recording, file, False, "", False
        self._reasons.clear()
        self._told.clear()
        live.tell(RecordingStarted, live.contact.agent, recording=recording, file=file, why=why)
        live.contact.recording = "on"
        self._in_background(self._watch(recording))

    def goes_on(self, recording: str, file: str, pauses: Iterable[str], *, declined: bool) -> None:
        """What a process before us recorded is still recorded; silence is, for these reasons.

        Asterisk is told once more what is wanted: nobody knows what it heard last.
        """
        self._declined = declined
        if not recording or self._recordings is None:
            return
        self._id, self._file = recording, file
        self._reasons, self._told = dict.fromkeys(pauses), dict.fromkeys(pauses)
        self._muted = None
        self._live.contact.recording = "paused" if self._reasons else "on"
        self._in_background(self._watch(recording))
        self._soon()

    # Pause

    async def pause(self, why: str) -> None:
        """Record silence for this reason, besides others.  Does nothing when nothing is recorded.

        Returns when Asterisk has confirmed it; raises CannotPause, and the reason does not hold, when it does not.
        """
        if not self.on:
            return
        new = why not in self._reasons
        self._reasons[why] = None
        try:
            await limited(start(self._align()), PROOF_SECONDS, self._live.clock)
        except BaseException as failure:
            if new:
                self._reasons.pop(why, None)
                self._soon()
            if not isinstance(failure, (CannotRecord, HungUp, TimeoutError)):
                raise
            text = str(failure) or "Asterisk has not confirmed it in time"
            raise CannotPause(f"the recording cannot be paused: {text}") from None

    async def resume(self, why: str) -> None:
        """This reason is over.  While another holds, it is still silence that is recorded.

        Returns when Asterisk has confirmed it, or later it is brought about as soon as Asterisk can be told.
        """
        if why in self._reasons:
            del self._reasons[why]
            await self._in_time(self._align())

    def at(self, stage: Stage) -> None:
        """The contact is at this stage: where nobody talks with the customer, silence is recorded."""
        if not self.on:
            return
        wanted = AUTOMATIC.get(stage, "")
        if wanted and wanted in self._reasons:
            return
        before = self.reasons
        for why in AUTOMATIC.values():
            self._reasons.pop(why, None)
        if wanted:
            self._reasons[wanted] = None
        if self.reasons != before:
            self._soon()

    # Stop

    async def stop(self, why: str) -> bool:
        """End the recording; whether Asterisk has confirmed it.  If not, it ends as soon as Asterisk can be told."""
        self._declined = self._declined or why == AGENT
        return await self._stop_in_time(why)

    async def _stop_in_time(self, why: str) -> bool:
        if self.on:
            self._ending = self._ending or why
            await self._in_time(self._align())
        return not self.on

    def over(self) -> None:
        """The customer's leg is gone, and the recording with it."""
        if self.on:
            self._stopped(self._ending or "ended")
        self.let_go()

    def let_go(self) -> None:
        """Do nothing more about it."""
        works, self._works = self._works, set()
        for work in works:
            dropped(work)

    def _stopped(self, why: str) -> None:
        live, recording = self._live, self._id
        self._id = self._ending = live.contact.recording = ""
        live.tell(RecordingStopped, live.contact.agent, recording=recording, why=why)

    # What is wanted, and what is

    async def _align(self) -> None:
        """Bring about what is wanted, and tell what has changed.  Raises CannotRecord, HungUp."""
        live = self._live
        await self._changing.acquire()
        try:
            while self.on and (self._ending or self._muted is not bool(self._reasons)):
                if self._ending:
                    await live.switch.stop_recording(live.customer)
                    self._stopped(self._ending)
                else:
                    muted, self._muted = bool(self._reasons), None
                    await live.switch.mute_recording(live.customer, muted)
                    self._muted = muted
            if self.on:
                self._tell_changes()
        finally:
            self._changing.release()

    def _tell_changes(self) -> None:
        live = self._live
        live.contact.recording = "paused" if self._muted else "on"
        for why in [why for why in self._reasons if why not in self._told]:
            self._told[why] = None
            live.tell(RecordingPaused, live.contact.agent, recording=self._id, why=why)
        for why in [why for why in self._told if why not in self._reasons]:
            del self._told[why]
            live.tell(RecordingResumed, live.contact.agent, recording=self._id, why=why)

    def _soon(self) -> None:
        """Bring about what is wanted, as soon as Asterisk can be told."""
        self._in_background(self._align())

    async def _in_time(self, work: Awaitable[None]) -> None:
        """Wait for it, but not for long: it goes on in the background."""
        try:
            await limited(self._in_background(work), PROOF_SECONDS, self._live.clock)
        except TimeoutError:
            log.warn("contact {contact}: Asterisk does not answer about its recording", contact=self._live.contact.id)

    def _in_background(self, work: Awaitable[None]) -> Deferred[None]:
        """Do it beside the contact, until it is over; a Deferred of the asker's own that fires when it is done."""
        done: Deferred[None] = Deferred()
        running = start(self._unfailing(work))
        self._works.add(running)

        def ended(result: object) -> None:
            self._works.discard(running)
            if not done.called:
                done.callback(None)

        running.addBoth(ended)
        return done

    async def _unfailing(self, work: Awaitable[None]) -> None:
        try:
            await work
        except HungUp:
            return  # and with the leg the recording
        except CannotRecord as why:
            self._fails(str(why))

    # Is it really there?

    async def _watch(self, recording: str) -> None:
        """Look now and then whether Asterisk writes the file, until it is over."""
        assert self._recordings is not None  # noqa: S101 - for the type checker: something is recorded
        last, failing = 0, False
        pause = FIRST_LOOK_SECONDS
        while self._id == recording:
            await deferLater(self._live.clock, pause)
            size = await self._recordings.size(self._file)
            if self._id != recording:
                return
            grown, last, pause = size is not None and (size > last or pause < LOOK_SECONDS), size or 0, LOOK_SECONDS
            if not grown and not failing:
                failing = True
                self._fails("there is no file" if size is None else "the file does not grow")
            elif grown and failing:
                failing = False
                self._live.tell(RecordingResumed, self._live.contact.agent, recording=recording, why=FAULT)

    def _fails(self, why: str) -> None:
        live = self._live
        log.error(
            "recording {recording} of contact {contact}, {file}: {why}; may Asterisk write there, and has the disk room?",
            recording=self._id,
            contact=live.contact.id,
            file=self._file,
            why=why,
        )
        if self.on:
            live.tell(RecordingFailed, live.contact.agent, recording=self._id, why=why)
