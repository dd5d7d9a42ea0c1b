"""The routes of contacts: live and ended ones, their end, and every verb of call control."""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from http import HTTPStatus

from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow, allow_agent, concerns, took_part
from easycall.api.conduct import Contacts, Journal, Staff
from easycall.api.exchange import answer_json, limit_of, read_body, read_query
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import AmendContact, Nothing, contact_view, record_view, record_with_journey
from easycall.api.site import BoundedRequest
from easycall.api.verbs import WISHES
from easycall.defer import limited
from easycall.model import Contact, EndedBy, Stage
from easycall.skills import BadExpression, parse
from easycall.supervision.scene import may_supervise
from easycall.verbs import Amend, Answer, Consult, NotNow, Pick, ToNumber, Verb

__all__ = ["ContactRoutes"]

VERB_SECONDS = 10.0
"""How long an answer to a verb is waited for; the verb itself goes on."""


class ContactRoutes:
    """What the routes below ``/api/v1/contacts`` answer."""

    def __init__(
        self, contacts: Contacts, journal: Journal, clock: IReactorTime, *, staff: Staff, tell_agents: bool
    ) -> None:
        """``tell_agents``: agents learn that they are supervised."""
        self._contacts = contacts
        self._journal = journal
        self._clock = clock
        self._staff = staff
        self._tell_agents = tell_agents

    @route("GET", "/api/v1/contacts")
    async def contacts(self, request: BoundedRequest) -> bytes:
        """The live contacts, or with ``?state=ended`` a page of those that ended, the latest arrival first."""
        allow(request, Right.READ)
        asked = read_query(request, "state", "limit", "before")
        state = asked.get("state", "live")
        if state == "live" and set(asked) <= {"state"}:
            live = self._contacts.live.values()
            seen = [contact for contact in live if concerns(request, contact) or contact.stage is Stage.PARKED]
            return answer_json(request, {"contacts": [contact_view(contact) for contact in seen]})
        if state != "ended":
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "state is live, or ended (with limit and before)", field="state")
        limit = limit_of(asked)
        records = await self._journal.ended(limit, asked.get("before", ""))
        following = records[-1].id if len(records) == limit else None
        shown = [record_view(record) for record in records if request.token.agent in ("", record.agent)]
        return answer_json(request, {"contacts": shown, "next": following})

    @route("GET", "/api/v1/contacts/<contact_id>")
    async def contact(self, request: BoundedRequest, contact_id: str) -> bytes:
        """One contact, live or ended, with its segments and its journey."""
        allow(request, Right.READ)
        found = await self._journal.record_of(contact_id)
        if found is None or not took_part(request, found[0]):
            raise unknown("contact", contact_id)
        record, steps = found
        if request.token.agent and not self._tell_agents:
            steps = [step for step in steps if not step.kind.startswith("supervision.")]
        return answer_json(request, record_with_journey(record, steps))

    @route("POST", "/api/v1/contacts/<contact_id>/hangup")
    def hang_up(self, request: BoundedRequest, contact_id: str) -> bytes:
        """Ask for the end of a contact; it comes when Asterisk has hung up."""
        allow(request, Right.CONTROL)
        read_body(request, Nothing)
        self._live_contact(request, contact_id)
        self._contacts.hang_up(contact_id, EndedBy.API)
        request.setResponseCode(HTTPStatus.ACCEPTED)
        return answer_json(request, {"id": contact_id})

    @route("PATCH", "/api/v1/contacts/<contact_id>")
    async def amend(self, request: BoundedRequest, contact_id: str) -> bytes:
        """Another priority, or other skills, of a contact that waits; what is not named stays as it is."""
        allow(request, Right.SUPERVISE)
        body = read_body(request, AmendContact)
        contact = self._contacts.live.get(contact_id)
        if contact is None or not self._supervises(request.token.agent, contact):
            raise unknown("live contact", contact_id)
        if body.priority is None and body.skills is None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name priority, or skills, or both", field="priority")
        try:
            skills = None if body.skills is None else parse(body.skills)
        except BadExpression as why:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(why), field="skills") from None
        await self._carried_out(contact_id, Amend(body.priority, skills, request.token.name))
        return answer_json(request, contact_view(contact))

    @route("POST", f"/api/v1/contacts/<contact_id>/<any({', '.join(WISHES)}):name>")
    async def ask(self, request: BoundedRequest, contact_id: str, name: str) -> bytes:
        """Ask a verb of a live contact; the answer comes when it was carried out, or was refused with the reason."""
        allow(request, Right.CONTROL)
        wish = WISHES[name]
        verb = wish.verb(read_body(request, wish.body))
        if isinstance(verb, ToNumber) or (isinstance(verb, Consult) and verb.number):
            allow(request, Right.DIAL)
        if isinstance(verb, Pick):
            allow_agent(request, verb.agent)
        if isinstance(verb, Answer) and request.token.agent:
            verb = Answer(request.token.agent)
        contact = self._live_contact(request, contact_id, verb)
        await self._carried_out(contact_id, verb)
        return answer_json(request, contact_view(contact))

    async def _carried_out(self, contact_id: str, verb: Verb) -> None:
        """Ask a verb and wait until it was carried out.  Raises Problem (409, 504)."""
        try:
            await limited(self._contacts.ask(contact_id, verb), VERB_SECONDS, self._clock)
        except NotNow as why:
            raise Problem(HTTPStatus.CONFLICT, str(why)) from None
        except TimeoutError:
            text = f"not carried out within {VERB_SECONDS:g} s; the live feed tells what becomes of it"
            raise Problem(HTTPStatus.GATEWAY_TIMEOUT, text) from None

    def _supervises(self, asker: str, contact: Contact) -> bool:
        """Whether the one who asks, an agent or nobody of them, supervises the contact's queue."""
        agent = self._staff.agents.get(asker)
        return not asker or (agent is not None and may_supervise(agent.supervises, {contact.queue}))

    def _live_contact(self, request: BoundedRequest, contact_id: str, verb: Verb | None = None) -> Contact:
        """A contact that lives and concerns the asker; raises Problem (404), in the same words for both.

        What is with no agent, everybody may pick.
        """
        contact = self._contacts.live.get(contact_id)
        picked = contact is not None and isinstance(verb, Pick) and not contact.agent
        if contact is None or not (picked or concerns(request, contact)):
            raise unknown("live contact", contact_id)
        return contact
