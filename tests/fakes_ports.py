"""A switch, its legs and its conversations in virtual time, for what stands above call control."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from easycall.config import DialingSettings
from easycall.defer import Bell
from easycall.model import OfferOutcome, Speaks, Trunk
from easycall.outbound.dialling import Dialling
from easycall.outbound.lines import Lines
from easycall.outbound.rules import Rules
from easycall.ports import BridgeFailed, HungUp, NotAnswered, Taken


class FakeChannel:
    """A leg of a :class:`FakeSwitch`: verbs take a little virtual time; the test says what becomes of it."""

    def __init__(self, leg: str, switch: FakeSwitch, *, dialled: bool) -> None:
        self.id = leg
        self.phone = ""
        self.heard: list[tuple[Any, ...]] = []
        self.keys: list[str] = []
        """The keys the caller presses, one for each wait."""
        self.gone = False
        self.end_seen = True
        self.doomed = False
        self.died_of = ""
        self.deaf = False
        """Hang-ups do not reach it."""
        self.at_home = not dialled
        self.talk: FakeConversation | None = None
        self._switch = switch
        self._clock = switch.clock
        self._verbs: list[Deferred[Any]] = []
        self._outcome: OfferOutcome | None = OfferOutcome.LOST if dialled else None
        self._moved = Bell()
        self._gone = Bell()
        self._ringing = Bell()
        self._decided = Bell()

    def __repr__(self) -> str:
        return f"<leg {self.id}>"

    # What the test lets happen

    def rings(self) -> None:
        """The phone rings."""
        if not self.gone:
            self._ringing.ring()

    def comes_home(self) -> None:
        """The phone is answered, or a bridge is over."""
        if self.gone or self.at_home:
            return
        self.at_home, self._outcome = True, None
        self._move()
        self._part()
        self._ringing.ring()
        self._decided.ring()

    def is_taken(self) -> None:
        """The leg leaves home alive."""
        self.at_home = False
        self._move()
        self._fail(Taken)

    def refuses(self, outcome: OfferOutcome) -> None:
        """The phone will not answer."""
        if self._outcome is not None:
            self._outcome = outcome
        self.dies()

    def dies(self) -> None:
        """The leg is gone."""
        if self.gone:
            return
        self.gone, self.at_home = True, False
        self._move()
        self._fail(HungUp)
        self._gone.ring()
        self._part()
        self._decided.ring()

    def _part(self) -> None:
        talk, self.talk = self.talk, None
        if talk is not None:
            talk.end(self)

    def _move(self) -> None:
        moved, self._moved = self._moved, Bell()
        moved.ring()

    def _fail(self, why: type[Exception]) -> None:
        verbs, self._verbs = self._verbs, []
        for verb in verbs:
            if not verb.called:
                verb.errback(why())

    # easycall.ports.Channel

    def when_gone(self) -> Deferred[None]:
        return self._gone.wait()

    def when_ringing(self) -> Deferred[None]:
        return self._ringing.wait()

    async def home(self) -> None:
        while not self.at_home:
            if self.gone:
                raise HungUp
            await self._moved.wait()

    async def answered(self) -> None:
        await self._decided.wait()
        if self._outcome is not None:
            raise NotAnswered(self._outcome)

    async def answer(self) -> None:
        await self._verb(("answer",), self._switch.latency())

    async def play(self, sounds: Sequence[str], keys: str = "") -> str:
        await self._verb(("play", *sounds), self._switch.sound_seconds)
        return ""

    async def wait_key(self, seconds: float) -> str:
        key = self.keys.pop(0) if self.keys else ""
        await self._verb(("wait", seconds), 0.5 if key else seconds)
        return key

    async def collect(self, sounds: Sequence[str], digits: int, seconds: float) -> str:
        raise NotImplementedError

    async def music(self, name: str | None) -> None:
        await self._verb(("music", name), self._switch.latency())

    async def listen(self, leg: str, speaks: Speaks) -> None:
        await self._verb(("listen", leg, speaks.value), 3600.0)

    async def remember(self, values: Mapping[str, str]) -> None:
        await self._verb(("remember", dict(values)), self._switch.latency())

    def hang_up(self, *, elsewhere: bool = False) -> None:
        if self.gone or self.doomed or self._switch.let_go:
            return
        self.doomed = True
        self.parted_elsewhere = elsewhere
        self._switch.hung_up.append(self)
        if not self.deaf:
            self._clock.callLater(self._switch.latency(), self.dies)

    async def _verb(self, what: tuple[Any, ...], seconds: float) -> None:
        if self.gone:
            raise HungUp
        if not self.at_home:
            raise Taken
        assert not self._verbs, f"{self}: {what} while another verb is under way"
        self.heard.append(what)
        timer = self._clock.callLater(seconds, self._done)
        verb: Deferred[None] = Deferred(self._verbs.remove)
        self._verbs.append(verb)
        try:
            await verb
        finally:
            if timer.active():
                timer.cancel()

    def _done(self) -> None:
        self._verbs.pop(0).callback(None)


class FakeConversation:
    """Two legs of a :class:`FakeSwitch` in one bridge."""

    def __init__(self, switch: FakeSwitch, one: FakeChannel, other: FakeChannel) -> None:
        self._switch = switch
        self.legs = (one, other)
        self._left: FakeChannel | None = None
        self._over = Bell()
        for leg in self.legs:
            assert leg.talk is None, f"{leg} talks already"
            leg.talk = self
            leg.is_taken()

    def end(self, leg: FakeChannel) -> None:
        """``leg`` is not in it any more."""
        partner = self.legs[1] if leg is self.legs[0] else self.legs[0]
        if self._left is None:
            self._left = leg if leg.gone else partner
            self._switch.clock.callLater(self._switch.latency(), partner.comes_home)
            self._over.ring()

    async def over(self) -> FakeChannel:
        await self._over.wait()
        assert self._left is not None
        return self._left


class FakeSwitch:
    """Call control: ``phone(leg)`` is called for each phone that is rung and says what the phone does."""

    name = "main"

    def __init__(self, clock: Clock, phone: Callable[[FakeChannel], None] = lambda leg: None) -> None:
        self.clock = clock
        self.phone = phone
        self.latency: Callable[[], float] = lambda: 0.001
        self.sound_seconds = 2.0
        self.let_go = False
        self.legs: list[FakeChannel] = []
        self.rung: list[dict[str, Any]] = []
        self.hung_up: list[FakeChannel] = []
        self.refuse_bridges = 0
        """How many bridges fail though both legs are there; -1: all."""
        self.longest: dict[str, float] = {}
        self.bad_phones: set[str] = set()
        self._up = Bell()
        self._up.ring()

    @property
    def up(self) -> bool:
        return self._up.rung

    def when_up(self) -> Deferred[None]:
        return self._up.wait()

    def goes_down(self) -> None:
        self._up = Bell()

    def comes_up(self) -> None:
        self._up.ring()

    def leg(self, name: str, *, dialled: bool = False) -> FakeChannel:
        leg = FakeChannel(name, self, dialled=dialled)
        self.legs.append(leg)
        return leg

    def ring(self, phone: str, **how: Any) -> FakeChannel:
        if phone in self.bad_phones:
            raise ValueError(f"phone {phone!r} must not be dialled")
        self.rung.append({"phone": phone, **how})
        leg = self.leg(how["leg"], dialled=True)
        leg.phone = phone
        self.phone(leg)
        return leg

    def dial(self, trunk: Trunk, number: str, **how: Any) -> FakeChannel:
        self.longest[how["leg"]] = how.pop("longest")
        return self.ring(trunk.dial_string(number), **how)

    def limit(self, channel: FakeChannel, seconds: float) -> None:
        self.longest[channel.id] = seconds

    async def fetch(self, *channels: FakeChannel) -> None:
        """They are at home."""

    def together(self, one: FakeChannel, other: FakeChannel) -> FakeConversation | None:
        return one.talk if one.talk is not None and one.talk is other.talk else None

    async def bridge(self, one: FakeChannel, other: FakeChannel) -> FakeConversation:
        await self._takes()
        if not self.up:
            await self._up.wait()
        if one.gone or other.gone:
            raise BridgeFailed("a leg is gone")
        if self.refuse_bridges:
            self.refuse_bridges -= 1
            raise BridgeFailed("refused")
        return FakeConversation(self, one, other)

    async def _takes(self) -> None:
        waiting: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self.clock.callLater(self.latency(), waiting.callback, None)
        await waiting


def no_dialling() -> Dialling:
    """A site that does not call out."""
    return Dialling(Rules(DialingSettings()), Lines(()), (), Clock())


def names(legs: Iterable[FakeChannel]) -> list[str]:
    return [leg.id for leg in legs]
