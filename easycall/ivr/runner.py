"""Walks a flow on a call: :mod:`easycall.ivr.flow` decides, the channel plays and reads, the journal hears of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any, TypeAlias, TypeVar

from attrs import field, frozen
from twisted.logger import Logger

from easycall.events import Collected, Event, FlowStep, MenuAnswered, ServiceAsked, TransactionReported
from easycall.hours import Hours
from easycall.ivr.capture import Branch, CallBackAt, Collect, Keys, Post, Return, Seal, Transact, taken
from easycall.ivr.flow import Position, begin, chosen, collected, resume, step
from easycall.ivr.function import Unfit
from easycall.ivr.instructions import (
    Ask,
    Done,
    Failed,
    Finish,
    Instruction,
    Key,
    Known,
    LookAtHours,
    Receive,
    Said,
    Say,
    Silence,
    ToQueue,
    ToVoicemail,
)
from easycall.ivr.lint import STEP_LIMIT
from easycall.ivr.nodes import KEYS, Flow
from easycall.ivr.prompt import Prompt, spell
from easycall.ivr.values import Values
from easycall.model import AMOUNT, CURRENCY, Contact
from easycall.policy import Asked
from easycall.ports import Channel, Service, ServiceFailed, Taken
from easycall.recording import CannotPause
from easycall.secure.secret import Secret

__all__ = ["Left", "Means", "ReceiveFax", "Resumed", "Returned", "Sounds", "Stuck", "Waiting", "run"]

log = Logger()
T = TypeVar("T")

WAITING_MUSIC = "default"
"""What a caller hears while a service is asked."""

Sounds = Callable[[Prompt, str], list[str]]
"""What to play for a prompt to a caller of that language (``""``: the site's own)."""


ReceiveFax = Callable[[str], Awaitable[bool]]
"""Receives a fax into a box; False when no page came."""
PromiseCallback = Callable[[str, str], Awaitable[bool]]
"""Queue, number (empty: the caller's own) -> whether the caller will be called back."""


class Stuck(Exception):
    """The flow took :data:`~easycall.ivr.lint.STEP_LIMIT` steps without the caller choosing anything.

    A flow that lint passed cannot do this; a belt for one that changed under a live call.
    """


@frozen
class Means:
    """What flows may use beside the caller's leg."""

    seals: Mapping[str, Callable[[str], str]] = field(factory=dict)
    """Name of a key -> what seals a text with it."""
    services: Mapping[str, Service] = field(factory=dict)
    unheard: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext
    """While it is entered the caller's leg is not recorded.  Entering raises CannotPause."""
    receive_fax: ReceiveFax | None = None
    promise_callback: PromiseCallback | None = None
    hours: Mapping[str, Hours] = field(factory=dict)
    """Opening hours, by name."""
    language: str = ""
    """The site's own language."""


@frozen
class Returned:
    """The function is over, with this result."""

    result: Mapping[str, str]


@frozen
class Waiting:
    """The caller waits in a queue, and goes on in the flow when one of ``keys`` is pressed."""

    queue: str
    keys: str
    position: Position
    known: Mapping[str, str] = field(repr=False)
    """What the flow knows of the caller; secrets are forgotten."""
    asked: Asked = field(factory=Asked)
    """What the flow asks for in the caller's name."""
    pressed: str = field(default="", repr=False)
    """The key that was."""


@frozen
class Resumed:
    """The caller was at that node when the process that walked the flow ended."""

    node: str
    known: Mapping[str, str] = field(repr=False)
    """What the flow knew of the caller, without anything secret."""


Left: TypeAlias = Waiting | ToVoicemail | Finish
"""How a flow that is no function ends."""


async def run(
    flow: Flow,
    channel: Channel,
    tell: Callable[[Event], None],
    now: Callable[[], float],
    contact: Contact,
    sounds: Sounds,
    means: Means | None = None,
    parameters: Mapping[str, str] | None = None,
    goes_on: Waiting | Resumed | None = None,
) -> Left | Returned:
    """Walk ``flow`` with the caller on ``channel``, an answered leg, and return how it ended.

    What the caller chooses is told and kept in ``contact.answers``, a chosen language in ``contact.data["language"]``.  A
    leg that is taken away in the middle hears the same step again when it is home.  Secrets are forgotten when it is over,
    however it ends.  ``goes_on``: the caller comes from a queue of the flow, by a key, or was in it already.  Raises HungUp,
    Stuck, and Unfit for parameters or a result that do not fit.
    """
    given = flow.function.arguments(parameters or {}) if flow.function else {}
    kept = goes_on.known if goes_on is not None else {}
    means = means or Means()
    language = contact.data.get("language") or means.language
    always = {"contact": contact.id, "caller": contact.caller, "dialled": contact.dialled, "language": language}
    walk = _Walk(flow, channel, tell, now, contact, sounds, means, Values({**kept, **given, **always}))
    try:
        return await walk.to_its_end(goes_on)
    finally:
        walk.values.forget()


@frozen
class _Walk:
    """One caller in one flow."""

    flow: Flow
    channel: Channel
    tell: Callable[[Event], None]
    now: Callable[[], float]
    contact: Contact
    sounds: Sounds
    means: Means
    values: Values

    async def to_its_end(self, goes_on: Waiting | Resumed | None) -> Left | Returned:
        """Step by step."""
        flow, contact = self.flow, self.contact
        told = ""
        match goes_on:
            case None:
                position, instruction = begin(flow)
            case Waiting():
                self._chose(goes_on.position, Key(goes_on.pressed))
                position, instruction = step(flow, goes_on.position, Key(goes_on.pressed))
            case Resumed():
                position, instruction = resume(flow, goes_on.node, contact.data.get("language", ""))
                told = goes_on.node
        ahead = ""  # a key that cut a prompt short answers the question behind it
        steps = 0
        while True:
            if position.node == told:
                told = ""
            elif position.tries == 0:
                self.tell(FlowStep(at=self.now(), contact=contact.id, flow=flow.name, node=position.node))
            if isinstance(instruction, Finish | ToVoicemail):
                return instruction
            if isinstance(instruction, ToQueue):
                asked = Asked(**{what: self.values.shown(text) for what, text in instruction.asks.texts.items()})
                return Waiting(instruction.queue, instruction.keys, position, self.values.kept(), asked)
            if isinstance(instruction, Return):
                return self._result(instruction)
            if (steps := steps + 1) > STEP_LIMIT:
                raise Stuck(f"flow {flow.name} at node {position.node}")
            said: Said
            if ahead and isinstance(instruction, Ask):
                said, ahead = Key(ahead), ""
            else:
                said = await self._carry_out(instruction, position.node, position.language)
                ahead = said.key if isinstance(instruction, Say) and isinstance(said, Key) else ""
            if self._chose(position, said):
                steps = 0
            elif isinstance(said, Keys) and (node := collected(flow, position, said)):
                steps = 0
                self._keep(position.node, node.name, said.keys, secret=node.secret)
            position, instruction = step(flow, position, said)

    def _chose(self, position: Position, said: Said) -> bool:
        """Whether the caller made a choice, which is kept and told."""
        choice = chosen(self.flow, position, said)
        if choice is None:
            return False
        self.contact.answers[position.node] = choice.name
        if choice.language:
            self.contact.data["language"] = choice.language
            self.values.put("language", choice.language)
        self.tell(MenuAnswered(at=self.now(), contact=self.contact.id, node=position.node, choice=choice.name))
        return True

    def _keep(self, node: str, name: str, keys: str, *, secret: bool) -> None:
        """A value was keyed; a secret one is known to this walk only."""
        self.values.put(name, Secret(keys) if secret else keys)
        if not secret:
            self.contact.answers[name] = keys
        value = "" if secret else keys
        self.tell(Collected(at=self.now(), contact=self.contact.id, node=node, name=name, value=value))

    def _result(self, instruction: Return) -> Returned:
        result = {name: self.values.shown(text) for name, text in instruction.result.items()}
        if any(map(self.values.holds_secret, result.values())):
            raise Unfit("the result would show a secret")
        return Returned(self.flow.function.check(result) if self.flow.function else result)

    async def _carry_out(self, instruction: Instruction, node: str, language: str) -> Said:
        match instruction:
            case Say() | Ask():
                return await self._at_home(lambda: self._say(instruction, language))
            case Collect(secret=True):
                try:
                    async with self.means.unheard():
                        return await self._at_home(lambda: self._collect(instruction, language))
                except CannotPause as why:
                    log.error("contact {contact}: nothing secret is asked for: {why}", contact=self.contact.id, why=why)
                    return Failed()
            case Collect():
                return await self._at_home(lambda: self._collect(instruction, language))
            case Receive():
                receive = self.means.receive_fax
                return Done() if receive is not None and await receive(instruction.box) else Failed()
            case CallBackAt():
                promise = self.means.promise_callback
                number = self.values.shown(instruction.number) if instruction.number is not None else ""
                return Done() if promise is not None and await promise(instruction.queue, number) else Failed()
            case LookAtHours():
                return Known("open" if self.means.hours[instruction.hours].is_open(self.now()) else "closed")
            case Seal():
                self.values.put(instruction.name, self.means.seals[instruction.key](self.values.reveal(instruction.value)))
                return Done()
            case Post():
                return await self._post(instruction, node)
            case Transact():
                self._report(instruction, node)
                return Done()
            case Branch():
                return Known(self.values.plain(instruction.value))
        raise Stuck(f"flow {self.flow.name} at node {node}")

    def _report(self, instruction: Transact, node: str) -> None:
        """Report a transaction; one that would show a secret is not reported."""
        texts = {name: self.values.shown(text)[:200] for name, text in instruction.texts.items()}
        data = {name: self.values.shown(text)[:200] for name, text in instruction.data.items()}
        if any(map(self.values.holds_secret, (*texts.values(), *data.values()))):
            log.error(
                "contact {id}: the transaction at {node} would show a secret: not reported", id=self.contact.id, node=node
            )
            return
        for name, shape in (("amount", AMOUNT), ("currency", CURRENCY)):
            if texts.get(name) and not shape.fullmatch(texts[name]):
                log.warn("contact {id}: at {node} the {what} cannot be read", id=self.contact.id, node=node, what=name)
                texts[name] = ""
        if not texts.get("amount"):
            texts["currency"] = ""
        where = {"contact": self.contact.id, "agent": self.contact.agent, "node": f"{self.flow.name}:{node}"}
        self.tell(TransactionReported(at=self.now(), name=instruction.name, data=data, **where, **texts))

    async def _at_home(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it on the leg, as often as it takes while the leg comes and goes."""
        while True:
            try:
                return await do()
            except Taken:
                await self.channel.home()

    def _files(self, instruction: Say | Ask | Collect, language: str) -> list[str]:
        files: list[str] = []
        for prompt in instruction.prompts:
            files += spell(self.values.plain(prompt.spelled)) if prompt.spelled else self.sounds(prompt, language)
        return files

    async def _say(self, instruction: Say | Ask, language: str) -> Said:
        files = self._files(instruction, language)
        if isinstance(instruction, Say):
            key = await self.channel.play(files, instruction.keys)
            return Key(key) if key else Done()
        key = await self.channel.play(files, KEYS) or await self.channel.wait_key(instruction.seconds)
        return Key(key) if key else Silence()

    async def _collect(self, instruction: Collect, language: str) -> Said:
        keys = Keys(await self.channel.collect(self._files(instruction, language), instruction.most, instruction.seconds))
        return keys if keys.keys else Silence()

    async def _post(self, instruction: Post, node: str) -> Said:
        """Ask the service, once.  The caller hears music."""
        values = {name: Secret(self.values.revealed(text)) for name, text in instruction.send.items()}
        outcome = "cancelled"  # it may have got the values all the same
        found: Mapping[str, str] | None = None
        try:
            with suppress(Taken):
                await self.channel.music(WAITING_MUSIC)
            answer = await self.means.services[instruction.service].post(values)
            found = taken(instruction.take, answer)
            if found is not None and any(map(self.values.holds_secret, found.values())):
                found = None
            outcome = "answered" if found is not None else "misfit"
        except ServiceFailed as why:
            log.warn("contact {id}: service {name}: {why}", id=self.contact.id, name=instruction.service, why=why)
            outcome, found = "failed", None
        finally:
            for secret in values.values():
                secret.forget()
            self.tell(
                ServiceAsked(
                    at=self.now(),
                    contact=self.contact.id,
                    node=node,
                    service=instruction.service,
                    outcome=outcome,
                    taken=dict(found or {}),
                )
            )
        with suppress(Taken):
            await self.channel.music(None)
        if found is None:
            return Failed()
        for name, value in found.items():
            self.values.put(name, value)
        return Done()
