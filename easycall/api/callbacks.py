"""The routes of callbacks: asked for, seen with why they are not made yet, and steered.

The answer comes when it is stored.  One asked for again with the same Idempotency-Key is not made again.
"""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.calls import Number, refused
from easycall.api.conduct import Callbacks, Distributor, Staff
from easycall.api.exchange import answer_json, limit_of, read_body, read_query
from easycall.api.problems import Problem, unknown
from easycall.api.repeats import Repeats
from easycall.api.routes import route
from easycall.api.schemas import Id, Nothing, Text
from easycall.api.site import BoundedRequest
from easycall.api.verbs import Attached
from easycall.callback.shelf import Filter
from easycall.callback.wish import Change, Wish
from easycall.defer import shielded
from easycall.hours import zone_of
from easycall.model import OPEN, Callback, CallbackSource, CallbackState
from easycall.outbound.rules import NotDialled, Rules, normalised
from easycall.ports import StoreUnavailable
from easycall.skills import BadExpression, parse
from easycall.supervision.scene import may_supervise
from easycall.verbs import NotNow

__all__ = ["CallbackRoutes"]

AHEAD_SECONDS = 366 * 86_400.0
"""How far ahead somebody may be called back."""
OF_SUPERVISORS = ("queue", "agent", "priority_seconds")
"""What an agent does not change, of the agent's own callbacks either."""

Skills = Annotated[str, msgspec.Meta(max_length=500)]
Priority = Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)]
Zone = Annotated[str, msgspec.Meta(max_length=64)]


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody is to be called back."""

    queue: Id
    number: Number
    at: float | None = None
    """Not before; None: as soon as may be."""
    expires: float | None = None
    """Not after; None: as the queue says."""
    agent: Text = ""
    """Whose it is; empty: anybody's."""
    name: Text = ""
    reason: Text = ""
    zone: Zone = ""
    skills: Skills = ""
    priority_seconds: Priority = 0.0
    data: Attached = {}


