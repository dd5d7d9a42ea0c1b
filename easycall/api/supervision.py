"""The routes of supervision: listen, whisper, barge in, take over."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from klein import Klein
from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Contacts, Distributor, Supervision, Supervisions
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem
from easycall.api.schemas import Id, Nothing, contact_view
from easycall.api.site import BoundedRequest
from easycall.defer import limited
from easycall.model import SupervisionMode
from easycall.verbs import NotAllowed, NotNow

__all__ = ["add_routes"]

TAKE_OVER_SECONDS = 10.0
"""How long an answer is waited for; what was asked goes on."""

T = TypeVar("T")


class Begin(msgspec.Struct, forbid_unknown_fields=True):
    """Begin to supervise a contact, or an agent."""

    supervisor: Id
    """The agent whose phone is rung."""
    mode: Literal["listen", "whisper", "barge"] = "listen"
    contact: Id = ""
    agent: Id = ""


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """Change the mode."""

    mode: Literal["listen", "whisper", "barge"]


class Asked(Protocol):
    """What the routes need of the API."""

    supervisions: Supervisions
    _distributor: Distributor
    _contacts: Contacts
    _clock: IReactorTime


def add_routes(app: Klein) -> None:
    """Add the routes to the API's."""
    app.route("/api/v1/supervisions", methods=["GET"])(listed)
    app.route("/api/v1/supervisions", methods=["POST"])(begin)
    app.route("/api/v1/supervisions/<supervision>", methods=["GET"])(shown)
    app.route("/api/v1/supervisions/<supervision>", methods=["PUT"])(change)
    app.route("/api/v1/supervisions/<supervision>", methods=["DELETE"])(end)
    app.route("/api/v1/supervisions/<supervision>/take-over", methods=["POST"])(take_over)


def listed(api: Asked, request: BoundedRequest) -> bytes:
    """The supervisions of now; a token of an agent sees the agent's own."""
    allow(request, Right.SUPERVISE)
    seen = [one for one in api.supervisions.live.values() if request.token.agent in ("", one.order.supervisor)]
    return answer_json(request, {"supervisions": [_view(one) for one in seen]})


def begin(api: Asked, request: BoundedRequest) -> bytes:
    """Ring a supervisor's phone to hear a contact or an agent."""
    allow(request, Right.SUPERVISE)
    wish = read_body(request, Begin)
    if bool(wish.contact) == bool(wish.agent):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name one of contact and agent", field="contact")
    for agent in filter(None, (wish.supervisor, wish.agent)):
        if agent not in api._distributor.agents:
            raise _unknown("agent", agent)
    allow_agent(request, wish.supervisor)
    if wish.contact and wish.contact not in api._contacts.live:
        raise _unknown("live contact", wish.contact)
    mode, by = SupervisionMode(wish.mode), request.token.name
    one = _asked(lambda: api.supervisions.begin(wish.supervisor, mode, contact=wish.contact, agent=wish.agent, by=by))
    request.setResponseCode(HTTPStatus.CREATED)
    return answer_json(request, _view(one))


def shown(api: Asked, request: BoundedRequest, supervision: str) -> bytes:
    """One supervision."""
    allow(request, Right.SUPERVISE)
    return answer_json(request, _view(_known(api, request, supervision)))


def change(api: Asked, request: BoundedRequest, supervision: str) -> bytes:
    """Change the mode, at once."""
    allow(request, Right.SUPERVISE)
    wish = read_body(request, Change)
    one = _known(api, request, supervision)
    api.supervisions.change(supervision, SupervisionMode(wish.mode), request.token.name)
    return answer_json(request, _view(one))


def end(api: Asked, request: BoundedRequest, supervision: str) -> bytes:
    """End a supervision."""
    allow(request, Right.SUPERVISE)
    read_body(request, Nothing)
    _known(api, request, supervision)
    api.supervisions.end(supervision, request.token.name)
    return answer_json(request, {"id": supervision})


async def take_over(api: Asked, request: BoundedRequest, supervision: str) -> bytes:
    """The supervisor gets the customer; the answer comes when it was done, or was refused with the reason."""
    allow(request, Right.SUPERVISE)
    read_body(request, Nothing)
    one = _known(api, request, supervision)
    contact = api._contacts.live.get(one.contact)
    try:
        await limited(_asked(lambda: api.supervisions.take_over(supervision)), TAKE_OVER_SECONDS, api._clock)
    except NotNow as why:
        raise Problem(HTTPStatus.CONFLICT, str(why)) from None
    except TimeoutError:
        text = f"not carried out within {TAKE_OVER_SECONDS:g} s; the live feed tells what becomes of it"
        raise Problem(HTTPStatus.GATEWAY_TIMEOUT, text) from None
    if contact is None:
        raise _unknown("live contact", one.contact)
    return answer_json(request, contact_view(contact))


def _asked(ask: Callable[[], T]) -> T:
    """What was asked for.  Raises Problem when it is refused."""
    try:
        return ask()
    except NotAllowed as why:
        raise Problem(HTTPStatus.FORBIDDEN, str(why)) from None
    except NotNow as why:
        raise Problem(HTTPStatus.CONFLICT, str(why)) from None


def _known(api: Asked, request: BoundedRequest, supervision: str) -> Supervision:
    """A supervision that lives and concerns the asker; raises Problem (404), in the same words for both."""
    one = api.supervisions.live.get(supervision)
    if one is None or request.token.agent not in ("", one.order.supervisor):
        raise _unknown("supervision", supervision)
    return one


def _view(one: Supervision) -> dict[str, Any]:
    """A supervision as the API shows one."""
    return {
        "id": one.id,
        "supervisor": one.order.supervisor,
        "mode": one.mode,
        "follows": one.order.follows,
        "state": one.state,
        "contact": one.contact or None,
        "agent": one.agent or None,
        "since": one.since,
    }


def _unknown(what: str, name: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"there is no {what} {name[:100]!r}")
