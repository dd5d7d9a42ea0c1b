"""Whom the API asks, in small: a desk, live contacts, a journal, links; and the API on a real socket."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import treq
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue

from easycall.acd.waits import Waits
from easycall.api.app import Api
from easycall.config import DialingSettings, Right, Token
from easycall.config.settings import USUAL_RIGHTS
from easycall.events import Event
from easycall.health import Figures, Health, Lag, State, Vitals
from easycall.model import Agent, AgentState, Contact, EndedBy, Queue, Request, Stage, SupervisionMode, Trunk
from easycall.outbound.call import CallOut
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall, Entry
from easycall.outbound.lines import Lines
from easycall.outbound.rules import Rules
from easycall.policy import WorkItem
from easycall.ports import StoreUnavailable
from easycall.stats.journey import Step, journey
from easycall.stats.metrics import Metrics
from easycall.stats.record import Record, fold
from easycall.stats.recordings import Recording
from easycall.stats.recovery import Recovery
from easycall.stats.service_level import ServiceLevels
from easycall.store.recordings import RecordingFiles
from easycall.transactions import Transactions
from easycall.verbs import NotNow, Verb

TOKEN = "ec_0123456789"
OTHER = "ec_of_another"
ANA, NOTHING = "ec_of_ana", "ec_without_rights"
BO, SUE = "ec_of_bo", "ec_of_sue"
EVERYTHING = frozenset(Right)


def _token(name: str, token: str, rights: frozenset[Right], agent: str = "") -> Token:
    return Token(name, hashlib.sha256(token.encode()).hexdigest(), rights, agent)


TOKENS = [
    _token("crm", TOKEN, EVERYTHING),
    _token("wall", OTHER, EVERYTHING),
    _token("desktop", ANA, EVERYTHING, "ana"),
    _token("nothing", NOTHING, frozenset()),
    _token("bos", BO, USUAL_RIGHTS, "bo"),
    _token("chief", SUE, frozenset({Right.READ, Right.SUPERVISE}), "sue"),
]


RULES = Rules(
    DialingSettings(country="49", allow=("+49",)), (Trunk("out", "main", "PJSIP/{number}@out", 2, caller_ids=("+49301",)),)
)


class Papers:
    """A do-not-call list on paper."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    async def all(self) -> list[Entry]:
        return list(self.entries.values())

    async def put(self, entry: Entry) -> None:
        self.entries[entry.number] = entry

    async def remove(self, number: str) -> None:
        del self.entries[number]


class Desk:
    """Staff and distributor that only note what is asked."""

    def __init__(self) -> None:
        self.agents = {
            "ana": Agent(id="ana", name="Ana", queues=("cards", "loans"), state=AgentState.READY, phone="ana", since=5.0),
            "bo": Agent(id="bo", name="Bo", queues=("loans",)),
        }
        self.queues = {"cards": Queue("cards", "Cards"), "loans": Queue("loans", "Loans")}
        self.items: list[WorkItem] = []
        self.reasons: tuple[str, ...] = ()
        self.wrap_ups: Any = None
        self.asked: list[tuple[Any, ...]] = []

    def waiting(self, queue: str) -> list[WorkItem]:
        return [item for item in self.items if item.queue == queue]

    def position(self, contact: str) -> int:
        return {item.contact: number for number, item in enumerate(self.items, 1)}[contact]

    def ahead(self, contact: str) -> Mapping[str, int]:
        return Counter(item.queue for item in self.items)

    def log_in(self, agent_id: str, phone: str, queues: Sequence[str] | None = None, by: str = "") -> None:
        self.asked.append(("log_in", agent_id, phone, queues))
        if set(queues or ()) - set(self.queues):
            raise ValueError("unknown queue: nonsense")
        self.agents[agent_id].state = AgentState.NOT_READY

    def log_out(self, agent_id: str, by: str = "") -> None:
        self.asked.append(("log_out", agent_id))
        if self.agents[agent_id].state is AgentState.OFFLINE:
            raise NotNow("an agent who is offline cannot log out")
        self.agents[agent_id].state = AgentState.OFFLINE

    def set_state(self, agent_id: str, state: AgentState, reason: str = "", by: str = "", *, forced: bool = False) -> None:
        self.asked.append(("set_state", agent_id, state, reason))
        self.agents[agent_id].state = state


class Screens:
    """Notes whose desktops come and go."""

    def __init__(self) -> None:
        self.there: list[str] = []

    def came(self, agent_id: str) -> None:
        if agent_id not in self.there:
            self.there.append(agent_id)

    def went(self, agent_id: str) -> None:
        self.there.remove(agent_id)


