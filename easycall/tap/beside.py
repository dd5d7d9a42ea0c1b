"""What is beside the calls, made of what serves them: how the daemon is, privacy, the API."""

from __future__ import annotations

from typing import Any

from easycall.config import Config
from easycall.health import Figures, Health, Lag, State, Vitals
from easycall.ports import Database
from easycall.privacy.customers import Customers
from easycall.privacy.retention import Retention
from easycall.stats.metrics import Metrics
from easycall.store.customers import CustomerShelf
from easycall.store.expiry import ExpiryShelf
from easycall.store.messages import MessageFiles
from easycall.store.recordings import RecordingFiles
from easycall.tap.conduct import Conduct

__all__ = ["api_of", "customers_of", "health_of", "retention_of"]


def health_of(conduct: Conduct, database: Database) -> Health:
    """How the daemon is, from its parts."""
    links, lag, metrics = conduct.switches, Lag(), Metrics()
    conduct.journal.subscribe(metrics.take)
    state = State(
        conduct.clock,
        distributor=conduct.distributor,
        staff=conduct.distributor.staff,
        levels=conduct.levels,
        recovery=conduct.recovery,
        contacts=conduct.contacts,
        journal=conduct.journal,
        links=links,
        legs={name: switch.legs for name, switch in links.items()},
        dialling=conduct.dialling,
    )
    vitals = Vitals(conduct.clock, conduct.journal, links, database, lambda: conduct.loading.trouble)
    return Health(vitals, lag, Figures(state, metrics, lag))


def customers_of(
    config: Config, conduct: Conduct, database: Database, files: RecordingFiles, messages: MessageFiles
) -> Customers:
    """What is known of customers, told and erased on request."""
    return Customers(
        config.dialing,
        CustomerShelf(database),
        conduct.journal,
        conduct.clock,
        live=lambda: conduct.contacts.live,
        callbacks=conduct.callbacks,
        forget=conduct.last_agents.forget,
        sounds=files,
        voice_mails=messages,
        inbox=conduct.fax.inbox if conduct.fax else None,
    )


def retention_of(
    config: Config, conduct: Conduct, database: Database, files: RecordingFiles, messages: MessageFiles
) -> Retention:
    """What is too old, removed in the night."""
    return Retention(
        config.retention,
        ExpiryShelf(database),
        conduct.journal,
        conduct.clock,
        live=lambda: conduct.contacts.live,
        requests=lambda: conduct.requests.live,
        sounds=files,
        voice_mails=messages,
    )


def api_of(
    config: Config,
    conduct: Conduct,
    customers: Customers,
    files: RecordingFiles,
    messages: MessageFiles,
    health: Health,
) -> Any:
    """The API, which asks all of them."""
    from easycall.api.app import Api  # late: klein installs the global reactor when it is imported

    return Api(
        staff=conduct.distributor.staff,
        profiles=conduct.profiles,
        edits=conduct.edits,
        desktops=conduct.desktops,
        distributor=conduct.distributor,
        waits=conduct.waits,
        levels=conduct.levels,
        recovery=conduct.recovery,
        history=conduct.history,
        requests=conduct.requests,
        callbacks=conduct.callbacks,
        contacts=conduct.contacts,
        supervisions=conduct.supervisions,
        journal=conduct.journal,
        health=health,
        tokens=config.tokens,
        clock=conduct.clock,
        files=files,
        dialling=conduct.dialling,
        do_not_call=conduct.do_not_call,
        customers=customers,
        transactions=conduct.transactions,
        fax=conduct.fax,
        messages=messages,
        tell_agents=config.tell_agents,
    )
