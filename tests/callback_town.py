"""A call centre that calls back, in virtual time: queues, customers and their telephones, agents, a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from easycall.acd import expectation
from easycall.asterisk import audit, manager
from easycall.config import DialingSettings
from easycall.defer import start
from easycall.events import Event
from easycall.hours import Hours, spans_of
from easycall.ivr.source import parse
from easycall.model import BY_THEMSELVES, AgentState, CallbackRules, First, Outcome, Queue, Trunk
from easycall.ports import StoreUnavailable
from easycall.simulator.line import FarEnd, Unreachable
from easycall.simulator.virtual import VirtualReactor
from easycall.store.memory import MemoryDatabase
from easycall.verbs import NotNow

from .virtual import VirtualDaemon

BERLIN, LONDON, NEW_YORK = map(ZoneInfo, ("Europe/Berlin", "Europe/London", "America/New_York"))
CUSTOMERS: Mapping[str, ZoneInfo] = {
    "+4930111111": BERLIN,
    "+4930222222": BERLIN,
    "+442071111111": LONDON,
    "+12125550100": NEW_YORK,
}
"""Number -> the zone in which the customer lives."""
SPANS = ("00:00-00:40", "00:50-01:45", "02:05-02:50", "03:05-12:20", "12:40-23:50")
"""When customers of sales are called: the night of a changed clock goes through some of these within an hour."""
OPEN = ("00:10-12:10", "12:30-24:00")
"""When support is open, in Berlin."""
QUEUES = ("sales", "support")
AGENTS: Mapping[str, tuple[str, ...]] = {"ana": ("sales",), "bo": ("sales", "support"), "chen": ("support",)}
LINES = {"sales": "1000", "support": "2000"}
"""Queue -> the number that leads there."""
FLOW = """
start: line
nodes:
  line: {{queue: {queue}, keys: {{"1": {{name: callback, next: asks}}}}}}
  asks: {{callback: {queue}, next: bye, otherwise: line}}
  bye: {{say: Bye., next: end}}
  end: {{hangup: }}
"""
DELAYS = {
    Outcome.BUSY: 60.0,
    Outcome.NO_ANSWER: 90.0,
    Outcome.DECLINED: 120.0,
    Outcome.CONGESTION: 40.0,
    Outcome.UNREACHABLE: 50.0,
    Outcome.ABANDONED: 40.0,
    Outcome.FAILED: 30.0,
}
PER_DAY, IN_ALL, EXPIRES = 2, 3, 2400.0
RINGS = 15.0
"""How long a customer's telephone rings; an agent's rings for less."""
RULES: Mapping[str, Any] = {
    "of": frozenset(BY_THEMSELVES),
    "after_seconds": 15.0,
    "min_wait_seconds": 4.0,
    "delays": DELAYS,
    "most": {Outcome.DECLINED: 2},
    "attempts": IN_ALL,
    "attempts_per_day": PER_DAY,
    "expires_seconds": EXPIRES,
    "asked_per_day": 6,
    "owner_seconds": 20.0,
    "late_seconds": 600.0,
    "ring_seconds": RINGS,
}


def queues() -> dict[str, Queue]:
    """Sales dials the customer first, also ahead; support rings the agent first and has opening hours."""
    when = Hours("customers", BERLIN, dict.fromkeys(range(7), spans_of(list(SPANS))))
    opening = Hours("support", BERLIN, dict.fromkeys(range(7), spans_of(list(OPEN))))
    usual: dict[str, Any] = {"ring_seconds": 8.0, "wrap_up_seconds": 1.0}
    return {
        "sales": Queue("sales", "Sales", callback=CallbackRules(**RULES, hours=when), **usual),
        "support": Queue("support", "Support", hours=opening, callback=CallbackRules(**RULES, first=First.AGENT), **usual),
    }


class Shelves:
    """The database, which is slow, away, or does what it is told and does not say so."""

    def __init__(self, database: MemoryDatabase, reactor: VirtualReactor) -> None:
        self._database = database
        self._reactor = reactor
        self.away = False
        self.lag = 0.0
        """How long each transaction takes."""
        self.mute = 0
        """Of so many transactions nobody will hear that they were done."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        self._check()
        return await self._database.query(sql, *values)

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        self._check()
        if self.lag:
            await deferLater(self._reactor, self.lag / 2)
            self._check()
        await self._database.transact(*statements)
        if self.lag:
            await deferLater(self._reactor, self.lag / 2)
        if self.mute:
            self.mute -= 1
            raise StoreUnavailable("the answer was lost")

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("it is away")


class Telephone(FarEnd):
    """An agent's or a customer's, rung for one call: it does what its owner does with calls at this time."""

    def __init__(self, town: Town, owner: str) -> None:
        self.town = town
        self.owner = owner
        self.will: list[IDelayedCall] = []

    def rung(self, caller: str, caller_name: str) -> None:
        town, line = self.town, self.line
        what, seconds = town.habits[self.owner]
        line.ring()
        if self.owner in CUSTOMERS:
            town.rings[line.id] = self.owner
        if what == "answers":
            self.will.append(town.reactor.callLater(seconds, line.answer))
        elif what == "declines":
            self.will.append(town.reactor.callLater(seconds, line.decline))
        elif what == "busy":
            line.decline()

    def answered(self) -> None:
        self.will.append(self.town.reactor.callLater(self.town.patience[self.owner], self.line.hang_up))

    def ended(self, cause: int) -> None:
        for call in self.will:
            if call.active():
                call.cancel()


