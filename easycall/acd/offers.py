"""A contact's place in the waiting room, and the agents it is offered to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.acd.staff import Assignment
from easycall.acd.wrapup import WrapUpRules
from easycall.defer import dropped
from easycall.model import Agent, OfferOutcome
from easycall.policy import AT_DESK, WorkItem

if TYPE_CHECKING:
    from easycall.acd.distributor import Distributor

__all__ = ["Offer", "Place"]

log = Logger()


class Offer(Assignment):
    """An agent chosen for a contact that waits."""

    def __init__(self, distributor: Distributor, place: Place, agent: Agent, attempt: int) -> None:
        super().__init__(distributor.staff, agent, attempt)
        self._distributor = distributor
        self._place = place
        self.beside: tuple[Offer, ...] = ()
        """Of other agents for the same contact, who are rung at once: the first to answer has it."""

    def answered(self) -> None:
        """The agent is the first to answer; those of the others are to be :meth:`ended`."""
        self._distributor.takes_it(self._place, self.agent)

    def ended(self, outcome: OfferOutcome) -> None:
        """The offer came to nothing: the agent is released and the contact has its old place again."""
        self._distributor.give_back(self._place, self.agent, outcome)
        super().ended(outcome)

    def talks(self, queue: str) -> None:
        """Agent and caller are together: the contact leaves the waiting room."""
        super().talks(queue)
        self._place.leave()


class DeskOffer(Offer):
    """An agent chosen for a contact that waits and is no call: the agent's state stays as it is."""

    @property
    def stands(self) -> bool:
        """False once the agent logged out or lost the desktop."""
        return self._staff.desk_work.has(self.agent, self._place.item.contact)

    def ended(self, outcome: OfferOutcome) -> None:
        """The offer came to nothing.  The waiting room hears of both in one turn: who missed it is offered nothing else."""
        if self.stands:
            self.refusal = self._staff.refusal(self.agent, outcome)
            self._distributor.take_back(self._place, self.agent, outcome)

    def talks(self, queue: str) -> None:
        """The agent has accepted it: the contact leaves the waiting room."""
        self._place.leave()

    def parted(self, wrap_up: WrapUpRules) -> None:
        """The agent has it no more."""
        self._staff.desk_work.end(self.agent, self._place.item.contact)


class Place:
    """A contact's place in the waiting room."""

    def __init__(self, distributor: Distributor, item: WorkItem) -> None:
        self._distributor = distributor
        self.item = item
        self.attempts = item.attempts
        self._offer: Offer | None = None
        self._asking: Deferred[None] | None = None
        """While a strategy is asked about the offer, which nobody gets before that is over."""
        self._waiter: Deferred[Offer] | None = None

    @property
    def reserved(self) -> bool:
        """True while an agent is reserved for the contact, until the offer is ended."""
        return not self._distributor.looks_for(self)

    def offer(self) -> Deferred[Offer]:
        """The next offer; the agent is reserved when it fires.  Cancel it to stop waiting (the place is kept)."""
        waiter: Deferred[Offer] = Deferred(self._stop_waiting)
        self._waiter = waiter
        self._hand_over()
        return waiter

    def reserve(self, *agents: Agent) -> None:
        """The distributor chose an agent, or several to be rung at once.

        Instead of one the queue's strategy may choose another, who is then reserved in the same way.
        """
        kind = DeskOffer if self.item.channel in AT_DESK else Offer
        offer, *beside = (
            kind(self._distributor, self, agent, attempt) for attempt, agent in enumerate(agents, self.attempts + 1)
        )
        offer.beside = tuple(beside)
        self.attempts += len(agents)
        self._offer = offer
        self._asking = None if beside else self._distributor.ask_about(self)
        if self._asking is None:
            self._hand_over()
        else:
            self._asking.addBoth(self._decided)

    def reserve_instead(self, agent: Agent) -> None:
        """It is this agent, in the place of one who was not rung."""
        self._offer = Offer(self._distributor, self, agent, self.attempts)

    def _decided(self, result: object) -> None:
        if isinstance(result, Failure) and not result.check(CancelledError):
            log.failure("a strategy could not be asked about {contact}", result, contact=self.item.contact)
        if self._asking is not None:
            self._asking = None
            self._hand_over()

    def _hand_over(self) -> None:
        if self._offer is not None and not self._offer.stands:
            self._offer = None
        if self._offer is not None and self._waiter is not None and self._asking is None and self._distributor.offers:
            waiter, self._waiter = self._waiter, None
            offer, self._offer = self._offer, None
            waiter.callback(offer)

    def ask_no_more(self) -> None:
        """Break off what is asked of a strategy; the offer is kept back for good."""
        if self._asking is not None:
            asking, self._asking = self._asking, None
            dropped(asking)

    def leave(self) -> None:
        """Give the place up.  An offer nobody took yet releases its agents.  A second time does nothing."""
        self.ask_no_more()
        if self._offer is not None:
            offer, self._offer = self._offer, None
            for one in (offer, *offer.beside):
                one.ended(OfferOutcome.CALLER_LEFT)
        self._distributor.forget(self)

    def _stop_waiting(self, waiter: Deferred[Offer]) -> None:
        self._waiter = None
