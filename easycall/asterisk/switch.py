"""Call control on one Asterisk: a :class:`easycall.ports.Switch` over one AMI link and the FastAGI connections of its legs.

What Asterisk says is a hint, never the truth by itself: events are late, doubled, in any order across channels, and a
channel variable can forge one (facts of the protocol).  So each event only moves legs we know, in ways their place allows,
and :meth:`AsteriskSwitch.reconcile` compares our picture with ``Status`` at every log-in and every ten seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.asterisk.ami import Action, Message, variable
from easycall.asterisk.causes import of_cause, of_dial_status
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.conversation import AsteriskConversation
from easycall.asterisk.fastagi import Session
from easycall.asterisk.manager import ActionRefused, ActionTimeout, AmiError, LinkDown, LinkLost, Manager
from easycall.defer import Bell, first, unattended
from easycall.events import Corrected, PbxDown, PbxUp
from easycall.model import PHONE, OfferOutcome, Role
from easycall.ports import Arrival, BridgeFailed, Channel, Journal

__all__ = ["AsteriskSwitch"]

log = Logger()

AUDIT_SECONDS = 10.0
"""How often our picture is compared with Asterisk's."""

RING_GRACE_SECONDS = 1.0
"""How much longer than Asterisk's own ring limit we wait before we end the ringing ourselves."""

FORGOTTEN_SECONDS = 0.2
"""How long a leg whose far end hung up may take to go before we hang it up ourselves."""

OVERTAKEN_SECONDS = 0.1
"""How long the events of a leg may come behind the answer to the action that made it."""

LEG_VARIABLES = ("EC_CONTACT", "EC_ROLE")
"""What ``Status`` is asked to tell of every channel."""

