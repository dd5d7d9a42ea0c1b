"""The figures for Prometheus: what is now is read when it is asked for, what happened comes from the fold over events.

The names keep to Prometheus' conventions: a unit at the end, ``_total`` for what only grows.  A label has only values that
the configuration or the code bounds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import accumulate
from platform import python_version
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime

from easycall import __version__
from easycall.health.pulse import Lag
from easycall.health.vitals import Journal, Link
from easycall.model import OPEN, Agent, AgentState, Contact, OfferOutcome, Queue, Stage
from easycall.outbound.dialling import Dialling
from easycall.policy import Channel, WorkItem
from easycall.stats.metrics import Histogram, Metrics
from easycall.stats.recovery import RecoveryDay, Standing
from easycall.stats.service_level import Level

__all__ = ["Figures", "State"]

NONE = "none"
"""The queue of a contact that was in none."""


class Waiting(Protocol):
    """Who waits."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by id."""

    def waiting(self, queue: str) -> list[WorkItem]:
        """Who waits in a queue."""


class Staff(Protocol):
    """The agents."""

    @property
    def agents(self) -> Mapping[str, Agent]:
        """Every agent, by id."""


class Levels(Protocol):
    """The service levels of today."""

    def of_queue(self, queue: str, now: float) -> Mapping[Channel, Level]:
        """Of each kind of work in a queue."""


class Recovery(Protocol):
    """Lost contacts and callbacks."""

    def today(self, queue: str, now: float) -> RecoveryDay:
        """The day that it is for a queue."""

    def open(self) -> Mapping[str, Standing]:
        """Queue -> its open callbacks, of those that have any."""


class Contacts(Protocol):
    """The live contacts."""

    @property
    def live(self) -> Mapping[str, Contact]:
        """By id."""


class State:
    """What is now: read when somebody asks."""

    def __init__(
        self,
        clock: IReactorTime,
        *,
        distributor: Waiting,
        staff: Staff,
        levels: Levels,
        recovery: Recovery,
        contacts: Contacts,
        journal: Journal,
        links: Mapping[str, Link],
        legs: Mapping[str, Sized],
        dialling: Dialling,
    ) -> None:
        """``links``, ``legs``: by Asterisk."""
        self._clock = clock
        self._distributor = distributor
        self._staff = staff
        self._levels = levels
        self._recovery = recovery
        self._contacts = contacts
        self._journal = journal
        self._links = links
        self._legs = legs
        self._dialling = dialling

    @property
    def asterisks(self) -> Iterable[str]:
        """Their names."""
        return self._links

    def families(self) -> Iterator[Metric]:
        """Everything, in Prometheus' terms."""
        yield from self._of_queues()
        yield from self._of_callbacks()
        yield from self._of_agents()
        yield from self._of_calls()
        behind, lost = self._journal.behind, self._journal.dropped
        yield GaugeMetricFamily("easycall_journal_behind_events", "Events that the database does not have yet", behind)
        yield CounterMetricFamily("easycall_journal_dropped_events", "Events that could not be kept", lost)

    def _of_queues(self) -> Iterator[Metric]:
        now = self._clock.seconds()
        waiting = GaugeMetricFamily(
            "easycall_contacts_waiting", "Contacts that wait in a queue", labels=["queue", "channel"]
        )
        longest = GaugeMetricFamily("easycall_longest_wait_seconds", "The longest wait of who waits", labels=["queue"])
        level = GaugeMetricFamily(
            "easycall_service_level_ratio",
            "Answered in time of those who were answered or gave up, today; absent while there were none",
            labels=["queue", "channel"],
        )
        for queue in self._distributor.queues:
            items = self._distributor.waiting(queue)
            counts = Counter(item.channel for item in items)
            for channel in Channel:
                waiting.add_metric([queue, channel], counts[channel])
            longest.add_metric([queue], max((now - item.enqueued for item in items), default=0.0))
            for channel, found in self._levels.of_queue(queue, now).items():
                if found.share is not None:
                    level.add_metric([queue, channel], found.share)
        return iter((waiting, longest, level))

    def _of_callbacks(self) -> Iterator[Metric]:
        now, standing = self._clock.seconds(), self._recovery.open()
        opened = GaugeMetricFamily("easycall_callbacks_open", "Callbacks that are to be made", labels=["queue", "state"])
        late = GaugeMetricFamily("easycall_callbacks_late", "Those of them that are late", labels=["queue"])
        share = GaugeMetricFamily(
            "easycall_lost_contacts_recovered_ratio",
            "Recovered of those who came today and were lost; absent while there were none",
            labels=["queue"],
        )
        for queue in self._distributor.queues:
            found = standing.get(queue) or Standing()
            for state in sorted(OPEN):
                opened.add_metric([queue, state], found.states[state])
            late.add_metric([queue], found.late)
            recovered = self._recovery.today(queue, now).lost.share
            if recovered is not None:
                share.add_metric([queue], recovered)
        return iter((opened, late, share))

    def _of_agents(self) -> Iterator[Metric]:
        every = GaugeMetricFamily("easycall_agents", "Agents in a state", labels=["state"])
        queued = GaugeMetricFamily(
            "easycall_queue_agents",
            "The same by queue; one of several queues counts in each",
            labels=["queue", "state"],
        )
        agents = list(self._staff.agents.values())
        states = Counter(agent.state for agent in agents)
        by_queue = Counter((queue, agent.state) for agent in agents for queue in agent.queues)
        for state in AgentState:
            every.add_metric([state], states[state])
            for queue in self._distributor.queues:
                queued.add_metric([queue, state], by_queue[queue, state])
        return iter((every, queued))

    def _of_calls(self) -> Iterator[Metric]:
        live = GaugeMetricFamily("easycall_contacts_live", "Live contacts in a stage", labels=["stage"])
        stages = Counter(contact.stage for contact in self._contacts.live.values())
        for stage in Stage:
            if stage is not Stage.ENDED:
                live.add_metric([stage], stages[stage])
        up = GaugeMetricFamily("easycall_asterisk_up", "1 while the link to an Asterisk stands", labels=["asterisk"])
        text = "1 while something is wrong with an Asterisk though it speaks with us"
        trouble = GaugeMetricFamily("easycall_asterisk_trouble", text, labels=["asterisk"])
        for name, link in self._links.items():
            up.add_metric([name], link.up)
            trouble.add_metric([name], bool(link.trouble))
        legs = GaugeMetricFamily("easycall_legs", "Legs that are ours", labels=["asterisk"])
        for name, found in self._legs.items():
            legs.add_metric([name], len(found))
        used = GaugeMetricFamily("easycall_trunk_lines_used", "Lines of a trunk in use", labels=["trunk"])
        limit = GaugeMetricFamily("easycall_trunk_lines_limit", "Lines of a trunk", labels=["trunk"])
        for trunk in self._dialling.rules.trunks:
            used.add_metric([trunk.name], self._dialling.lines.used(trunk.name))
            limit.add_metric([trunk.name], trunk.lines)
        return iter((live, up, trouble, legs, used, limit))


