"""One call from its beginning to its record, with a daemon that dies at one write of its journal and is started again.

Who takes part does what people do: looks, does the next thing, and when it has not come to be (the daemon died, or no longer
knows of it) does it again.  What nobody does twice is dial, answer a call that is answered, or hang up.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from attrs import define, field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from easycall.client import Refused
from easycall.defer import cancelled, start
from easycall.events import ConsultStarted, Offered
from easycall.lab.legs import NotSeen, PhoneCall
from easycall.lab.site import Desk

from ...postgres import Cluster
from ..callcentre import after
from ..ground import up
from ..people import Agent, Called, Caller
from .books import last_kind
from .centre import AWAY, KillableCentre
from .twistd import ORDERLY

__all__ = ["CrashingCentre", "Goal", "Outcome", "Story", "told"]

GOAL_SECONDS = 3.0
"""After so long the thing is done again."""
TRIES = 4
NOBODY_RINGS_SECONDS = 3600.0
LOOK_SECONDS = 0.05
PATIENCE = 30
WRAP_UP_SECONDS = 1

FLOW = """\
start: greeting
nodes:
  greeting: {say: Welcome., next: menu}
  menu:
    menu: Sales, press 1.
    choices:
      "1": {name: sales, next: sales}
    timeout: 25
    otherwise: sales
  sales:
    queue: sales
"""
AGENTS = {"ana": Desk("2001", ("sales",)), "chen": Desk("2003", ("support",))}


@frozen
class Outcome:
    """How a story went."""

    died: bool
    where: str
    """The kind of the last event in the journal's file when the daemon had died."""
    starts: int
    again: tuple[str, ...]
    """What had to be done again."""
    rings: int
    """How often the phones rang."""


@define
class Goal:
    """One step of the story: how to see that it has been taken, and how to take it."""

    name: str
    reached: Callable[[], Awaitable[bool]]
    act: Callable[[], Awaitable[None]]


class CrashingCentre(KillableCentre):
    """Its first daemon dies at a point; all others live."""

    at = ""
    starts = 0
    died = False
    where = ""
    """The kind of the last event in the journal's file when it had died."""

    async def start_daemon(self, **environ: str) -> None:
        """Start a daemon, and another one when that dies before it is ready."""
        if not self.starts and self.at:
            environ = {"EASYCALL_TEST": "1", "EASYCALL_CRASH_AT": self.at}
        self.starts += 1
        await self.begin_daemon(**environ)
        try:
            await self.becomes_ready()
        except (AssertionError, *AWAY, ConnectionError):
            if self.daemon is None or self.daemon.status is None or self.starts > 1:
                raise
            await self.lives()

    async def lives(self) -> bool:
        """When the daemon has died start another; whether it had."""
        assert self.daemon is not None
        if self.daemon.status is None:
            return False
        await self.is_gone()
        assert not self.died, f"it died again: {self.last_words()}"
        self.died, self.where = True, last_kind(self.folder / "journal")
        await self.start_daemon()
        return True

    async def stop_daemon(self) -> None:
        """As an operator does, who starts one anew that died of it."""
        if await self._end(signal.SIGTERM) != ORDERLY:
            await self.lives()
            await self.terminate()