class Live:
    """Contacts that are only looked at."""

    def __init__(self) -> None:
        self.live: dict[str, Contact] = {}
        self.hung_up: list[tuple[str, EndedBy]] = []
        self.called: list[CallOut] = []
        self.refusal: NotNow | None = None
        self.asked: list[tuple[str, Verb]] = []
        self.answer: Mapping[str, str] | Exception | None = {}

    def add(self, contact_id: str, agent: str = "") -> None:
        self.live[contact_id] = Contact(
            id=contact_id,
            pbx="main",
            leg="leg",
            caller="0301",
            caller_name="Eva <b>",
            dialled="95588",
            arrived=7.0,
            stage=Stage.TALKING if agent else Stage.IVR,
            agent=agent,
        )

    def call(self, asked: CallOut) -> Contact:
        self.called.append(asked)
        if self.refusal is not None:
            raise self.refusal
        self.add(f"o{len(self.called)}", asked.agent)
        return self.live[f"o{len(self.called)}"]

    def ask(self, contact_id: str, verb: Verb) -> Deferred[Mapping[str, str]]:
        self.live[contact_id]
        self.asked.append((contact_id, verb))
        if self.answer is None:
            return Deferred()
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)

    def hang_up(self, contact_id: str, ended_by: EndedBy = EndedBy.API) -> None:
        self.live[contact_id]
        self.hung_up.append((contact_id, ended_by))


class Wishes:
    """Requests that are only noted."""

    def __init__(self, contacts: Live) -> None:
        self.live: dict[str, Request] = {}
        self.refusal: Exception | None = None
        self.gate: Deferred[None] | None = None
        """What storing waits for."""
        self._contacts = contacts

    async def ask(self, request: Request) -> Contact:
        if self.gate is not None:
            await self.gate
        if self.refusal is not None:
            raise self.refusal
        name = f"r{len(self.live) + 1}"
        self.live[name] = evolve(request, id=name)
        self._contacts.add(name)
        return self._contacts.live[name]


class Listening:
    """Supervisions that are only looked at."""

    def __init__(self) -> None:
        self.live: dict[str, SimpleNamespace] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: Exception | None = None

    def add(self, supervision: str, supervisor: str = "bo", contact: str = "c1") -> SimpleNamespace:
        order = SimpleNamespace(supervisor=supervisor, follows="contact")
        facts = {"mode": SupervisionMode.LISTEN, "state": "hearing", "contact": contact, "agent": "ana", "since": 9.0}
        one = self.live[supervision] = SimpleNamespace(id=supervision, order=order, **facts)
        return one

    def begin(
        self, supervisor: str, mode: SupervisionMode, *, contact: str = "", agent: str = "", by: str = ""
    ) -> SimpleNamespace:
        self._ask("begin", supervisor, mode, contact, agent, by)
        return self.add("s1", supervisor, contact)

    def change(self, supervision: str, mode: SupervisionMode, by: str = "") -> None:
        self._ask("change", supervision, mode, by)
        self.live[supervision].mode = mode

    def end(self, supervision: str, by: str = "") -> None:
        self._ask("end", supervision, by)

    def take_over(self, supervision: str) -> Deferred[Mapping[str, str]]:
        self._ask("take_over", supervision)
        return succeed({})

    def _ask(self, *what: Any) -> None:
        self.asked.append(what)
        if self.refusal is not None:
            raise self.refusal


