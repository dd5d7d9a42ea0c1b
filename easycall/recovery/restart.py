"""The daemon begins: what the process before it left goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.acd.desktops import Desktops
from easycall.acd.staff import Staff
from easycall.contacts import Contacts
from easycall.events import ContactEnded, Event, SupervisionEnded, SupervisionStarted
from easycall.model import EndedBy, Outcome
from easycall.outbound.dialling import Dialling
from easycall.policy import AT_DESK
from easycall.ports import Switch
from easycall.recovery import agents
from easycall.recovery.left_off import LeftOff, left_off
from easycall.stats.standing import Standing

__all__ = ["Restart"]

log = Logger()


class Journal(Protocol):
    """What is asked of the journal."""

    @property
    def left(self) -> Standing:
        """What stood open when it was started."""

    def record(self, event: Event) -> None:
        """Note something that happened."""


class Restart:
    """See the module."""

    def __init__(
        self,
        journal: Journal,
        staff: Staff,
        desktops: Desktops,
        contacts: Contacts,
        dialling: Dialling,
        switches: Mapping[str, Switch],
        clock: IReactorTime,
    ) -> None:
        """``switches``: by Asterisk."""
        self._journal = journal
        self._staff = staff
        self._desktops = desktops
        self._contacts = contacts
        self._dialling = dialling
        self._switches = switches
        self._clock = clock

    async def start(self) -> None:
        """Before the first leg can come home, and when agents, queues and the way out are known."""
        left = self._journal.left
        agents.restore(self._staff, self._desktops, left.agents)
        for contact, story in left.stories.items():
            self._tell_supervisors_gone(event for _, event in story)
            state = left_off(event for _, event in story)
            if state is not None:
                self._goes_on(contact, state)
        self._staff.let_go()
        if self._contacts.live:
            log.info("{n} contacts go on that an earlier process carried", n=len(self._contacts.live))

    def _tell_supervisors_gone(self, story: Iterable[Event]) -> None:
        """Nobody listens any more: the legs of supervisors are hung up when the link is there."""
        open_ones: dict[str, SupervisionStarted] = {}
        for event in story:
            if isinstance(event, SupervisionStarted):
                open_ones[event.supervision] = event
            elif isinstance(event, SupervisionEnded):
                open_ones.pop(event.supervision, None)
        for one in open_ones.values():
            whose = {"contact": one.contact, "agent": one.agent, "supervision": one.supervision}
            at = self._clock.seconds()
            self._journal.record(SupervisionEnded(at=at, supervisor=one.supervisor, how="restart", **whose))

    def _goes_on(self, contact: str, state: LeftOff) -> None:
        switch = self._switches.get(self._box(state))
        if switch is None:
            if state.contact.channel not in AT_DESK and not self._waits_for_a_call(state):
                log.error("contact {contact} was on {pbx!r}, which is configured no more", contact=contact, pbx=state.pbx)
                self._ends(contact)
            return
        state.contact.pbx = switch.name
        try:
            self._contacts.recover(state, switch)
        except Exception:
            log.failure("contact {contact} could not be taken up again", contact=contact)
            self._ends(contact)

    def _box(self, state: LeftOff) -> str:
        """The Asterisk it is on; empty: on none."""
        dialled = state.leg_of_customer
        if state.pbx or dialled is None:
            return state.pbx
        boxes = (trunk.asterisk for trunk in self._dialling.rules.trunks if trunk.name == dialled.told.trunk)
        return next(boxes, "")

    @staticmethod
    def _waits_for_a_call(state: LeftOff) -> bool:
        """A request whose customer was not dialled yet waits in line again by itself (:mod:`easycall.work.requests`)."""
        return not state.pbx and state.leg_of_customer is None

    def _ends(self, contact: str) -> None:
        at, outcome, by = self._clock.seconds(), Outcome.FAILED, EndedBy.SYSTEM
        self._journal.record(ContactEnded(at=at, contact=contact, outcome=outcome, ended_by=by, end_estimated=True))