@define
class Story:
    """The call, its people, and the goals."""

    centre: CrashingCentre
    carl: Caller
    ana: Agent
    chen: Agent
    again: list[str] = field(factory=list)
    rung: dict[str, list[PhoneCall]] = field(factory=lambda: {"ana": [], "chen": []})
    left: bool = False
    site: ClassVar[Mapping[str, Any]] = {}
    """How its site is configured besides."""

    @classmethod
    def of(cls, centre: CrashingCentre) -> Self:
        """The story with its people."""
        return cls(centre, centre.caller("carl"), centre.agent("ana", "2001"), centre.agent("chen", "2003"))

    @property
    def at_phones(self) -> Sequence[Agent | Called]:
        """Whose phones ring."""
        return self.ana, self.chen

    async def contact(self) -> dict[str, Any]:
        """What the API shows of the call."""
        return (await self.centre.by_caller()).get(self.carl.number, {})

    async def state(self, agent: Agent) -> str:
        """Of an agent."""
        return str((await self.centre.client.get(f"/api/v1/agents/{agent.name}"))["state"])

    def at_phone(self, agent: Agent | Called) -> PhoneCall | None:
        """The call at somebody's phone, which rings or is answered."""
        there = [call for call in self.rung[agent.name] if not call.over]
        assert len(there) <= 1, f"{agent.name}'s phone has two calls: {there}"
        return there[0] if there else None

    async def follow(self, agent: Agent | Called) -> None:
        """Note every call that rings."""
        while True:
            with suppress(NotSeen):
                self.rung[agent.name].append(await agent.phone.rings(NOBODY_RINGS_SECONDS))

    # The goals

    def goals(self) -> list[Goal]:
        """From the beginning to the end."""
        return [
            Goal("ana is ready", lambda: self._is(self.ana, "ready"), lambda: self._works(self.ana)),
            Goal("chen is ready", lambda: self._is(self.chen, "ready"), lambda: self._works(self.chen)),
            Goal("in the menu", lambda: self._stage("ivr", "waiting", "offered"), self._dials),
            Goal("the phone rings", lambda: self._rings(self.ana), self._presses),
            Goal("they talk", lambda: self._has(self.ana, "talking"), lambda: self._answers(self.ana)),
            Goal("on hold", lambda: self._has(self.ana, "held"), lambda: self._asks("hold")),
            Goal("retrieved", lambda: self._has(self.ana, "talking"), lambda: self._asks("retrieve")),
            Goal("chen is asked", lambda: self._rings(self.chen), lambda: self._asks("consult", agent="chen")),
            Goal("chen answers", self._consults, lambda: self._answers(self.chen)),
            Goal("completed", lambda: self._has(self.chen, "talking"), lambda: self._asks("complete")),
            Goal("ana has wrapped up", lambda: self._is(self.ana, "ready"), self._nothing),
            Goal("it is over", self._is_over, self._hangs_up),
        ]

    async def _is(self, agent: Agent, state: str) -> bool:
        return await self.state(agent) == state

    async def _stage(self, *stages: str) -> bool:
        return (await self.contact()).get("stage") in stages

    async def _has(self, agent: Agent, stage: str) -> bool:
        """And the audio is where the API says."""
        shown, call = await self.contact(), self.at_phone(agent)
        return (shown.get("stage"), shown.get("agent")) == (stage, agent.name) and call is not None and call.is_up

    async def _rings(self, agent: Agent | Called) -> bool:
        return self.at_phone(agent) is not None

    async def _consults(self) -> bool:
        shown, call = await self.contact(), self.at_phone(self.chen)
        consults = (shown.get("stage"), shown.get("consulted")) == ("consulting", "chen")
        return consults and call is not None and call.is_up and await self.state(self.chen) == "talking"

    async def _is_over(self) -> bool:
        return self.left and not await self.centre.by_caller()

    async def _works(self, agent: Agent) -> None:
        if await self.state(agent) == "offline":
            await agent.logs_in()
        await agent.becomes("ready")

    async def _dials(self) -> None:
        if not self.carl.had_a_call:
            await self.carl.dials("96001")

    async def _presses(self) -> None:
        if await self._stage("ivr"):
            await self.carl.leg.press("1")

    async def _answers(self, agent: Agent | Called) -> None:
        call = self.at_phone(agent)
        if call is not None and not call.is_up:
            agent.tell("answers")
            with suppress(NotSeen):  # it was over in this moment
                await call.answer()

    async def _asks(self, verb: str, **what: Any) -> None:
        self.centre.story.tell("desktop", f"{verb} {what or ''}".rstrip())
        contact = (await self.contact())["id"]
        await self.centre.client.post(f"/api/v1/contacts/{contact}/{verb}", **what)

    async def _nothing(self) -> None:
        """It comes by itself."""

    async def _hangs_up(self) -> None:
        if not self.left:
            self.left = True
            self.carl.hangs_up()

    def looks_back(self) -> int:
        """At what the daemons left when all was over: how often the phones rang, once an attempt at most."""
        books = self.centre.books()
        for agent in (self.ana.name, self.chen.name):
            attempts = len(books.of(Offered, agent=agent)) + len(books.of(ConsultStarted, to=agent))
            rang = len(self.rung[agent])
            assert rang <= attempts, f"{agent}'s phone rang {rang} times for {attempts} attempts"
        return sum(map(len, self.rung.values()))

    # The way through them

    async def told(self) -> None:
        """Reach one after the other; what is no longer so is reached again."""
        goals, at = self.goals(), 0
        while at < len(goals):
            if await self._reach(goals[at]):
                at += 1
                continue
            self.again.append(goals[at].name)
            assert self.again.count(goals[at].name) < TRIES, f"stuck at: {goals[at].name}"
            at = await self._stands(goals, at)

    async def _stands(self, goals: list[Goal], at: int) -> int:
        """Where the story stands when a goal was not reached in time: a later one was, or the one before is no longer."""
        for later in range(at + 1, len(goals)):
            if await goals[later].reached():
                return later + 1
        return max(0, at - 1)

    async def _reach(self, goal: Goal) -> bool:
        """Whether it is reached soon, by doing it once, and once more when the daemon dies."""
        self.centre.story.tell("story", f"wants: {goal.name}")
        limit, done = self.centre.reactor.seconds() + GOAL_SECONDS, False
        while self.centre.reactor.seconds() < limit:
            if await self.centre.lives():
                limit, done = self.centre.reactor.seconds() + GOAL_SECONDS, False
            assert self.left or not self.carl.had_a_call or not self.carl.leg.over, "the caller was hung up"
            try:
                if await goal.reached():
                    return True
                if not done:
                    done = True
                    await goal.act()
            except Refused as why:
                self.centre.story.tell("story", f"refused: {why}")
            except (KeyError, *AWAY, ConnectionError):  # the daemon dies, or does not know of the call yet
                done = False
            await after(self.centre.reactor, LOOK_SECONDS)
        return False


