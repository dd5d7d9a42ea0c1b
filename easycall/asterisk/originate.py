"""Making a leg: AMI's Originate to a phone or a number outside, and what becomes of it until Asterisk shows the leg.

What becomes of it then, events tell (:mod:`.leg_events`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from twisted.logger import Logger

from easycall.asterisk import arrival
from easycall.asterisk.ami import Action, variable
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.control import Control
from easycall.asterisk.link import ActionTimeout, AmiError, LinkDown, LinkLost
from easycall.asterisk.reconciliation import Reconciliation
from easycall.asterisk.roster import Roster
from easycall.defer import unattended
from easycall.model import OfferOutcome

__all__ = ["Originate"]

log = Logger()

RING_GRACE_SECONDS = 1.0
"""How much longer than Asterisk's own ring limit we wait before we end the ringing ourselves."""

UNSHOWN_SECONDS = 2.0
"""How long a leg we ring may stay unknown to Asterisk, whose word that it could not be made may be lost."""

AUTO_ANSWER = (
    r"PJSIP_HEADER(add\,Call-Info)=<sip:easycall>\;answer-after=0",
    r"PJSIP_HEADER(add\,Alert-Info)=info=alert-autoanswer",
)
"""The two headers of an INVITE by which phones are told to answer by themselves; each make obeys one of them, or none."""

SHOWN_NAME_LENGTH = 40
"""Characters of a caller's name that a phone is shown."""


class Originate:
    """Makes the legs of one Asterisk."""

    def __init__(self, legs: Roster, control: Control, reconciliation: Reconciliation, written: Callable[[], None]) -> None:
        """``written``: sees to it that what was told so far outlives the process: a phone rings for what is known."""
        self._legs = legs
        self._control = control
        self._reconciliation = reconciliation
        self._written = written

    def call(
        self,
        dialled: str,
        *,
        leg: str,
        caller: str,
        caller_name: str,
        seconds: float,
        values: Mapping[str, str],
        auto_answer: bool = False,
        longest: float | None = None,
    ) -> AsteriskChannel:
        """Call a dial string, as :meth:`easycall.ports.Switch.ring` and ``dial``.  Raises UnsafeValue."""
        asked = [*(variable(key, value) for key, value in values.items()), *(AUTO_ANSWER if auto_answer else ())]
        if longest is not None:
            asked.append(f"TIMEOUT(absolute)={round(longest)}")
        action = Action.of(
            "Originate",
            Channel=dialled,
            ChannelId=leg,
            Context=self._control.context,
            Exten="s",
            Priority="1",
            Timeout=str(round(seconds * 1000)),
            CallerID=_caller_id(caller, caller_name),
            Async="true",
            Variable=asked,
        )
        channel = self._legs.add(AsteriskChannel(leg, self._control.hang_up, self._reconciliation.left_home, dialled=True))
        self._written()  # at the end of the turn it may be too late: what a timer sends leaves before its events are written
        unattended(self._send(channel, action))
        self._legs.later(channel, UNSHOWN_SECONDS, self._not_shown, channel)
        self._legs.later(channel, seconds + RING_GRACE_SECONDS, channel.give_up, OfferOutcome.NO_ANSWER)
        return channel

    def expect(self, leg: str, seconds: float | None) -> AsteriskChannel:
        """A leg that a process before us had; ``seconds``: it was rung, and rings so much longer, None: it was answered."""
        channel = AsteriskChannel(leg, self._control.hang_up, self._reconciliation.left_home, dialled=seconds is not None)
        channel.seen = channel.expected = True
        self._legs.add(channel)
        if seconds is not None:
            self._legs.later(channel, max(0.0, seconds) + RING_GRACE_SECONDS, channel.give_up, OfferOutcome.NO_ANSWER)
        return channel

    async def _send(self, leg: AsteriskChannel, action: Action) -> None:
        try:
            await self._control.link.send(action, action_id=leg.id)
        except (LinkLost, ActionTimeout):
            leg.seen = leg.doubted = True  # perhaps it is there: the next Status tells
        except LinkDown:
            self._legs.ended(leg)
        except AmiError as refusal:
            log.error("{pbx}: a phone could not be rung: {refusal}", pbx=self._control.name, refusal=refusal)
            self._legs.ended(leg)

    def _not_shown(self, leg: AsteriskChannel) -> None:
        if not leg.seen and self._control.up:
            unattended(self._look_for(leg))

    async def _look_for(self, leg: AsteriskChannel) -> None:
        """A leg that was never shown and is not there could not be made."""
        leg.seen = True
        leg.refused(OfferOutcome.UNREACHABLE)
        await self._reconciliation.reconcile(leg)
        if not leg.gone:
            leg.refused(OfferOutcome.LOST)


def _caller_id(caller: str, caller_name: str) -> str:
    """What the phone shows: the name without whatever could break out of it, else the number; ``""`` for no number."""
    number = caller if arrival.NUMBER.fullmatch(caller) else ""
    shown = re.sub(r"[^\w .,+-]", "", caller_name)[:SHOWN_NAME_LENGTH]
    return f'"{shown or number}" <{number}>'