class Figures(Collector):
    """The answer to a scrape."""

    def __init__(self, state: State, metrics: Metrics, lag: Lag) -> None:
        self._state = state
        self._metrics = metrics
        self._lag = lag
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        _Process(registry=self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is is known when it is collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every figure."""
        yield from self._state.families()
        yield from self._counters()
        yield _histogram("easycall_reactor_lag_seconds", "By how much the reactor was late", [], {(): self._lag.histogram})
        about = GaugeMetricFamily("easycall_build_info", "1, of this version", labels=["version", "python"])
        about.add_metric([__version__, python_version()], 1)
        yield about

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The figures as text, and the content type of it that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _counters(self) -> Iterator[Metric]:
        seen, pbxs = self._metrics, self._state.asterisks
        ended = {(queue or NONE, outcome, channel): n for (queue, outcome, channel), n in seen.contacts.items()}
        for name, about, labels, counts in (
            ("easycall_contacts", "Contacts that ended, by their last queue", ["queue", "outcome", "channel"], ended),
            ("easycall_offers", "Offers to agents that ended", ["outcome"], _keyed(seen.offers, OfferOutcome)),
            ("easycall_calls_dialled", "Numbers outside that were dialled", ["trunk", "outcome"], seen.dialled),
            (
                "easycall_callback_attempts",
                "Customers who were dialled to be called back",
                ["queue", "outcome"],
                seen.callback_attempts,
            ),
            ("easycall_callbacks_ended", "Callbacks that ended", ["queue", "source", "state"], seen.callbacks),
            (
                "easycall_asterisk_reconnects",
                "Links that were lost and came back",
                ["asterisk"],
                _keyed(seen.reconnects, pbxs),
            ),
            (
                "easycall_asterisk_corrections",
                "Differences between Asterisk and us that were mended",
                ["asterisk"],
                _keyed(seen.corrections, pbxs),
            ),
            ("easycall_data_removed", "What was too old, or erased on request", ["what", "why"], seen.removed),
        ):
            family = CounterMetricFamily(name, about, labels=labels)
            for values, count in counts.items():
                family.add_metric(values, count)
            yield family
        about = "How long those waited who were answered"
        yield _histogram("easycall_answer_wait_seconds", about, ["queue"], _by_queue(seen.waits))
        yield _histogram(
            "easycall_talk_seconds", "From an agent's answer until they parted", ["queue"], _by_queue(seen.talks)
        )


def _by_queue(found: Mapping[str, Histogram]) -> dict[tuple[str, ...], Histogram]:
    return {(queue or NONE,): one for queue, one in found.items()}


def _keyed(counts: Mapping[Any, int], known: Iterable[str]) -> dict[tuple[str, ...], int]:
    """By label values.  What is known and did not happen is 0, or the first time would be no increase."""
    return {(key,): 0 for key in known} | {(key,): count for key, count in counts.items()}


def _histogram(
    name: str, about: str, labels: Sequence[str], found: Mapping[tuple[str, ...], Histogram]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, about, labels=labels)
    for values, one in found.items():
        bounds = [*(str(bound) for bound in one.bounds), "+Inf"]
        family.add_metric(values, list(zip(bounds, accumulate(one.counts), strict=True)), one.sum)
    return family


class _Process(ProcessCollector):
    """The process' own figures, also where /proc has nothing but processes (``ProcSubset=pid`` of the unit)."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
