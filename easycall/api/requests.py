"""The routes of requests: what a web page or a system asks of agents without calling.

The answer comes when the request is stored.  One asked for again with the same Idempotency-Key is not made again.
"""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.calls import refused
from easycall.api.conduct import Contacts, Distributor, Journal, Requests
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem, unknown
from easycall.api.repeats import Repeats
from easycall.api.routes import route
from easycall.api.schemas import Id, Nothing, Text
from easycall.api.site import BoundedRequest
from easycall.api.verbs import Attached
from easycall.defer import shielded
from easycall.model import EndedBy, Request, Stage
from easycall.outbound.dialling import Dialling
from easycall.outbound.rules import NotDialled
from easycall.policy import Channel
from easycall.ports import StoreUnavailable
from easycall.skills import BadExpression, parse
from easycall.verbs import NotNow

__all__ = ["RequestRoutes"]

AHEAD_SECONDS = 5.0
"""How far another machine's clock may be before ours."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Something for an agent."""

    queue: Id
    channel: Literal["call_me", "chat", "message"]
    number: Text = ""
    address: Text = ""
    name: Text = ""
    subject: Text = ""
    reference: Text = ""
    """Where the text is: an address, or the id in another system."""
    skills: Annotated[str, msgspec.Meta(max_length=500)] = ""
    priority_seconds: Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)] = 0.0
    wait_since: float | None = None
    """Since when it counts as waiting; None: now."""
    data: Attached = {}


class RequestRoutes:
    """What the routes below ``/api/v1/requests`` answer; a token that is one agent's own may not."""

    def __init__(
        self,
        requests: Requests,
        distributor: Distributor,
        contacts: Contacts,
        journal: Journal,
        dialling: Dialling,
        clock: IReactorTime,
    ) -> None:
        self._requests = requests
        self._distributor = distributor
        self._contacts = contacts
        self._journal = journal
        self._dialling = dialling
        self._clock = clock
        self._repeats = Repeats("request")
        self._one_by_one = DeferredLock()

    @route("POST", "/api/v1/requests")
    async def ask(self, request: BoundedRequest) -> bytes:
        """Ask for something; answered with its contact when it is stored."""
        allow(request, Right.CONTROL)
        allow_agent(request, "")
        body = read_body(request, Asked)
        if Channel(body.channel) is Channel.CALL_ME:
            allow(request, Right.DIAL)
        token, key = request.token.name, (request.getHeader("Idempotency-Key") or "")[:200]

        def in_turn() -> Deferred[tuple[str, bool]]:
            return Deferred.fromCoroutine(self._made(body, token, key))

        async def one_by_one() -> tuple[str, bool]:
            return await self._one_by_one.run(in_turn)

        # Whoever asks may go away; two with the same key must not both be first.
        contact, new = await shielded(one_by_one(), Problem, StoreUnavailable)
        if new:
            request.setResponseCode(HTTPStatus.CREATED)
        return answer_json(request, {"id": contact})

    async def _made(self, body: Asked, token: str, key: str) -> tuple[str, bool]:
        """The contact, and whether it is new."""
        now = self._clock.seconds()
        if key and (found := self._repeats.contact(token, key, body, now)) is not None:
            return found, False
        try:
            contact = await self._requests.ask(self._checked(body, token, now))
        except NotDialled as why:
            raise refused(why) from None
        except NotNow as why:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(why), headers={"Retry-After": "60"}) from None
        if key:
            self._repeats.made(token, key, body, contact.id, now)
        return contact.id, True

    def _checked(self, body: Asked, token: str, now: float) -> Request:
        """What is asked, with the number in its full form.  Raises Problem, NotDialled."""
        if body.queue not in self._distributor.queues:
            raise _wrong(f"there is no queue {body.queue[:100]!r}", "queue")
        try:
            parse(body.skills)
        except BadExpression as why:
            raise _wrong(str(why), "skills") from None
        since = now if body.wait_since is None else body.wait_since
        if not 0 <= since <= now + AHEAD_SECONDS:
            raise _wrong("wait_since is a time that has passed, in seconds since the epoch", "wait_since")
        channel = Channel(body.channel)
        number = self._dialling.rules.allowed(body.number) if channel is Channel.CALL_ME else body.number
        extra = {"subject": body.subject, "reference": body.reference, "address": body.address}
        return Request(
            "",
            channel,
            body.queue,
            min(since, now),
            now,
            number,
            body.address,
            body.name,
            body.skills,
            body.priority_seconds,
            {**body.data, **{name: value for name, value in extra.items() if value}},
            created_by=token,
        )

    @route("GET", "/api/v1/requests")
    def requests(self, request: BoundedRequest) -> bytes:
        """Everything that was asked for and is not done."""
        allow(request, Right.READ)
        allow_agent(request, "")
        return answer_json(request, {"requests": [self._view(one) for one in self._requests.live.values()]})

    @route("GET", "/api/v1/requests/<request_id>")
    async def one(self, request: BoundedRequest, request_id: str) -> bytes:
        """One request, also when it is done."""
        allow(request, Right.READ)
        allow_agent(request, "")
        if (live := self._requests.live.get(request_id)) is not None:
            return answer_json(request, self._view(live))
        found = await self._journal.record_of(request_id)
        if found is None or found[0].channel is Channel.CALL:
            raise unknown("request", request_id)
        record = found[0]
        view = {"id": record.id, "channel": record.channel, "queue": record.queue, "stage": Stage.ENDED}
        return answer_json(request, {**view, "outcome": record.outcome, "agent": record.agent or None})

    @route("DELETE", "/api/v1/requests/<request_id>")
    def withdraw(self, request: BoundedRequest, request_id: str) -> bytes:
        """The customer has left, or wants it no more."""
        allow(request, Right.CONTROL)
        allow_agent(request, "")
        read_body(request, Nothing)
        if request_id not in self._requests.live or request_id not in self._contacts.live:
            raise unknown("request", request_id)
        self._contacts.hang_up(request_id, EndedBy.CALLER)
        request.setResponseCode(HTTPStatus.ACCEPTED)
        return answer_json(request, {"id": request_id})

    def _view(self, request: Request) -> dict[str, Any]:
        contact = self._contacts.live.get(request.id)
        try:
            position: int | None = self._distributor.position(request.id)
        except KeyError:
            position = None
        view: dict[str, Any] = msgspec.to_builtins(request)
        return {
            **view,
            "stage": contact.stage if contact is not None else Stage.ENDED,
            "agent": (contact.agent or None) if contact is not None else None,
            "position": position,
        }


def _wrong(text: str, field: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text, field=field)
