"""Originate: a phone is dialled, and when it answers its channel walks the dialplan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall

from easycall.simulator import causes
from easycall.simulator.channel import RINGING, UP, Channel, Place
from easycall.simulator.line import FarEnd
from easycall.simulator.variables import set_variable

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk

__all__ = ["ENTRANCE", "Dialling", "Order"]

ENTRANCE: Place = ("easycall-in", "s", 1)
"""Where the phones' and trunks' endpoints send what comes in."""

_STATUS = {causes.BUSY: "BUSY", causes.CONGESTION: "CONGESTION"}
"""Cause -> ``DialStatus``; that of every other is NOANSWER."""


@frozen
class Order:
    """What an Originate asks for."""

    action_id: str
    dialled: str
    """``PJSIP/2001@world``."""
    uniqueid: str
    """The id it shall have, or nothing."""
    place: Place | None
    """Where in the dialplan it goes when answered; None: an application."""
    application: str
    data: str
    seconds: float
    caller: str
    caller_name: str
    variables: Mapping[str, str]


class Dialling:
    """One Originate under way."""

    def __init__(self, asterisk: SimulatedAsterisk, order: Order) -> None:
        self._asterisk = asterisk
        self._core = asterisk.core
        self._order = order
        self._channel: Channel | None = None
        self._timer: IDelayedCall | None = None
        self.led_away = False
        """True once a Redirect or a Bridge has taken the ringing phone: to who dialled it has failed."""

    def begin(self) -> None:
        """Make the channel, if Asterisk knows who is dialled."""
        order = self._order
        far = self._asterisk.outside(order.dialled)
        if not isinstance(far, FarEnd) or order.uniqueid in self._core.channels:
            # Nothing but this tells of it: no channel was made.  The id may be a live call's (facts M14).
            self._respond("Failure", "0", channel="", uniqueid=order.uniqueid)
            return
        technology, _, rest = order.dialled.partition("/")
        endpoint = rest.rpartition("@")[2]
        channel = self._channel = self._core.new_channel(f"{technology}/{endpoint}", far, uniqueid=order.uniqueid)
        for name, text in order.variables.items():
            set_variable(self._core, channel, name, text)
        channel.context = ENTRANCE[0]
        channel.application, channel.data = "AppDial2", "(Outgoing Line)"
        self._core.begin(channel)
        channel.caller, channel.caller_name = order.caller, order.caller_name
        self._core.tell("call", "NewCallerid", channel, [("CID-CallingPres", "0 (Presentation Allowed, Not Screened)")])
        channel.connected = (order.caller, order.caller_name)
        self._core.tell("call", "NewConnectedLine", channel)
        self._tell_dial("DialBegin", ("DialString", rest))
        self._asterisk.dialling[channel.id] = self
        self._timer = self._core.later(order.seconds, self._expired)
        far.rung(order.caller, order.caller_name)

    def on_state(self, channel: Channel) -> None:
        """The channel's state changed."""
        if channel.state == RINGING:
            self._tell_dial("DialState", ("DialStatus", "RINGING"))

    def stop(self) -> None:
        """Do not wait for the phone any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def decided(self, channel: Channel) -> None:
        """The phone was answered, refused or given up."""
        del self._asterisk.dialling[channel.id]
        self.stop()
        if self.led_away:
            if not channel.hung_up:
                self._tell_dial("DialEnd", ("DialStatus", "ANSWER"))
            channel.interrupt()
            return
        if channel.state == UP and not channel.hung_up:
            self._answered(channel)
            return
        self._tell_dial("DialEnd", ("DialStatus", _STATUS.get(channel.cause, "NOANSWER")))
        self._respond("Failure", "0", channel=channel.name, uniqueid=channel.id)
        channel.finish()

    def _expired(self) -> None:
        """Nobody answered in time: of this no DialEnd tells."""
        channel = self._channel
        if channel is not None and not channel.hung_up:
            channel.hung_up, channel.cause = True, causes.NO_ANSWER
            del self._asterisk.dialling[channel.id]
            self._respond("Failure", "3", channel=channel.name, uniqueid=channel.id)
            channel.finish()

    def lead_away(self, place: Place) -> None:
        """A Redirect or a Bridge takes the phone while it rings; it rings on, and goes on there.

        When it answers, DialEnd tells if it is in a bridge.
        """
        channel = self._channel
        if channel is not None:
            self.led_away = True
            self.stop()
            if channel.bridge is None:
                del self._asterisk.dialling[channel.id]
            self._respond("Failure", "0", channel=channel.name, uniqueid=channel.id)
            self._asterisk.walk(channel, place)

    def _answered(self, channel: Channel) -> None:
        self._respond("Success", "4", channel=channel.name, uniqueid=channel.id)
        self._tell_dial("DialEnd", ("DialStatus", "ANSWER"))
        order = self._order
        if order.place is not None:
            self._asterisk.walk(channel, order.place)
        else:
            self._asterisk.walk(channel, channel.place, (order.application.lower(), order.data))

    def _respond(self, response: str, reason: str, *, channel: str, uniqueid: str) -> None:
        order = self._order
        if order.place is not None:
            context, extension, _ = order.place
            goal = [("Context", context), ("Exten", extension)]
        else:
            goal = [("Application", order.application), ("Data", order.data)]
        known = [("Channel", channel)] if channel else [("Channel", order.dialled)]
        facts = [("ActionID", order.action_id), ("Response", response), *known, *goal]
        who = [("CallerIDNum", order.caller or "<unknown>"), ("CallerIDName", order.caller_name or "<unknown>")]
        more = [*facts, ("Reason", reason), ("Uniqueid", uniqueid or "<null>"), *who]
        self._core.tell("call", "OriginateResponse", None, more)

    def _tell_dial(self, name: str, fact: tuple[str, str]) -> None:
        channel = self._channel
        if channel is not None and self._core.wanted("call", name):
            # The dialled channel's own order holds for these too.
            headers = [(f"Dest{header}", value) for header, value in channel.headers()]
            self._core.tell("call", name, None, [*headers, fact], order_of=channel.id)