class Log:
    """A journal that keeps everything in a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.listeners: list[Callable[[int, Event], None]] = []
        self.away = False
        self.behind = self.dropped = 0
        self.trouble = ""

    @property
    def last(self) -> int:
        return len(self.events)

    def record(self, event: Event) -> None:
        self.events.append(event)
        for listener in self.listeners:
            listener(self.last, event)

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def write(self) -> None:
        """There is no file."""

    def turn_page(self) -> None:
        """Nor pages."""

    async def flush(self) -> None:
        if self.away:
            raise StoreUnavailable("away")

    async def record_of(self, contact: str) -> tuple[Record, list[Step]] | None:
        if self.away:
            raise StoreUnavailable("database /secret/path: away")
        mine = [(seq, event) for seq, event in enumerate(self.events, 1) if event.contact == contact]
        record = fold(contact, [event for _, event in mine])
        return (record, journey(mine)) if record else None

    async def recording(self, recording: str) -> tuple[str, Recording] | None:
        return next(((contact, one) for contact, one in self._all() if one.id == recording), None)

    async def recordings(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        found = sorted(self._all(), key=lambda one: one[1].id, reverse=True)
        return [one for one in found if first <= one[1].started < end and (not before or one[1].id < before)][:limit]

    def _all(self) -> list[tuple[str, Recording]]:
        if self.away:
            raise StoreUnavailable("away")
        contacts = {event.contact: [mine for mine in self.events if mine.contact == event.contact] for event in self.events}
        folded = [fold(contact, events) for contact, events in contacts.items() if contact]
        return [(record.id, one) for record in folded if record for one in record.recordings]

    async def ended(self, limit: int, before: str = "") -> list[Record]:
        if self.away:
            raise StoreUnavailable("away")
        records = [Record(id=f"c{number}", arrived=float(number), ended=9.0) for number in range(5, 0, -1)]
        return [record for record in records if not before or record.id < before][:limit]


class Running:
    """The API on a loopback socket."""

    def __init__(self, folder: Path, **more: Any) -> None:
        """``folder``: of recordings."""
        self.desk, self.contacts, self.journal = Desk(), Live(), Log()
        self.waits = Waits(self.desk, self.desk.agents, reactor.seconds)
        self.levels = ServiceLevels(self.desk.queues)
        self.recovery = Recovery(self.desk.queues)
        self.supervisions = Listening()
        self.requests = Wishes(self.contacts)
        self.desktops = Screens()
        self.dialling = Dialling(RULES, Lines(RULES.trunks), (), reactor)
        self.do_not_call = DoNotCall(Papers(), reactor, self.journal)
        self.links = {"main": SimpleNamespace(up=True, trouble="")}
        self.files = RecordingFiles(folder, reactor)
        self.health = self._health()
        self.api = Api(
            **{
                "staff": self.desk,
                "distributor": self.desk,
                "profiles": None,
                "edits": None,
                "desktops": self.desktops,
                "customers": None,
                **more,
            },
            waits=self.waits,
            levels=self.levels,
            recovery=self.recovery,
            history=SimpleNamespace(missing={}),
            contacts=self.contacts,
            requests=self.requests,
            supervisions=self.supervisions,
            journal=self.journal,
            health=self.health,
            tokens=TOKENS,
            clock=reactor,
            files=self.files,
            dialling=self.dialling,
            do_not_call=self.do_not_call,
            transactions=Transactions(self.journal, reactor, lambda: self.contacts.live, 3600.0),
        )
        self.port = 0

    def _health(self) -> Health:
        self.lag, self.metrics = Lag(), Metrics()
        self.journal.subscribe(self.metrics.take)
        state = State(
            reactor,
            distributor=self.desk,
            staff=self.desk,
            levels=self.levels,
            recovery=self.recovery,
            contacts=self.contacts,
            journal=self.journal,
            links=self.links,
            legs={"main": ()},
            dialling=self.dialling,
        )
        return Health(Vitals(reactor, self.journal, self.links), self.lag, Figures(state, self.metrics, self.lag))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def ask(self, verb: str, path: str, token: str | None = TOKEN, **more: Any) -> tuple[int, Any, Any]:
        """Status, decoded JSON body (or text), headers."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers.update(more.pop("headers", {}))
        answer = await treq.request(verb, self.url(path), headers=headers, persistent=False, timeout=10, **more)
        kind = (answer.headers.getRawHeaders("content-type") or [""])[0]
        body = await (treq.json_content(answer) if "json" in kind else treq.text_content(answer))
        return answer.code, body, answer.headers


@asynccontextmanager
async def running(folder: Path = Path("/nowhere"), **more: Any) -> AsyncIterator[Running]:
    """Start it, and leave nothing of it."""
    site = Running(folder, **more)
    factory = site.api.site()
    listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    site.port = listening.getHost().port
    try:
        yield site
    finally:
        site.api.stop()
        await listening.stopListening()
        while factory.protocols:
            await pause()


async def command(site: Running, *words: str, typed: str = "") -> tuple[str, str, int]:
    """What a command that asks this API prints, what it complains of, and its exit code."""
    code = "from easycall.cli.main import cli; cli()"
    line = shlex.join([sys.executable, "-c", code, *words, "--port", str(site.port)])
    environ = {**os.environ, "EASYCALL_TOKEN": TOKEN, "COLUMNS": "200"}
    told = ["-c", f"printf %s {shlex.quote(typed)} | {line}"]
    out, err, status = await getProcessOutputAndValue("/bin/sh", told, env=environ)
    return out.decode(), err.decode(), status


async def pause(seconds: float = 0.01) -> None:
    """Let the reactor turn."""
    await deferLater(reactor, seconds)