class Changed(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be different; None: as before."""

    at: float | None = None
    expires: float | None = None
    queue: Id | None = None
    agent: Text | None = None
    """Whose it is; empty: anybody's."""
    priority_seconds: Priority | None = None
    reason: Text | None = None
    name: Text | None = None
    zone: Zone | None = None


class CallbackRoutes:
    """What the routes below ``/api/v1/callbacks`` answer.

    A token of an agent sees and changes the agent's own, and with the right ``supervise`` those of the queues in
    ``agents.ID.supervises``; any other one is not there for it.
    """

    def __init__(
        self, callbacks: Callbacks, staff: Staff, distributor: Distributor, rules: Rules, clock: IReactorTime
    ) -> None:
        """``rules``: how numbers are written."""
        self._callbacks = callbacks
        self._staff = staff
        self._distributor = distributor
        self._rules = rules
        self._clock = clock
        self._repeats = Repeats("callback")
        self._one_by_one = DeferredLock()

    @route("POST", "/api/v1/callbacks")
    async def ask(self, request: BoundedRequest) -> bytes:
        """Have somebody called back; 200 with the one that is open, where there is one of the queue and number already."""
        allow(request, Right.CONTROL)
        allow(request, Right.DIAL)
        body = read_body(request, Asked)
        if request.token.agent and body.agent:
            allow_agent(request, body.agent)
        key = (request.getHeader("Idempotency-Key") or "")[:200]

        def in_turn() -> Deferred[tuple[str, bool]]:
            return Deferred.fromCoroutine(self._made(request, body, key))

        async def one_by_one() -> tuple[str, bool]:
            return await self._one_by_one.run(in_turn)

        # Whoever asks may go away; two with the same key must not both be first.
        name, new = await shielded(one_by_one(), Problem, StoreUnavailable)
        found = await self._one(name)
        if new:
            request.setResponseCode(HTTPStatus.CREATED)
        seen = found is not None and self._sees(request, found)
        return answer_json(request, self._view(found) if found is not None and seen else {"id": name})

    async def _made(self, request: BoundedRequest, body: Asked, key: str) -> tuple[str, bool]:
        """The callback, and whether it is new."""
        token, now = request.token, self._clock.seconds()
        if key and (found := self._repeats.contact(token.name, key, body, now)) is not None:
            return found, False
        self._check(body, body.skills, now)
        wish = Wish(
            body.queue,
            body.number,
            CallbackSource.APPOINTMENT if token.agent else CallbackSource.REQUESTED,
            due=body.at or 0.0,
            expires=body.expires or 0.0,
            agent=token.agent or body.agent,
            name=body.name,
            zone=body.zone,
            skills=body.skills,
            priority_seconds=body.priority_seconds,
            reason=body.reason,
            data=body.data,
            by=token.name,
        )
        try:
            callback, new = await self._callbacks.ask(wish)
        except (NotNow, ValueError) as why:
            raise _not_done(why, "") from None
        if key:
            self._repeats.made(token.name, key, body, callback.id, now)
        return callback.id, new

    @route("GET", "/api/v1/callbacks")
    async def page(self, request: BoundedRequest) -> bytes:
        """A page of callbacks, the latest first."""
        allow(request, Right.READ)
        asked = read_query(request, "queue", "number", "state", "before", "limit")
        limit = limit_of(asked)
        number = self._number(asked["number"]) if "number" in asked else ""
        wanted = Filter(asked.get("queue", ""), number, _states(asked.get("state", "")), asked.get("before", ""))
        found = await self._callbacks.find(wanted, limit)
        following = found[-1].id if len(found) == limit else None
        views = [self._view(one) for one in found if self._sees(request, one)]
        return answer_json(request, {"callbacks": views, "next": following})

    @route("GET", "/api/v1/callbacks/<name>")
    async def one(self, request: BoundedRequest, name: str) -> bytes:
        """One callback with its attempts, open or not."""
        allow(request, Right.READ)
        found = await self._one(name)
        if found is None or not self._sees(request, found):
            raise unknown("callback", name)
        return answer_json(request, self._view(found))

    @route("PATCH", "/api/v1/callbacks/<name>")
    async def edit(self, request: BoundedRequest, name: str) -> bytes:
        """Change an open one; answered when that is stored."""
        allow(request, Right.CONTROL, Right.SUPERVISE)
        body = read_body(request, Changed)
        given = {field: value for field, value in msgspec.structs.asdict(body).items() if value is not None}
        if not given:
            raise _wrong(f"name one of {', '.join(Changed.__struct_fields__)}", "at")
        before = self._open(request, name)
        if not self._supervises(request, before.queue, body.queue or before.queue):
            for field in given.keys() & set(OF_SUPERVISORS):
                raise Problem(HTTPStatus.FORBIDDEN, f"{field} is for supervisors of the queue to change", field=field)
        self._check(body, "", self._clock.seconds())
        if "at" in given:
            given["due"] = given.pop("at")
        try:
            after = await self._callbacks.edit(name, Change(**given), request.token.name)
        except (KeyError, NotNow, ValueError) as why:
            raise _not_done(why, name) from None
        return answer_json(request, self._view(after))

    @route("POST", "/api/v1/callbacks/<name>/now")
    async def now(self, request: BoundedRequest, name: str) -> bytes:
        """It is due now; what else it waits for, it waits for all the same."""
        allow(request, Right.CONTROL, Right.SUPERVISE)
        allow(request, Right.DIAL)
        read_body(request, Nothing)
        self._open(request, name)
        try:
            after = await self._callbacks.call_now(name, request.token.name)
        except (KeyError, NotNow, ValueError) as why:
            raise _not_done(why, name) from None
        return answer_json(request, self._view(after))

    @route("DELETE", "/api/v1/callbacks/<name>")
    async def cancel(self, request: BoundedRequest, name: str) -> bytes:
        """Nobody is called back any more."""
        allow(request, Right.CONTROL, Right.SUPERVISE)
        read_body(request, Nothing)
        self._open(request, name)
        try:
            after = await self._callbacks.cancel(name, request.token.name)
        except (KeyError, NotNow, ValueError) as why:
            raise _not_done(why, name) from None
        return answer_json(request, self._view(after))

    def _check(self, body: Asked | Changed, skills: str, now: float) -> None:
        """What is asked means something.  Raises Problem (422)."""
        if body.queue and body.queue not in self._distributor.queues:
            raise _wrong(f"there is no queue {body.queue[:100]!r}", "queue")
        if body.agent and body.agent not in self._staff.agents:
            raise _wrong(f"there is no agent {body.agent[:100]!r}", "agent")
        try:
            parse(skills)
        except BadExpression as why:
            raise _wrong(str(why), "skills") from None
        try:
            if body.zone:
                zone_of(body.zone)
        except ValueError as why:
            raise _wrong(str(why), "zone") from None
        for field, given in (("at", body.at), ("expires", body.expires)):
            if given is not None and not 0 <= given <= now + AHEAD_SECONDS:
                raise _wrong(f"{field} is a time within a year, in seconds since the epoch", field)

    async def _one(self, name: str) -> Callback | None:
        return self._callbacks.live.get(name) or await self._callbacks.one(name)

    def _open(self, request: BoundedRequest, name: str) -> Callback:
        """An open one that the asker may change.  Raises Problem (404)."""
        callback = self._callbacks.live.get(name)
        if callback is None or not self._sees(request, callback):
            raise unknown("open callback", name)
        return callback

    def _sees(self, request: BoundedRequest, callback: Callback) -> bool:
        agent = request.token.agent
        return agent in ("", callback.agent) or self._supervises(request, callback.queue)

    def _supervises(self, request: BoundedRequest, *queues: str) -> bool:
        """Whether the one who asks, an agent or nobody of them, supervises all of the queues."""
        token = request.token
        if not token.agent:
            return True
        agent = self._staff.agents.get(token.agent)
        allowed = agent is not None and all(may_supervise(agent.supervises, {queue}) for queue in queues)
        return allowed and Right.SUPERVISE in token.rights

    def _number(self, typed: str) -> str:
        try:
            return normalised(typed, self._rules.settings)
        except NotDialled as why:
            raise refused(why) from None

    def _view(self, callback: Callback) -> dict[str, Any]:
        """A callback, and of an open one why it is not made yet."""
        view: dict[str, Any] = msgspec.to_builtins(callback)
        attempts = [{**one, **_null(one, "cause", "agent", "ended")} for one in view["attempts"]]
        empty = _null(view, "since", "contact", "session", "agent", "zone", "escalated", "ended")
        return {**view, **empty, "attempts": attempts, "because": view["why"] or None, "why": self._why(callback)}

    def _why(self, callback: Callback) -> dict[str, Any] | None:
        """Why it is not made yet, in a word and in words; None of one that is over."""
        try:
            later, text = self._callbacks.why(callback.id)
        except KeyError:
            return None
        if later is None:
            return {"why": None, "until": None, "text": text}
        return {"why": later.why.value, "until": later.until, "text": text}


def _null(view: dict[str, Any], *fields: str) -> dict[str, Any]:
    """Those fields, null where there is nothing."""
    return {field: view[field] or None for field in fields}


def _states(state: str) -> Collection[CallbackState]:
    """Those that a query names.  Raises Problem (422)."""
    if not state or state == "open":
        return OPEN if state else ()
    try:
        return (CallbackState(state),)
    except ValueError:
        raise _wrong(f"state is open, or one of {', '.join(CallbackState)}", "state") from None


def _not_done(why: Exception, name: str) -> Problem:
    """The answer to what is refused; of a KeyError: the callback has come to its end meanwhile."""
    if isinstance(why, NotNow):
        return refused(why)
    return unknown("open callback", name) if isinstance(why, KeyError) else _wrong(str(why), "expires")


def _wrong(text: str, field: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text, field=field)
