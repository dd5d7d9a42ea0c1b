"""Call control on one Asterisk: a :class:`easycall.ports.Switch` over one AMI link and the FastAGI connections of its legs.

The link comes and goes, legs stay: what cannot be told now is told when the link is back.  :meth:`AsteriskSwitch.reconcile`
compares our picture with Asterisk's at every log-in and every ten seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.asterisk import arrival, monitor
from easycall.asterisk.ami import Action, Message, variable
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.conference import AsteriskConference
from easycall.asterisk.conversation import AsteriskConversation
from easycall.asterisk.fastagi import Session
from easycall.asterisk.fax_progress import FaxProgress
from easycall.asterisk.leg_events import LegEvents
from easycall.asterisk.link import ActionTimeout, AmiError, LinkDown, LinkLost
from easycall.asterisk.manager import Manager
from easycall.asterisk.phones import Phones
from easycall.asterisk.roster import Roster
from easycall.asterisk.wake import Wake
from easycall.defer import Bell, dropped, first, limited, shielded, start, unattended
from easycall.events import Corrected, PbxDown, PbxUp
from easycall.model import PHONE, OfferOutcome, PhoneState, Role, Trunk
from easycall.ports import ActionFailed, Arrival, BridgeFailed, Channel, HungUp, Journal

__all__ = ["AsteriskSwitch"]

log = Logger()

AUDIT_SECONDS = 10.0
"""How often our picture is compared with Asterisk's."""

RING_GRACE_SECONDS = 1.0
"""How much longer than Asterisk's own ring limit we wait before we end the ringing ourselves."""

UNSHOWN_SECONDS = 2.0
"""How long a leg we ring may stay unknown to Asterisk, whose word that it could not be made may be lost."""

UNTOLD_SECONDS = 1.0
"""How long a leg that left home may be in between before we look for it: an event comes in milliseconds."""

NEWS_SECONDS = 0.1
"""How long news that is on its way may take: an event that Status overtook, the loss of a link that refuses already."""

LOST_WITH_PBX = "its Asterisk is dead"
"""What a leg died of when that is so."""

LEG_VARIABLES = ("EC_CONTACT", "EC_ROLE")
"""What ``Status`` is asked to tell of every channel."""

FETCHES = 3
"""How often legs are told to come home before that is given up."""

ARRIVAL_SECONDS = 1.0
"""How long a leg may take to come home: a millisecond is usual."""

AUTO_ANSWER = (
    r"PJSIP_HEADER(add\,Call-Info)=<sip:easycall>\;answer-after=0",
    r"PJSIP_HEADER(add\,Alert-Info)=info=alert-autoanswer",
)
"""The two headers of an INVITE by which phones are told to answer by themselves; each make obeys one of them, or none."""

DIGIT_SECONDS = 0.1
"""How long a key sounds, and how long the pause behind it is."""

PAUSE_SECONDS = 0.5
"""A pause among keys that are sent."""

