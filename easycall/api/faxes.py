"""The routes of fax: documents to send, and faxes that came in."""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from http import HTTPStatus
from typing import IO, cast

import msgspec
from twisted.logger import Logger

from easycall.api.auth import Right, allow, has_at_desk
from easycall.api.conduct import Contacts, Requests
from easycall.api.exchange import answer, answer_json, limit_of, read_body, read_query
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import Nothing
from easycall.api.site import BoundedRequest
from easycall.fax import Document, FaxDesk, ReceivedFax, Unreadable
from easycall.fax.documents import KINDS
from easycall.ivr.prompts import CommandMissing
from easycall.verbs import NotNow

__all__ = ["DOCUMENTS", "FaxRoutes"]

log = Logger()

DOCUMENTS = b"/api/v1/documents"
"""The one address that takes large bodies."""


class FaxRoutes:
    """What the routes below ``/api/v1/documents`` and ``/api/v1/faxes`` answer."""

    def __init__(self, fax: FaxDesk | None, requests: Requests, contacts: Contacts) -> None:
        """``fax``: None when there is none."""
        self._fax = fax
        self._requests = requests
        self._contacts = contacts

    def _desk(self) -> FaxDesk:
        if self._fax is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no fax here: fax.lines in easycall.toml is 0")
        return self._fax

    @route("POST", "/api/v1/documents")
    async def add_document(self, request: BoundedRequest) -> bytes:
        """A PDF or TIFF becomes a document that can be faxed; the answer comes when it has."""
        allow(request, Right.CONTROL)
        desk = self._desk()
        kind = (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower()
        if kind not in KINDS:
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the document as {' or '.join(KINDS)}")
        try:
            made = await desk.documents.add(cast(IO[bytes], request.content), kind, request.token.name)
        except Unreadable as why:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(why)) from None
        except NotNow as why:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(why), headers={"Retry-After": "10"}) from None
        except (CommandMissing, OSError) as why:
            log.error("a document could not be made: {why}", why=str(why))
            text = "documents cannot be made now; the log of easycall says why"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, text) from None
        request.setResponseCode(HTTPStatus.CREATED)
        return answer_json(request, msgspec.to_builtins(made))

    @route("GET", "/api/v1/documents/<name>")
    def document(self, request: BoundedRequest, name: str) -> bytes:
        """One document."""
        allow(request, Right.CONTROL)
        return answer_json(request, msgspec.to_builtins(self._document(name)))

    @route("DELETE", "/api/v1/documents/<name>")
    async def remove_document(self, request: BoundedRequest, name: str) -> bytes:
        """Remove a document."""
        allow(request, Right.CONTROL)
        read_body(request, Nothing)
        await self._desk().documents.remove(self._document(name).id)
        return answer_json(request, {"id": name})

    def _document(self, name: str) -> Document:
        found = self._desk().documents.get(name)
        if found is None:
            raise unknown("document", name)
        return found

    @route("GET", "/api/v1/faxes")
    def faxes(self, request: BoundedRequest) -> bytes:
        """A page of the faxes that came, the latest first; ``?box=`` of one box."""
        allow(request, Right.RECORDINGS)
        asked = read_query(request, "limit", "before", "box")
        limit = limit_of(asked)
        found = self._desk().inbox.latest(limit, asked.get("before", ""), asked.get("box", ""), request.token.agent)
        following = found[-1].id if len(found) == limit else None
        return answer_json(request, {"faxes": msgspec.to_builtins(found), "next": following})

    @route("GET", "/api/v1/faxes/<name>")
    def fax(self, request: BoundedRequest, name: str) -> bytes:
        """One fax that came."""
        self._may_read(request, name)
        return answer_json(request, msgspec.to_builtins(self._received(request, name)))

    @route("GET", "/api/v1/faxes/<name>/pdf")
    async def pdf(self, request: BoundedRequest, name: str) -> bytes:
        """The pages of a fax that came."""
        self._may_read(request, name)
        return await self._pages(request, name, "pdf", "application/pdf")

    @route("GET", "/api/v1/faxes/<name>/tiff")
    async def tiff(self, request: BoundedRequest, name: str) -> bytes:
        """The same, as they came."""
        self._may_read(request, name)
        return await self._pages(request, name, "tiff", "image/tiff")

    async def _pages(self, request: BoundedRequest, name: str, kind: str, content_type: str) -> bytes:
        found = self._received(request, name)
        try:
            body = await self._desk().inbox.read(found, kind)
        except OSError as why:
            raise Problem(HTTPStatus.NOT_FOUND, f"the {kind} of the fax {name!r} cannot be read: {why.strerror}") from None
        request.setHeader("Content-Disposition", f'inline; filename="fax-{found.id}.{kind}"')
        return answer(request, body, content_type)

    @route("DELETE", "/api/v1/faxes/<name>")
    async def remove_fax(self, request: BoundedRequest, name: str) -> bytes:
        """Throw a fax away."""
        allow(request, Right.RECORDINGS)
        read_body(request, Nothing)
        await self._desk().inbox.remove(self._received(request, name).id)
        return answer_json(request, {"id": name})

    def _may_read(self, request: BoundedRequest, name: str) -> None:
        """Let whose work it is pass, beside who may read faxes at all.  Raises Problem."""
        allow(request, Right.CONTROL if self._at_desk(request, name) else Right.RECORDINGS)

    def _at_desk(self, request: BoundedRequest, name: str) -> bool:
        return has_at_desk(request, self._requests.live, self._contacts.live, name)

    def _received(self, request: BoundedRequest, name: str) -> ReceivedFax:
        """The fax of that id; a token of an agent is confined to the agent's own, and to what is the agent's work."""
        found = self._desk().inbox.get(name)
        mine = found is not None and (request.token.agent in ("", found.agent) or self._at_desk(request, name))
        if found is None or not mine:
            raise unknown("fax", name)
        return found
