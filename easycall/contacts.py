"""The live contacts: how each comes to be, and how it is found, asked and ended.

Each is carried by a coroutine of its own (:mod:`easycall.visit`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.acd.desk_work import DeskAssignment
from easycall.acd.distributor import Distributor
from easycall.acd.waits import Waits
from easycall.callback.call_back import CallBack, Turns
from easycall.callback.desk import CallbackDesk
from easycall.defer import cancelled, first, start, unattended
from easycall.events import Event
from easycall.fax.desk import FaxDesk
from easycall.ivr.script import Script
from easycall.joining import Joining
from easycall.live import LiveContact
from easycall.model import Callback, Contact, Direction, EndedBy, First, Lifetime, Request, Stage
from easycall.outbound.call import CallOut, OutboundCall, nowhere, undialled
from easycall.outbound.dialling import Dialling
from easycall.outbound.outsider import found
from easycall.overflow import Overflow
from easycall.policy import AT_DESK
from easycall.policy import Channel as WorkChannel
from easycall.ports import Arrival, Channel, Journal, Messages, Switch
from easycall.recording import Recordings
from easycall.recovery.entry import Entry
from easycall.recovery.left_off import LeftOff
from easycall.skills import parse
from easycall.verbs import NotNow, Verb
from easycall.visit import Visit
from easycall.work.errand import Errand
from easycall.work.line import Line

__all__ = ["Contacts"]

log = Logger()

PARK_SECONDS = 90.0
"""How long a contact is parked when nothing else is set."""
LIFETIME = Lifetime()
"""How long one may last then."""


class Contacts:
    """The live contacts, each carried by its coroutine."""

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        distributor: Distributor,
        script: Script,
        new_id: Callable[[], str],
        dialling: Dialling,
        recordings: Recordings | None = None,
        fax: FaxDesk | None = None,
        *,
        messages: Messages | None = None,
        waits: Waits | None = None,
        joining: Joining | None = None,
        park_seconds: float = PARK_SECONDS,
        lifetime: Lifetime = LIFETIME,
    ) -> None:
        """``fax``: None when there is none; ``messages``: where voice mail is kept, needed when the script has boxes;
        ``waits``: what is known of waits, needed when queues announce them;
        ``joining``: what is known of callers who come back; None: they are known by the numbers as shown;
        ``park_seconds``: how long one is parked before the contact goes back."""
        self._clock = clock
        self._journal = journal
        self._distributor = distributor
        self._script = script
        self._new_id = new_id
        self._dialling = dialling
        self._messages = messages
        self._park_seconds = park_seconds
        self._lifetime = lifetime
        self._overflow = Overflow(distributor, clock, journal, waits.known if waits is not None else None)
        self._joining = joining or Joining()
        self._recordings = recordings
        self._fax = fax
        self._waits = waits
        self._desk: CallbackDesk | None = None
        self._turns: Turns | None = None
        self._stopped = False
        self._visits: dict[str, Visit | Errand] = {}
        self._running: dict[str, Deferred[None]] = {}
        distributor.strategies.when_asked_about(self._about)

    @property
    def live(self) -> Mapping[str, Contact]:
        """The contacts of now, by id."""
        return {visit.contact.id: visit.contact for visit in self._visits.values()}

    def _about(self, contact_id: str) -> Contact | None:
        visit = self._visits.get(contact_id)
        return visit.contact if visit is not None else None

    def carried(self, contact_id: str) -> LiveContact | None:
        """A live contact with what it is carried with."""
        visit = self._visits.get(contact_id)
        return visit.live if visit is not None else None

    def of_agent(self, agent: str) -> LiveContact | None:
        """The contact an agent has answered and not left."""
        return next((visit.live for visit in self._visits.values() if agent in visit.live.audience.legs), None)

    def arrive(self, arrival: Arrival) -> None:
        """A caller's leg came in: give it its id and start its story."""
        contact = Contact(
            id=self._new_id(),
            pbx=arrival.switch.name,
            leg=arrival.channel.id,
            caller=arrival.caller,
            caller_name=arrival.caller_name,
            dialled=arrival.dialled,
            arrived=self._clock.seconds(),
        )
        line = self._dialling.lines.occupy(arrival.switch.name, arrival.endpoint)
        if line is not None:
            arrival.channel.when_gone().addCallback(lambda _: line.release())
        self._carry(self._visit(self._live_contact(contact, arrival.switch, arrival.channel)))

    def call(self, asked: CallOut) -> Contact:
        """Call a customer for an agent: a line and the agent are taken, in one turn, and its story starts.

        Raises NotNow with the reason, NotDialled among them.
        """
        queue = self._distributor.queues.get(asked.queue)
        if queue is None:
            raise NotNow(f"there is no queue {asked.queue!r}")
        shown = asked.caller_id
        route = self._dialling.route(asked.number, agent=asked.agent, queue=queue, customer=True, caller_id=shown)
        try:
            self._distributor.staff.askable(asked.agent, route.switch.name, own_wish=asked.first is First.AGENT)
        except NotNow:
            route.release()
            raise
        contact_id = self._new_id()
        contact = Contact(
            id=contact_id,
            pbx=route.switch.name,
            leg=f"ec-{contact_id}-customer-1",
            caller=route.caller_id,
            caller_name="",
            dialled=route.number,
            arrived=self._clock.seconds(),
            direction=Direction.OUTBOUND,
            stage=Stage.DIALLING,
            queue=queue.id,
            agent=asked.agent,
            attempts=1,
            data=dict(asked.data),
        )
        live = self._live_contact(contact, route.switch, undialled(contact.leg))
        self._carry(self._visit(live, OutboundCall(live, route, queue, asked.first)))
        return contact

    def still_with(self, request: Request, agent: str, attempt: int) -> DeskAssignment | None:
        """The agent had it at the desk when the process before us ended, and has it still; None: not any more."""
        return self._distributor.staff.desk_work.resume(agent, request.id, request.channel, attempt)

    def request(self, request: Request, *, restored: bool = False, had: DeskAssignment | None = None) -> Contact:
        """Let the contact of a request begin: it waits in line, and has no leg, or none yet.

        ``restored``: it did so before the daemon started, and desktops have yet to come back; ``had``: an agent has it.
        """
        called = request.channel not in AT_DESK
        contact = Contact(
            id=request.id,
            pbx="",
            leg=f"ec-{request.id}-customer-1" if called else "",
            caller="" if called else request.number or request.address,
            caller_name=request.name,
            dialled=request.number if called else "",
            arrived=request.created,
            direction=Direction.OUTBOUND if called else Direction.INBOUND,
            channel=request.channel,
            stage=Stage.WAITING,
            queue=request.queue,
            priority=request.priority_seconds,
            skills=parse(request.skills),
            data=dict(request.data),
        )
        live = self._live_contact(contact, nowhere(), undialled(contact.leg))
        if called:
            pbx = self._dialling.box_for(request.number)
            line = Line(live, self._overflow, request.queue, request.since, pbx, restored=restored)
            self._carry(self._visit(live, CallBack(line)))
        else:
            line = Line(live, self._overflow, request.queue, request.since, restored=restored)
            self._carry(Errand(line, had))
        return contact

    def call_back(
        self, callback: Callback, owner: str, *, restored: bool = False, arrived: float = 0.0, attempts: int = 0
    ) -> Contact:
        """Let the contact of a callback begin: it waits in line, and has no leg yet.

        ``owner``: for whom alone it waits at first; ``restored``: it waited before the daemon started; ``arrived``: when it
        began, as was told then, 0: that was not told; ``attempts``: the number of the last agent it was offered to.  Raises
        RuntimeError when nobody is called back.
        """
        if self._desk is None:
            raise RuntimeError("there are no callbacks")
        contact = Contact(
            id=callback.contact,
            pbx="",
            leg=f"ec-{callback.contact}-customer-1",
            caller="",
            caller_name=callback.name,
            dialled=callback.number,
            arrived=arrived or self._clock.seconds(),
            direction=Direction.OUTBOUND,
            channel=WorkChannel.CALLBACK,
            stage=Stage.WAITING,
            queue=callback.queue,
            priority=callback.priority_seconds,
            skills=parse(callback.skills),
            answers=dict(callback.answers),
            data=dict(callback.data),
            session=callback.session or callback.id,
            callback=callback.id,
            reason=callback.reason,
            waited=callback.waited,
            attempts=attempts,
        )
        live = self._live_contact(contact, nowhere(), undialled(contact.leg))
        pbx = self._dialling.box_for(callback.number)
        line = Line(live, self._overflow, callback.queue, callback.since, pbx, owner=owner, restored=restored)
        self._carry(self._visit(live, CallBack(line, self._desk, self._turns), arrived=bool(arrived)))
        return contact

    def use_callbacks(self, desk: CallbackDesk, turns: Turns | None = None) -> None:
        """Whom callers ask to be called back, and who is asked before a customer is dialled.

        ``turns``: who may be dialled before an agent is free; None: nobody.
        """
        self._desk, self._turns = desk, turns
        self._joining.use_callbacks(desk)

    def recover(self, left: LeftOff, switch: Switch) -> None:
        """Go on with a contact that a process before us carried; its legs may still be on their way."""
        contact = left.contact
        dialled = left.leg_of_customer
        live = self._live_contact(contact, switch, undialled(contact.leg))
        if dialled is not None:
            live.customer = found(live, dialled.told, dialled.answered)
        elif contact.direction is Direction.INBOUND:
            live.customer = switch.expect(contact.leg)
            self._occupies_line(live)
        self._carry(self._visit(live, entry=Entry(live, left)))

    def _occupies_line(self, live: LiveContact) -> None:
        """When the caller's leg has shown, it counts for the trunk it came in on."""

        async def occupy() -> None:
            customer = live.customer
            await first(live.switch.when_up(), customer.when_gone())
            line = self._dialling.lines.occupy(live.switch.name, customer.endpoint)
            if line is not None:
                customer.when_gone().addCallback(lambda _: line.release())

        unattended(occupy())

    def _live_contact(self, contact: Contact, switch: Switch, customer: Channel) -> LiveContact:
        shared = self._clock, self._record, self._distributor, self._script, self._dialling, self._recordings, self._fax
        return LiveContact(contact, switch, customer, *shared, waits=self._waits)

    def _visit(
        self,
        live: LiveContact,
        call: OutboundCall | CallBack | None = None,
        entry: Entry | None = None,
        *,
        arrived: bool = False,
    ) -> Visit:
        shared = self._messages, self._park_seconds, self._lifetime, self._overflow, self._joining
        return Visit(live, *shared, call=call, entry=entry, desk=self._desk, arrived=arrived)

    def _carry(self, visit: Visit | Errand) -> None:
        contact_id = visit.contact.id
        self._visits[contact_id] = visit
        running = self._running[contact_id] = start(visit.carry())
        running.addBoth(self._over, contact_id)

    def hang_up(self, contact_id: str, ended_by: EndedBy = EndedBy.API) -> None:
        """End a contact now, whatever it is doing.  Raises KeyError when it is not live."""
        visit = self._visits[contact_id]
        visit.end(ended_by)

    def ask(self, contact_id: str, verb: Verb) -> Deferred[Mapping[str, str]]:
        """Ask a verb of a contact; the Deferred gives what came of it, or fails with NotNow.

        Raises KeyError when the contact is not live.
        """
        return self._visits[contact_id].live.mailbox.ask(verb)

    async def stop(self) -> None:
        """Let go of every contact without ending it: callers keep their calls, Asterisk keeps them company.

        What the coroutines do on their way out is not a fact any more and is not recorded.
        """
        self._stopped = True
        self._overflow.stop()
        for running in list(self._running.values()):
            await cancelled(running)

    def _record(self, event: Event) -> None:
        if not self._stopped:
            self._journal.record(event)

    def _over(self, result: object, contact_id: str) -> None:
        self._visits.pop(contact_id, None)
        self._running.pop(contact_id, None)
        if isinstance(result, Failure) and not result.check(CancelledError):
            log.failure("contact {contact} was not carried to its end", result, contact=contact_id)
