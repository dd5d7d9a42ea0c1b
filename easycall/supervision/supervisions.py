"""All supervisions of the daemon, and who may supervise whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from easycall.acd.staff import Staff
from easycall.contacts import Contacts
from easycall.events import AgentChanged, Event
from easycall.live import LiveContact
from easycall.model import AgentState, SupervisionMode
from easycall.policy import AT_DESK
from easycall.ports import Journal, Switch
from easycall.supervision.scene import may_supervise
from easycall.supervision.watch import Order, Watch
from easycall.verbs import NotAllowed, NotNow, TakeOver

__all__ = ["Supervisions"]


class Supervisions:
    """See the module."""

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        staff: Staff,
        contacts: Contacts,
        switches: Sequence[Switch],
        new_id: Callable[[], str],
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._staff = staff
        self._contacts = contacts
        self._switches = switches
        self._new_id = new_id
        self._watches: dict[str, Watch] = {}
        self._stopped = False
        self._stop_listening = journal.subscribe(self._told)

    @property
    def live(self) -> Mapping[str, Watch]:
        """The supervisions of now, by id."""
        return {id_: watch for id_, watch in self._watches.items() if not watch.over and not watch.surrendered}

    def begin(self, supervisor: str, mode: SupervisionMode, *, contact: str = "", agent: str = "", by: str = "") -> Watch:
        """Ring a supervisor's phone to hear a live contact, or each contact of an agent; ``by``: the token's name.

        Raises KeyError when there is no such agent or live contact, NotAllowed, NotNow.
        """
        self._check(supervisor, contact, agent)
        order = Order(self._new_id(), supervisor, contact, agent, by)
        phone = self._staff.supervise(supervisor)
        watch = Watch(order, mode, phone, self._clock, self._record, lambda: self._found(order), self._switches)
        self._watches[order.id] = watch
        watch.begin().addCallback(lambda _: self._over(watch))
        return watch

    def _check(self, supervisor: str, contact: str, agent: str) -> None:
        person = self._staff.agents[supervisor]
        if agent:
            whom = self._staff.agents[agent]
            queues, what = {*whom.queues, *whom.own_queues}, f"agent {agent}"
            if supervisor == agent:
                raise NotNow("nobody supervises their own calls")
            if whom.state is AgentState.OFFLINE:
                raise NotNow(f"{agent} is offline")
        else:
            live = self._contacts.live[contact]
            if live.channel in AT_DESK:
                raise NotNow(f"contact {contact} is a {live.channel}: there is nothing to hear")
            queues, what = {live.queue} - {""}, f"contacts of {live.queue or 'no queue'}"
        if not may_supervise(person.supervises, queues):
            raise NotAllowed(f"{supervisor} may not supervise {what}: see agents.{supervisor}.supervises")

    def _found(self, order: Order) -> LiveContact | None:
        return self._contacts.carried(order.contact) if order.contact else self._contacts.of_agent(order.agent)

    def change(self, supervision: str, mode: SupervisionMode, by: str = "") -> None:
        """Listen, whisper or barge in from now.  Raises KeyError."""
        self.live[supervision].change(mode, by)

    def end(self, supervision: str, by: str = "") -> None:
        """End one.  Raises KeyError."""
        self.live[supervision].end("api", by)

    def take_over(self, supervision: str) -> Deferred[Mapping[str, str]]:
        """The supervisor gets the customer and the agent is free; fires when it is done.

        Raises KeyError, and NotNow, as the Deferred does, when it makes no sense now.
        """
        contact = self.live[supervision].contact
        if not contact:
            raise NotNow("there is no contact to take over")
        return self._contacts.ask(contact, TakeOver(supervision))

    async def stop(self) -> None:
        """Let go of all: nothing is recorded any more."""
        self._stopped = True
        self._stop_listening()
        for watch in tuple(self._watches.values()):
            watch.end("failed")

    def _record(self, event: Event) -> None:
        if not self._stopped:
            self._journal.record(event)

    def _told(self, sequence: int, event: Event) -> None:
        """What an agent does who is followed."""
        if not isinstance(event, AgentChanged):
            return
        for watch in tuple(self._watches.values()):
            if watch.order.agent == event.agent and event.state is AgentState.OFFLINE:
                watch.end("agent")
            elif watch.order.agent == event.agent:
                watch.look()

    def _over(self, watch: Watch) -> None:
        del self._watches[watch.id]
        if not watch.surrendered:
            self._staff.supervised(watch.order.supervisor)
