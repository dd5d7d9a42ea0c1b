"""The two wires of an Asterisk, which say what a test scripts, and a real switch between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from easycall.asterisk.agi import Reply
from easycall.asterisk.agi_commands import COMMAND_SECONDS, Commands, SessionOver
from easycall.asterisk.ami import Action, Codec, Message
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.link import ActionRefused, LinkDown, LinkLost
from easycall.asterisk.switch import AsteriskSwitch
from easycall.defer import Bell
from easycall.model import PhoneState
from easycall.ports import Arrival

from .clocks import clock_at
from .fakes_journal import Notes

WAITS = object()
"""A scripted answer that comes when the test gives it."""


class FakeSession(Commands):
    """One visit of a leg: answers commands as scripted by verb, else at once and well; a wait for a key waits."""

    USUAL: Mapping[str, Any] = {"WAIT FOR DIGIT": WAITS, "GET DATA": "", "SET VARIABLE": "1"}
    hung_up = True
    """Asterisk says so of one that is taken, too."""

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
        self.heard: float | None = None
        self.shuts_down = self.restarted = False
        self.actions: list[Action] = []
        self.answers: dict[str, list[Any]] = {}
        self.channels: dict[str, dict[str, str]] = {}
        self.dialplan = True
        """Whether our context is there."""
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
        if action.name == "ShowDialPlan":
            await self._ask(action)
            if not self.dialplan:
                raise ActionRefused("Did not find context easycall")
            return [event("ListDialplan", Extension="s", Application="AGI"), event("ShowDialPlanComplete")]
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
