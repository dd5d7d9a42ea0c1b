"""The routes of voice mail: which messages there are, and their sound."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from twisted.logger import Logger
from twisted.web.resource import Resource

from easycall.api.auth import Right, allow, allow_agent, has_at_desk
from easycall.api.conduct import Contacts, MessageBoxes, Requests
from easycall.api.exchange import answer_json, limit_of, read_query
from easycall.api.media import Sound
from easycall.api.problems import Problem
from easycall.api.routes import route
from easycall.api.site import BoundedRequest

__all__ = ["VoicemailRoutes"]

log = Logger()


class VoicemailRoutes:
    """What the routes below ``/api/v1/voicemails`` answer.

    A token that is one agent's own may only hear the message that the agent is offered, or has, as work.
    """

    def __init__(self, messages: MessageBoxes | None, requests: Requests, contacts: Contacts) -> None:
        self._messages = messages
        self._requests = requests
        self._contacts = contacts

    @route("GET", "/api/v1/voicemails")
    async def page(self, request: BoundedRequest) -> bytes:
        """A page of messages, of ``?box=`` or of all boxes, the latest first."""
        _allow(request)
        asked = read_query(request, "box", "limit", "before")
        size = limit_of(asked)
        found = await self._messages.page(size, asked.get("before", ""), asked.get("box", "")) if self._messages else []
        following = found[-1].id if len(found) == size else None
        return answer_json(request, {"voicemails": msgspec.to_builtins(found), "next": following})

    @route("GET", "/api/v1/voicemails/<message>/audio")
    async def audio(self, request: BoundedRequest, message: str) -> Resource:
        """The sound of one message, with ranges."""
        if has_at_desk(request, self._requests.live, self._contacts.live, message):
            allow(request, Right.CONTROL)
        else:
            _allow(request)
        try:
            if self._messages is None:
                raise FileNotFoundError(message)
            return Sound(await self._messages.open(message), message)
        except FileNotFoundError:
            raise Problem(HTTPStatus.NOT_FOUND, f"there is no voice mail {message[:100]!r}") from None
        except OSError as why:
            log.error("voice mail {message} cannot be read: {why}", message=message, why=why.strerror)
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the file cannot be read; easycall's log says why") from None


def _allow(request: BoundedRequest) -> None:
    allow(request, Right.RECORDINGS)
    allow_agent(request, "")