NUMBER = re.compile(r"[0-9+*#]{1,40}")


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
    ) -> None:
        self._name = name
        self._dial = dial
        self._context = context
        self._clock = clock
        self._journal = journal
        self._arrived = arrived
        self._went_up = went_up
        self._went_down = went_down
        self.legs: dict[str, AsteriskChannel] = {}
        """The legs that are ours, by Uniqueid."""
        self._manager: Manager | None = None
        self._up = Bell()
        self._timers: dict[str, list[IDelayedCall]] = {}
        self._audit: IDelayedCall | None = None
        self._let_go = False

    @property
    def name(self) -> str:
        """The name of the Asterisk in the configuration."""
        return self._name

    @property
    def up(self) -> bool:
        """True while actions reach the Asterisk and our picture of it is right."""
        return self._up.rung

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
        self, phone: str, *, leg: str, caller: str, caller_name: str, seconds: float, values: Mapping[str, str]
    ) -> AsteriskChannel:
        """Ring an agent's phone; what comes of it shows on the leg that is returned."""
        if not PHONE.fullmatch(phone):
            raise ValueError(f"phone {phone!r} must not be dialled")
        channel = self.legs[leg] = AsteriskChannel(self, leg, dialled=True)
        number = caller if NUMBER.fullmatch(caller) else ""
        shown = re.sub(r"[^\w .,+-]", "", caller_name)[:40]
        action = Action.of(
            "Originate",
            Channel=self._dial.format(phone=phone),
            ChannelId=leg,
            Context=self._context,
            Exten="s",
            Priority="1",
            Timeout=str(round(seconds * 1000)),
            CallerID=f'"{shown or number}" <{number}>',
            Async="true",
            Variable=[variable(key, value) for key, value in values.items()],
        )
        unattended(self._originate(channel, action))
        self._later(channel, seconds + RING_GRACE_SECONDS, channel.give_up, OfferOutcome.NO_ANSWER)
        return channel

    async def _originate(self, leg: AsteriskChannel, action: Action) -> None:
        try:
            await self._link.send(action, action_id=leg.id)
        except LinkDown:
            self._ended(leg)
        except ActionRefused as refusal:
            log.error("{pbx}: refused to ring a phone: {refusal}", pbx=self._name, refusal=refusal)
            self._ended(leg)
        except (LinkLost, ActionTimeout):
            leg.seen = True  # perhaps: if the next Status does not show it, it is not there

    async def bridge(self, one: Channel, other: Channel) -> AsteriskConversation:
        """Join two legs that are at home; an answer lost with the link is looked up, not sent twice blindly."""
        return await self._join(self._own(one), self._own(other))

    def _own(self, channel: Channel) -> AsteriskChannel:
        leg = self.legs.get(channel.id)
        if leg is None:
            raise BridgeFailed(f"{channel.id} is no leg of {self._name} any more")
        return leg

    async def _join(self, one: AsteriskChannel, other: AsteriskChannel) -> AsteriskConversation:
        while True:
            await self._reachable(one, other)
            conversation = AsteriskConversation(one, other)
            if one.bridge and one.bridge == other.bridge:
                return conversation
            one.taking = other.taking = True
            try:
                await self._link.send(Action.of("Bridge", Channel1=one.id, Channel2=other.id, Tone="no"))
            except (LinkDown, LinkLost, ActionTimeout):
                continue
            except ActionRefused as refusal:
                one.taking = other.taking = False
                await self.reconcile()
                raise BridgeFailed(str(refusal)) from None
            return conversation

    async def _reachable(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        if not self.up:
            await first(self._up.wait(), one.when_gone(), other.when_gone())
        if one.gone or other.gone:
            raise BridgeFailed("a leg is gone")

    # For legs

    def reach(self, leg: AsteriskChannel) -> bool:
        """Send a hang-up for a leg; False when Asterisk cannot be told now.  Its answer is what events and audits show."""
        if self._let_go:
            return True
        if not self._link.linked:
            return False
        unattended(self._hang_up(leg))
        return True

    async def _hang_up(self, leg: AsteriskChannel) -> None:
        try:
            await self._link.send(Action.of("Hangup", Channel=leg.id, Cause="16"))
        except AmiError:
            pass  # not there yet, or gone: what Asterisk tells of the leg next decides (reach is called again)

    def look_for(self, leg: AsteriskChannel, seconds: float) -> None:
        """A leg left home without a word: look for it if nothing tells within ``seconds``."""
        self._later(leg, seconds, self._look_for, leg)

    def _look_for(self, leg: AsteriskChannel) -> None:
        if leg.place is not Place.BETWEEN:
            return
        if self.up:
            unattended(self.reconcile())
        else:
            # Nobody but us takes legs away, and we did not: without the link that is as sure as it gets.
            self._ended(leg)

    # What the wire tells

    def serve(self, session: Session) -> None:
        """A leg came home: one of ours, or a new caller.

        The dialplan hands over what it knows as arguments: the dialled number, and the role once we have given it one.
        """
        leg = session.variables.get("agi_uniqueid", "")
        dialled, role = (*session.arguments, "", "")[:2]
        known = self.legs.get(leg)
        if known is not None:
            known.came_home(session)
        elif role == Role.AGENT.value:
            # An agent's leg whose contact ended while this process was not there: nobody waits for it.
            stray = AsteriskChannel(self, leg, dialled=False)
            stray.doomed = True
            stray.came_home(session)
        else:
            channel = self.legs[leg] = AsteriskChannel(self, leg, dialled=False)
            channel.came_home(session)
            self._arrived(Arrival(self, channel, _number(session), _caller_name(session), dialled))

    def listeners(self) -> dict[str, Callable[[Message], None]]:
        """The AMI events wanted, by name."""
        return {
            "Newchannel": self._on_progress,
            "Newstate": self._on_progress,
            "DialBegin": self._on_progress,
            "DialState": self._on_progress,
            "DialEnd": self._on_dial_end,
            "OriginateResponse": self._on_originate_response,
            "BridgeEnter": self._on_bridge_enter,
            "BridgeLeave": self._on_bridge_leave,
            "HangupRequest": self._on_hangup_request,
            "Hangup": self._on_hangup,
        }

    def _leg(self, event: Message, header: str = "Uniqueid") -> AsteriskChannel | None:
        return self.legs.get(event.get(header))

    def _on_progress(self, event: Message) -> None:
        dial = event.name.startswith("Dial")
        leg = self._leg(event, "DestUniqueid" if dial else "Uniqueid")
        if leg is None:
            return
        leg.seen = True
        state = event.get("DialStatus") if dial else event.get("ChannelStateDesc")
        if state.upper() in ("RINGING", "PROGRESS", "UP"):
            leg.rings()
        if leg.doomed:
            self.reach(leg)

    def _on_dial_end(self, event: Message) -> None:
        leg = self._leg(event, "DestUniqueid")
        if leg is not None and (outcome := of_dial_status(event.get("DialStatus"))) is not None:
            leg.refused(outcome)

    def _on_originate_response(self, event: Message) -> None:
        # By ActionID only: the Uniqueid can be another, live call's (facts M14).  Ours is the leg's id.
        leg = self.legs.get(event.action_id)
        if leg is None:
            return
        if event.get("Response") == "Failure":
            # A leg that was made tells its end itself, with the cause.  One that never was (an unknown endpoint) has no
            # events at all, but the answer may overtake the first of one that has (facts M16).
            self._later(leg, OVERTAKEN_SECONDS, self._never_was, leg)
        elif leg.doomed:
            self.reach(leg)

    def _never_was(self, leg: AsteriskChannel) -> None:
        if not leg.seen:
            leg.refused(OfferOutcome.UNREACHABLE)
            self._ended(leg)

    def _on_bridge_enter(self, event: Message) -> None:
        if (leg := self._leg(event)) is not None:
            leg.joined(event.get("BridgeUniqueid"))

    def _on_bridge_leave(self, event: Message) -> None:
        if (leg := self._leg(event)) is not None:
            leg.parted(event.get("BridgeUniqueid"))

    def _on_hangup_request(self, event: Message) -> None:
        # The far end hung up.  A Bridge under way at that moment takes the channel out of its thread and Asterisk forgets the
        # request: the leg would stay in the bridge, silent, for ever (seen in one of ten such crossings).
        if (leg := self._leg(event)) is not None:
            self._later(leg, FORGOTTEN_SECONDS, leg.hang_up)

    def _on_hangup(self, event: Message) -> None:
        leg = self._leg(event)
        if leg is None:
            return
        if (outcome := of_cause(event.get("Cause"))) is not None:
            leg.refused(outcome)
        self._ended(leg)

    # The link

    async def connected(self) -> None:
        """The AMI link is there: put our picture right, then open for business."""
        await self.reconcile()
        self._up.ring()
        self._journal.record(PbxUp(at=self._clock.seconds(), pbx=self._name))
        self._schedule_audit()
        self._went_up(self._name)

    def lost(self, reason: str) -> None:
        """The AMI link is lost: legs live on, offers wait."""
        if not self.up:
            return
        self._up = Bell()
        self._stop_audit()
        self._journal.record(PbxDown(at=self._clock.seconds(), pbx=self._name, reason=reason))
        self._went_down(self._name)

    def let_go(self) -> None:
        """Touch nothing more: the daemon stops and every call goes on without it."""
        self._let_go = True
        self._stop_audit()
        for leg in list(self._timers):
            self._drop_timers(leg)

    async def reconcile(self) -> None:
        """Compare what Asterisk shows with what we hold, and mend the difference."""
        sure = [leg for leg in self.legs.values() if leg.seen]
        try:
            channels = await self._link.collect(Action.of("Status", Variables=",".join(LEG_VARIABLES)))
        except AmiError as error:
            log.warn("{pbx}: could not be asked for its channels: {error}", pbx=self._name, error=error)
            return
        there = {status.get("Uniqueid"): status for status in channels if status.name == "Status"}
        for leg in sure:
            if leg.id not in there and not leg.gone:
                self._correct(leg.id, "gone")
                self._ended(leg)
        for uniqueid, status in there.items():
            self._compare(uniqueid, status)

    def _compare(self, uniqueid: str, status: Message) -> None:
        leg = self.legs.get(uniqueid)
        bridge = status.get("BridgeID")
        if leg is None:
            if f"EC_ROLE={Role.AGENT.value}" in status.all("Variable") and not bridge:
                self._correct(uniqueid, "stray agent leg")
                self.reach(AsteriskChannel(self, uniqueid, dialled=False))
            return
        leg.seen = True
        if bridge or not leg.taking:
            leg.bridge = bridge
        if status.get("ChannelStateDesc") == "Ringing":
            leg.rings()
        if leg.place is Place.BETWEEN:
            self._correct(uniqueid, "elsewhere")
            leg.joined(bridge)
        if leg.doomed:
            self.reach(leg)

    def _correct(self, leg: str, what: str) -> None:
        self._journal.record(Corrected(at=self._clock.seconds(), pbx=self._name, leg=leg, what=what))

    def _schedule_audit(self) -> None:
        self._stop_audit()
        self._audit = self._clock.callLater(AUDIT_SECONDS, self._audit_now)

    def _stop_audit(self) -> None:
        if self._audit is not None:
            _cancel(self._audit)
            self._audit = None

    def _audit_now(self) -> None:
        if self.up and not self._let_go:
            unattended(self.reconcile())
            self._schedule_audit()

    def _ended(self, leg: AsteriskChannel) -> None:
        leg.ended()
        self.legs.pop(leg.id, None)
        self._drop_timers(leg.id)

    def _later(self, leg: AsteriskChannel, seconds: float, do: Callable[..., None], *arguments: object) -> None:
        """``do`` later, unless the leg ends or we let go before."""
        if not self._let_go and not leg.gone:
            timers = self._timers.setdefault(leg.id, [])
            timers[:] = [timer for timer in timers if timer.active()]
            timers.append(self._clock.callLater(seconds, do, *arguments))

    def _drop_timers(self, leg: str) -> None:
        for timer in self._timers.pop(leg, ()):
            _cancel(timer)


def _cancel(timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()


def _number(session: Session) -> str:
    number = session.variables.get("agi_callerid", "")
    return number if NUMBER.fullmatch(number) else ""


def _caller_name(session: Session) -> str:
    """The caller's name as text to show: no control or formatting characters, at most 256."""
    name = session.variables.get("agi_calleridname", "")
    if name == "unknown":
        return ""
    printable = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char for char in printable if unicodedata.category(char)[0] != "C")[:256]
