"""A world played on a second real Asterisk: its AMI makes the callers' calls, its FastAGI brings the phones'."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort

from easycall.asterisk.ami import Action, Message, variable
from easycall.asterisk.fastagi import FastAgiFactory, Session, SessionOver
from easycall.asterisk.manager import Account, ActionRefused, LinkDown, LinkLost, Manager
from easycall.defer import Bell, first, limited, start, unattended
from easycall.lab.answering import Attendance
from easycall.lab.ear import Ear
from easycall.lab.layout import LabError, State
from easycall.lab.legs import Caller, CallOver, FaxMachine, Handset, Leg, NotSeen, PhoneCall, PhoneHandset
from easycall.lab.rtp import Wire
from easycall.lab.world import Tell, World, unheard

__all__ = ["AsteriskWorld"]

START_SECONDS = 10.0
DIAL_SECONDS = 120
"""How long a caller lets it ring."""
UP = "6"
"""``ChannelState`` of an answered channel."""
REFER_SECONDS = 5.0
NOOP_SECONDS = 20.0
"""A session without any command is closed after 60 s."""
GONE_SECONDS = 1.0
"""Between the end of a session and the Hangup event, which is missed when the caller left before we knew of the call."""


class AsteriskHandset(Handset):
    """A channel of the world's Asterisk, driven over its AMI."""

    def __init__(self, world: AsteriskWorld, channel: str) -> None:
        self.exists = False
        """True once the world's Asterisk has made the channel."""
        self.rtp_port = 0
        """Where its sound arrives, once somebody has listened."""
        self._world = world
        self._channel = channel
        self._leaving = 0

    @property
    def id(self) -> str:
        """The world's own id of the channel."""
        return self._channel

    async def press(self, key: str) -> None:
        """Play the tones of a key."""
        await self._world.send(Action.of("PlayDTMF", Channel=self.id, Digit=key, Duration="100"))

    def hang_up(self, cause: int) -> None:
        """Hang up: carried out as soon as the channel exists."""
        self._leaving = cause
        if self.exists and not self.leg.over:
            unattended(self._hang_up(cause))

    async def _hang_up(self, cause: int) -> None:
        with suppress(ActionRefused, LinkDown, LinkLost):  # the other side was faster, or the world is gone
            await self._world.send(Action.of("Hangup", Channel=self.id, Cause=str(cause)))

    async def fax(self, machine: FaxMachine) -> None:
        """Lead the channel to a fax machine of the dialplan."""
        what = {"FAXFILE": str(machine.file), "FAXSTATION": machine.station, "FAXTHEN": "hangup" if machine.hangs_up else ""}
        for name, value in what.items():
            await self._world.send(Action.of("Setvar", Channel=self.id, Variable=name, Value=value))
        button = "send" if machine.sends else "receive"
        await self._world.send(Action.of("Redirect", Channel=self.id, Context="fax-machine", Exten=button, Priority="1"))

    async def listen(self) -> Ear:
        """The RTP that arrives at the channel.  Raises LabError."""
        if not self.rtp_port:
            source = await self._world.variable(self.id, "CHANNEL(rtp,src)")
            self.rtp_port = int(source.rpartition(":")[2] or 0)
        return self._world.ear(self.rtp_port)

    # What the world's Asterisk tells

    def on_new_channel(self) -> None:
        """The channel exists."""
        self.exists = True
        if self._leaving:
            self.hang_up(self._leaving)

    def on_state(self, state: str, name: str) -> None:
        """The channel's state changed."""
        if state == UP:
            self.leg.on_answer()
        elif not self.leg.is_up:
            self.leg.note(name.lower())


class AsteriskPhoneHandset(AsteriskHandset, PhoneHandset):
    """A channel that arrived at a phone, whose dialplan asks us over FastAGI what to do."""

    def __init__(self, world: AsteriskWorld, session: Session) -> None:
        super().__init__(world, session.variables["agi_uniqueid"])
        self.exists = True
        self._session = session

    async def answer(self, tone: int | None) -> None:
        """Answer, and play music that is a tone.  Raises CallOver."""
        try:
            await self._session.answer()
            if tone is not None:
                await self._session.set_music(True, f"tone-{tone}")
        except SessionOver as error:
            raise CallOver(str(error)) from error

    async def told_to_answer(self) -> bool:
        """As the header Call-Info has it."""
        return "answer-after=0" in await self._world.variable(self.id, "PJSIP_HEADER(read,Call-Info)")

    async def follow(self) -> None:
        """From the first ring to the end: keep the session open, and end with it even if Asterisk does not tell us."""
        while not self._session.over:
            await first(self._session.when_over(), self._world.pause(NOOP_SECONDS))
            if not self._session.over:
                with suppress(SessionOver):
                    await self._session.noop()
        with suppress(NotSeen):
            await self.leg.ended(GONE_SECONDS)
        self.leg.on_end("", "before we knew of it")


