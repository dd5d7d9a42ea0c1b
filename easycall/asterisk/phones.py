"""What the phones at one Asterisk do besides our own calls: told by its device states, judged by :mod:`.devices`."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.devices import OurLegs, device_pattern, judged
from easycall.asterisk.link import ActionRefused
from easycall.model import PHONE, OfferOutcome, PhoneState

__all__ = ["Phones"]

log = Logger()

CHANGE = "DeviceStateChange"
PRIVATE = frozenset({PhoneState.IN_USE, PhoneState.RINGING})


@define(eq=False)
class _Phone:
    """One phone."""

    device: str = ""
    """The state of its device as Asterisk tells it."""
    since: float = -math.inf
    """When that was told."""
    told: PhoneState = PhoneState.UNKNOWN
    """What we told of it last."""
    legs: set[AsteriskChannel] = field(factory=set)
    """Our legs to it."""
    ended: float = -math.inf
    """When the last of them ended that did."""
    timer: IDelayedCall | None = None
    """For the moment at which more can be said."""


class Phones:
    """The phones whose dial string has a device of its own; of others nothing is told."""

    def __init__(self, name: str, dial: str, clock: IReactorTime, tell: Callable[[str, PhoneState], None]) -> None:
        """``name``: of the Asterisk; ``dial``: the dial string with ``{phone}``; ``tell`` is told of each phone that does
        something else than before."""
        self._name = name
        self._clock = clock
        self._tell = tell
        self._phone_of = device_pattern(dial)
        self._has_devices = bool(self._phone_of(dial.format(phone="x")))
        self._phones: dict[str, _Phone] = {}
        self._said = False
        self._closed = False

    def listeners(self) -> dict[str, Callable[[Message], None]]:
        """The AMI events wanted, by name."""
        return {CHANGE: self._on_change} if self._has_devices else {}

    async def learn(self, collect: Callable[[Action], Awaitable[list[Message]]]) -> None:
        """Ask for the states of all devices; news that comes meanwhile is newer.  Raises AmiError when the link is lost.

        An Asterisk that does not know the question leaves all phones unknown.
        """
        if not self._has_devices:
            return
        asked = self._clock.seconds()
        try:
            items = await collect(Action("DeviceStateList"))
        except ActionRefused as refusal:
            if not self._said:
                self._said = True
                log.warn("{pbx}: nothing is known of phones: DeviceStateList: {why}", pbx=self._name, why=refusal)
            return
        for item in items:
            if item.name == CHANGE:
                self._device(item.get("Device"), item.get("State"), asked)

    def lost(self) -> None:
        """The link is lost: nothing is known of any phone."""
        for phone, at in list(self._phones.items()):
            at.device, at.since = "", self._clock.seconds()
            self._judge(phone, at)

    def rung(self, phone: str, leg: AsteriskChannel) -> None:
        """We ring a phone: what its device shows from now on may be this."""
        at = self._phones.setdefault(phone, _Phone())
        at.legs.add(leg)
        leg.when_gone().addCallback(lambda _: self._leg_ended(phone, at, leg))

    def close(self) -> None:
        """Tell nothing more."""
        self._closed = True
        for at in self._phones.values():
            self._stop_waiting(at)

    def _leg_ended(self, phone: str, at: _Phone, leg: AsteriskChannel) -> None:
        at.legs.discard(leg)
        at.ended = self._clock.seconds()
        self._judge(phone, at)

    def _on_change(self, event: Message) -> None:
        self._device(event.get("Device"), event.get("State"), self._clock.seconds())

    def _device(self, device: str, state: str, at_time: float) -> None:
        phone = self._phone_of(device)
        if not PHONE.fullmatch(phone):
            return
        at = self._phones.setdefault(phone, _Phone())
        if at.since > at_time:
            return
        if at.device != state:
            at.device, at.since = state, at_time
        self._judge(phone, at)

    def _judge(self, phone: str, at: _Phone) -> None:
        """Say what the phone does, now or as soon as that can be said."""
        self._stop_waiting(at)
        if self._closed:
            return
        now = self._clock.seconds()
        ours = OurLegs(
            ringing=any(leg.place is Place.DIALLED for leg in at.legs),
            answered=any(leg.place is not Place.DIALLED for leg in at.legs),
            ended=at.ended,
        )
        state, again = judged(at.device, at.since, ours, now)
        if again is not None:
            at.timer = self._clock.callLater(again - now, self._judge, phone, at)
        if state is None:
            return
        if state is not at.told:
            at.told = state
            self._tell(phone, state)
        if state in PRIVATE:
            for leg in list(at.legs):
                leg.give_up(OfferOutcome.BUSY)  # the phone is in another call: it is not to ring in the ear besides

    def _stop_waiting(self, at: _Phone) -> None:
        if at.timer is not None and at.timer.active():
            at.timer.cancel()
        at.timer = None
