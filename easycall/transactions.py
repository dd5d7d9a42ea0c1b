"""Business that was done with a contact, as a system outside reports it: a payment, an order.

What a flow reports is told by :mod:`easycall.ivr.runner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from easycall.events import Event, TransactionReported
from easycall.model import Contact
from easycall.stats.journey import Step
from easycall.stats.record import Record
from easycall.verbs import NotNow

__all__ = ["MOST", "Report", "Transactions"]

MOST = 100
"""Transactions of one contact."""


@frozen
class Report:
    """What is reported."""

    name: str
    outcome: str
    reference: str = ""
    amount: str = ""
    """A decimal number; empty: there is none."""
    currency: str = ""
    data: Mapping[str, str] = field(factory=dict)


class History(Protocol):
    """The journal."""

    def record(self, event: Event) -> None:
        """Note something that happened."""

    def write(self) -> None:
        """What was recorded so far outlives the process from now on."""

    async def record_of(self, contact: str) -> tuple[Record, list[Step]] | None:
        """A contact's record and story.  Raises StoreUnavailable."""


class Transactions:
    """Takes reports about live contacts, and for a while about those that ended."""

    def __init__(
        self, journal: History, clock: IReactorTime, live: Callable[[], Mapping[str, Contact]], late_seconds: float
    ) -> None:
        """``late_seconds``: for how long after the end."""
        self._journal = journal
        self._clock = clock
        self._live = live
        self._late = late_seconds

    async def report(self, contact: str, report: Report, by: str) -> TransactionReported:
        """Put a transaction on the record of a contact; it outlives the process from then on.

        Raises KeyError for an unknown contact, NotNow when it ended too long ago, was erased or has too many,
        StoreUnavailable.
        """
        found = await self._journal.record_of(contact)
        if found is None:
            raise KeyError(contact)
        record, now = found[0], self._clock.seconds()
        if contact not in self._live() and (record.ended is None or now - record.ended > self._late):
            raise NotNow(f"the contact has ended more than {self._late / 3600:g} h ago (transactions.late_hours)")
        if record.erased:
            raise NotNow("what told whose contact it was has been erased: nothing of the customer is taken any more")
        if len(record.transactions) >= MOST:
            raise NotNow(f"the contact has {MOST} transactions already")
        event = TransactionReported(
            at=now,
            contact=contact,
            agent=self._with(contact, record),
            name=report.name,
            outcome=report.outcome,
            reference=report.reference,
            amount=report.amount,
            currency=report.currency,
            data=report.data,
            by=by,
        )
        self._journal.record(event)
        self._journal.write()
        return event

    def _with(self, contact: str, record: Record) -> str:
        """The agent who has it, or had it last."""
        live = self._live().get(contact)
        return live.agent if live is not None else record.agent
