"""What serves calls, made and joined."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from easycall.acd.desktops import Desktops
from easycall.acd.distributor import Distributor
from easycall.acd.last_agents import LastAgents
from easycall.acd.numbers import known_number
from easycall.acd.profiles import Profiles
from easycall.acd.queue_edits import QueueEdits
from easycall.acd.redials import Redials
from easycall.acd.staff import Staff
from easycall.acd.waits import Waits
from easycall.asterisk.switch import AsteriskSwitch
from easycall.callback.callbacks import Callbacks
from easycall.callback.dial_ahead import DialAhead
from easycall.callback.pacing import AnswerTimes
from easycall.config import AgentSettings, Config
from easycall.contacts import Contacts
from easycall.fax import FaxDesk
from easycall.ivr.announcement import Announcements
from easycall.ivr.nodes import Flow
from easycall.ivr.runner import Means, Sounds
from easycall.ivr.script import Script
from easycall.joining import Joining
from easycall.loading import Loading
from easycall.model import Agent
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall
from easycall.outbound.lines import Lines
from easycall.outbound.rules import Rules
from easycall.ports import Database, Messages
from easycall.recording import Recordings
from easycall.recovery.restart import Restart
from easycall.secure.sealing import Seal
from easycall.secure.service import WebService
from easycall.stats.history import History
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.stats.recovery import Recovery
from easycall.stats.service_level import ServiceLevels
from easycall.store.callbacks import CallbackShelf
from easycall.store.calls import CallHistory
from easycall.store.contacts import ContactArchive
from easycall.store.donotcall import DoNotCallShelf
from easycall.store.past_events import PastEvents
from easycall.store.profiles import ProfileShelf
from easycall.store.queue_edits import QueueEditShelf
from easycall.store.reports import Reports
from easycall.store.requests import RequestShelf
from easycall.store.talks import TalkArchive
from easycall.supervision import Supervisions
from easycall.tap.pbx import Pbx, make_pbx
from easycall.transactions import Transactions
from easycall.work.requests import Requests

__all__ = ["Conduct", "make_conduct"]


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
    recovery: Recovery
    history: History
    requests: Requests
    callbacks: Callbacks
    ahead: DialAhead
    restart: Restart
    loading: Loading
    last_agents: LastAgents
    transactions: Transactions
    fax: FaxDesk | None = None

    @property
    def switches(self) -> dict[str, AsteriskSwitch]:
        """Call control, by Asterisk."""
        return {pbx.box.name: pbx.switch for pbx in self.pbxs}

    def let_go(self) -> None:
        """Touch no call any more: all go on without us."""
        self.distributor.stop()
        self.desktops.stop()
        self.ahead.stop()
        for pbx in self.pbxs:
            pbx.switch.let_go()


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
    past = ContactArchive(Reports(database, clock), known_by)
    journal = Journal(clock, ContactArchive(database, known_by), log_file, reports=past)
    recordings = Recordings(config.recordings.asterisk_directory, new_id, size) if size is not None else None
    queues = dict(config.queues)  # as they are now: they can be changed
    agents = [_agent(config, one) for one in config.agents.values()]
    staff = Staff(agents, queues, clock, journal, config.staff.reasons)
    distributor = Distributor(queues, staff, clock, journal, config.strategies)
    edits = QueueEdits(config, distributor, QueueEditShelf(database), clock, journal)
    waits = Waits(distributor, staff.agents, clock.seconds, journal.record)
    journal.subscribe(waits.take)
    last_agents = LastAgents(TalkArchive(database), known_by, clock)
    journal.subscribe(last_agents.take)
    redials = Redials(known_by, distributor.queues)
    journal.subscribe(redials.take)
    joining = Joining(known_by, last_agents, redials)
    levels = ServiceLevels(distributor.queues)
    journal.subscribe(levels.take)
    answers = AnswerTimes()
    journal.subscribe(answers.take)
    recovery = Recovery(distributor.queues, known_by)
    journal.subscribe(recovery.take)
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
    pbxs = [make_pbx(box, clock, reactor, journal, distributor, contacts, dice) for box in config.asterisks]
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
    ahead = DialAhead(distributor, waits, answers, clock)
    journal.subscribe(ahead.take)
    callbacks = Callbacks(
        contacts,
        CallbackShelf(database),
        journal,
        clock,
        new_id,
        dialling,
        queues,
        staff.agents,
        site=next((hours.zone for hours in config.hours.values()), ZoneInfo("UTC")),
        past=PastEvents(database),
        number_of=known_by,
    )
    contacts.use_callbacks(callbacks, ahead)
    history = History((levels, redials, waits.lessons, answers, recovery), journal, PastEvents(database), clock)
    switches = {pbx.box.name: pbx.switch for pbx in pbxs}
    restart = Restart(journal, staff, desktops, contacts, dialling, switches, clock)
    made = clock, journal, distributor, contacts, supervisions, pbxs, dialling, do_not_call, profiles, edits, desktops
    transactions = Transactions(journal, clock, lambda: contacts.live, config.transaction_hours * 3600)
    read_later = Loading(clock)
    return Conduct(
        *made,
        waits,
        levels,
        recovery,
        history,
        requests,
        callbacks,
        ahead,
        restart,
        read_later,
        last_agents,
        transactions,
        fax,
    )


def _agent(config: Config, one: AgentSettings) -> Agent:
    """An agent as configured, at the beginning."""
    whose = one.id, one.name, one.queues, one.queues, one.phone, one.auto_answer
    capacity, accepts = config.capacity(one.id), config.auto_accept(one.id)
    return Agent(*whose, supervises=one.supervises, skills=one.skills, capacity=capacity, auto_accept=accepts)


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