class Caller(FarEnd):
    """A customer who calls in."""

    def __init__(self, town: Town, number: str) -> None:
        self.town = town
        self.number = number

    def ended(self, cause: int) -> None:
        if self.town.callers.get(self.number) is self:
            del self.town.callers[self.number]


class Town:
    """See the module."""

    def __init__(self, database: MemoryDatabase, now: float) -> None:
        self.reactor = VirtualReactor(now)
        self.shelves = Shelves(database, self.reactor)
        self.habits: dict[str, tuple[str, float]] = {
            **dict.fromkeys(CUSTOMERS, ("answers", 5.0)),
            **dict.fromkeys(AGENTS, ("answers", 2.0)),
        }
        self.patience = {**dict.fromkeys(CUSTOMERS, 12.0), **dict.fromkeys(AGENTS, 60.0)}
        """After so many seconds of a call they hang up."""
        self.callers: dict[str, Caller] = {}
        """Number -> who calls in from there, and has not hung up."""
        self.rings: dict[str, str] = {}
        """Channel -> the customer whose telephone it rang."""
        self.hears: list[Any] = []
        numbers = {number: parse(FLOW.format(queue=queue), f"to-{queue}") for queue, number in LINES.items()}
        self.daemon = VirtualDaemon(
            self.reactor,
            self.shelves,  # type: ignore[arg-type] # all of it that is used
            self._outside,
            queues=queues(),
            agents=AGENTS,
            sound_seconds=0.5,
            hear=self._hear,
            dialing=DialingSettings(allow=("+",), ring_seconds=RINGS, calls_per_customer=100),
            trunks=(Trunk("out", "sim", "PJSIP/{number}@out", 2),),
            flows=numbers,
        )
        self.phones = {f"200{count}": agent for count, agent in enumerate(AGENTS, 1)}

    @property
    def now(self) -> float:
        return self.reactor.seconds()

    @property
    def callbacks(self) -> Any:
        """Those of the daemon of now."""
        return self.daemon.conduct.callbacks

    @property
    def staff(self) -> Any:
        return self.daemon.joined.distributor.staff

    def _hear(self, event: Event) -> None:
        for hear in self.hears:
            hear(event)

    def _outside(self, dialled: str) -> FarEnd | Unreachable | None:
        name, _, endpoint = dialled.removeprefix("PJSIP/").partition("@")
        if endpoint == "out":
            return Telephone(self, name)
        return Telephone(self, self.phones[name])

    # What people do

    def calls(self, number: str, queue: str) -> None:
        """A customer calls in, unless on the telephone with us already."""
        if number not in self.callers and not self.talks(number):
            caller = self.callers[number] = Caller(self, number)
            self.daemon.asterisk.call_in(LINES[queue], number, "", caller)

    def talks(self, number: str) -> bool:
        """Whether the customer's telephone rings, or is in use, because we called."""
        there = self.daemon.asterisk.core.channels
        return any(owner == number and channel in there for channel, owner in self.rings.items())

    def agent_does(self, agent: str, what: str) -> None:
        """Log in, become ready or not, log out; what is not possible is refused."""
        staff = self.staff
        try:
            if what == "logs out":
                staff.log_out(agent)
            elif staff.agents[agent].state is AgentState.OFFLINE:
                staff.log_in(agent)
            if what == "ready":
                staff.set_state(agent, AgentState.READY)
            elif what == "pauses":
                staff.set_state(agent, AgentState.NOT_READY, "pause")
        except NotNow:
            return

    # The daemon

    def restart(self, *, orderly: bool, away: float, unsent: bool = False) -> None:
        """It ends, and after some seconds there is another one."""
        if orderly:
            self.daemon.now(self.daemon.joined.daemon.stopService())
            self.daemon.process.kill()
        else:
            self.daemon.kill(unsent=unsent)
        self.reactor.advance(away)
        self.daemon.restart()
        self.reactor.run_until(lambda: all(pbx.switch.up for pbx in self.daemon.joined.pbxs), within=60)

    def ask(self, work: Any) -> list[Any]:
        """Ask for something of a callback; the answer, or the failure, is there as soon as it is known."""
        answers: list[Any] = []
        start(work).addBoth(answers.append)
        return answers


def hastened(patch: Any) -> None:
    """An hour in which nothing happens costs less, as the link to Asterisk is looked after less often; and forecasts believe
    what they see at once, so that customers are dialled ahead within a short story."""
    patch.setattr(manager, "PING_SECONDS", 120.0)
    patch.setattr(manager, "SILENCE_SECONDS", 400.0)
    patch.setattr(audit, "AUDIT_SECONDS", 30.0)
    patch.setattr(expectation, "ENOUGH_SERVICES", 1.0)
    patch.setattr(expectation, "BELIEVED_SERVICES", 0.1)
