"""Stand-ins at the seams of call control, so that a story runs in virtual time.

:class:`FakeSession` and :class:`FakeManager` stand where the two wires of an Asterisk do and say what a test scripts;
:class:`FakePbx` is a real switch on them.  :class:`FakeSwitch` and :class:`FakeChannel` implement the ports for those above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.asterisk.agi import Reply
from easycall.asterisk.agi_commands import COMMAND_SECONDS, Commands, SessionOver
from easycall.asterisk.ami import Action, Codec, Message
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.link import ActionRefused, LinkDown, LinkLost
from easycall.asterisk.switch import AsteriskSwitch
from easycall.config import DialingSettings
from easycall.defer import Bell
from easycall.events import Event
from easycall.model import OfferOutcome, PhoneState, Speaks, Trunk
from easycall.outbound.dialling import Dialling
from easycall.outbound.lines import Lines
from easycall.outbound.rules import Rules
from easycall.ports import Arrival, BridgeFailed, HungUp, NotAnswered, Taken

NOON = 1_800_000_000.0
"""Where the clocks of the tests begin: a time of day as the daemon has it."""

WAITS = object()
"""A scripted answer that comes when the test gives it."""


def clock_at(seconds: float = NOON) -> Clock:
    clock = Clock()
    clock.rightNow = seconds
    return clock


def next_turn(clock: Clock) -> None:
    """Let time pass until the next thing happens."""
    due = min(call.getTime() for call in clock.getDelayedCalls())
    clock.advance(max(0.0, due - clock.seconds()))


class Notes:
    """A journal that only keeps."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []

    def record(self, event: Event) -> None:
        self.events.append(event)
        for listener in self.listeners:
            listener(event)

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        def told(event: Event) -> None:
            listener(len(self.events), event)

        self.listeners.append(told)
        return lambda: self.listeners.remove(told)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Logged:
    """What is logged with a failure while the ``with`` lasts."""

    def __enter__(self) -> list[str]:
        self.failures: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        return self.failures

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self._observe)

    def _observe(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.failures.append(f"{formatEvent(event)}: {event['log_failure'].getErrorMessage()}")


# The wires of an Asterisk


class FakeSession(Commands):
    """One visit of a leg: answers commands as scripted by verb, else at once and well; a wait for a key waits."""

    USUAL: Mapping[str, Any] = {"WAIT FOR DIGIT": WAITS, "GET DATA": "", "SET VARIABLE": "1"}

    def __init__(self, leg: str, *arguments: str, **variables: str) -> None:
        self.variables = {"agi_uniqueid": leg, "agi_callerid": "unknown", "agi_calleridname": "unknown", **variables}
        self.arguments = arguments
        self.sent: list[tuple[str, ...]] = []
        self.answers: dict[str, list[Any]] = {}
        self.closed = False
        self._waiting: list[Deferred[Reply]] = []
        self._over = Bell()

    def __repr__(self) -> str:
        return f"<session of {self.variables['agi_uniqueid']}>"

    @property
    def over(self) -> bool:
        return self._over.rung

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def when_over(self) -> Deferred[None]:
        return self._over.wait()

    async def command(self, verb: str, *words: str, seconds: float = COMMAND_SECONDS) -> Reply:
        if self.over:
            raise SessionOver(verb)
        self.sent.append((verb, *words))
        script = self.answers.get(verb)
        answer = script.pop(0) if script else self.USUAL.get(verb, "0")
        if answer is WAITS:
            waiting: Deferred[Reply] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            return await waiting
        if isinstance(answer, Exception):
            raise answer
        return Reply(200, answer, "")

    def says(self, result: str) -> None:
        """Answer the command under way."""
        self._waiting.pop(0).callback(Reply(200, result, ""))

    def close(self) -> None:
        self.closed = True
        self.ends()

    def ends(self) -> None:
        """The leg was hung up or taken: the wire does not say which."""
        if self.over:
            return
        self._over.ring()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:
                one.errback(SessionOver("it is over"))


class FakeManager:
    """An AMI link: answers actions as scripted by name, else with success; ``Status`` shows :attr:`channels`."""

    def __init__(self) -> None:
        self.linked = True
        self.refused: float | None = None
        self.actions: list[Action] = []
        self.answers: dict[str, list[Any]] = {}
        self.channels: dict[str, dict[str, str]] = {}
        self.waiting: list[tuple[Action, Deferred[None]]] = []
        self._down = 0

    def script(self, name: str, *answers: Any) -> None:
        """Exceptions, :data:`WAITS`, functions of the action, or None for success, in their order."""
        self.answers.setdefault(name, []).extend(answers)

    def of(self, name: str) -> list[dict[str, str]]:
        """The headers of the actions of that name that were sent."""
        return [dict(action.headers) for action in self.actions if action.name == name]

    async def send(self, action: Action, seconds: float = 5.0, *, action_id: str = "") -> Message:
        await self._ask(action, action_id)
        return Message(b"Response: Success", "")

    async def collect(self, action: Action, seconds: float = 5.0) -> list[Message]:
        seen = [self._status(leg, more) for leg, more in self.channels.items()]
        await self._ask(action)
        return [*seen, event("StatusComplete")]

    @staticmethod
    def _status(leg: str, more: Mapping[str, str]) -> Message:
        return event("Status", Uniqueid=leg, **{"BridgeID": "", "ChannelStateDesc": "Up", **more})

    async def _ask(self, action: Action, action_id: str = "") -> None:
        if not self.linked:
            self._down += 1
            assert self._down < 1000, "somebody sends again and again into a link that is down"
            raise LinkDown(action.name)
        Codec.encode(action, action_id or "1")  # refuses what the real one refuses
        script = self.answers.get(action.name)
        answer = script.pop(0) if script else None
        if isinstance(answer, LinkDown):
            raise answer
        self.actions.append(action)
        if callable(answer):
            answer = answer(action)
        if answer is WAITS:
            waiting: Deferred[None] = Deferred(self._forget)
            self.waiting.append((action, waiting))
            await waiting
        elif isinstance(answer, Exception):
            raise answer

    def _forget(self, deferred: Deferred[None]) -> None:
        self.waiting = [one for one in self.waiting if one[1] is not deferred]

    def says(self, failure: Exception | None = None) -> None:
        """Answer the action that waits longest."""
        _, waiting = self.waiting.pop(0)
        if failure is None:
            waiting.callback(None)
        else:
            waiting.errback(failure)

    def breaks(self) -> None:
        """The link is lost: what waits fails."""
        self.linked = False
        while self.waiting:
            self.says(LinkLost("it is lost"))


def event(name: str, **headers: str) -> Message:
    """An AMI event."""
    lines = [f"Event: {name}", *(f"{header}: {value}" for header, value in headers.items())]
    return Message("\r\n".join(lines).encode())


class FakePbx:
    """A real switch between a fake link and fake sessions."""

    def __init__(
        self,
        arrived: Callable[[Arrival], None] | None = None,
        *,
        clock: Clock | None = None,
        notes: Notes | None = None,
        up: bool = True,
    ) -> None:
        self.clock = clock or clock_at()
        self.notes = notes or Notes()
        self.manager = FakeManager()
        self.arrivals: list[Arrival] = []
        self.told: list[str] = []
        self.phones: list[tuple[str, PhoneState]] = []
        self.switch = AsteriskSwitch(
            "main",
            dial="PJSIP/{phone}",
            context="easycall",
            clock=self.clock,
            journal=self.notes,
            arrived=arrived or self.arrivals.append,
            went_up=lambda name: self.told.append("up"),
            went_down=lambda name: self.told.append("down"),
            phone_is=lambda name, phone, state: self.phones.append((phone, state)),
        )
        self.switch.use(self.manager)  # type: ignore[arg-type]
        self._listeners = self.switch.listeners()
        if up:
            self.connects()

    def connects(self) -> Deferred[None]:
        """The AMI link is there."""
        self.manager.linked = True
        return Deferred.fromCoroutine(self.switch.connected())

    def breaks(self, reason: str = "cut") -> None:
        """The AMI link is lost, in the order in which the real one tells it."""
        self.manager.linked = False
        self.switch.lost(reason)
        self.manager.breaks()

    def tells(self, *events: Message) -> None:
        """AMI events."""
        for one in events:
            self._listeners[one.name](one)

    def home(self, leg: str, *arguments: str, **variables: str) -> FakeSession:
        """A leg comes home."""
        session = FakeSession(leg, *(arguments or ("95588",)), **variables)
        self.switch.serve(session)  # type: ignore[arg-type]
        return session

    def caller(self, leg: str = "c1", dialled: str = "95588") -> tuple[AsteriskChannel, FakeSession]:
        """A new caller at home."""
        self.manager.channels[leg] = {}
        session = self.home(leg, dialled)
        found = self.switch.legs.get(leg)
        assert found is not None
        return found, session

    def rings(self, leg: str = "a1", seconds: float = 20.0, phone: str = "2001") -> AsteriskChannel:
        """An agent's phone is rung."""
        values = {"EC_ROLE": "agent"}
        return self.switch.ring(phone, leg=leg, caller="+4930", caller_name="Carl", seconds=seconds, values=values)

    def agent(self, leg: str = "a1") -> tuple[AsteriskChannel, FakeSession]:
        """An agent's leg that was rung and answered."""
        channel = self.rings(leg)
        self.manager.channels[leg] = {}
        self.tells(event("Newchannel", Uniqueid=leg, ChannelStateDesc="Down"))
        return channel, self.home(leg, "", "agent")

    def ends(self, leg: str, cause: str = "16") -> None:
        """A leg is gone, and AMI tells."""
        self.manager.channels.pop(leg, None)
        self.tells(event("Hangup", Uniqueid=leg, Cause=cause))


# The ports


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


# A small Asterisk


class ToyLeg:
    """A channel of a :class:`ToyAsterisk`, and the person at its far end."""

    REFUSALS: Mapping[OfferOutcome, tuple[str, str]] = {
        OfferOutcome.DECLINED: ("BUSY", "17"),
        OfferOutcome.NO_ANSWER: ("NOANSWER", "19"),
        OfferOutcome.UNREACHABLE: ("CHANUNAVAIL", "20"),
    }

    def __init__(self, toy: ToyAsterisk, leg: str, *arguments: str) -> None:
        self.id = leg
        self.arguments = arguments
        self.alive = True
        self.answered = "agent" not in arguments
        self.done = False
        """The daemon has said that it shall end."""
        self.leaving: IDelayedCall | None = None
        """Its far end has hung up."""
        self.partner: ToyLeg | None = None
        self.session: ToySession | None = None
        self._toy = toy
        self._rounds = 0

    def __repr__(self) -> str:
        return f"<toy {self.id}>"

    def rings(self) -> None:
        """The phone rings."""
        if self.alive and not self.answered:
            self._toy.tell(event("Newstate", Uniqueid=self.id, ChannelStateDesc="Ringing"))

    def comes_home(self) -> None:
        """The phone is answered."""
        if self.alive and not self.answered:
            self.answered = True
            self._toy.tell(event("Newstate", Uniqueid=self.id, ChannelStateDesc="Up"))
            self._toy.tell(event("OriginateResponse", ActionID=self.id, Response="Success", Uniqueid=self.id))
            self._toy.soon(self.asks)

    def refuses(self, outcome: OfferOutcome) -> None:
        """The phone will not answer."""
        if self.alive and not self.answered:
            status, cause = self.REFUSALS[outcome]
            self._toy.tell(event("DialEnd", DestUniqueid=self.id, DialStatus=status))
            self.ends(cause)
            self._toy.tell(event("OriginateResponse", ActionID=self.id, Response="Failure", Uniqueid="<null>"))

    def dies(self) -> None:
        """The far end hangs up.  A Bridge in that very moment makes Asterisk forget it."""
        if self.alive and self.leaving is None:
            self._toy.tell(event("HangupRequest", Uniqueid=self.id))
            self.leaving = self._toy.soon(self.ends)

    def asks(self) -> None:
        """The dialplan asks the daemon, again and again."""
        if self.alive and self.partner is None and self.session is None and not self._toy.stopped:
            self.session = ToySession(self._toy, self)
            self._toy.serve(self.session)

    def leaves_home(self) -> None:
        """The FastAGI session is over; the dialplan goes on."""
        self.session = None
        if self.done:
            self.ends()
        elif self.partner is None:
            self._rounds += 1  # as the dialplan does: a daemon that closes every connection must not make it spin
            if self._rounds % 10:
                self._toy.soon(self.asks)
            else:
                self._toy.clock.callLater(1.0, self.asks)

    def bridged(self, partner: ToyLeg) -> None:
        """It is taken into a bridge."""
        if self.leaving is not None and self.leaving.active():
            self.leaving.cancel()
        self.partner = partner
        session, self.session = self.session, None
        if session is not None:
            self._toy.soon(session.ends)
        self._toy.tell(event("BridgeEnter", Uniqueid=self.id, BridgeUniqueid="b"))

    def ends(self, cause: str = "16") -> None:
        """The channel ends."""
        if not self.alive:
            return
        self.alive = False
        session, self.session = self.session, None
        if session is not None:
            self._toy.soon(session.ends)  # the two wires are not ordered with each other
        partner, self.partner = self.partner, None
        if partner is not None:
            partner.partner = None
            self._toy.tell(event("BridgeLeave", Uniqueid=partner.id, BridgeUniqueid="b"))
            self._toy.soon(partner.asks)
        del self._toy.legs[self.id]  # Asterisk's Status does not show it before its Hangup is told
        self._toy.tell(event("Hangup", Uniqueid=self.id, Cause=cause))


class ToySession(FakeSession):
    """A visit whose commands take their time."""

    SECONDS: Mapping[str, float] = {"STREAM FILE": 2.0, "WAIT FOR DIGIT": 20.0}

    def __init__(self, toy: ToyAsterisk, leg: ToyLeg) -> None:
        super().__init__(leg.id, *leg.arguments)
        self._toy = toy
        self._leg = leg

    async def command(self, verb: str, *words: str, seconds: float = COMMAND_SECONDS) -> Reply:
        self.answers[verb] = [WAITS]
        if words[:1] == ("EC_DONE",):
            self._toy.endings.append(self._leg.id)
        work = Deferred.fromCoroutine(super().command(verb, *words, seconds=seconds))
        timer = self._toy.clock.callLater(self.SECONDS.get(verb, self._toy.latency()), self._done, words)
        try:
            return await work
        finally:
            if timer.active():
                timer.cancel()

    def _done(self, words: Sequence[str]) -> None:
        if words[:1] == ("EC_DONE",):
            self._leg.done = True
        self.says("0")

    def ends(self) -> None:
        was_over = self.over
        super().ends()
        if not was_over and self._leg.session is self:
            self._leg.leaves_home()


class ToyAsterisk(FakeManager):
    """What Asterisk does with legs, each event and session with a latency of its own, on a link that can be cut.

    Events keep their order among each other; answers and FastAGI connections come when they come.  ``copies`` says how
    often an event comes: once, or not at all.
    """

    def __init__(self, clock: Clock, latency: Callable[[], float], phone: Callable[[Any], None]) -> None:
        super().__init__()
        self.clock = clock
        self.latency = latency
        self.phone = phone
        self.copies: Callable[[], int] = lambda: 1
        self.legs: dict[str, ToyLeg] = {}
        self.endings: list[str] = []
        """The legs the daemon wanted to end, each time it did."""
        self.switch: AsteriskSwitch
        self.stopped = False
        """The daemon is not there any more."""
        self._last = 0.0
        self._cuts = 0

    def serve(self, session: FakeSession) -> None:
        self.switch.serve(session)  # type: ignore[arg-type]

    def soon(self, do: Callable[..., Any], *arguments: Any) -> IDelayedCall:
        return self.clock.callLater(self.latency(), do, *arguments)

    def tell(self, told: Message) -> None:
        """An event on its way."""
        for _ in range(self.copies()):
            self._last = max(self._last, self.clock.seconds() + self.latency())
            self.clock.callLater(self._last - self.clock.seconds(), self._deliver, told, self._cuts)

    def _deliver(self, told: Message, cuts: int) -> None:
        if self.linked and cuts == self._cuts:
            self.switch.listeners()[told.name](told)

    def dial(self, leg: str, dialled: str) -> ToyLeg:
        """A caller dials in."""
        caller = self.legs[leg] = ToyLeg(self, leg, dialled)
        self.tell(event("Newchannel", Uniqueid=leg, ChannelStateDesc="Up"))
        self.soon(caller.asks)
        return caller

    def cut(self, seconds: float) -> None:
        """The link is lost, which is told a little later, and is back after ``seconds``."""
        if self.linked:
            self._cuts += 1
            self.linked = False
            self.soon(self._lose)
            self.clock.callLater(0.1 + seconds, self.back)

    def _lose(self) -> None:
        self.switch.lost("cut")
        self.breaks()

    def back(self) -> None:
        if self.stopped:
            return
        self.linked = True
        Deferred.fromCoroutine(self.switch.connected()).addErrback(lambda failure: failure.trap(LinkDown, LinkLost))

    def stop(self) -> None:
        """Both wires are closed by the daemon."""
        self.stopped = True
        self.cut(0.0)
        for leg in list(self.legs.values()):
            if leg.session is not None:
                leg.session.close()

    async def send(self, action: Action, seconds: float = 5.0, *, action_id: str = "") -> Message:
        if action.name == "Hangup" and self.linked:
            self.endings.append(dict(action.headers)["Channel"])
        await self._travel(action)
        refusal = getattr(self, f"_do_{action.name.lower()}")(dict(action.headers))
        await self._travel(action)
        if refusal:
            raise ActionRefused(refusal)
        return Message(b"Response: Success", "")

    async def collect(self, action: Action, seconds: float = 5.0) -> list[Message]:
        await self._travel(action)
        seen = [self._status(leg.id, self._shown(leg)) for leg in self.legs.values()]
        await self._travel(action)
        return [*seen, event("StatusComplete")]

    @staticmethod
    def _shown(leg: ToyLeg) -> dict[str, str]:
        role = "agent" if "agent" in leg.arguments else "caller"
        return {"BridgeID": "b" if leg.partner else "", "Variable": f"EC_ROLE={role}"}

    async def _travel(self, action: Action) -> None:
        """An action or its answer on the wire."""
        if not self.linked:
            raise LinkDown(action.name)
        travelling: Deferred[None] = Deferred(self._forget)
        entry = (action, travelling)
        self.waiting.append(entry)
        timer = self.soon(self._arrive, entry)
        try:
            await travelling
        finally:
            if timer.active():
                timer.cancel()

    def _arrive(self, entry: tuple[Action, Deferred[None]]) -> None:
        if self.linked:
            self.waiting.remove(entry)
            entry[1].callback(None)

    def _do_originate(self, headers: dict[str, str]) -> str:
        self.soon(self._make, ToyLeg(self, headers["ChannelId"], "", "agent"), int(headers["Timeout"]) / 1000)
        return ""

    def _make(self, leg: ToyLeg, seconds: float) -> None:
        self.legs[leg.id] = leg
        self.tell(event("Newchannel", Uniqueid=leg.id, ChannelStateDesc="Down"))
        self.tell(event("DialBegin", DestUniqueid=leg.id))
        self.clock.callLater(seconds, leg.refuses, OfferOutcome.NO_ANSWER)
        self.phone(leg)

    def _do_hangup(self, headers: dict[str, str]) -> str:
        leg = self.legs.get(headers["Channel"])
        if leg is None or not leg.alive:
            return "No such channel"
        leg.ends("16" if leg.answered else "0")
        return ""

    def _do_absolutetimeout(self, headers: dict[str, str]) -> str:
        """None of them lasts that long."""
        leg = self.legs.get(headers["Channel"])
        return "" if leg is not None and leg.alive else "No such channel"

    def _do_bridge(self, headers: dict[str, str]) -> str:
        one, other = (self.legs.get(headers[name]) for name in ("Channel1", "Channel2"))
        if one is None or other is None or not all(leg.alive and leg.answered for leg in (one, other)):
            return "Channel does not exist"
        assert {one.partner, other.partner} in ({None}, {one, other}), "one of them talks with somebody else"
        if one.partner is None:
            one.bridged(other)
            other.bridged(one)
        return ""
