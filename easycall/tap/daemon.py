"""The whole daemon, joined of its parts in the order in which they start."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from attrs import frozen
from ulid import ULID

from easycall import parts
from easycall.acd.distributor import Distributor
from easycall.clock import SteadyClock
from easycall.config import Config
from easycall.contacts import Contacts
from easycall.ivr import library
from easycall.ivr.announcement import Announcements
from easycall.ivr.nodes import Flow
from easycall.ivr.prompts import Prompts
from easycall.model import AgentState
from easycall.service import Daemon, Part, nothing
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.store import choice
from easycall.store.journal_folder import JournalFolder
from easycall.store.messages import MessageFiles
from easycall.store.recordings import RecordingFiles
from easycall.supervision import Supervisions
from easycall.tap.beside import api_of, customers_of, health_of, retention_of
from easycall.tap.conduct import Conduct, make_conduct
from easycall.tap.disk import crash_point, fax_desk, in_thread
from easycall.tap.pbx import Pbx

__all__ = ["Joined", "join", "join_conduct"]


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
    loaded: Callable[[], None] = lambda: None,
) -> Joined:
    """Make all parts of the daemon and join them.

    ``loaded`` is called when what stays in memory is there, before calls come.

    ``watchdog_seconds``: end the process when the reactor stands still so long; 0: never, for who has more than a daemon in
    the process.
    """
    database = choice.database(config.store_url, config.store_password, reactor)
    prompts = Prompts(config.prompts, reactor)
    clock = SteadyClock(reactor)
    mail = config.voicemail
    messages = MessageFiles(mail.directory, mail.asterisk_directory, mail.max_seconds, mail.silence_seconds, reactor)
    files = RecordingFiles(config.recordings.directory, reactor)
    fax = fax_desk(config.fax, clock, reactor)
    given = config, flows, clock, reactor, database, prompts.sounds, lambda: str(ULID())
    crash, refused = crash_point(os.environ)
    folder = JournalFolder(config.data / "journal")
    log_file = LogFile(folder, clock, in_thread(reactor), max_bytes=config.journal_bytes, crash=crash)
    conduct = make_conduct(*given, size=files.size, fax=fax, messages=messages, log_file=log_file)

    health = health_of(conduct, database)
    customers = customers_of(config, conduct, database, files, messages)

    def ends(why: str) -> None:
        health.vitals.fatal(why)
        fatal(why)

    announcements = Announcements(config.prompts.voices)
    spoken = library.every_prompt(flows, config.queues, config.voicemail.boxes, announcements)
    before = [
        parts.data(config.data),
        conduct.loading.part("database", database.open, database.close),
        parts.watchdog(config.data, watchdog_seconds, clock, health),
        parts.prompts(prompts, chain(spoken, [fax.start_prompt] if fax else [])),
        parts.voice_mail(mail, messages),
        parts.recordings(config.recordings, files, needed=config.records),
    ]
    if fax is not None:
        before.append(parts.fax(fax, config.fax.directory))
    api = parts.api(config.api_listen, lambda: api_of(config, conduct, customers, files, messages, health), reactor)
    retention = parts.retention(retention_of(config, conduct, database, files, messages))
    told = parts.systemd(clock, lambda: _status(conduct))
    journal = parts.journal(conduct.journal, config.data / "journal", refused, loaded)
    return join_conduct(conduct, reactor, ends, before, [retention, api, told], journal)


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

    strategies, loading = conduct.distributor.strategies, conduct.loading
    inside = [
        *before,
        journal or parts.journal(conduct.journal, None),
        loading.part("do-not-call list", conduct.do_not_call.start),
        loading.part("calls out", conduct.dialling.start, conduct.dialling.stop),
        loading.part("agents' profiles", conduct.profiles.start),
        loading.part("queues' routing", conduct.edits.start),
        Part("strategies", lambda: strategies.start(reactor), strategies.stop),
        Part("contacts", conduct.restart.start, conduct.contacts.stop),
        loading.part("requests", conduct.requests.start, conduct.requests.stop),
        loading.part("callbacks", conduct.callbacks.start, conduct.callbacks.stop),
        Part("reading what was away", nothing, loading.stop),
        Part("supervisions", nothing, conduct.supervisions.stop),
        *(parts.fastagi(pbx.box, pbx.fastagi, reactor) for pbx in conduct.pbxs),
        *(parts.ami(pbx.box.name, pbx.manager, fatal) for pbx in conduct.pbxs),
        Part("history", conduct.history.start, conduct.history.stop),
        *beside,
        Part("call control", nothing, let_go),
    ]
    daemon = Daemon(inside, conduct.clock, fatal)
    return Joined(daemon, conduct.contacts, conduct.supervisions, conduct.pbxs, conduct.distributor, conduct.journal)


def _status(conduct: Conduct) -> str:
    """The daemon in one line."""
    agents = conduct.distributor.staff.agents.values()
    there = sum(agent.state is not AgentState.OFFLINE for agent in agents)
    ready = sum(agent.state is AgentState.READY for agent in agents)
    links = ", ".join(f"{name} {'up' if switch.up else 'DOWN'}" for name, switch in conduct.switches.items())
    return f"{len(conduct.contacts.live)} contacts; agents: {there} logged in, {ready} ready; Asterisk: {links}"
