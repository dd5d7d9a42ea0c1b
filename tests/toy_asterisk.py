"""A small Asterisk in virtual time, at whose two wires a real switch works; only the audio is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from easycall.asterisk.agi import Reply
from easycall.asterisk.agi_commands import COMMAND_SECONDS
from easycall.asterisk.ami import Action, Message
from easycall.asterisk.link import ActionRefused, LinkDown, LinkLost
from easycall.asterisk.switch import AsteriskSwitch
from easycall.model import OfferOutcome

from .fakes_wires import WAITS, FakeManager, FakeSession, event


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
