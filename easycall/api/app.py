"""The HTTP API: its routes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast

from klein import Klein
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.websocket import WebSocketResource
from werkzeug.exceptions import HTTPException

from easycall.api import supervision
from easycall.api.auth import Right, Tokens, allow, allow_agent
from easycall.api.calls import Call, Listed, Repeats, entry_view, refused, trunk_views
from easycall.api.conduct import Contacts, Distributor, Journal, Link, MessageBoxes, RecordingFiles, Supervisions
from easycall.api.exchange import answer, answer_json, limit_of, read_body, read_query, refuse
from easycall.api.faxes import DOCUMENTS, add_routes
from easycall.api.feed import Feed
from easycall.api.gate import Gate
from easycall.api.problems import Problem, unknown
from easycall.api.recordings import RecordingRoutes
from easycall.api.schemas import (
    LogIn,
    Nothing,
    SetState,
    agent_view,
    board,
    contact_view,
    queue_view,
    record_view,
    record_with_journey,
)
from easycall.api.site import BoundedRequest, bounded_site
from easycall.api.verbs import WISHES
from easycall.api.voicemails import Voicemails
from easycall.config import Token
from easycall.defer import limited
from easycall.fax import FaxDesk
from easycall.model import AgentState, Contact, EndedBy, Stage
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall
from easycall.outbound.rules import NotDialled, normalised
from easycall.ports import StoreUnavailable
from easycall.stats.record import Record
from easycall.verbs import Consult, NotNow, Pick, ToNumber, Verb

__all__ = ["Api"]

log = Logger()

VERB_SECONDS = 10.0
"""How long an answer to a verb is waited for; the verb itself goes on."""


class Api:
    """The API of one daemon."""

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(
        self,
        distributor: Distributor,
        contacts: Contacts,
        supervisions: Supervisions,
        journal: Journal,
        links: Mapping[str, Link],
        tokens: Iterable[Token],
        clock: IReactorTime,
        files: RecordingFiles,
        dialling: Dialling,
        do_not_call: DoNotCall,
        fax: FaxDesk | None = None,
        messages: MessageBoxes | None = None,
        *,
        tell_agents: bool = True,
    ) -> None:
        """``links``: the Asterisk boxes by name; ``fax``, ``messages``: faxes and voice mail, if there are any;
        ``tell_agents``: agents learn that they are supervised."""
        self._distributor = distributor
        self._contacts = contacts
        self._journal = journal
        self._links = links
        self._clock = clock
        self.supervisions = supervisions
        self._tell_agents = tell_agents
        self._voicemails = Voicemails(messages)
        self._recordings = RecordingRoutes(journal, files, clock, _took_part)
        self._dialling = dialling
        self._do_not_call = do_not_call
        self._repeats = Repeats()
        self._feed = Feed(clock, journal, self._board, tell_agents=tell_agents)
        self.fax = fax
        self._root = Gate(self.app, Tokens(tokens))

    def site(self) -> IProtocolFactory:
        """What to listen with."""
        return cast(IProtocolFactory, bounded_site(self._root, self._clock, self._takes_large))

    def _takes_large(self, path: bytes, authorization: str | None) -> bool:
        """Whether a large body is taken at an address from whom sends it."""
        return self.fax is not None and path == DOCUMENTS and self._root.knows(authorization)

    def stop(self) -> None:
        """Close the live feeds."""
        self._feed.stop()

    def _board(self, agent: str) -> Mapping[str, Any]:
        return board(self._distributor, self._contacts.live, agent, self._clock.seconds())

    # Health

    @app.route("/healthz", methods=["GET"])
    def healthz(self, request: BoundedRequest) -> bytes:
        """The process answers."""
        return answer(request, b"ok\n", "text/plain; charset=utf-8")

    @app.route("/readyz", methods=["GET"])
    def readyz(self, request: BoundedRequest) -> bytes:
        """The daemon can take calls; 503 with the reasons while it cannot."""
        reasons = [f"no link to Asterisk {name!r}" for name, link in self._links.items() if not link.up]
        if reasons:
            request.setResponseCode(HTTPStatus.SERVICE_UNAVAILABLE)
        return answer_json(request, {"ready": not reasons, "reasons": reasons})

    # Agents

    @app.route("/api/v1/agents", methods=["GET"])
    def agents(self, request: BoundedRequest) -> bytes:
        """Every agent."""
        allow(request, Right.READ)
        return answer_json(request, {"agents": [agent_view(agent) for agent in self._distributor.agents.values()]})

    @app.route("/api/v1/agents/<agent_id>", methods=["GET"])
    def agent(self, request: BoundedRequest, agent_id: str) -> bytes:
        """One agent."""
        allow(request, Right.READ)
        if agent_id not in self._distributor.agents:
            raise unknown("agent", agent_id)
        return answer_json(request, agent_view(self._distributor.agents[agent_id]))

    @app.route("/api/v1/agents/<agent_id>/login", methods=["POST"])
    def log_in(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Log an agent in with a phone."""
        allow(request, Right.CONTROL)
        wish = read_body(request, LogIn)
        return self._change(request, agent_id, lambda: self._distributor.log_in(agent_id, wish.phone or "", wish.queues))

    @app.route("/api/v1/agents/<agent_id>/logout", methods=["POST"])
    def log_out(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Log an agent out."""
        allow(request, Right.CONTROL)
        read_body(request, Nothing)
        return self._change(request, agent_id, lambda: self._distributor.log_out(agent_id))

    @app.route("/api/v1/agents/<agent_id>/state", methods=["PUT"])
    def set_state(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Make an agent ready or not ready."""
        allow(request, Right.CONTROL)
        wish = read_body(request, SetState)
        state = AgentState(wish.state)
        return self._change(request, agent_id, lambda: self._distributor.set_state(agent_id, state, wish.reason))

    def _change(self, request: BoundedRequest, agent_id: str, change: Callable[[], None]) -> bytes:
        if agent_id not in self._distributor.agents:
            raise unknown("agent", agent_id)
        allow_agent(request, agent_id)
        try:
            change()
        except NotNow as why:
            raise Problem(HTTPStatus.CONFLICT, str(why)) from None
        except ValueError as why:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(why)) from None
        return answer_json(request, agent_view(self._distributor.agents[agent_id]))

    # Queues

    @app.route("/api/v1/queues", methods=["GET"])
    def queues(self, request: BoundedRequest) -> bytes:
        """Every queue with its line and its agents."""
        allow(request, Right.READ)
        desk, now = self._distributor, self._clock.seconds()
        views = [queue_view(queue, desk.waiting(queue.id), desk.agents, now) for queue in desk.queues.values()]
        return answer_json(request, {"queues": views})

    # Contacts

    @app.route("/api/v1/contacts", methods=["GET"])
    async def contacts(self, request: BoundedRequest) -> bytes:
        """The live contacts, or with ``?state=ended`` a page of those that ended, the latest arrival first."""
        allow(request, Right.READ)
        asked = read_query(request, "state", "limit", "before")
        state = asked.get("state", "live")
        if state == "live" and set(asked) <= {"state"}:
            live = self._contacts.live.values()
            seen = [contact for contact in live if _concerns(request, contact) or contact.stage is Stage.PARKED]
            return answer_json(request, {"contacts": [contact_view(contact) for contact in seen]})
        if state != "ended":
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "state is live, or ended (with limit and before)", field="state")
        limit = limit_of(asked)
        records = await self._journal.ended(limit, asked.get("before", ""))
        following = records[-1].id if len(records) == limit else None
        shown = [record_view(record) for record in records if request.token.agent in ("", record.agent)]
        return answer_json(request, {"contacts": shown, "next": following})

    @app.route("/api/v1/contacts/<contact_id>", methods=["GET"])
    async def contact(self, request: BoundedRequest, contact_id: str) -> bytes:
        """One contact, live or ended, with its segments and its journey."""
        allow(request, Right.READ)
        found = await self._journal.record_of(contact_id)
        if found is None or not _took_part(request, found[0]):
            raise unknown("contact", contact_id)
        record, steps = found
        if request.token.agent and not self._tell_agents:
            steps = [step for step in steps if not step.kind.startswith("supervision.")]
        return answer_json(request, record_with_journey(record, steps))

    @app.route("/api/v1/contacts/<contact_id>/hangup", methods=["POST"])
    def hang_up(self, request: BoundedRequest, contact_id: str) -> bytes:
        """Ask for the end of a contact; it comes when Asterisk has hung up."""
        allow(request, Right.CONTROL)
        read_body(request, Nothing)
        self._live_contact(request, contact_id)
        self._contacts.hang_up(contact_id, EndedBy.API)
        request.setResponseCode(HTTPStatus.ACCEPTED)
        return answer_json(request, {"id": contact_id})

    @app.route(f"/api/v1/contacts/<contact_id>/<any({', '.join(WISHES)}):name>", methods=["POST"])
    async def ask(self, request: BoundedRequest, contact_id: str, name: str) -> bytes:
        """Ask a verb of a live contact; the answer comes when it was carried out, or was refused with the reason."""
        allow(request, Right.CONTROL)
        wish = WISHES[name]
        verb = wish.verb(read_body(request, wish.body))
        if isinstance(verb, ToNumber) or (isinstance(verb, Consult) and verb.number):
            allow(request, Right.DIAL)
        if isinstance(verb, Pick):
            allow_agent(request, verb.agent)
        contact = self._live_contact(request, contact_id, verb)
        try:
            await limited(self._contacts.ask(contact_id, verb), VERB_SECONDS, self._clock)
        except NotNow as why:
            raise Problem(HTTPStatus.CONFLICT, str(why)) from None
        except TimeoutError:
            text = f"not carried out within {VERB_SECONDS:g} s; the live feed tells what becomes of it"
            raise Problem(HTTPStatus.GATEWAY_TIMEOUT, text) from None
        return answer_json(request, contact_view(contact))

    def _live_contact(self, request: BoundedRequest, contact_id: str, verb: Verb | None = None) -> Contact:
        """A contact that lives and concerns the asker; raises Problem (404), in the same words for both.

        What is with no agent, everybody may pick.
        """
        contact = self._contacts.live.get(contact_id)
        picked = contact is not None and isinstance(verb, Pick) and not contact.agent
        if contact is None or not (picked or _concerns(request, contact)):
            raise unknown("live contact", contact_id)
        return contact

    supervision.add_routes(app)

    # Voice mail

    @app.route("/api/v1/voicemails", methods=["GET"])
    async def voicemails(self, request: BoundedRequest) -> bytes:
        """A page of messages, of ``?box=`` or of all boxes, the latest first."""
        return await self._voicemails.page(request)

    @app.route("/api/v1/voicemails/<message>/audio", methods=["GET"])
    async def voicemail(self, request: BoundedRequest, message: str) -> Resource:
        """The sound of a message, with ranges."""
        return await self._voicemails.audio(request, message)

    # Calls out

    @app.route("/api/v1/calls", methods=["POST"])
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
            ("agent", body.agent, self._distributor.agents),
            ("queue", body.queue, self._distributor.queues),
        ):
            if name not in known:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"there is no {what} {name[:100]!r}", field=what)
        try:
            return self._contacts.call(body.asked()).id
        except NotNow as why:
            raise refused(why) from None

    @app.route("/api/v1/trunks", methods=["GET"])
    def trunks(self, request: BoundedRequest) -> bytes:
        """The trunks with their lines."""
        allow(request, Right.READ)
        return answer_json(request, {"trunks": trunk_views(self._dialling)})

    @app.route("/api/v1/do-not-call", methods=["GET"])
    def do_not_call(self, request: BoundedRequest) -> bytes:
        """The numbers that are not called, a page at a time: those behind ``after``."""
        allow(request, Right.READ)
        asked = read_query(request, "limit", "after")
        limit, numbers = limit_of(asked), sorted(self._do_not_call.entries)
        page = numbers[bisect_right(numbers, asked.get("after", "")) :][:limit]
        views = [entry_view(self._do_not_call.entries[number]) for number in page]
        return answer_json(request, {"numbers": views, "next": page[-1] if len(page) == limit else None})

    @app.route("/api/v1/do-not-call/<typed>", methods=["GET"])
    def listed_number(self, request: BoundedRequest, typed: str) -> bytes:
        """One number of the list."""
        allow(request, Right.READ)
        entry = self._do_not_call.entries.get(self._number(typed))
        if entry is None:
            raise unknown("number on the do-not-call list:", typed)
        return answer_json(request, entry_view(entry))

    @app.route("/api/v1/do-not-call/<typed>", methods=["PUT"])
    async def list_number(self, request: BoundedRequest, typed: str) -> bytes:
        """Put a number on the list; 200 when it is stored."""
        allow(request, Right.ADMIN)
        body = read_body(request, Listed)
        entry = await self._do_not_call.add(self._number(typed), body.reason, request.token.name)
        return answer_json(request, entry_view(entry))

    @app.route("/api/v1/do-not-call/<typed>", methods=["DELETE"])
    async def unlist_number(self, request: BoundedRequest, typed: str) -> bytes:
        """Take a number from the list."""
        allow(request, Right.ADMIN)
        read_body(request, Nothing)
        number = self._number(typed)
        if number not in self._do_not_call:
            raise unknown("number on the do-not-call list:", typed)
        await self._do_not_call.remove(number)
        return answer_json(request, {"number": number})

    def _number(self, typed: str) -> str:
        try:
            return normalised(typed, self._dialling.rules.settings)
        except NotDialled as why:
            raise refused(why) from None

    # Recordings

    @app.route("/api/v1/recordings", methods=["GET"])
    async def recordings(self, request: BoundedRequest) -> bytes:
        """The recordings of one contact, or a page of all, or of one day's, the latest first."""
        allow(request, Right.RECORDINGS)
        return await self._recordings.page(request, lambda asked: limit_of({"limit": asked} if asked else {}))

    @app.route("/api/v1/recordings/<recording_id>", methods=["GET"])
    async def recording(self, request: BoundedRequest, recording_id: str) -> bytes:
        """One recording."""
        allow(request, Right.RECORDINGS)
        return await self._recordings.one(request, recording_id)

    @app.route("/api/v1/recordings/<recording_id>/audio", methods=["GET"])
    async def recording_audio(self, request: BoundedRequest, recording_id: str) -> Resource:
        """Its sound, with ranges."""
        allow(request, Right.RECORDINGS)
        return await self._recordings.audio(request, recording_id)

    # Live feed

    @app.route("/api/v1/live", methods=["GET"])
    def live(self, request: BoundedRequest) -> WebSocketResource:
        """The events of the journal as they happen; ``?agent=ID``: one agent's."""
        allow(request, Right.READ)
        agent_id = read_query(request, "agent").get("agent", request.token.agent)
        agent = self._distributor.agents.get(agent_id)
        if agent_id and agent is None:
            raise unknown("agent", agent_id)
        allow_agent(request, agent_id)
        return self._feed.subscribe(request, agent_id, agent.contact if agent else "")

    # Errors

    @app.handle_errors(Problem)
    def problem(self, request: Any, failure: Failure) -> bytes:
        """What we refused."""
        return refuse(request, cast(Problem, failure.value))

    @app.handle_errors(HTTPException)
    def not_routed(self, request: Any, failure: Failure) -> bytes:
        """What the router refused: no such address, or not with this verb."""
        why = cast(HTTPException, failure.value)
        allowed = ", ".join(sorted(getattr(why, "valid_methods", None) or ()))
        status = HTTPStatus(why.code or HTTPStatus.NOT_FOUND)
        detail = f"allowed here: {allowed}" if allowed else "there is nothing at this address"
        return refuse(request, Problem(status, detail, headers={"Allow": allowed} if allowed else None))

    @app.handle_errors(StoreUnavailable)
    def no_store(self, request: Any, failure: Failure) -> bytes:
        """The database is away; calls go on."""
        log.warn("the API could not read the database: {why}", why=failure.getErrorMessage())
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return refuse(request, Problem(status, "the database does not answer", headers={"Retry-After": "5"}))

    @app.handle_errors(Exception)
    def fault(self, request: Any, failure: Failure) -> bytes:
        """A fault of ours: told in the log, not to the client."""
        log.failure("the API failed at {path}", failure, path=request.path)
        return refuse(request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of easycall; its log says more"))


def _concerns(request: BoundedRequest, contact: Contact) -> bool:
    """Whether the asker may see and change the contact: a token of an agent is confined to the agent's own."""
    return request.token.agent in ("", contact.agent, contact.consulted)


def _took_part(request: BoundedRequest, record: Record) -> bool:
    return request.token.agent in ("", *(segment.agent for segment in record.segments))


add_routes(Api.app)