class AsteriskWorld(World):
    """The world of a lab of two real Asterisks."""

    def __init__(self, state: State, reactor: Any, *, phones: bool = True, tell: Tell = unheard) -> None:
        """``reactor`` is a whole one: time, TCP, readers.

        ``phones``: whether phones are played too; without, several programs can dial in at the same time.
        ``tell(who, what)`` is called with everything that happens to a caller or a call.
        """
        super().__init__(reactor, tell)
        self._state = state
        self._reactor = reactor
        self._plays_phones = phones
        self._handsets: dict[str, AsteriskHandset] = {}
        self._following: set[Deferred[None]] = set()
        self._ready = Bell()
        self._wire: Wire | None = None
        self._listening: IListeningPort | None = None
        self._plugged_in: IListeningPort | None = None
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
        """Connect with the world's Asterisk, and listen for its phones.  Raises LabError."""
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

    async def _leave(self) -> None:
        for following in list(self._following):
            following.cancel()
        await self.pull_plug()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
        await self._manager.stop()
        if self._wire is not None:
            self._wire.close()

    async def dial(self, number: str, caller: str = "+4930123456", *, name: str = "", tone: int | None = None) -> Caller:
        """Let the world's Asterisk call a number over the trunk."""
        leg_id = f"caller-{secrets.token_hex(6)}"
        handset = AsteriskHandset(self, leg_id)
        leg = Caller(self, handset, f"caller {caller}")
        self._add(leg, handset)
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

    async def plug_in(self) -> None:
        """Answer at the port where nobody does."""
        self._plugged_in = self._reactor.listenUDP(self._state.ports.nobody_sip, Attendance(), interface="127.0.0.1")

    async def pull_plug(self) -> None:
        """Leave that port."""
        port, self._plugged_in = self._plugged_in, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    async def refers(self, call: PhoneCall, number: str) -> str:
        """The phone transfers its call by itself, with REFER; the status of SIP that it is answered with."""
        await self.send(Action.of("Redirect", Channel=call.id, Context="refer", Exten=number, Priority="1"))
        limit = self.clock.seconds() + REFER_SECONDS
        while self.clock.seconds() < limit:
            if status := await self.variable(call.id, "TRANSFERSTATUSPROTOCOL"):
                return status
            await self.pause(0.05)
        raise NotSeen(f"{call.who}: expected an answer to REFER, but saw: {call.story}")

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """Stop the world's Asterisk: nothing is on its lines."""
        process = self._state.pids["world"]
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def _add(self, leg: Leg, handset: AsteriskHandset) -> None:
        self._legs[leg] = None
        self._handsets[handset.id] = handset

    # What the handsets need

    async def send(self, action: Action, action_id: str = "") -> Message:
        """An action on the world's Asterisk."""
        return await self._manager.send(action, action_id=action_id)

    async def variable(self, channel: str, name: str) -> str:
        """A variable or function of a channel."""
        return (await self.send(Action.of("Getvar", Channel=channel, Variable=name))).get("Value")

    def ear(self, port: int) -> Ear:
        """What arrives at an RTP port.  Raises LabError when raw sockets are not allowed."""
        if self._wire is None:
            self._wire = Wire(self._reactor, self.clock, self._state.ports.world_rtp)
        return self._wire.ear(port)

    def forget(self, leg: Leg) -> None:
        """A leg has ended, and with it its channel and its sound."""
        super().forget(leg)
        handset = self._handsets.pop(leg.id, None)
        if handset is not None and self._wire is not None:
            self._wire.forget(handset.rtp_port)

    # What Asterisk tells

    def _serve(self, session: Session) -> None:
        """A call at a phone."""
        number = session.arguments[0]
        phone = self._phones.get(number)
        if phone is None:
            unattended(self._leave_alone(session))
            return
        handset = AsteriskPhoneHandset(self, session)
        facts = session.variables
        call = PhoneCall(self, handset, number, facts.get("agi_callerid", ""), facts.get("agi_calleridname", ""))
        self._add(call, handset)
        phone.on_call(call)
        unattended(self._follow(handset))

    async def _follow(self, handset: AsteriskPhoneHandset) -> None:
        """Accompany a call to its end, or to ours."""
        following = start(handset.follow())
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
        if handset := self._handsets.get(event.get("Uniqueid")):
            handset.on_new_channel()

    def _on_state(self, event: Message) -> None:
        if handset := self._handsets.get(event.get("Uniqueid")):
            handset.on_state(event.get("ChannelState"), event.get("ChannelStateDesc"))

    def _on_key(self, event: Message) -> None:
        handset = self._handsets.get(event.get("Uniqueid"))
        if handset and event.get("Direction") == "Received":
            handset.leg.on_key(event.get("Digit"))

    def _on_hangup(self, event: Message) -> None:
        if handset := self._handsets.get(event.get("Uniqueid")):
            handset.leg.on_end(event.get("Cause"), event.get("Cause-txt"))

    def _on_originate_response(self, event: Message) -> None:
        handset = self._handsets.get(event.action_id)  # its Uniqueid can be another call's
        if handset and event.get("Response") == "Failure" and not handset.exists:
            handset.leg.on_end("0", "could not be dialled")
