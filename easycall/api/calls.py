"""The routes of calls out: how a customer is called for an agent, and the trunks.

A call asked for again with the same Idempotency-Key is not made again.
"""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Contacts, Distributor, Staff
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem
from easycall.api.repeats import Repeats
from easycall.api.routes import route
from easycall.api.schemas import Id
from easycall.api.site import BoundedRequest
from easycall.api.verbs import Attached
from easycall.model import First
from easycall.outbound.call import CallOut
from easycall.outbound.dialling import Dialling
from easycall.outbound.rules import NotDialled, Why
from easycall.verbs import NotNow

__all__ = ["CallRoutes", "Number", "refused"]

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""A telephone number as people write it."""

STATUS: Mapping[Why, HTTPStatus] = {
    Why.NOT_A_NUMBER: HTTPStatus.UNPROCESSABLE_ENTITY,
    Why.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    Why.OWN_NUMBER: HTTPStatus.FORBIDDEN,
    Why.DO_NOT_CALL: HTTPStatus.FORBIDDEN,
    Why.NO_TRUNK: HTTPStatus.FORBIDDEN,
    Why.CALLER_ID: HTTPStatus.FORBIDDEN,
    Why.CAPPED: HTTPStatus.FORBIDDEN,
    Why.NO_LINE: HTTPStatus.CONFLICT,
    Why.NOT_READ: HTTPStatus.SERVICE_UNAVAILABLE,
}

FIELD: Mapping[Why, str] = {Why.CALLER_ID: "caller_id", Why.NO_LINE: "", Why.CAPPED: "", Why.NOT_READ: ""}
"""The field to blame, where that is not the number."""


class Call(msgspec.Struct, forbid_unknown_fields=True):
    """Call a customer for an agent."""

    agent: Id
    number: Number
    queue: Id
    first: First = First.CUSTOMER
    caller_id: Annotated[str, msgspec.Meta(max_length=60)] = ""
    data: Attached = {}

    def asked(self) -> CallOut:
        """What is asked of the conduct."""
        return CallOut(self.agent, self.number, self.queue, self.first, self.caller_id, self.data)


class CallRoutes:
    """What ``/api/v1/calls`` and ``/api/v1/trunks`` answer."""

    def __init__(
        self, staff: Staff, distributor: Distributor, contacts: Contacts, dialling: Dialling, clock: IReactorTime
    ) -> None:
        self._staff = staff
        self._distributor = distributor
        self._contacts = contacts
        self._dialling = dialling
        self._clock = clock
        self._repeats = Repeats("call")

    @route("POST", "/api/v1/calls")
    def call(self, request: BoundedRequest) -> bytes:
        """Call a customer for an agent; the contact has its id at once, what becomes of it is told by the live feed."""
        allow(request, Right.DIAL)
        body = read_body(request, Call)
        allow_agent(request, body.agent)
        key = (request.getHeader("Idempotency-Key") or "")[:200]
        token, now = request.token.name, self._clock.seconds()
        contact_id = self._repeats.contact(token, key, body, now) if key else None
        if contact_id is None:
            contact_id = self._made(body)
            if key:
                self._repeats.made(token, key, body, contact_id, now)
            request.setResponseCode(HTTPStatus.CREATED)
        return answer_json(request, {"id": contact_id})

    def _made(self, body: Call) -> str:
        for what, name, known in (
            ("agent", body.agent, self._staff.agents),
            ("queue", body.queue, self._distributor.queues),
        ):
            if name not in known:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"there is no {what} {name[:100]!r}", field=what)
        try:
            return self._contacts.call(body.asked()).id
        except NotNow as why:
            raise refused(why) from None

    @route("GET", "/api/v1/trunks")
    def trunks(self, request: BoundedRequest) -> bytes:
        """The trunks with their lines."""
        allow(request, Right.READ)
        return answer_json(request, {"trunks": _trunk_views(self._dialling)})


def refused(why: NotNow) -> Problem:
    """The answer to a call that is not made."""
    if isinstance(why, NotDialled):
        headers = {"Retry-After": "5"} if why.why is Why.NOT_READ else None
        return Problem(STATUS[why.why], str(why), field=FIELD.get(why.why, "number"), headers=headers)
    return Problem(HTTPStatus.CONFLICT, str(why))


def _trunk_views(dialling: Dialling) -> list[dict[str, Any]]:
    """The trunks with their lines."""
    lines = dialling.lines
    return [
        {
            "id": trunk.name,
            "pbx": trunk.asterisk,
            "lines": trunk.lines,
            "used": lines.used(trunk.name),
            "free": lines.free(trunk.name),
            "caller_ids": trunk.caller_ids,
        }
        for trunk in dialling.rules.trunks
    ]