async def told(folder: Path, at: str, kind: type[Story] = Story, server: Cluster | None = None) -> Outcome:
    """The story with a daemon that dies ``at`` a point, ``""``: nowhere.

    ``server``: where its database is, if it is not SQLite.  Raises AssertionError with the story so far.
    """
    site = {**_site_in(folder), **kind.site}
    async with up(folder, PATIENCE) as (state, worlds):
        centre = CrashingCentre(state, worlds, folder / "site", reactor)
        centre.patience, centre.at = PATIENCE, at
        if server is not None:
            centre.keeps_in(server)
        try:
            await centre.open(noise=True, ring_seconds=20, wrap_up_seconds=WRAP_UP_SECONDS, **site)
            story = kind.of(centre)
            await _to_its_end(story)
        except Exception as why:
            where = f"died behind {centre.where or 'nothing'}" if centre.died else "did not die"
            raise AssertionError(f"{where}; {type(why).__name__}: {why}\n{centre.so_far()}") from why
    return Outcome(centre.died, centre.where, centre.starts, tuple(story.again), story.looks_back())


def _site_in(folder: Path) -> dict[str, Any]:
    """The story's flow and agents."""
    flows = folder / "flows"
    flows.mkdir(parents=True)
    (flows / "welcome.yaml").write_text(FLOW)
    return {"flows": flows, "numbers": {}, "agents": AGENTS}


async def _to_its_end(story: Story) -> None:
    async with _following(story):
        try:
            await story.told()
            await story.centre.settles()
        except BaseException:
            await story.centre.abandon()
            raise
        await story.centre.close()


@asynccontextmanager
async def _following(story: Story) -> AsyncIterator[None]:
    following: list[Deferred[None]] = [start(story.follow(one)) for one in story.at_phones]
    try:
        yield
    finally:
        for one in following:
            await cancelled(one)
