"""The routes of supervision: listen, whisper, barge in, take over."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import msgspec
from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Contacts, Staff, Supervision, Supervisions
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import Id, Nothing, contact_view
from easycall.api.site import BoundedRequest
from easycall.defer import limited
from easycall.model import SupervisionMode
from easycall.verbs import NotAllowed, NotNow

__all__ = ["SupervisionRoutes"]

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


class SupervisionRoutes:
    """What the routes below ``/api/v1/supervisions`` answer."""

    def __init__(self, supervisions: Supervisions, staff: Staff, contacts: Contacts, clock: IReactorTime) -> None:
        self._supervisions = supervisions
        self._staff = staff
        self._contacts = contacts
        self._clock = clock

    @route("GET", "/api/v1/supervisions")
    def listed(self, request: BoundedRequest) -> bytes:
        """The supervisions of now; a token of an agent sees the agent's own."""
        allow(request, Right.SUPERVISE)
        seen = [one for one in self._supervisions.live.values() if request.token.agent in ("", one.order.supervisor)]
        return answer_json(request, {"supervisions": [_view(one) for one in seen]})

    @route("POST", "/api/v1/supervisions")
    def begin(self, request: BoundedRequest) -> bytes:
        """Ring a supervisor's phone to hear a contact or an agent."""
        allow(request, Right.SUPERVISE)
        wish = read_body(request, Begin)
        if bool(wish.contact) == bool(wish.agent):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name one of contact and agent", field="contact")
        for agent in filter(None, (wish.supervisor, wish.agent)):
            if agent not in self._staff.agents:
                raise unknown("agent", agent)
        allow_agent(request, wish.supervisor)
        if wish.contact and wish.contact not in self._contacts.live:
            raise unknown("live contact", wish.contact)
        mode, by = SupervisionMode(wish.mode), request.token.name
        one = _asked(lambda: self._supervisions.begin(wish.supervisor, mode, contact=wish.contact, agent=wish.agent, by=by))
        request.setResponseCode(HTTPStatus.CREATED)
        return answer_json(request, _view(one))

    @route("GET", "/api/v1/supervisions/<supervision>")
    def shown(self, request: BoundedRequest, supervision: str) -> bytes:
        """One supervision."""
        allow(request, Right.SUPERVISE)
        return answer_json(request, _view(self._known(request, supervision)))

    @route("PUT", "/api/v1/supervisions/<supervision>")
    def change(self, request: BoundedRequest, supervision: str) -> bytes:
        """Change the mode, at once."""
        allow(request, Right.SUPERVISE)
        wish = read_body(request, Change)
        one = self._known(request, supervision)
        self._supervisions.change(supervision, SupervisionMode(wish.mode), request.token.name)
        return answer_json(request, _view(one))

    @route("DELETE", "/api/v1/supervisions/<supervision>")
    def end(self, request: BoundedRequest, supervision: str) -> bytes:
        """End a supervision."""
        allow(request, Right.SUPERVISE)
        read_body(request, Nothing)
        self._known(request, supervision)
        self._supervisions.end(supervision, request.token.name)
        return answer_json(request, {"id": supervision})

    @route("POST", "/api/v1/supervisions/<supervision>/take-over")
    async def take_over(self, request: BoundedRequest, supervision: str) -> bytes:
        """The supervisor gets the customer; the answer comes when it was done, or was refused with the reason."""
        allow(request, Right.SUPERVISE)
        read_body(request, Nothing)
        one = self._known(request, supervision)
        contact = self._contacts.live.get(one.contact)
        try:
            await limited(_asked(lambda: self._supervisions.take_over(supervision)), TAKE_OVER_SECONDS, self._clock)
        except NotNow as why:
            raise Problem(HTTPStatus.CONFLICT, str(why)) from None
        except TimeoutError:
            text = f"not carried out within {TAKE_OVER_SECONDS:g} s; the live feed tells what becomes of it"
            raise Problem(HTTPStatus.GATEWAY_TIMEOUT, text) from None
        if contact is None:
            raise unknown("live contact", one.contact)
        return answer_json(request, contact_view(contact))

    def _known(self, request: BoundedRequest, supervision: str) -> Supervision:
        """A supervision that lives and concerns the asker; raises Problem (404), in the same words for both."""
        one = self._supervisions.live.get(supervision)
        if one is None or request.token.agent not in ("", one.order.supervisor):
            raise unknown("supervision", supervision)
        return one


def _asked(ask: Callable[[], T]) -> T:
    """What was asked for.  Raises Problem when it is refused."""
    try:
        return ask()
    except NotAllowed as why:
        raise Problem(HTTPStatus.FORBIDDEN, str(why)) from None
    except NotNow as why:
        raise Problem(HTTPStatus.CONFLICT, str(why)) from None


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
