"""The daemon's conduct on the simulated Asterisk, in virtual time: what tests of call control stand on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from easycall.config import AgentSettings, AsteriskBox, DialingSettings, FaxSettings, StaffSettings
from easycall.defer import start
from easycall.events import Event
from easycall.fax import Document, FaxDesk, ReceivedFax
from easycall.ivr.nodes import Flow, HangUpNode, QueueNode, SayNode
from easycall.ivr.prompt import Prompt
from easycall.ivr.source import parse
from easycall.lab.day.site import AGI_PORT, AMI_PORT, PBX, SECRET, Spoken, configuration
from easycall.lab.evidence import PbxChannel
from easycall.lab.layout import shipped
from easycall.model import Queue, Trunk
from easycall.policy import Channel
from easycall.ports import Messages, StoreUnavailable
from easycall.service import Part, nothing
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.faults import Faults
from easycall.simulator.line import Outside
from easycall.simulator.virtual import VirtualReactor
from easycall.simulator.virtual_process import VirtualProcess
from easycall.stats.log_file import LogFile
from easycall.stats.record import Record
from easycall.store.contacts import ContactArchive
from easycall.store.memory import MemoryDatabase
from easycall.tap import join_conduct, make_conduct

from .disk import Disk
from .transcripts.record import white_page

RIGHTS = Account(SECRET, frozenset({"system", "call", "reporting"}), frozenset({"call", "originate", "reporting"}))
DIALPLAN = (shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8")
STRAIGHT = Flow("straight", "queue", {"queue": QueueNode("sales")})
"""A flow that leads straight into the queue: that of every number."""
NOTICE = Flow("notice", "say", {"say": SayNode((Prompt(sound="notice"),), "end"), "end": HangUpNode()})
"""A flow that says something, and ends."""
CARD = parse(
    """
parameters: {amount: required}
result: {status: [ok, none], card: masked}
limit: 60
start: card
nodes:
  card: {collect: "sound:card", name: card, digits: 12-19, check: luhn, secret: yes, timeout: 2, retries: 1,
         next: pin, otherwise: nothing}
  pin: {collect: "sound:pin", name: pin, digits: 4, secret: yes, timeout: 2, retries: 1, next: paid, otherwise: nothing}
  paid: {return: {status: ok, card: "{card.masked}"}}
  nothing: {return: {status: none}}
