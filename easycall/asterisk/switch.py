"""Call control on one Asterisk: a :class:`easycall.ports.Switch` over one AMI link and the FastAGI connections of its legs.

Here the rooms are joined, and it is told who came home and how the link is; what is asked of legs is done in
:mod:`.originate` (ring, dial), :mod:`.bridging` (bridge, confer), :mod:`.fetch`, :mod:`.monitor` (recording) and
:mod:`.control` (hang up), what Asterisk tells of them in :mod:`.leg_events` and :mod:`.reconciliation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from easycall.asterisk import arrival, monitor
from easycall.asterisk.ami import Action, Message
from easycall.asterisk.audit import Audit
from easycall.asterisk.bridging import Bridging
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.conference import AsteriskConference
from easycall.asterisk.control import Control
from easycall.asterisk.conversation import AsteriskConversation
from easycall.asterisk.fastagi import Session
from easycall.asterisk.fax_progress import FaxProgress
from easycall.asterisk.fetch import Fetch
from easycall.asterisk.home import Home
from easycall.asterisk.leg_events import LegEvents
from easycall.asterisk.link import AmiError
from easycall.asterisk.manager import SHUTS_DOWN, Manager
from easycall.asterisk.originate import Originate
from easycall.asterisk.phones import Phones
from easycall.asterisk.reconciliation import Reconciliation
from easycall.asterisk.roster import Roster
from easycall.asterisk.time_limits import TimeLimits
from easycall.asterisk.wake import Wake
from easycall.events import PbxDown, PbxUp
from easycall.model import PHONE, PhoneState, Trunk
from easycall.ports import ActionFailed, Arrival, BridgeFailed, Channel, Conference, HungUp, Journal

__all__ = ["AsteriskSwitch"]

DIGIT_SECONDS = 0.1
"""How long a key sounds, and how long the pause behind it is."""

PAUSE_SECONDS = 0.5
"""A pause among keys that are sent."""


class AsteriskSwitch:
    """See :class:`easycall.ports.Switch`."""

    def __init__(
        self,
        name: str,
        *,
        dial: str,
        context: str,
        clock: IReactorTime,
        journal: Journal,
        arrived: Callable[[Arrival], None],
        went_up: Callable[[str], None],
        went_down: Callable[[str], None],
        phone_is: Callable[[str, str, PhoneState], None],
    ) -> None:
        """``dial``: the dial string of a phone, with ``{phone}``; ``context``: where legs are at home in the dialplan;
        ``arrived`` is told of every new caller, ``went_up`` and ``went_down`` of the link, ``phone_is`` of the phones."""
        self._dial = dial
        self._clock = clock
        self._journal = journal
        self._arrived = arrived
        self._went_up = went_up
        self._went_down = went_down
        self._control = Control(name, context)
        self.legs = Roster(name, clock)
        self.phones = Phones(name, dial, clock, lambda phone, state: phone_is(name, phone, state))
        self._fax_progress = FaxProgress(self.legs)
        self.reconciliation = Reconciliation(self.legs, self._control, clock, journal)
        self._home = Home(self._control)
        self._audit = Audit(clock, self._control, self.reconciliation, self.phones, self._fax_progress, self._home)
        self._wake = Wake(
            clock,
            self.legs,
            lambda: self._control.link.refused,
            lambda: self._control.link.heard,
            self.reconciliation.give_up,
        )
        self._limits = TimeLimits(self._control, clock)
        self._originate = Originate(self.legs, self._control, self.reconciliation, journal.write)
        self._fetch = Fetch(self.legs, self._control, self.reconciliation, clock)
        self._bridging = Bridging(self.legs, self._control, self.reconciliation, self._fetch, clock)

    @property
    def name(self) -> str:
        """The name of the Asterisk in the configuration."""
        return self._control.name

    @property
    def up(self) -> bool:
        """True while actions reach the Asterisk and our picture of it is right."""
        return self._control.up

    @property
    def trouble(self) -> str:
        """What is wrong with that Asterisk though it speaks with us, and what mends it; empty: nothing."""
        return SHUTS_DOWN if self._control.link.shuts_down else self._home.trouble

    def when_up(self) -> Deferred[None]:
        """Fires when that is so, at once if it is."""
        return self._control.when_up()

    def use(self, manager: Manager) -> None:
        """Send actions over this AMI link, which calls :meth:`connected`, :meth:`lost` and the :meth:`listeners`."""
        self._control.use(manager)

    # easycall.ports.Switch

    def ring(
        self,
        phone: str,
        *,
        leg: str,
        caller: str,
        caller_name: str,
        seconds: float,
        values: Mapping[str, str],
        auto_answer: bool = False,
    ) -> AsteriskChannel:
        """Ring an agent's phone; what comes of it shows on the leg that is returned."""
        if not PHONE.fullmatch(phone):
            raise ValueError(f"phone {phone!r} must not be dialled")
        channel = self._originate.call(
            self._dial.format(phone=phone),
            leg=leg,
            caller=caller,
            caller_name=caller_name,
            seconds=seconds,
            values=values,
            auto_answer=auto_answer,
        )
        self.phones.rung(phone, channel)
        return channel

    def dial(
        self,
        trunk: Trunk,
        number: str,
        *,
        leg: str,
        caller: str,
        seconds: float,
        longest: float,
        values: Mapping[str, str],
    ) -> AsteriskChannel:
        """Dial a number outside; what comes of it shows on the leg that is returned."""
        channel = self._originate.call(
            trunk.dial_string(number),
            leg=leg,
            caller=caller,
            caller_name="",
            seconds=seconds,
            values=values,
            longest=longest,
        )
        channel.ends_at = self._clock.seconds() + longest
        return channel

    def limit(self, channel: Channel, seconds: float) -> None:
        """Have Asterisk end a leg so many seconds from now."""
        if (leg := self.legs.get(channel.id)) is not None:
            self._limits.begin(leg, seconds)

    def expect(
        self, leg: str, *, rings: float | None = None, phone: str = "", ends_at: float | None = None
    ) -> AsteriskChannel:
        """A leg that a process of ours had before this one; the next look at Asterisk shows where it is."""
        channel = self._originate.expect(leg, rings)
        channel.ends_at = ends_at
        if phone:
            self.phones.rung(phone, channel)
        self._wake.begin()
        return channel

    def together(self, one: Channel, other: Channel) -> AsteriskConversation | None:
        """Two legs that are in one bridge already."""
        return self._bridging.together(one, other)

    def gathered(self, room: str, *channels: Channel) -> AsteriskConference | None:
        """Legs that are in one conference already."""
        return self._bridging.gathered(room, *channels)

    async def bridge(self, one: Channel, other: Channel) -> AsteriskConversation:
        """Join two legs that are at home."""
        return await self._bridging.bridge(one, other)

    async def confer(self, room: str, *channels: Channel) -> AsteriskConference:
        """Put legs into a conference."""
        return await self._bridging.confer(room, *channels)

    async def admit(self, conference: Conference, *channels: Channel) -> AsteriskConference:
        """Put more legs into a conference."""
        if not isinstance(conference, AsteriskConference):
            raise TypeError(f"{conference!r} is no conference of this switch")
        return await self._bridging.admit(conference, *channels)

    async def fetch(self, *channels: Channel) -> None:
        """Take legs home."""
        await self._fetch.home(*channels)

    async def send_digits(self, channel: Channel, digits: str) -> None:
        """Send keys to the far end of a leg."""
        for digit in digits:
            if digit == "w":
                await deferLater(self._clock, PAUSE_SECONDS)
                continue
            try:
                leg = self.legs.own(channel)
                await self._control.reachable(leg)
                await self._control.link.send(
                    Action.of("PlayDTMF", Channel=leg.id, Digit=digit, Duration=str(round(DIGIT_SECONDS * 1000)))
                )
            except (AmiError, BridgeFailed) as refusal:
                raise ActionFailed(str(refusal)) from None
            await deferLater(self._clock, 2 * DIGIT_SECONDS)

    async def record(self, channel: Channel, file: str) -> None:
        """Begin a recording, in the first moment of the leg's next session if it is busy."""
        leg = self.legs.get(channel.id)
        if leg is None:
            raise HungUp
        await monitor.begin(leg, file, lambda: self._fetch.home(leg, there=lambda leg: leg.errand is None))

    async def mute_recording(self, channel: Channel, muted: bool) -> None:
        """Pause or resume; an answer lost with the link is asked for again."""
        await self._of_recording(channel, lambda leg: monitor.mute(leg, muted))

    async def stop_recording(self, channel: Channel) -> None:
        """End it."""
        await self._of_recording(channel, monitor.stop)

    async def _of_recording(self, channel: Channel, action: Callable[[AsteriskChannel], Action]) -> None:
        leg = self.legs.get(channel.id)
        if leg is None:
            raise HungUp
        await monitor.told(leg, action(leg), self._control, self._clock)

    # Legs

    def serve(self, session: Session) -> None:
        """A leg came home over FastAGI: one of ours, or a new caller.  Raises ValueError for one that has no id."""
        if self._control.released:
            session.close()  # the dialplan keeps it company
            return
        if arrival.is_shell(session):
            session.close()  # the leg it is told of is in a bridge
            return
        uniqueid = arrival.leg_id(session)
        known = self.legs.get(uniqueid)
        if known is not None:
            known.came_home(session)
            return
        leg = AsteriskChannel(uniqueid, self._control.hang_up, self.reconciliation.left_home, dialled=False)
        if arrival.is_agent(session) or arrival.is_outside(session):
            leg.doomed = True  # its contact ended while we were not there: nobody waits for it
            leg.came_home(session)
            return
        if arrival.was_ours(session):
            leg.errand = monitor.forget
        self.legs.add(leg).came_home(session)
        number, name = arrival.caller_number(session), arrival.caller_name(session)
        self._arrived(Arrival(self, leg, number, name, arrival.dialled_number(session), arrival.endpoint(session)))

    def listeners(self) -> dict[str, Callable[[Message], None]]:
        """The AMI events wanted, by name."""
        fax = {"FAXSession": self._fax_progress.on_session}
        legs = LegEvents(self.legs, self._control.hang_up, self._limits.remind).listeners()
        return legs | self.phones.listeners() | fax | self._home.listeners()

    # The link

    async def connected(self) -> None:
        """The AMI link is there: put our picture right, then open for business.  Raises AmiError when that fails."""
        await self.reconciliation.put_right(restarted=self._control.link.restarted)
        await self.phones.learn(self._control.link.collect)
        self._wake.end()
        self._control.opened()
        for leg in self.legs:
            self._limits.remind(leg)
        self._journal.record(PbxUp(at=self._clock.seconds(), pbx=self.name))
        self._audit.begin()
        self._went_up(self.name)

    def lost(self, reason: str) -> None:
        """The AMI link is lost: legs live on, offers wait."""
        for leg in self.legs:
            if not leg.seen:
                leg.seen = leg.doubted = True  # what Asterisk was to make is there when the link is back, or never
        if not self.up:
            return
        self._control.closed()
        self._audit.end()
        self.phones.lost()
        self._home.lost()
        self._journal.record(PbxDown(at=self._clock.seconds(), pbx=self.name, reason=reason))
        self._went_down(self.name)
        if not self._control.released:
            self._wake.begin()

    def let_go(self) -> None:
        """Touch nothing more: the daemon stops and every call goes on without it."""
        self._control.release()
        self._audit.end()
        self._wake.end()
        self.legs.close()
        self.phones.close()
