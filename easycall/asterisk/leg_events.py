"""What AMI events tell of our legs.

An event is a hint, never the truth by itself: events come late, doubled, in any order across channels, and a channel
variable can forge one.  So each only moves a leg we know, in ways its place allows.
"""

from __future__ import annotations

from collections.abc import Callable

from easycall.asterisk.ami import Message
from easycall.asterisk.causes import is_death, of_cause, of_dial_status
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.roster import Roster
from easycall.model import OfferOutcome

__all__ = ["LegEvents"]

OVERTAKEN_SECONDS = 0.1
"""How long the events of a leg may come behind the answer to the action that made it."""

FORGOTTEN_SECONDS = 0.2
"""How long a leg whose far end hung up may take to go before we hang it up ourselves."""

ALERTED = frozenset({"RINGING", "PROGRESS", "UP"})
"""Channel states and dial states in which the phone has been reached."""


class LegEvents:
    """Hands each event to its leg."""

    def __init__(
        self, roster: Roster, hang_up: Callable[[str, str], bool], bridged: Callable[[AsteriskChannel], None]
    ) -> None:
        """``hang_up`` sends a hang-up for a Uniqueid, with a cause; ``bridged`` is told of a leg that entered a bridge."""
        self._roster = roster
        self._hang_up = hang_up
        self._bridged = bridged

    def listeners(self) -> dict[str, Callable[[Message], None]]:
        """The events wanted, by name."""
        return {
            "Newchannel": self._on_state,
            "Newstate": self._on_state,
            "DialBegin": self._on_dial,
            "DialState": self._on_dial,
            "DialEnd": self._on_dial_end,
            "OriginateResponse": self._on_originate_response,
            "BridgeEnter": self._on_bridge_enter,
            "BridgeLeave": self._on_bridge_leave,
            "HangupRequest": self._on_hangup_request,
            "Hangup": self._on_hangup,
        }

    def _leg(self, event: Message) -> AsteriskChannel | None:
        return self._roster.get(event.get("Uniqueid"))

    def _dialled(self, event: Message) -> AsteriskChannel | None:
        return self._roster.get(event.get("DestUniqueid"))

    def _on_state(self, event: Message) -> None:
        self._progress(self._leg(event), event.get("ChannelStateDesc"))

    def _on_dial(self, event: Message) -> None:
        self._progress(self._dialled(event), event.get("DialStatus"))

    def _progress(self, leg: AsteriskChannel | None, state: str) -> None:
        if leg is None:
            return
        leg.seen = True
        if state.upper() in ALERTED:
            leg.rings()
        if leg.doomed:
            self._hang_up(leg.id, leg.parting)

    def _on_dial_end(self, event: Message) -> None:
        leg = self._dialled(event)
        if leg is not None and (outcome := of_dial_status(event.get("DialStatus"))) is not None:
            leg.refused(outcome)

    def _on_originate_response(self, event: Message) -> None:
        # By ActionID only, which is the leg's id: the Uniqueid in it can be another, live call's.
        leg = self._roster.get(event.action_id)
        if leg is None:
            return
        if event.get("Response") == "Failure":
            # A leg that was made tells its end itself, with the cause.  One that never was (an unknown endpoint) has no
            # events at all, but the answer may overtake the first of one that has.
            self._roster.later(leg, OVERTAKEN_SECONDS, self._never_was, leg)
        elif leg.doomed:
            self._hang_up(leg.id, leg.parting)

    def _never_was(self, leg: AsteriskChannel) -> None:
        if not leg.seen:
            leg.refused(OfferOutcome.UNREACHABLE)
            self._roster.ended(leg)

    def _on_bridge_enter(self, event: Message) -> None:
        if (leg := self._leg(event)) is not None:
            leg.joined(event.get("BridgeUniqueid"))
            self._bridged(leg)

    def _on_bridge_leave(self, event: Message) -> None:
        if (leg := self._leg(event)) is not None:
            leg.parted(event.get("BridgeUniqueid"))

    def _on_hangup_request(self, event: Message) -> None:
        # The far end hung up.  When a Bridge takes the channel at that very moment, Asterisk forgets the request, and the
        # leg would stay in the bridge, silent, for ever (seen in one of ten crossings; docs/asterisk.rst).
        if (leg := self._leg(event)) is not None:
            self._roster.later(leg, FORGOTTEN_SECONDS, leg.hang_up)

    def _on_hangup(self, event: Message) -> None:
        leg = self._leg(event)
        if leg is None:
            return
        cause = event.get("Cause")
        leg.cause = int(cause) if cause.isdecimal() else 0
        if (outcome := of_cause(cause)) is not None:
            leg.refused(outcome)
        if not leg.doomed and is_death(event.get("Cause")):
            leg.died_of = event.get("Cause")
        self._roster.ended(leg)
