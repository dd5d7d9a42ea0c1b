"""The route of transactions: a CRM or a shop says which business was done with a contact."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Protocol

import msgspec

from easycall.api.auth import Right, allow, concerns, took_part
from easycall.api.conduct import Contacts, Journal
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import Id, Text
from easycall.api.site import BoundedRequest
from easycall.events import TransactionReported
from easycall.stats.particulars import transaction
from easycall.transactions import Report
from easycall.verbs import NotNow

__all__ = ["TransactionRoutes", "Transactions"]

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Amount = Annotated[str, msgspec.Meta(pattern=r"^(-?[0-9]{1,15}(\.[0-9]{1,6})?)?\Z")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{3})?\Z")]
Data = Annotated[dict[Id, Text], msgspec.Meta(max_length=20)]


class ReportTransaction(msgspec.Struct, forbid_unknown_fields=True):
    """Say which business was done."""

    name: Word
    outcome: Word
    reference: Text = ""
    amount: Amount = ""
    currency: Currency = ""
    data: Data = {}


class Transactions(Protocol):
    """Takes reports."""

    async def report(self, contact: str, report: Report, by: str) -> TransactionReported:
        """Put a transaction on the record of a contact.  Raises KeyError, NotNow, StoreUnavailable."""


class TransactionRoutes:
    """What the route below ``/api/v1/contacts/{id}/transactions`` answers."""

    def __init__(self, transactions: Transactions, contacts: Contacts, journal: Journal) -> None:
        self._transactions = transactions
        self._contacts = contacts
        self._journal = journal

    @route("POST", "/api/v1/contacts/<contact_id>/transactions")
    async def report(self, request: BoundedRequest, contact_id: str) -> bytes:
        """Put a transaction on the record of a contact, live or ended; 201 when it is kept."""
        allow(request, Right.CONTROL)
        body = read_body(request, ReportTransaction)
        if body.currency and not body.amount:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "a currency without an amount", field="currency")
        await self._check_may(request, contact_id)
        what = body.name, body.outcome, body.reference, body.amount, body.currency
        try:
            event = await self._transactions.report(contact_id, Report(*what, data=body.data), request.token.name)
        except KeyError:
            raise unknown("contact", contact_id) from None
        except NotNow as why:
            raise Problem(HTTPStatus.CONFLICT, str(why)) from None
        request.setResponseCode(HTTPStatus.CREATED)
        return answer_json(request, {"contact": contact_id, **msgspec.to_builtins(transaction(event))})

    async def _check_may(self, request: BoundedRequest, contact_id: str) -> None:
        """A token that is an agent's is confined to the agent's own contacts.  Raises Problem (404)."""
        if not request.token.agent:
            return
        live = self._contacts.live.get(contact_id)
        if live is not None and concerns(request, live):
            return
        found = await self._journal.record_of(contact_id)
        if found is None or not took_part(request, found[0]):
            raise unknown("contact", contact_id)