NORMAL_CLEARING = "16"
"""Q.850 cause of a hang-up that is nobody's fault."""


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
        self._name = name
        self._dial = dial
        self._context = context
        self._clock = clock
        self._journal = journal
        self._arrived = arrived
        self._went_up = went_up
        self._went_down = went_down
        self.legs = Roster(clock)
        self.phones = Phones(name, dial, clock, lambda phone, state: phone_is(name, phone, state))
        self._fax_progress = FaxProgress(self.legs)
        self._manager: Manager | None = None
        self._up = Bell()
        self._audit: IDelayedCall | None = None
        self._wake = Wake(clock, self.legs, lambda: self._link.refused, self._given_up)
        self._let_go = False

    @property
    def name(self) -> str:
        """The name of the Asterisk in the configuration."""
        return self._name

    @property
    def up(self) -> bool:
        """True while actions reach the Asterisk and our picture of it is right."""
        return self._up.rung

    def when_up(self) -> Deferred[None]:
        """Fires when that is so, at once if it is."""
        return self._up.wait()

    def use(self, manager: Manager) -> None:
        """Send actions over this AMI link, which calls :meth:`connected`, :meth:`lost` and the :meth:`listeners`."""
        self._manager = manager

    @property
    def _link(self) -> Manager:
        if self._manager is None:
            raise RuntimeError(f"{self._name}: no AMI link was given (use)")
        return self._manager

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
        return self._call(self._dial.format(phone=phone), leg, caller, caller_name, seconds, values, phone, auto_answer)

    def dial(
        self, trunk: Trunk, number: str, *, leg: str, caller: str, seconds: float, values: Mapping[str, str]
    ) -> AsteriskChannel:
        """Dial a number outside; what comes of it shows on the leg that is returned."""
        return self._call(trunk.dial_string(number), leg, caller, "", seconds, values)

    def _call(
        self,
        dialled: str,
        leg: str,
        caller: str,
        caller_name: str,
        seconds: float,
        values: Mapping[str, str],
        phone: str = "",
        auto_answer: bool = False,
    ) -> AsteriskChannel:
        """Originate a leg; ``phone``: the agent's, if it is one."""
        number = caller if arrival.NUMBER.fullmatch(caller) else ""
        shown = re.sub(r"[^\w .,+-]", "", caller_name)[:40]
        action = Action.of(
            "Originate",
            Channel=dialled,
            ChannelId=leg,
            Context=self._context,
            Exten="s",
            Priority="1",
            Timeout=str(round(seconds * 1000)),
            CallerID=f'"{shown or number}" <{number}>',
            Async="true",
            Variable=[*(variable(key, value) for key, value in values.items()), *(AUTO_ANSWER if auto_answer else ())],
        )
        channel = self.legs.add(self._new_leg(leg, dialled=True))
        if phone:
            self.phones.rung(phone, channel)
        unattended(self._originate(channel, action))
        self.legs.later(channel, UNSHOWN_SECONDS, self._not_shown, channel)
        self.legs.later(channel, seconds + RING_GRACE_SECONDS, channel.give_up, OfferOutcome.NO_ANSWER)
        return channel

    async def _originate(self, leg: AsteriskChannel, action: Action) -> None:
        try:
            await self._link.send(action, action_id=leg.id)
        except (LinkLost, ActionTimeout):
            leg.seen = True  # perhaps: if the next Status does not show it, it is not there
        except LinkDown:
            self.legs.ended(leg)
        except AmiError as refusal:
            log.error("{pbx}: a phone could not be rung: {refusal}", pbx=self._name, refusal=refusal)
            self.legs.ended(leg)

    def _not_shown(self, leg: AsteriskChannel) -> None:
        if not leg.seen and self.up:
            unattended(self._look_for_new(leg))

    async def _look_for_new(self, leg: AsteriskChannel) -> None:
        """A leg that was never shown and is not there could not be made."""
        leg.seen = True
        leg.refused(OfferOutcome.UNREACHABLE)
        await self.reconcile()
        if not leg.gone:
            leg.refused(OfferOutcome.LOST)

    async def bridge(self, one: Channel, other: Channel) -> AsteriskConversation:
        """Join two legs that are at home; an answer lost with the link is looked up, not sent twice blindly."""
        # Whoever reconciles in here does it shielded: a caller found gone cancels the story that waits for the bridge.
        legs = self._own(one), self._own(other)
        try:
            return await self._join(*legs)
        except BridgeFailed:
            for leg in legs:
                leg.taking = False
            await self._find_out_who_is_gone(*legs)
            raise

    async def _find_out_who_is_gone(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        """After a refusal: wait for the news that one of them is gone, else look."""
        await first(deferLater(self._clock, NEWS_SECONDS), one.when_gone(), other.when_gone())
        if not (one.gone or other.gone):
            await shielded(self.reconcile())

    def _own(self, channel: Channel) -> AsteriskChannel:
        leg = self.legs.get(channel.id)
        if leg is None:
            raise BridgeFailed(f"{channel.id} is no leg of {self._name} any more")
        return leg

    async def _join(self, one: AsteriskChannel, other: AsteriskChannel) -> AsteriskConversation:
        await self._unheard({leg.id for leg in (one, other) if leg.place is Place.AWAY})
        while True:
            await self._reachable(one, other)
            conversation = AsteriskConversation(one, other)
            if one.place is other.place is Place.AWAY and one.bridge and one.bridge == other.bridge:
                return conversation  # the answer that was lost said yes
            from_home = one.place is other.place is Place.HOME
            one.taking = other.taking = True
            try:
                await self._link.send(Action.of("Bridge", Channel1=one.name, Channel2=other.name, Tone="no"))
                return conversation if from_home else await self._meet(one, other)
            except LinkDown:
                await deferLater(self._clock, NEWS_SECONDS)  # we hear of its loss after those who send
            except LinkLost:
                continue
            except ActionTimeout:
                # A second Bridge of two who talk would part them for a moment.
                await shielded(self.reconcile())
            except AmiError as refusal:
                raise BridgeFailed(str(refusal)) from None

    async def _unheard(self, legs: Set[str]) -> None:
        """Take home who listens to legs that are about to move from one bridge straight into another.

        ChanSpy does not always bear that: it is stuck until the leg ends (docs/asterisk.rst).  Whoever listened comes back.
        """
        for leg in [leg for leg in self.legs if leg.listens_to in legs]:
            with suppress(BridgeFailed, HungUp):
                await self.fetch(leg)

    async def _meet(self, one: AsteriskChannel, other: AsteriskChannel) -> AsteriskConversation:
        """Wait until both are shown in one bridge.

        One that was in another bridge may have been on its way home from there: its coming home is no end of this one.
        """
        while not (one.bridge and one.bridge == other.bridge):
            if one.gone or other.gone:
                raise BridgeFailed("a leg is gone")
            try:
                news = first(one.when_joined(), other.when_joined(), one.when_gone(), other.when_gone())
                await limited(start(news), ARRIVAL_SECONDS, self._clock)
            except TimeoutError:
                await shielded(self.reconcile())
                if not (one.bridge and one.bridge == other.bridge):
                    raise BridgeFailed("they are not together") from None
        return AsteriskConversation(one, other)

    async def fetch(self, *channels: Channel) -> None:
        """Redirect legs home; one whose Redirect was lost (its application was just ending) is told once more."""
        await self._fetch(channels, lambda leg: leg.idle)

    async def _fetch(self, channels: Sequence[Channel], there: Callable[[AsteriskChannel], bool]) -> None:
        for _ in range(FETCHES):
            legs = [self.legs.get(channel.id) for channel in channels]
            away = [leg for leg in legs if leg is not None and not there(leg)]
            if None in legs or any(leg.gone for leg in away):
                raise HungUp
            if not away:
                return
            await self._reachable(*away)
            # Two who talk leave together: of one sent home alone the other comes too, and would be sent a second time.
            away.sort(key=lambda leg: leg.bridge, reverse=True)
            backs = [leg.when_back() for leg in away]
            try:
                for index in range(0, len(away), 2):
                    await self._link.send(_redirect_home([leg.id for leg in away[index : index + 2]], self._context))
                await limited(start(_every(backs)), ARRIVAL_SECONDS, self._clock)
            except (AmiError, TimeoutError) as failure:
                log.warn("{pbx}: legs did not come home: {failure}", pbx=self._name, failure=failure)
                for back in backs:
                    dropped(back)
                await shielded(self.reconcile())
        raise BridgeFailed("the legs do not come home")

    async def confer(self, room: str, *channels: Channel) -> AsteriskConference:
        """Put legs into a conference, and wait until all are shown in it."""
        legs = [self._own(channel) for channel in channels]
        await self._reachable(*legs)
        conference = AsteriskConference(room, legs, self._link.send)
        try:
            while not conference.complete:
                news = first(conference.when_left(), *(leg.when_joined() for leg in legs))
                if await limited(start(news), ARRIVAL_SECONDS, self._clock) == 0:
                    raise BridgeFailed("one of them is not in the conference")
        except TimeoutError:
            await self._reachable(*legs)
            await shielded(self.reconcile())
            if not conference.complete:
                raise BridgeFailed("they are not together") from None
        return conference

    async def send_digits(self, channel: Channel, digits: str) -> None:
        """Send keys to the far end of a leg."""
        for digit in digits:
            if digit == "w":
                await deferLater(self._clock, PAUSE_SECONDS)
                continue
            try:
                leg = self._own(channel)
                await self._reachable(leg)
                await self._link.send(
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
        await monitor.begin(leg, file, lambda: self._fetch([leg], lambda leg: leg.errand is None))

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
        reachable = partial(self._reachable, leg)
        await monitor.told(leg, action(leg), self._link, reachable, self._clock, NEWS_SECONDS)

    async def _reachable(self, *legs: AsteriskChannel) -> None:
        if not self.up:
            await first(self._up.wait(), *(leg.when_gone() for leg in legs))
        if any(leg.gone for leg in legs):
            raise BridgeFailed("a leg is gone")

    # Legs

    def _new_leg(self, leg: str, *, dialled: bool) -> AsteriskChannel:
        return AsteriskChannel(leg, self.reach, self._left_home, dialled=dialled)

    def reach(self, leg: AsteriskChannel) -> bool:
        """Send a hang-up for a leg; False when Asterisk cannot be told now.  Its answer is what events and audits show."""
        if self._let_go:
            return True
        if not self._link.linked:
            return False
        unattended(self._hang_up(leg))
        return True

    async def _hang_up(self, leg: AsteriskChannel) -> None:
        # Refused: not there yet, or gone.  What Asterisk tells of the leg next decides; reach is called again.
        with suppress(AmiError):
            await self._link.send(Action.of("Hangup", Channel=leg.id, Cause=NORMAL_CLEARING))

    def _left_home(self, leg: AsteriskChannel) -> None:
        """A leg left home without a word: look for it if nothing tells soon."""
        self.legs.later(leg, UNTOLD_SECONDS, self._look_for, leg, leg.visits)

    def _look_for(self, leg: AsteriskChannel, visits: int) -> None:
        if leg.place is not Place.BETWEEN or leg.visits != visits:
            return
        leg.overdue = True
        if self.up:
            unattended(self.reconcile())
        else:
            # Nobody but us takes legs away, and we did not: without the link that is as sure as it gets.
            self.legs.ended(leg)

    def serve(self, session: Session) -> None:
        """A leg came home over FastAGI: one of ours, or a new caller.  Raises ValueError for one that has no id."""
        if self._let_go:
            session.close()  # the dialplan keeps it company
            return
        uniqueid = arrival.leg_id(session)
        known = self.legs.get(uniqueid)
        if known is not None:
            known.came_home(session)
            return
        leg = self._new_leg(uniqueid, dialled=False)
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
        return LegEvents(self.legs, self.reach).listeners() | self.phones.listeners() | fax

    # The link

    async def connected(self) -> None:
        """The AMI link is there: put our picture right, then open for business.  Raises AmiError when that fails."""
        await self._put_right()
        await self.phones.learn(self._link.collect)
        self._wake.end()
        self._up.ring()
        self._journal.record(PbxUp(at=self._clock.seconds(), pbx=self._name))
        self._schedule_audit()
        self._went_up(self._name)

    def lost(self, reason: str) -> None:
        """The AMI link is lost: legs live on, offers wait."""
        for leg in self.legs:
            leg.seen = True  # what Asterisk was to make is there when the link is back, or never
        if not self.up:
            return
        self._up = Bell()
        self._stop_audit()
        self.phones.lost()
        self._journal.record(PbxDown(at=self._clock.seconds(), pbx=self._name, reason=reason))
        self._went_down(self._name)
        if not self._let_go:
            self._wake.begin()

    def _given_up(self, leg: AsteriskChannel) -> None:
        """A leg of an Asterisk that is dead."""
        self._correct(leg.id, "lost with its Asterisk")
        leg.died_of = LOST_WITH_PBX
        self.legs.ended(leg)

    def let_go(self) -> None:
        """Touch nothing more: the daemon stops and every call goes on without it."""
        self._let_go = True
        self._stop_audit()
        self._wake.end()
        self.legs.close()
        self.phones.close()

    # Reconciliation

    async def reconcile(self, patience: float = 0.0) -> None:
        """Compare what Asterisk shows with what we hold, and mend the difference, if Asterisk can be asked.

        ``patience``: for how long news of the end of a leg that Asterisk does not show any more may be on its way.
        """
        try:
            await self._put_right(patience)
        except AmiError as error:
            log.warn("{pbx}: could not be asked for its channels: {error}", pbx=self._name, error=error)

    async def _put_right(self, patience: float = 0.0) -> None:
        ours = {leg.id for leg in self.legs}
        sure = [leg for leg in self.legs if leg.seen]
        answer = await self._link.collect(Action.of("Status", Variables=",".join(LEG_VARIABLES)))
        there = {status.get("Uniqueid"): status for status in answer if status.name == "Status"}
        for leg in sure:
            if leg.id not in there and patience:
                self.legs.later(leg, patience, self._vanished, leg)
            elif leg.id not in there:
                self._vanished(leg)
        for uniqueid, status in there.items():
            known = self.legs.get(uniqueid)
            if known is not None:
                self._compare(known, status)
            elif uniqueid not in ours and (stray := _stray(status)):
                self._correct(uniqueid, stray)
                self.reach(self._new_leg(uniqueid, dialled=False))
            elif uniqueid not in ours and _is_left_alone(status, there.values()):
                self._correct(uniqueid, "caller left alone in a conference")
                unattended(self._send_home(uniqueid))

    async def _send_home(self, leg: str) -> None:
        """A caller whom an earlier process of ours left somewhere comes in anew."""
        with suppress(AmiError):  # gone by now, or seen again at the next look
            await self._link.send(_redirect_home([leg], self._context))

    def _vanished(self, leg: AsteriskChannel) -> None:
        if not leg.gone:
            self._correct(leg.id, "gone")
            self.legs.ended(leg, seen=False)

    def _compare(self, leg: AsteriskChannel, status: Message) -> None:
        bridge = status.get("BridgeID")
        leg.name = status.get("Channel") or leg.name
        leg.seen = True
        if bridge or not leg.taking:
            leg.bridge = bridge
        if status.get("ChannelStateDesc") == "Ringing":
            leg.rings()
        if leg.place is Place.BETWEEN and leg.overdue:
            self._correct(leg.id, "elsewhere")
            leg.joined(bridge)
        if leg.doomed:
            self.reach(leg)

    def _correct(self, leg: str, what: str) -> None:
        self._journal.record(Corrected(at=self._clock.seconds(), pbx=self._name, leg=leg, what=what))

    def _schedule_audit(self) -> None:
        self._stop_audit()
        if not self._let_go:
            self._audit = self._clock.callLater(AUDIT_SECONDS, self._audit_now)

    def _stop_audit(self) -> None:
        if self._audit is not None and self._audit.active():
            self._audit.cancel()
        self._audit = None

    def _audit_now(self) -> None:
        if self.up:
            unattended(self._audit_all())
            unattended(self._fax_progress.look(self._link.collect, self._link.send))
            self._schedule_audit()

    async def _audit_all(self) -> None:
        await self.reconcile(NEWS_SECONDS)
        with suppress(AmiError):  # the next one will
            await self.phones.learn(self._link.collect)


async def _every(news: Sequence[Deferred[None]]) -> None:
    """Wait for all of them."""
    for each in news:
        await each


def _redirect_home(legs: Sequence[str], context: str) -> Action:
    """One Redirect for one leg or two: the two leave their bridge together."""
    home = {"Context": context, "Exten": "s", "Priority": "1"}
    extra = {"ExtraChannel": legs[1], **{f"Extra{name}": value for name, value in home.items()}} if len(legs) > 1 else {}
    return Action.of("Redirect", Channel=legs[0], **home, **extra)


def _stray(status: Message) -> str:
    """What is to be hung up though we do not know it: the leg of an agent or of somebody outside that talks with nobody, a
    supervisor's that listens for nobody."""
    for role in (Role.AGENT, Role.OUTSIDE, Role.SUPERVISOR):
        if f"EC_ROLE={role.value}" in status.all("Variable") and not status.get("BridgeID"):
            return f"stray {role.value} leg"
    return ""


def _is_left_alone(status: Message, all_of_them: Iterable[Message]) -> bool:
    """A caller in a conference, which outlived the daemon that made it, and nobody else is in there."""
    if f"EC_ROLE={Role.CALLER.value}" not in status.all("Variable") or status.get("Application") != "ConfBridge":
        return False
    bridge = status.get("BridgeID")
    return bool(bridge) and sum(one.get("BridgeID") == bridge for one in all_of_them) == 1