""",
    "card",
)
"""A function that asks for two secrets."""


class Mortal:
    """Something that a process uses, and cannot any more when it is dead: a folder, a database."""

    def __init__(self, used: Any, process: VirtualProcess) -> None:
        self._used = used
        self._process = process

    def __getattr__(self, name: str) -> Any:
        if not self._process.alive and name != "close":
            raise StoreUnavailable("the process is dead") if name in ("query", "transact") else OSError("dead")
        return getattr(self._used, name)


@contextmanager
def opened() -> Iterator[MemoryDatabase]:
    """A database in memory."""
    database = MemoryDatabase()
    Deferred.fromCoroutine(database.open())
    yield database
    Deferred.fromCoroutine(database.close())


class Papers:
    """One document, ``d1``, of one page; what is received is kept in a list."""

    def __init__(self, folder: Path) -> None:
        self.page = folder / "page.tiff"
        self.page.write_bytes(white_page())
        self.came = folder / "came.tiff"
        self.kept: list[ReceivedFax] = []

    def get(self, document: str) -> Document | None:
        return Document(document, 0.0, 1, 1, "crm") if document == "d1" else None

    def seen(self, document: Document) -> str:
        return str(self.page)

    def expect(self) -> tuple[str, str]:
        return f"f{len(self.kept)}", str(self.came)

    async def keep(self, fax: ReceivedFax) -> ReceivedFax | None:
        if fax.pages:
            self.kept.append(fax)
        return fax if fax.pages else None


def fax_desk(papers: Papers, clock: IReactorTime, **settings: Any) -> FaxDesk:
    """A fax desk with one line unless told otherwise."""
    usual = FaxSettings(papers.page.parent, "", **{"lines": 1, **settings})
    return FaxDesk(usual, papers, papers, clock)  # type: ignore[arg-type] # for both


class Tape:
    """What a MixMonitor records: which sounds, from when on."""

    def __init__(self, clock: VirtualReactor) -> None:
        self._clock = clock
        self._runs: list[tuple[float, tuple[str, ...]]] = []
        self.stopped = False

    def hears(self, sounds: Sequence[str]) -> None:
        self._runs.append((self._clock.seconds(), tuple(sounds)))

    def stop(self) -> None:
        self.stopped = True

    @property
    def now(self) -> tuple[str, ...]:
        """What is recorded now."""
        return () if self.stopped else self._runs[-1][1]

    def within(self, first: float, last: float) -> set[str]:
        """Every sound that was recorded in that time."""
        ends = [at for at, _ in self._runs[1:]] + [float("inf")]
        return {
            sound
            for (at, sounds), end in zip(self._runs, ends, strict=True)
            if at < last and end > first
            for sound in sounds
        }


def _numbered(settings: Settings, number: int) -> Settings:
    """The same for another Asterisk beside the first."""
    here = {"EASYCALL_AGI": f"agi://127.0.0.1:{AGI_PORT + number}/leg"}
    return evolve(settings, ami=AMI_PORT + number, variables=here if number else {})


def _box(box: AsteriskBox, name: str, number: int) -> AsteriskBox:
    ami, fastagi = f"tcp:127.0.0.1:{AMI_PORT + number}", f"tcp:{AGI_PORT + number}:interface=127.0.0.1"
    return evolve(box, name=name, ami=ami, fastagi=fastagi)


class VirtualDaemon:
    """A daemon that is up; ``agents``: id -> queues, their phones are 2001, 2002 and so on."""

    def __init__(
        self,
        reactor: VirtualReactor,
        database: MemoryDatabase,
        outside: Outside,
        *,
        queues: Mapping[str, Queue],
        agents: Mapping[str, tuple[str, ...]],
        sound_seconds: float,
        hear: Callable[[Event], None] = lambda event: None,
        faults: Faults | None = None,
        dialing: DialingSettings = DialingSettings(),  # noqa: B008 - frozen
        trunks: tuple[Trunk, ...] = (),
        boxes: Sequence[str] = (PBX,),
        phones: Mapping[str, str] = {},
        messages: Messages | None = None,
        mailboxes: Mapping[str, str] | None = None,
        dice: Callable[[], float] = lambda: 0.5,
        fax: FaxDesk | None = None,
        takes: Mapping[Channel, int] = {},
        beside: Mapping[Channel, frozenset[Channel]] = {},
        auto_accept: tuple[Channel, ...] = (),
        voicemail_queues: Mapping[str, str] = {},
        fax_queues: Mapping[str, str] = {},
        flows: Mapping[str, Flow] = {},
    ) -> None:
        """``takes``, ``beside``, ``auto_accept``: of all agents; ``boxes``: the names of the Asterisks; ``phones``: those
        that have a device -> its state at the beginning; ``mailboxes``: of voice mail -> greeting; ``flows``: number
        dialled -> its flow, where that is another."""
        self.reactor = reactor
        self.database = database
        self.told: list[Event] = []
        self.fatal: list[str] = []
        self._hear = hear
        self.tapes: dict[str, Tape] = {}
        """What was recorded, by file."""
        self.file_size: Callable[[str], int | None] = lambda file: round(self.reactor.seconds())
        """What is told of a file of a recording: usually it grows."""
        settings = Settings(
            AMI_PORT,
            {"easycall": RIGHTS},
            DIALPLAN,
            boot_seconds=0.0,
            sounds=lambda name: sound_seconds,
            fax_seconds=0.3,
            page_seconds=0.3,
            tape=lambda file: self.tapes.setdefault(file, Tape(reactor)),
            endpoints=phones,
        )
        self.asterisks = {
            name: SimulatedAsterisk(reactor, _numbered(settings, number), outside, faults=faults)
            for number, name in enumerate(boxes)
        }
        self.asterisk = self.asterisks[boxes[0]]
        people = {
            name: AgentSettings(name, name, served, f"200{number}")
            for number, (name, served) in enumerate(agents.items(), 1)
        }
        config = evolve(configuration(0), queues=queues, agents=people, default_flow=STRAIGHT.name)
        [box] = config.asterisks
        config = evolve(config, asterisks=tuple(_box(box, name, number) for number, name in enumerate(boxes)))
        config = evolve(config, dialing=dialing, trunks=trunks)
        config = evolve(config, voicemail=evolve(config.voicemail, boxes=mailboxes or {}, queues=voicemail_queues))
        desk = StaffSettings(takes=takes, beside=beside, auto_accept=auto_accept)
        config = evolve(config, staff=desk, fax=evolve(config.fax, queues=fax_queues))
        config = evolve(config, numbers={number: flow.name for number, flow in flows.items()})
        self._flows = {flow.name: flow for flow in (STRAIGHT, NOTICE, CARD, *flows.values())}
        ids = map("c{}".format, range(10_000))
        self._config, self._new_id, self._dice, self._fax, self._messages = config, ids.__next__, dice, fax, messages
        self.disk = Disk()
        for asterisk in self.asterisks.values():
            self.now(asterisk.start())
        self.begin()
        reactor.run_until(lambda: all(pbx.switch.up for pbx in self.joined.pbxs), within=60)

    def begin(self) -> None:
        """The daemon begins, as a process of its own."""
        process = self.process = VirtualProcess(self.reactor)
        self.base = Mortal(self.database, process)
        file = LogFile(Mortal(self.disk, process), process, maybeDeferred)
        given = self._config, self._flows, process, process, self.base, Spoken().sounds, self._new_id, self._dice, self._size
        self.conduct = conduct = make_conduct(*given, self._fax, self._messages, file)
        self.dialling, self.do_not_call = conduct.dialling, conduct.do_not_call
        self.profiles, self.desktops, self.requests = conduct.profiles, conduct.desktops, conduct.requests
        self.joined = join_conduct(conduct, process, self.fatal.append, [Part("store", nothing, nothing)])
        self.joined.journal.subscribe(lambda sequence, event: self._take(event) if process.alive else None)
        self.joined.daemon.startService()

    def kill(self, *, unsent: bool) -> None:
        """SIGKILL.  ``unsent``: what it told its connections in this moment was not sent any more."""
        self.joined.journal.write()  # in its turn, before anything is sent
        if unsent:
            self.process.drop_unsent()
        self.process.kill()
        # What it had under way is ended, so that nothing of it is found half done; nobody hears of it any more.
        self.conduct.let_go()
        start(self.joined.daemon.stopService()).addErrback(lambda failure: None)

    def restart(self) -> None:
        """Another one begins, at once, over the same journal and database."""
        self.begin()

    async def _size(self, file: str) -> int | None:
        return self.file_size(file)

    def _take(self, event: Event) -> None:
        self.told.append(event)
        self._hear(event)

    def now(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let time pass until it is done."""
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        self.reactor.run_until(lambda: results, within=60)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def channels(self) -> tuple[PbxChannel, ...]:
        """The channels of the Asterisks, as AMI would show them."""
        return tuple(
            PbxChannel(
                pbx=name,
                id=channel.id,
                up=channel.up,
                bridge=channel.bridge.id if channel.bridge is not None else "",
                application=channel.application,
                contact=channel.variables.get("EC_CONTACT", ""),
                role=channel.variables.get("EC_ROLE", ""),
                agent=channel.variables.get("EC_AG", ""),
            )
            for name, asterisk in self.asterisks.items()
            for channel in asterisk.core.channels.values()
        )

    def of(self, kind: str) -> list[Any]:
        """What was told of that kind."""
        return [event for event in self.told if event.kind == kind]

    def record(self, contact: str) -> Record | None:
        """The record of a contact that ended."""
        self.now(self.joined.journal.flush())
        found: Record | None = self.now(ContactArchive(self.database).record(contact))
        return found

    def left(self) -> dict[str, int]:
        """What there is though everybody has hung up."""
        asterisks, pbxs = self.asterisks.values(), self.joined.pbxs
        ended = {event.contact for event in self.of("contact.ended")}
        return {
            "channels": sum(len(asterisk.core.channels) for asterisk in asterisks),
            "legs": sum(len(pbx.switch.legs) for pbx in pbxs),
            "sessions": sum(len(pbx.fastagi.sessions) for pbx in pbxs) + sum(len(one.sessions) for one in asterisks),
            "contacts": len(self.joined.contacts.live),
            "contacts without an end": len({event.contact for event in self.of("contact.arrived")} - ended),
            "requests": len(self.requests.live),
            "busy agents": sum(bool(agent.contact or agent.work) for agent in self.joined.distributor.staff.agents.values()),
        }

    def stop(self) -> dict[str, int]:
        """End it; the timers that are left."""
        self.now(self.joined.daemon.stopService())
        for asterisk in self.asterisks.values():
            self.now(asterisk.stop())
        self.reactor.advance(1.0)
        return {"timers": len([call for call in self.reactor.getDelayedCalls() if call.active()])}
