"""The routes of what is known of one customer: told, and erased, on request (GDPR, articles 15 and 17)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

import msgspec
from twisted.logger import Logger

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Journal
from easycall.api.exchange import answer_json, limit_of, read_body, read_query
from easycall.api.problems import Problem
from easycall.api.routes import route
from easycall.api.schemas import Nothing, record_with_journey
from easycall.api.site import BoundedRequest
from easycall.privacy.holdings import Erased, Holding
from easycall.verbs import NotNow

__all__ = ["CustomerRoutes"]

log = Logger()

ERASE_SECONDS = 5.0
"""How long one request erases; what is left is for the next one."""


class Customers(Protocol):
    """What is known of customers.  Both methods raise ValueError for what is no number, StoreUnavailable and OSError."""

    async def holding(self, number: str, after: str, limit: int) -> Holding:
        """What is known of one; of the records those behind ``after``."""

    async def erase(self, number: str, by: str, seconds: float) -> Erased:
        """Erase it, for about so many seconds.  Raises NotNow while the customer is on the line."""


class CustomerRoutes:
    """What the routes below ``/api/v1/customers`` answer."""

    def __init__(self, customers: Customers, journal: Journal) -> None:
        self._customers = customers
        self._journal = journal

    @route("GET", "/api/v1/customers/<number>")
    async def one(self, request: BoundedRequest, number: str) -> bytes:
        """All that is known of a customer, a page of the records at a time: those behind ``after``."""
        allow(request, Right.ADMIN)
        allow_agent(request, "")
        asked = read_query(request, "limit", "after")
        limit = limit_of(asked)
        try:
            found = await self._customers.holding(number, asked.get("after", ""), limit)
        except (ValueError, OSError) as why:
            raise _problem(why) from None
        records = [await self._journal.record_of(contact) for contact in found.contacts]
        return answer_json(
            request,
            {
                "number": number,
                "contacts": [record_with_journey(*one) for one in records if one is not None],
                "contacts_in_all": found.count,
                "voicemails": msgspec.to_builtins(found.voicemails),
                "faxes": msgspec.to_builtins(found.faxes),
                "callbacks": msgspec.to_builtins(found.callbacks),
                "next": found.contacts[-1] if len(found.contacts) == limit else None,
            },
        )

    @route("DELETE", "/api/v1/customers/<number>")
    async def erase(self, request: BoundedRequest, number: str) -> bytes:
        """Erase all that is known of a customer; 202: some is left, ask again."""
        allow(request, Right.ADMIN)
        allow_agent(request, "")
        read_body(request, Nothing)
        try:
            erased = await self._customers.erase(number, request.token.name, ERASE_SECONDS)
        except (ValueError, NotNow, OSError) as why:
            raise _problem(why) from None
        if not erased.done:
            request.setResponseCode(HTTPStatus.ACCEPTED)
        return answer_json(request, msgspec.to_builtins(erased))


def _problem(why: Exception) -> Problem:
    if isinstance(why, OSError):
        log.error("a file of a customer cannot be read or removed: {why}", why=str(why))
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "a file cannot be read or removed; easycall's log says which")
    if isinstance(why, NotNow):
        return Problem(HTTPStatus.CONFLICT, str(why))
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(why), field="number")
