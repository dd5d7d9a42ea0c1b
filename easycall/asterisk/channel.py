"""One leg of an Asterisk for its whole life: a :class:`easycall.ports.Channel` over visits home and stays in bridges.

A leg at home has a FastAGI session.  When the session ends, the wire does not say why: a leg bridged away and a leg hung
up look the same.  So the leg is then *in between* until something tells: our own intent, an AMI event, or its coming home
again.  When nothing tells within a second the switch looks at Asterisk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import TypeVar

from twisted.internet.defer import Deferred

from easycall.asterisk import answering, arrival, fax, media
from easycall.asterisk.causes import ANSWERED_ELSEWHERE, NORMAL_CLEARING
from easycall.asterisk.fastagi import CommandFailed, Session, SessionOver
from easycall.defer import Bell, unattended
from easycall.model import FaxResult, OfferOutcome, Speaks
from easycall.ports import HungUp, NotAnswered, Taken

__all__ = ["AsteriskChannel", "Place"]

T = TypeVar("T")

DONE_VARIABLE = "EC_DONE"
"""Tells the dialplan's home loop that the leg shall end (etc/asterisk/extensions.conf)."""

FAX_MARK = "fax"
"""The dialplan's third argument for a leg on which a fax machine was heard."""


class Place(Enum):
    """Where a leg is."""

    DIALLED = auto()
    """We ring it; not answered yet."""
    HOME = auto()
    BETWEEN = auto()
    """It left home and nothing has told why."""
    AWAY = auto()
    """In a bridge, or wherever else its dialplan took it."""
    GONE = auto()


