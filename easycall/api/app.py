"""The HTTP API: its groups of routes joined, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast

from klein import Klein
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from easycall.api.agents import AgentRoutes
from easycall.api.auth import Tokens
from easycall.api.callbacks import CallbackRoutes
from easycall.api.calls import CallRoutes
from easycall.api.conduct import (
    Callbacks,
    Contacts,
    Desktops,
    Distributor,
    Health,
    History,
    Journal,
    MessageBoxes,
    Profiles,
    QueueEdits,
    RecordingFiles,
    Recovery,
    Requests,
    ServiceLevels,
    Staff,
    Supervisions,
    Waits,
)
from easycall.api.contacts import ContactRoutes
from easycall.api.customers import CustomerRoutes, Customers
from easycall.api.donotcall import DoNotCallRoutes
from easycall.api.exchange import refuse
from easycall.api.faxes import DOCUMENTS, FaxRoutes
from easycall.api.feed import Feed
from easycall.api.gate import Gate
from easycall.api.health import HealthRoutes
from easycall.api.live import LiveRoutes
from easycall.api.problems import Problem
from easycall.api.queues import QueueRoutes
from easycall.api.recordings import RecordingRoutes
from easycall.api.reports import ReportRoutes
from easycall.api.requests import RequestRoutes
from easycall.api.routes import add_routes
from easycall.api.routing import RoutingRoutes
from easycall.api.schemas import board
from easycall.api.site import bounded_site
from easycall.api.supervision import SupervisionRoutes
from easycall.api.transactions import TransactionRoutes, Transactions
from easycall.api.voicemails import VoicemailRoutes
from easycall.api.why import WhyRoutes
from easycall.config import Token
from easycall.fax import FaxDesk
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall
from easycall.ports import StoreUnavailable

__all__ = ["Api"]

log = Logger()


class Api:
    """The API of one daemon."""

    def __init__(
        self,
        *,
        staff: Staff,
        profiles: Profiles,
        edits: QueueEdits,
        desktops: Desktops,
        distributor: Distributor,
        waits: Waits,
        levels: ServiceLevels,
        recovery: Recovery,
        history: History,
        contacts: Contacts,
        requests: Requests,
        supervisions: Supervisions,
        journal: Journal,
        health: Health,
        tokens: Iterable[Token],
        clock: IReactorTime,
        files: RecordingFiles,
        dialling: Dialling,
        do_not_call: DoNotCall,
        customers: Customers,
        transactions: Transactions,
        callbacks: Callbacks | None = None,
        fax: FaxDesk | None = None,
        messages: MessageBoxes | None = None,
        tell_agents: bool = True,
    ) -> None:
        """``files``: of recordings; ``callbacks``, ``fax``, ``messages``: callbacks, faxes and voice mail, if
        there are any; ``tell_agents``: agents learn that they are supervised."""

        def see(agent: str) -> Mapping[str, Any]:
            return board(staff, distributor, levels, recovery, history, contacts.live, agent, clock.seconds())

        self._clock = clock
        self._takes_fax = fax is not None
        self._feed = Feed(clock, journal, see, desktops, tell_agents=tell_agents)
        self.app = Klein()
        self.app.url_map.merge_slashes = False
        add_routes(
            self.app,
            HealthRoutes(health, clock),
            AgentRoutes(staff, profiles, journal),
            QueueRoutes(staff, distributor, waits, levels, recovery, history, clock),
            ReportRoutes(distributor, recovery, history, clock),
            RoutingRoutes(staff, distributor, edits),
            ContactRoutes(contacts, journal, clock, staff=staff, tell_agents=tell_agents),
            WhyRoutes(staff=staff, distributor=distributor, contacts=contacts, journal=journal, clock=clock),
            SupervisionRoutes(supervisions, staff, contacts, clock),
            VoicemailRoutes(messages, requests, contacts),
            RequestRoutes(requests, distributor, contacts, journal, dialling, clock),
            CallRoutes(staff, distributor, contacts, dialling, clock),
            DoNotCallRoutes(do_not_call, dialling.rules),
            CustomerRoutes(customers, journal),
            TransactionRoutes(transactions, contacts, journal),
            RecordingRoutes(journal, files, clock),
            FaxRoutes(fax, requests, contacts),
            LiveRoutes(staff, self._feed),
        )
        if callbacks is not None:
            add_routes(self.app, CallbackRoutes(callbacks, staff, distributor, dialling.rules, clock))
        self.app.handle_errors(Problem)(_problem)
        self.app.handle_errors(HTTPException)(_not_routed)
        self.app.handle_errors(StoreUnavailable)(_no_store)
        self.app.handle_errors(Exception)(_fault)
        self._root = Gate(self.app, Tokens(tokens))

    def site(self) -> IProtocolFactory:
        """What to listen with."""
        return cast(IProtocolFactory, bounded_site(self._root, self._clock, self._takes_large))

    def _takes_large(self, path: bytes, authorization: str | None) -> bool:
        """Whether a large body is taken at an address from whom sends it."""
        return self._takes_fax and path == DOCUMENTS and self._root.knows(authorization)

    def stop(self) -> None:
        """Close the live feeds."""
        self._feed.stop()


def _problem(request: Any, failure: Failure) -> bytes:
    """What we refused."""
    return refuse(request, cast(Problem, failure.value))


def _not_routed(request: Any, failure: Failure) -> bytes:
    """What the router refused: no such address, or not with this verb."""
    why = cast(HTTPException, failure.value)
    allowed = ", ".join(sorted(getattr(why, "valid_methods", None) or ()))
    status = HTTPStatus(why.code or HTTPStatus.NOT_FOUND)
    detail = f"allowed here: {allowed}" if allowed else "there is nothing at this address"
    return refuse(request, Problem(status, detail, headers={"Allow": allowed} if allowed else None))


def _no_store(request: Any, failure: Failure) -> bytes:
    """The database is away; calls go on."""
    log.warn("the API could not read the database: {why}", why=failure.getErrorMessage())
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return refuse(request, Problem(status, "the database does not answer", headers={"Retry-After": "5"}))


def _fault(request: Any, failure: Failure) -> bytes:
    """A fault of ours: told in the log, not to the client."""
    log.failure("the API failed at {path}", failure, path=request.path)
    return refuse(request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of easycall; its log says more"))
