"""Our picture of the legs compared with Asterisk's own, and the difference mended; each correction is an event.

Asked is ``Status``: at every log-in, every nine seconds (:mod:`.audit`), and whenever a leg is not where it should be.

One list that does not name a leg ends no call, as an Asterisk that has just begun may tell of nothing.  It takes two of
them, nearly a second apart, or something else that says the same: Asterisk was restarted, or the leg is not where it should
be.  Of the legs of a process before us one list tells that shows anybody at all: callers wait for us to go on with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.control import Control
from easycall.asterisk.link import AmiError
from easycall.asterisk.roster import Roster
from easycall.defer import unattended
from easycall.events import Corrected
from easycall.model import Role
from easycall.ports import Journal

__all__ = ["Reconciliation"]

log = Logger()

UNTOLD_SECONDS = 1.0
"""How long a leg that left home may be in between before we look for it: an event comes in milliseconds."""

APART_SECONDS = 0.75
"""How far two lists that do not show a leg must be apart."""

AGREE_SECONDS = 0.8
"""When the second of them is asked for: whoever ended while the link was away is let go within a second."""

LOST_WITH_PBX = "its Asterisk is dead"
"""What a leg died of when that is so."""

LEG_VARIABLES = ("EC_CONTACT", "EC_ROLE")
"""What ``Status`` is asked to tell of every channel."""


class Reconciliation:
    """Ends legs that vanished, finds those that are elsewhere, hangs up strays."""

    def __init__(self, legs: Roster, control: Control, clock: IReactorTime, journal: Journal) -> None:
        self._legs = legs
        self._control = control
        self._clock = clock
        self._journal = journal
        self._confirming = False

    async def reconcile(self, *doubted: AsteriskChannel) -> None:
        """Compare what Asterisk shows with what we hold, and mend the difference, if Asterisk can be asked.

        ``doubted``: legs that are not where they should be.
        """
        for leg in doubted:
            leg.doubted = True
        try:
            await self.put_right()
        except AmiError as error:
            log.warn("{pbx}: could not be asked for its channels: {error}", pbx=self._control.name, error=error)

    async def put_right(self, *, restarted: bool = False) -> None:
        """The same.  Raises AmiError when Asterisk cannot be asked.

        ``restarted``: it was, since we were told of the legs we hold.
        """
        ours = {leg.id for leg in self._legs}
        sure = [leg for leg in self._legs if leg.seen]
        answer = await self._control.link.collect(Action.of("Status", Variables=",".join(LEG_VARIABLES)))
        there = {status.get("Uniqueid"): status for status in answer if status.name == "Status"}
        for leg in sure:
            if leg.id not in there:
                self._miss(leg, certain=restarted or leg.doubted or (leg.expected and bool(there)))
        for uniqueid, status in there.items():
            known = self._legs.get(uniqueid)
            if known is not None:
                self._compare(known, status)
            elif uniqueid not in ours and (stray := _stray(status, there.values())):
                self._correct(uniqueid, stray)
                self._control.hang_up(uniqueid)
            elif uniqueid not in ours and _role(status) is Role.CALLER and _is_left_alone(status, there.values()):
                self._correct(uniqueid, "caller left alone in a conference")
                unattended(self._send_home(uniqueid))

    async def _send_home(self, leg: str) -> None:
        """A caller whom an earlier process of ours left somewhere comes in anew."""
        with suppress(AmiError):  # gone by now, or seen again at the next look
            await self._control.send_home(leg)

    def _miss(self, leg: AsteriskChannel, *, certain: bool) -> None:
        """A list does not show a leg: it is gone if that is certain, or when another list does not show it either."""
        if leg.gone:
            return
        now = self._clock.seconds()
        if certain or (leg.missed is not None and now - leg.missed >= APART_SECONDS):
            self._correct(leg.id, "gone")
            self._legs.ended(leg, seen=False)
        elif leg.missed is None:
            leg.missed = now
            self._legs.later(leg, AGREE_SECONDS, self._look_again, leg)

    def _look_again(self, leg: AsteriskChannel) -> None:
        if leg.missed is not None and self._control.up and not self._confirming:
            unattended(self._confirm())

    async def _confirm(self) -> None:
        """Ask once more, for all legs that are missed."""
        self._confirming = True
        try:
            await self.reconcile()
        finally:
            self._confirming = False

    def _compare(self, leg: AsteriskChannel, status: Message) -> None:
        bridge = status.get("BridgeID")
        leg.name = status.get("Channel") or leg.name
        leg.is_there()
        if leg.expected:
            leg.found(bridge)
        if bridge or not leg.taking:
            leg.bridge = bridge
        if status.get("ChannelStateDesc") == "Ringing":
            leg.rings()
        if leg.place is Place.BETWEEN and leg.overdue:
            self._correct(leg.id, "elsewhere")
            leg.joined(bridge)
        if leg.doomed:
            self._control.hang_up(leg.id, leg.parting)

    def left_home(self, leg: AsteriskChannel) -> None:
        """A leg left home without a word: look for it if nothing tells soon."""
        self._legs.later(leg, UNTOLD_SECONDS, self._look_for, leg, leg.visits)

    def _look_for(self, leg: AsteriskChannel, visits: int) -> None:
        if leg.place is not Place.BETWEEN or leg.visits != visits:
            return
        leg.overdue = True
        if self._control.up:
            unattended(self.reconcile(leg))
        else:
            # Nobody but us takes legs away, and we did not: without the link that is as sure as it gets.
            leg.died_of = "" if leg.hung_up else LOST_WITH_PBX
            self._legs.ended(leg)

    def give_up(self, leg: AsteriskChannel) -> None:
        """A leg of an Asterisk that is dead."""
        self._correct(leg.id, "lost with its Asterisk")
        leg.died_of = LOST_WITH_PBX
        self._legs.ended(leg)

    def _correct(self, leg: str, what: str) -> None:
        self._journal.record(Corrected(at=self._clock.seconds(), pbx=self._control.name, leg=leg, what=what))


def _stray(status: Message, all_of_them: Iterable[Message]) -> str:
    """What is to be hung up though we do not know it: the leg of an agent or of somebody outside that talks with nobody, a
    supervisor's that listens for nobody."""
    role = _role(status)
    if role not in (Role.AGENT, Role.OUTSIDE, Role.SUPERVISOR):
        return ""
    return f"stray {role.value} leg" if not status.get("BridgeID") or _is_left_alone(status, all_of_them) else ""


def _role(status: Message) -> Role | None:
    """The role we gave the channel; None: none."""
    return next((role for role in Role if f"EC_ROLE={role.value}" in status.all("Variable")), None)


def _is_left_alone(status: Message, all_of_them: Iterable[Message]) -> bool:
    """One in a conference, which outlived the daemon that made it, and nobody else is in there."""
    if status.get("Application") != "ConfBridge":
        return False
    bridge = status.get("BridgeID")
    return bool(bridge) and sum(one.get("BridgeID") == bridge for one in all_of_them) == 1
