"""The world around the PBX, driven by a program: callers that dial in, agents' phones that ring.

::

    world = World(state, reactor)
    await world.start()
    ana = world.phone("2001")
    bob = await world.dial("95588", "+4930123456")
    await bob.answered(5)
    await bob.press("1")
    call = await ana.rings(5)
    await call.answer()
    await call.press("5")
    await bob.hears_key("5", 2)
    bob.hang_up()
    await call.ended(2)
    await world.stop()

Only one program at a time can play the phones of a lab; phones it has not asked for do what their number says.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.task import deferLater

from easycall.asterisk.ami import Action, Message, variable
from easycall.asterisk.fastagi import FastAgiFactory, Session, SessionOver
from easycall.asterisk.manager import Account, Manager
from easycall.defer import Bell, limited, start, unattended
from easycall.lab.ear import Ear, Wire
from easycall.lab.layout import LabError, State
from easycall.lab.legs import Caller, Leg, NotSeen, Phone, PhoneCall

__all__ = ["NotSeen", "World"]

START_SECONDS = 10.0
STOP_SECONDS = 3.0
DIAL_SECONDS = 120
"""How long a caller lets it ring."""


Tell = Callable[[str, str], None]


def _unheard(who: str, what: str) -> None:
    """Nobody wants to be told."""


class World:
    """A lab's world.  Make one, start it, stop it."""

    def __init__(self, state: State, reactor: Any, *, phones: bool = True, tell: Tell = _unheard) -> None:
        """``reactor`` is a whole one: time, TCP, readers.

        ``phones``: whether phones are played too; without, several programs can dial in at the same time.
        ``tell(who, what)`` is called with everything that happens to a caller or a call.
        """
        self.clock: IReactorTime = reactor
        self.tell = tell
        self._state = state
        self._reactor = reactor
        self._plays_phones = phones
        self._legs: dict[str, Leg] = {}
        self._phones: dict[str, Phone] = {}
        self._following: set[Deferred[None]] = set()
        self._ready = Bell()
        self._wire: Wire | None = None
        self._listening: IListeningPort | None = None
        self._manager = self._link()

    def _link(self) -> Manager:
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._state.ports.world_ami, timeout=5)
        listeners = {
            "Newchannel": self._on_new_channel,
            "Newstate": self._on_state,
            "DTMFEnd": self._on_key,
            "Hangup": self._on_hangup,
            "OriginateResponse": self._on_originate_response,
        }
        account = Account("lab", self._state.secrets["lab"])
        return Manager(
            "world", endpoint, account, self.clock, events=listeners, connected=self._connected, lost=lambda reason: None
        )

    async def start(self) -> None:
        """Be ready to dial and to be rung.  Raises LabError when the world is not there."""
        if self._plays_phones:
            self._listen(self._state.ports.world_agi)
        login = self._manager.start()
        login.addErrback(lambda failure: None)  # what matters is being ready, below
        try:
            await limited(self._ready.wait(), START_SECONDS, self.clock)
        except TimeoutError:
            await self.stop()
            raise LabError(f"the world's AMI at port {self._state.ports.world_ami} does not answer") from None

    def _listen(self, port: int) -> None:
        factory = FastAgiFactory(self._serve, self.clock)
        try:
            self._listening = self._reactor.listenTCP(port, factory, interface="127.0.0.1")
        except CannotListenError:
            raise LabError(f"port {port} is taken: another program plays the phones of this lab") from None

    async def _connected(self) -> None:
        # Keys are what the world's people hear; the daemon's own account never asks for them.
        await self._manager.send(Action.of("Events", EventMask="system,call,dtmf"))
        self._ready.ring()

    async def stop(self) -> None:
        """Hang everybody up and leave."""
        legs = [leg for leg in self._legs.values() if not leg.over]
        for leg in legs:
            leg.hang_up()
        await DeferredList([start(leg.ended(STOP_SECONDS)) for leg in legs], consumeErrors=True)
        for following in list(self._following):
            following.cancel()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
        await self._manager.stop()
        if self._wire is not None:
            self._wire.close()

    # What a program asks for

    async def dial(self, number: str, caller: str = "+4930123456", *, name: str = "", tone: int | None = None) -> Caller:
        """Let a caller dial a number of the PBX; gives the caller at once, still listening to the ringing.

        ``tone`` is what the caller "says" once answered, in Hz; None: silence.
        """
        leg_id = f"caller-{secrets.token_hex(6)}"
        leg = self._legs[leg_id] = Caller(self, leg_id, f"caller {caller}")
        action = Action.of(
            "Originate",
            Channel=f"PJSIP/{number}@a",
            ChannelId=leg_id,
            Context="caller",
            Exten="s",
            Priority="1",
            Timeout=str(DIAL_SECONDS * 1000),
            CallerID=f'"{name}" <{caller}>',
            Async="true",
            Variable=[variable("TONE", f"tone-{tone}" if tone else "")],
        )
        await self.send(action, leg_id)
        return leg

    def phone(self, number: str) -> Phone:
        """The phone of that number (2000 to 2399), ours to play from now on."""
        return self._phones.setdefault(number, Phone(self, number))

    # What the legs need

    async def send(self, action: Action, action_id: str = "") -> Message:
        """An action on the world's Asterisk."""
        return await self._manager.send(action, action_id=action_id)

    async def variable(self, leg: str, name: str) -> str:
        """A channel variable or function of a leg."""
        return (await self.send(Action.of("Getvar", Channel=leg, Variable=name))).get("Value")

    def pause(self, seconds: float) -> Deferred[None]:
        """Fires after so many seconds."""
        return deferLater(self.clock, seconds)

    def ear(self, port: int) -> Ear:
        """What arrives at an RTP port.  Raises LabError when raw sockets are not allowed."""
        if self._wire is None:
            self._wire = Wire(self._reactor, self.clock, self._state.ports.world_rtp)
        return self._wire.ear(port)

    def forget(self, leg: Leg, port: int) -> None:
        """A leg has ended."""
        self._legs.pop(leg.id, None)
        if self._wire is not None:
            self._wire.forget(port)

    # What Asterisk tells

    def _serve(self, session: Session) -> None:
        """A call at a phone."""
        phone = self._phones.get(session.arguments[0])
        if phone is None:
            unattended(self._leave_alone(session))
            return
        call = PhoneCall(self, session)
        self._legs[call.id] = call
        phone.on_call(call)
        unattended(self._follow(call))

    async def _follow(self, call: PhoneCall) -> None:
        """Accompany a call to its end, or to ours."""
        following = start(call.follow())
        self._following.add(following)
        try:
            await following
        finally:
            self._following.discard(following)

    async def _leave_alone(self, session: Session) -> None:
        """Let the phone do what its number says."""
        with suppress(SessionOver):
            await session.set_variable("PHONE", "unattended")
        session.close()

    def _on_new_channel(self, event: Message) -> None:
        if leg := self._legs.get(event.get("Uniqueid")):
            leg.on_new_channel()

    def _on_state(self, event: Message) -> None:
        if leg := self._legs.get(event.get("Uniqueid")):
            leg.on_state(event.get("ChannelState"), event.get("ChannelStateDesc"))

    def _on_key(self, event: Message) -> None:
        leg = self._legs.get(event.get("Uniqueid"))
        if leg and event.get("Direction") == "Received":
            leg.on_key(event.get("Digit"))

    def _on_hangup(self, event: Message) -> None:
        if leg := self._legs.get(event.get("Uniqueid")):
            leg.on_end(event.get("Cause"), event.get("Cause-txt"))

    def _on_originate_response(self, event: Message) -> None:
        leg = self._legs.get(event.action_id)  # its Uniqueid can be another call's
        if leg and event.get("Response") == "Failure" and not leg.exists:
            leg.on_end("0", "could not be dialled")
