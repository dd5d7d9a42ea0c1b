"""Asks an Asterisk, over its AMI, what the doctor wants to know.

Each question is harmless: lists, variables, actions that lack what they would need to do anything, and one Originate to an
endpoint that nobody has, of which Asterisk makes no channel (tests/conformance).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import evolve
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, clientFromString, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.dialplan import SHOW
from easycall.asterisk.home import written
from easycall.asterisk.link import ActionRefused, AmiError, Link, LinkFactory
from easycall.asterisk.manager import EVENT_CLASSES, Account, proof
from easycall.config.kinds import server_port
from easycall.config.settings import AsteriskBox
from easycall.defer import Bell, limited
from easycall.doctor.answers import Answers, Phone, Step
from easycall.doctor.judgement import AGI_VARIABLE, DENIED, DEVICES, FALLBACK, NEEDED, RECORDING, UNWANTED
from easycall.doctor.logging import LOG_FILES, log_variable
from easycall.doctor.phones import aor_variables, endpoint_variables

__all__ = ["ask"]

SECONDS = 5.0
"""For the connection, and for each question."""
EVENT_SECONDS = 3.0
"""For an event that should come at once."""


async def ask(box: AsteriskBox, phones: Sequence[Phone], reactor: Any) -> Answers:
    """Everything that is to be known of one Asterisk.  ``reactor`` gives time and the network."""
    fastagi = await _listens(box.fastagi, reactor)
    examination = _Examination(box, reactor)
    async with _linked(box, examination.link, reactor) as why:
        if why:
            return Answers(unreachable=why, fastagi=fastagi)
        try:
            return evolve(await examination.run(phones), fastagi=fastagi)
        except AmiError as error:
            return Answers(unreachable=examination.link.reason or str(error), fastagi=fastagi)


@asynccontextmanager
async def _linked(box: AsteriskBox, link: Link, reactor: Any) -> AsyncIterator[str]:
    """Connect; gives why not, if it cannot be."""
    why = ""
    try:
        await limited(clientFromString(reactor, box.ami).connect(LinkFactory(link)), SECONDS, reactor)
    except (ConnectError, OSError, TimeoutError) as error:
        why = f"{box.ami} cannot be reached: {error}"
    yield why
    link.abort("asked")
    if link.transport is not None:
        await link.when_lost()


async def _listens(fastagi: str, reactor: Any) -> str | None:
    """Why nobody can be reached where FastAGI is to listen, ``""`` when somebody can; None: cannot be tried."""
    port, interface = server_port(fastagi)
    if not port:
        return None
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(interface, interface)  # noqa: S104
    endpoint = (TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint)(reactor, host, port, timeout=SECONDS)
    try:
        connection = await connectProtocol(endpoint, Protocol())
    except (ConnectError, OSError) as error:
        return str(error)
    if connection.transport is not None:
        connection.transport.loseConnection()
    return ""


class _Examination:
    """The questions to one Asterisk, over one link."""

    def __init__(self, box: AsteriskBox, reactor: Any) -> None:
        self._box = box
        self._reactor = reactor
        self._booted: list[Message] = []
        self._has_booted, self._responded = Bell(), Bell()
        self.link = Link(
            reactor, {"FullyBooted": self._on_booted, "OriginateResponse": lambda event: self._responded.ring()}
        )

    def _on_booted(self, event: Message) -> None:
        self._booted.append(event)
        self._has_booted.ring()

    async def run(self, phones: Sequence[Phone]) -> Answers:
        """Ask everything.  Raises AmiError when the link is lost or does not answer."""
        box, link = self._box, self.link
        try:
            shown = await proof(link, Account(box.username, box.secret, box.login))
            await link.request(Action.of("Login", Username=box.username, **shown, Events=EVENT_CLASSES), SECONDS)
        except ActionRefused as refusal:
            return Answers(refused=refusal.message)
        await self._comes(self._has_booted)
        skew = await self._skew()
        tried = {name: await self._try(Action(name)) for name in (*NEEDED, *UNWANTED) if name != "Originate"}
        tried["Originate"] = await self._try(self._harmless_originate())
        tried[RECORDING] = await self._try(Action.of(RECORDING, Channel="easycall-doctor", Direction="both", State="0"))
        told = not tried["Originate"] and await self._comes(self._responded)
        tried[DEVICES] = await self._try(Action(DEVICES))
        tried[SHOW], dialplan = await self._dialplan((box.context, FALLBACK))
        return Answers(
            greeting=link.greeting,
            uptime=int(self._booted[0].get("Uptime") or 0) if self._booted else None,
            skew=skew,
            settings=await self._settings(),
            tried=tried,
            told=told,
            dialplan=dialplan,
            variables=await self._variables(phones),
        )

    async def _comes(self, bell: Bell) -> bool:
        """Whether an event comes in time."""
        try:
            await limited(bell.wait(), EVENT_SECONDS, self._reactor)
        except TimeoutError:
            return False
        return True

    async def _skew(self) -> float:
        before = self._reactor.seconds()
        try:
            [pong] = await self.link.request(Action("Ping"), SECONDS)
            return float(pong.get("Timestamp")) - float(before + self._reactor.seconds()) / 2
        except ValueError:
            return 0.0

    async def _try(self, action: Action) -> str:
        """Why an action is refused; empty when it is not."""
        try:
            await self.link.request(action, SECONDS)
        except ActionRefused as refusal:
            return refusal.message
        return ""

    def _harmless_originate(self) -> Action:
        """To an endpoint that nobody has: no channel is made, but the right and the goal are looked at."""
        goal = {"Context": self._box.context, "Exten": "s", "Priority": "1", "Async": "true"}
        return Action.of("Originate", Channel=f"PJSIP/easycall-doctor-{secrets.token_hex(4)}", **goal)

    async def _settings(self) -> dict[str, str]:
        try:
            return dict((await self.link.request(Action("CoreSettings"), SECONDS))[0].headers())
        except ActionRefused:
            return {}

    async def _dialplan(self, contexts: Iterable[str]) -> tuple[str, dict[str, list[Step]]]:
        """Why the dialplan cannot be looked at, empty when it can; and the steps of each context's ``s``."""
        found: dict[str, list[Step]] = {}
        why = ""
        for context in contexts:
            steps = await written(context, lambda action: self.link.request(action, SECONDS, listing=True))
            if steps is None:
                why = DENIED
            elif steps:
                found[context] = steps
        return why, found

    async def _variables(self, phones: Sequence[Phone]) -> dict[str, str]:
        """The values of all variables and functions that are judged."""
        known = {AGI_VARIABLE: await self._get(AGI_VARIABLE)}
        for file in LOG_FILES:  # one that is not known is a line in Asterisk's log, and then the others are not asked for
            known[log_variable(file)] = await self._get(log_variable(file))
            if not known[log_variable(LOG_FILES[0])]:
                break
        for endpoint in dict.fromkeys(phone.endpoint for phone in phones if phone.endpoint):
            names = endpoint_variables(endpoint)
            known |= {name: await self._get(name) for name in names}
            for aor in filter(None, known[names[0]].split(",")):
                known |= {name: await self._get(name) for name in aor_variables(aor)}
                contacts = filter(None, known[aor_variables(aor)[1]].split(","))
                statuses = [f"PJSIP_CONTACT({contact},status)" for contact in contacts]
                known |= {name: await self._get(name) for name in statuses}
        return known

    async def _get(self, name: str) -> str:
        try:
            return (await self.link.request(Action.of("Getvar", Variable=name), SECONDS))[0].get("Value")
        except ActionRefused:
            return ""
