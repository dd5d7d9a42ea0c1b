"""``twistd easycall``: the page that joins all parts.

:class:`~easycall.options.Options` reads and checks the configuration; :func:`makeService` makes every object and hands each
what it needs.  No other module makes these objects or sees the global reactor.  How each starts and stops, and why it
cannot, is in :mod:`easycall.parts`.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from attrs import frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from ulid import ULID

from easycall import parts
from easycall.acd.desktops import Desktops
from easycall.acd.distributor import Distributor
from easycall.acd.last_agents import LastAgents
from easycall.acd.numbers import known_number
from easycall.acd.profiles import Profiles
from easycall.acd.queue_edits import QueueEdits
from easycall.acd.staff import Staff
from easycall.acd.waits import Waits
from easycall.asterisk.fastagi import FastAgiFactory
from easycall.asterisk.manager import Account, Manager
from easycall.asterisk.switch import AsteriskSwitch
from easycall.clock import SteadyClock
from easycall.config import AgentSettings, AsteriskBox, Config, FaxSettings
from easycall.contacts import Contacts
from easycall.fax import Documents, FaxDesk, Inbox
from easycall.garbage import settle
from easycall.health import Figures, Health, Lag, State, Vitals
from easycall.ivr import library
from easycall.ivr.announcement import Announcements
from easycall.ivr.flow import Flow
from easycall.ivr.prompts import Prompts
from easycall.ivr.runner import Means, Sounds
from easycall.ivr.script import Script
from easycall.joining import Joining
from easycall.model import Agent, AgentState
from easycall.options import Options
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall
from easycall.outbound.lines import Lines
from easycall.outbound.rules import Rules
from easycall.ports import Database, Messages
from easycall.recording import Recordings
from easycall.secure.sealing import Seal
from easycall.secure.service import WebService
from easycall.service import Daemon, Leaving, Part, nothing
from easycall.stats.journal import Journal
from easycall.stats.log_file import CrashPoint, LogFile
from easycall.stats.metrics import Metrics
from easycall.stats.service_level import ServiceLevels
from easycall.store import choice
from easycall.store.calls import CallHistory
from easycall.store.contacts import ContactArchive
from easycall.store.donotcall import DoNotCallShelf
from easycall.store.journal_folder import JournalFolder
from easycall.store.messages import MessageFiles
from easycall.store.profiles import ProfileShelf
from easycall.store.queue_edits import QueueEditShelf
from easycall.store.recordings import RecordingFiles
from easycall.store.requests import RequestShelf
from easycall.store.talks import TalkArchive
from easycall.supervision import Supervisions
from easycall.work.requests import Requests

__all__ = ["Conduct", "Joined", "Options", "Pbx", "join", "join_conduct", "makeService", "make_conduct"]

log = Logger()


@frozen
class Pbx:
    """One Asterisk: its call control and its two connections."""

    box: AsteriskBox
    switch: AsteriskSwitch
    manager: Manager
    fastagi: FastAgiFactory


def makeService(options: Options) -> MultiService:
    """The daemon as a service of twistd."""
    from twisted.internet import reactor

    service = MultiService()
    config = options.config
    limit = config.watchdog_seconds
    daemon = join(config, options.flows, reactor, Leaving(reactor), watchdog_seconds=limit).daemon
    daemon.setServiceParent(service)  # type: ignore[no-untyped-call] # Twisted's
    settle()
    return service


@frozen
class Conduct:
    """What serves calls, made and not started."""

    clock: IReactorTime
    journal: Journal
    distributor: Distributor
    contacts: Contacts
    supervisions: Supervisions
    pbxs: list[Pbx]
    dialling: Dialling
    do_not_call: DoNotCall
    profiles: Profiles
    edits: QueueEdits
    desktops: Desktops
    waits: Waits
    levels: ServiceLevels
    requests: Requests
    fax: FaxDesk | None = None

    @property
    def switches(self) -> dict[str, AsteriskSwitch]:
        """Call control, by Asterisk."""
        return {pbx.box.name: pbx.switch for pbx in self.pbxs}

    def let_go(self) -> None:
        """Touch no call any more: all go on without us."""
        self.distributor.stop()
        self.desktops.stop()
        for pbx in self.pbxs:
            pbx.switch.let_go()


@frozen
class Joined:
    """The daemon, and what a test looks at."""

    daemon: Daemon
    contacts: Contacts
    supervisions: Supervisions
    pbxs: list[Pbx]
    distributor: Distributor
    journal: Journal


def join(
    config: Config,
    flows: dict[str, Flow],
    reactor: Any,
    fatal: Callable[[str], None],
    *,
    watchdog_seconds: float = 0.0,
) -> Joined:
    """Make all parts of the daemon and join them.

    ``watchdog_seconds``: end the process when the reactor stands still so long; 0: never, for who has more than a daemon in
    the process.
    """
    database = choice.database(config.store_url, config.store_password, reactor)
    prompts = Prompts(config.prompts, reactor)
    clock = SteadyClock(reactor)
    mail = config.voicemail
    messages = MessageFiles(mail.directory, mail.asterisk_directory, mail.max_seconds, mail.silence_seconds, reactor)
    files = RecordingFiles(config.recordings.directory, reactor)
    fax = _fax(config.fax, clock, reactor)
    given = config, flows, clock, reactor, database, prompts.sounds, lambda: str(ULID())
    crash, refused = _crash_point(os.environ)
    log_file = LogFile(
        JournalFolder(config.data / "journal"), clock, _in_thread(reactor), max_bytes=config.journal_bytes, crash=crash
    )
    conduct = make_conduct(*given, size=files.size, fax=fax, messages=messages, log_file=log_file)

    health = _health(conduct, database)

    def ends(why: str) -> None:
        health.vitals.fatal(why)
        fatal(why)

    announcements = Announcements(config.prompts.voices)
    spoken = library.every_prompt(flows, config.queues, config.voicemail.boxes, announcements)
    before = [
        parts.store(config.data, database),
        parts.watchdog(config.data, watchdog_seconds, clock, health),
        parts.prompts(prompts, chain(spoken, [fax.start_prompt] if fax else [])),
        parts.voice_mail(mail, messages),
        parts.recordings(config.recordings, files, needed=config.records),
    ]
    if fax is not None:
        before.append(parts.fax(fax, config.fax.directory))
    api = parts.api(config.api_listen, lambda: _api(config, conduct, files, messages, health), reactor)
    told = parts.systemd(clock, lambda: _status(conduct))
    journal = parts.journal(conduct.journal, config.data / "journal", refused)
    return join_conduct(conduct, reactor, ends, before, [api, told], journal)


def make_conduct(
    config: Config,
    flows: dict[str, Flow],
    clock: IReactorTime,
    reactor: Any,
    database: Database,
    sounds: Sounds,
    new_id: Callable[[], str],
    dice: Callable[[], float] = random.random,
    size: Callable[[str], Awaitable[int | None]] | None = None,
    fax: FaxDesk | None = None,
    messages: Messages | None = None,
    log_file: LogFile | None = None,
) -> Conduct:
    """What serves calls, on this clock, with this database, playing these sounds; ``reactor`` gives TCP.

    ``dice`` (0 to 1) spreads the retries of links.  ``size``: how long a file of recordings is
    (:class:`~easycall.recording.Recordings`); None: nothing can be recorded.
    ``messages``: where voice mail is kept, needed for the boxes.  ``log_file``: the journal's; None: it has none.

    Beside :func:`join` it is for who lets a daemon live in virtual time (:mod:`easycall.lab.day`).
    """
    known_by = partial(known_number, settings=config.dialing)
    journal = Journal(clock, ContactArchive(database, known_by), log_file)
    recordings = Recordings(config.recordings.asterisk_directory, new_id, size) if size is not None else None
    queues = dict(config.queues)  # as they are now: they can be changed
    agents = [_agent(config, one) for one in config.agents.values()]
    staff = Staff(agents, queues, clock, journal, config.staff.reasons)
    distributor = Distributor(queues, staff, clock, journal, config.strategies)
    edits = QueueEdits(config, distributor, QueueEditShelf(database), clock, journal)
    waits = Waits(distributor, staff.agents, clock.seconds)
    journal.subscribe(waits.take)
    last_agents = LastAgents(TalkArchive(database), known_by, clock)
    journal.subscribe(last_agents.take)
    joining = Joining(known_by, last_agents)
    levels = ServiceLevels(distributor.queues)
    journal.subscribe(levels.take)
    announcements = Announcements(config.prompts.voices)
    script = Script(flows, config.flow, sounds, _means(config, reactor, clock), config.voicemail.boxes, announcements)
    do_not_call = DoNotCall(DoNotCallShelf(database), clock, journal)
    rules = Rules.of(config.dialing, config.trunks, config.numbers)
    dialling = Dialling(rules, Lines(config.trunks), do_not_call, clock, CallHistory(database))
    shared = clock, journal, distributor, script, new_id, dialling, recordings, fax
    contacts = Contacts(
        *shared,
        messages=messages,
        waits=waits,
        joining=joining,
        park_seconds=config.park_seconds,
        lifetime=config.lifetime,
    )
    pbxs = [_pbx(box, clock, reactor, journal, distributor, contacts, dice) for box in config.asterisks]
    dialling.use({pbx.box.name: pbx.switch for pbx in pbxs})
    supervisions = Supervisions(clock, journal, staff, contacts, [pbx.switch for pbx in pbxs], new_id)
    profiles = Profiles(staff, ProfileShelf(database), clock)
    desktops = Desktops(staff, clock, config.staff.desktop_seconds)
    requests = Requests(
        contacts,
        RequestShelf(database),
        journal,
        clock,
        new_id,
        queues=queues,
        voicemail=config.voicemail.queues,
        fax=config.fax.queues,
    )
    made = clock, journal, distributor, contacts, supervisions, pbxs, dialling, do_not_call, profiles, edits, desktops
    return Conduct(*made, waits, levels, requests, fax)


def _agent(config: Config, one: AgentSettings) -> Agent:
    """An agent as configured, at the beginning."""
    whose = one.id, one.name, one.queues, one.queues, one.phone, one.auto_answer
    capacity, accepts = config.capacity(one.id), config.auto_accept(one.id)
    return Agent(*whose, supervises=one.supervises, skills=one.skills, capacity=capacity, auto_accept=accepts)


def _fax(settings: FaxSettings, clock: IReactorTime, reactor: Any) -> FaxDesk | None:
    """The fax desk, if there is fax at all."""
    if not settings.lines:
        return None

    made = settings, clock, reactor, _in_thread(reactor)
    return FaxDesk(settings, Documents(*made), Inbox(*made), clock)


def _in_thread(reactor: Any) -> Callable[..., Deferred[Any]]:
    """What runs blocking work in a thread."""

    def in_thread(work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)

    return in_thread


def _crash_point(environ: Mapping[str, str]) -> tuple[CrashPoint | None, str]:
    """Where a test lets this process die, and why we refuse to."""
    wanted = environ.get("EASYCALL_CRASH_AT", "")
    if not wanted:
        return None, ""
    if environ.get("EASYCALL_TEST") != "1":
        return None, "EASYCALL_CRASH_AT kills the daemon: it is for tests, with EASYCALL_TEST=1"
    try:
        return CrashPoint(wanted, lambda: os.kill(os.getpid(), signal.SIGKILL)), ""
    except ValueError as why:
        return None, f"EASYCALL_CRASH_AT = {why}"


def _health(conduct: Conduct, database: Database) -> Health:
    """How the daemon is, from its parts."""
    links, lag, metrics = conduct.switches, Lag(), Metrics()
    conduct.journal.subscribe(metrics.take)
    state = State(
        conduct.clock,
        distributor=conduct.distributor,
        staff=conduct.distributor.staff,
        levels=conduct.levels,
        contacts=conduct.contacts,
        journal=conduct.journal,
        links=links,
        legs={name: switch.legs for name, switch in links.items()},
        dialling=conduct.dialling,
    )
    return Health(Vitals(conduct.clock, conduct.journal, links, database), lag, Figures(state, metrics, lag))


def _status(conduct: Conduct) -> str:
    """The daemon in one line."""
    agents = conduct.distributor.staff.agents.values()
    there = sum(agent.state is not AgentState.OFFLINE for agent in agents)
    ready = sum(agent.state is AgentState.READY for agent in agents)
    links = ", ".join(f"{name} {'up' if switch.up else 'DOWN'}" for name, switch in conduct.switches.items())
    return f"{len(conduct.contacts.live)} contacts; agents: {there} logged in, {ready} ready; Asterisk: {links}"


def _means(config: Config, reactor: Any, clock: IReactorTime) -> Means:
    """What flows may use outside."""
    services = {
        name: WebService(reactor, clock, one.url, ca=one.ca, token=one.token, seconds=one.timeout)
        for name, one in config.services.items()
    }
    return Means(
        {name: Seal(pem) for name, pem in config.keys.items()},
        services,
        hours=config.hours,
        language=config.prompts.language,
    )


def join_conduct(
    conduct: Conduct,
    reactor: Any,
    fatal: Callable[[str], None],
    before: Sequence[Part],
    beside: Sequence[Part] = (),
    journal: Part | None = None,
) -> Joined:
    """The daemon of a conduct: ``before`` it what it needs, ``beside`` it what else is reached from outside.

    ``journal``: how its journal starts, where that is not a matter of course.
    """

    async def let_go() -> None:
        conduct.let_go()

    strategies = conduct.distributor.strategies
    inside = [
        *before,
        journal or parts.journal(conduct.journal, None),
        Part("do-not-call list", conduct.do_not_call.start, nothing),
        Part("calls out", conduct.dialling.start, conduct.dialling.stop),
        Part("agents' profiles", conduct.profiles.start, nothing),
        Part("queues' routing", conduct.edits.start, nothing),
        Part("strategies", lambda: strategies.start(reactor), strategies.stop),
        Part("contacts", nothing, conduct.contacts.stop),
        Part("requests", conduct.requests.start, conduct.requests.stop),
        Part("supervisions", nothing, conduct.supervisions.stop),
        *(parts.fastagi(pbx.box, pbx.fastagi, reactor) for pbx in conduct.pbxs),
        *(parts.ami(pbx.box.name, pbx.manager, fatal) for pbx in conduct.pbxs),
        *beside,
        Part("call control", nothing, let_go),
    ]
    daemon = Daemon(inside, conduct.clock, fatal)
    return Joined(daemon, conduct.contacts, conduct.supervisions, conduct.pbxs, conduct.distributor, conduct.journal)


def _pbx(
    box: AsteriskBox,
    clock: IReactorTime,
    reactor: Any,
    journal: Journal,
    distributor: Distributor,
    contacts: Contacts,
    dice: Callable[[], float],
) -> Pbx:
    distributor.freeze(box.name)
    switch = AsteriskSwitch(
        box.name,
        dial=box.dial,
        context=box.context,
        clock=clock,
        journal=journal,
        arrived=contacts.arrive,
        went_up=distributor.thaw,
        went_down=distributor.freeze,
        phone_is=distributor.staff.phone_is,
    )
    manager = Manager(
        box.name,
        clientFromString(reactor, box.ami),
        Account(box.username, box.secret, box.login),
        clock,
        events=switch.listeners(),
        connected=switch.connected,
        lost=switch.lost,
        random=dice,
    )
    switch.use(manager)
    return Pbx(box, switch, manager, FastAgiFactory(switch.serve, clock, peers=box.peers))


def _api(config: Config, conduct: Conduct, files: RecordingFiles, messages: MessageFiles, health: Health) -> Any:
    from easycall.api.app import Api  # late: klein installs the global reactor when it is imported

    return Api(
        staff=conduct.distributor.staff,
        profiles=conduct.profiles,
        edits=conduct.edits,
        desktops=conduct.desktops,
        distributor=conduct.distributor,
        waits=conduct.waits,
        levels=conduct.levels,
        requests=conduct.requests,
        contacts=conduct.contacts,
        supervisions=conduct.supervisions,
        journal=conduct.journal,
        health=health,
        tokens=config.tokens,
        clock=conduct.clock,
        files=files,
        dialling=conduct.dialling,
        do_not_call=conduct.do_not_call,
        fax=conduct.fax,
        messages=messages,
        tell_agents=config.tell_agents,
    )