class AsteriskChannel:
    """See :class:`easycall.ports.Channel`."""

    def __init__(
        self,
        leg: str,
        reach: Callable[[str, str], bool],
        left_home: Callable[[AsteriskChannel], None],
        *,
        dialled: bool,
    ) -> None:
        """``reach`` sends a hang-up for a Uniqueid, with a cause, if Asterisk can be told now; ``left_home`` is told of a
        leg whose session ended without our doing; ``dialled``: a leg that we ring."""
        self._leg = leg
        self._reach = reach
        self._tell_left_home = left_home
        self.name = leg
        """How Asterisk's Bridge knows the leg: by its name, once we have heard it.  An id is no name, but the beginning of
        any id: 1700000000.1 would be 1700000000.15, too."""
        self.place = Place.DIALLED if dialled else Place.BETWEEN
        self.seen = not dialled
        """Asterisk has shown the leg to us: only then does its absence mean that it ended."""
        self.taking = False
        """We are bridging it: when it leaves home it was taken, not hung up."""
        self.bridge = ""
        """The bridge it is in, as Asterisk tells."""
        self.listens_to = ""
        """The leg it listens to, from when it is told to until it came home or that leg has ended."""
        self.parting = NORMAL_CLEARING
        """The cause we hang it up with."""
        self.doomed = False
        """It shall be hung up, as soon as it can be reached."""
        self.died_of = ""
        """The cause of its end, when nobody hung up."""
        self.hung_up = False
        """Asterisk said so at home, the last time it was there."""
        self.visits = 0
        """How often it came home."""
        self.overdue = False
        """It is in between for longer than news takes: Asterisk must tell where it is."""
        self.doubted = False
        """Something says that it is gone, or was never made: one list of all channels that does not show it is enough."""
        self.missed: float | None = None
        """Since when Asterisk's list of all channels does not show it; None: it does."""
        self.expected = False
        """It was there before our process began: Asterisk must tell where it is now."""
        self.cause = 0
        """Why it was not answered, as the network told (ITU-T Q.850); 0: it did not."""
        self.errand: Callable[[Session], None] | None = None
        """What is begun in the leg's next session before anything else."""
        self.ends_at: float | None = None
        """When Asterisk shall end it by itself; None: never."""
        self.end_seen = True
        """False when it was found gone, some time after it went."""
        self._outcome = OfferOutcome.LOST
        self._session: Session | None = None
        self._moved = Bell()
        self._back = Bell()
        self._gone = Bell()
        self._joined = Bell()
        self._ringing = Bell()
        self.fax_file = ""
        """What is being faxed, as Asterisk sees it."""
        self._tell_page: Callable[[int], None] = lambda page: None
        self._page = 0
        self._listens_for_fax = False
        self._fax_tone = Bell()
        self._answered = False
        self._decided = Bell()

    def __repr__(self) -> str:
        return f"<leg {self._leg} {self.place.name.lower()}>"

    # What Asterisk tells, by way of the switch

    def is_there(self) -> None:
        """Asterisk shows it."""
        self.seen, self.doubted, self.missed = True, False, None

    def came_home(self, session: Session) -> None:
        """A FastAGI connection of this leg arrived.

        Of one that is shown in a bridge it may be dead: a leg that was on its way home when it was put into the bridge had
        called us just before.
        """
        if self.bridge and not self.doomed:
            unattended(self._if_alive(session))
        else:
            self._at_home(session)

    async def _if_alive(self, session: Session) -> None:
        """Ask the one command that changes nothing and that Asterisk refuses a leg which was taken (511)."""
        try:
            await session.answer()
        except (SessionOver, CommandFailed):
            session.close()
        else:
            self._at_home(session)

    def _at_home(self, session: Session) -> None:
        if self.gone:
            session.close()
            return
        self.name = session.variables.get("agi_channel", self.name)
        self.is_there()
        self.taking = False
        self.bridge = self.listens_to = ""
        if self.doomed:
            unattended(self._end_at_home(session))
            return
        # All is changed before anybody is told: who is told may ask for the next time, or hang up.
        old, self._session = self._session, session
        back, self._back = self._back, Bell()
        self._answered = True
        self.visits += 1
        self.place = Place.HOME
        session.when_over().addCallback(lambda _: self._left_home(session))
        if old is not None:
            old.close()
        if FAX_MARK in session.arguments[2:]:
            self._fax_tone.ring()  # before whoever was interrupted by it goes on
        self.run_errand()
        self._tell_moved()
        back.ring()
        self._ringing.ring()
        self._decided.ring()

    def run_errand(self) -> None:
        """Begin what is to be begun before anything else, at home."""
        errand, self.errand = self.errand, None
        if errand is not None and self._session is not None:
            errand(self._session)

    def rings(self) -> None:
        """The phone rings."""
        self.seen = True
        self._ringing.ring()

    def found(self, bridge: str) -> None:
        """Asterisk shows a leg that was expected: not at home, it is in that bridge, or (``""``) on its way."""
        self.expected = False
        self.bridge = bridge
        if self.place is Place.BETWEEN or (self.place is Place.DIALLED and bridge):
            self._answered = True
            self._move(Place.AWAY)
            self._ringing.ring()
            self._decided.ring()

    def refused(self, outcome: OfferOutcome) -> None:
        """The dialled phone will not answer, and why; the leg's end is told apart."""
        self._outcome = outcome

    def joined(self, bridge: str) -> None:
        """It entered a bridge."""
        self.bridge = bridge
        if self.place is Place.BETWEEN:
            self._move(Place.AWAY)
        joined, self._joined = self._joined, Bell()
        joined.ring()

    def parted(self, bridge: str) -> None:
        """It left a bridge; where it goes shows next."""
        if self.bridge == bridge:
            self.bridge = ""

    def ended(self, *, seen: bool = True) -> None:
        """The leg is gone; ``seen``: it went just now."""
        if self.gone:
            return
        self.end_seen = seen
        self.bridge = ""
        session, self._session = self._session, None
        self._move(Place.GONE)
        if session is not None:
            session.close()
        self._gone.ring()
        self._back.ring()
        self._decided.ring()

    def give_up(self, outcome: OfferOutcome) -> None:
        """Do not wait for an answer any longer."""
        if not self._answered and not self.gone:
            self.seen = True  # it had time enough to show
            self._outcome = outcome
            self._decided.ring()
            self.hang_up()

    # easycall.ports.Channel

    @property
    def id(self) -> str:
        """Asterisk's Uniqueid of the leg; for a leg we rang, the one we chose."""
        return self._leg

    @property
    def endpoint(self) -> str:
        """Its technology and endpoint, once its name is known; ``""`` of one that has none."""
        return arrival.endpoint_of(self.name)

    @property
    def idle(self) -> bool:
        """True at home, with nothing under way, and not about to leave for a bridge."""
        return self.place is Place.HOME and not self.taking and self._session is not None and not self._session.busy

    @property
    def gone(self) -> bool:
        """True once the leg has ended."""
        return self.place is Place.GONE

    def when_gone(self) -> Deferred[None]:
        """Fires when the leg has ended."""
        return self._gone.wait()

    def when_back(self) -> Deferred[None]:
        """Fires when the leg comes home the next time, or has ended."""
        return self._back.wait()

    def when_joined(self) -> Deferred[None]:
        """Fires when the leg enters a bridge the next time."""
        return self._joined.wait()

    def when_ringing(self) -> Deferred[None]:
        """Fires when the phone rings, or is answered without ringing."""
        return self._ringing.wait()

    async def answered(self) -> None:
        """Wait until the leg we rang is answered and at home.  Raises NotAnswered."""
        await self._decided.wait()
        if not self._answered:
            raise NotAnswered(self._outcome, self.cause)

    async def home(self) -> None:
        """Wait until the leg is at home.  Raises HungUp."""
        while self.place is not Place.HOME:
            if self.gone:
                raise HungUp
            await self._moved.wait()

    async def answer(self) -> None:
        """Answer the call."""
        await self._verb(lambda session: session.answer())

    async def play(self, sounds: Sequence[str], keys: str = "") -> str:
        """Play sounds; a key of ``keys`` stops them and is returned."""
        return await self._verb(lambda session: media.play(session, sounds, keys))

    async def collect(self, sounds: Sequence[str], digits: int, seconds: float) -> str:
        """Play, then read keys."""
        return await self._verb(lambda session: media.collect(session, sounds, digits, seconds))

    async def wait_key(self, seconds: float) -> str:
        """Wait for one key."""
        return await self._verb(lambda session: session.wait_for_digit(round(seconds * 1000)))

    async def music(self, name: str | None) -> None:
        """Start music of a class under the leg, or stop it."""
        await self._verb(lambda session: media.music(session, name))

    async def listen(self, leg: str, speaks: Speaks) -> None:
        """Hear another leg."""

        async def listen(session: Session) -> None:
            self.listens_to = leg
            await media.listen(session, leg, speaks)
            self.listens_to = ""

        await self._verb(listen)

    async def record(self, file: str, *, seconds: float, silence: float) -> None:
        """Record the far end into a file, after a beep."""
        await self._verb(lambda session: media.record(session, file, seconds, silence))

    async def attend(self, room: str, settings: Mapping[str, str]) -> None:
        """Be in a conference, as this kind of user, until it leaves that alive.  Raises Taken, HungUp, CommandFailed."""
        await self._verb(lambda session: media.attend(session, room, settings))

    async def remember(self, values: Mapping[str, str]) -> None:
        """Set channel variables: they outlive our process."""
        await self._verb(lambda session: media.remember(session, values))

    async def send_fax(self, file: str, station: str, header: str, at_page: Callable[[int], None]) -> FaxResult:
        """Send a TIFF file to the machine at the far end."""
        return await self._fax("SendFAX", file, station, header, at_page)

    async def receive_fax(self, file: str, station: str, at_page: Callable[[int], None]) -> FaxResult:
        """Receive a fax from the machine at the far end into a TIFF file."""
        return await self._fax("ReceiveFAX", file, station, "", at_page)

    async def _fax(
        self, application: str, file: str, station: str, header: str, at_page: Callable[[int], None]
    ) -> FaxResult:
        self.fax_file, self._tell_page, self._page = file, at_page, 0
        try:
            if self._listens_for_fax:
                await self._verb(fax.forget_detection)
                self._listens_for_fax = False
            return await self._verb(lambda session: fax.run(session, application, file, station, header))
        finally:
            self.fax_file = ""

    def fax_at(self, page: int) -> None:
        """The fax is at this page."""
        if self.fax_file and page > self._page:
            self._page = page
            self._tell_page(page)

    async def who_answered(self) -> str:
        """By the sound of it: ``machine``, ``person``, or ``""``."""
        return await self._verb(answering.detect)

    async def listen_for_fax(self, on: bool) -> None:
        """Listen for the tone of a fax machine, or not."""
        await self._verb(lambda session: fax.detect(session, on))
        self._listens_for_fax = on

    def when_fax_tone(self) -> Deferred[None]:
        """Fires when the tone of a fax machine was heard, and the leg is at home again."""
        return self._fax_tone.wait()

    def hang_up(self, *, elsewhere: bool = False) -> None:
        """Hang up, now or as soon as Asterisk knows the leg (facts M15: right behind an Originate it does not)."""
        if self.gone or self.doomed:
            return
        self.doomed = True
        if elsewhere:
            self.parting = ANSWERED_ELSEWHERE
        if not self._reach(self._leg, self.parting) and self._session is not None:
            self._session.close()  # it comes home again, where the dialplan is told to end it

    # Inside

    async def _verb(self, do: Callable[[Session], Awaitable[T]]) -> T:
        if self.place is Place.BETWEEN and not self.gone:
            await self._settled()
        if self.gone:
            raise HungUp
        session = self._session
        if session is None:
            raise Taken
        try:
            return await do(session)
        except SessionOver:
            await self._settled()
            raise (HungUp if self.gone else Taken) from None

    async def _settled(self) -> None:
        while self.place is Place.BETWEEN:
            await self._moved.wait()

    def _left_home(self, session: Session) -> None:
        if session is not self._session:
            return
        self._session = None
        self.hung_up = session.hung_up
        if self.taking or self.bridge:
            self._move(Place.AWAY)
        else:
            self.overdue = False
            self._move(Place.BETWEEN)
            self._tell_left_home(self)

    def _move(self, place: Place) -> None:
        self.place = place
        self._tell_moved()

    def _tell_moved(self) -> None:
        moved, self._moved = self._moved, Bell()
        moved.ring()

    async def _end_at_home(self, session: Session) -> None:
        with suppress(SessionOver, CommandFailed):  # it is gone already, or comes home again and is told again
            await session.set_variable(DONE_VARIABLE, "end")
        session.close()
