"""How long a contact will wait: the estimate, what it is learnt from, and how it is held against the truth.  Pure.

With ``n`` contacts ahead of it, ``c`` agents who work for its queue, ``μ`` the rate at which one of them is free again and
``θ`` the rate at which one who waits gives up, a contact waits (Ibrahim and Whitt 2009, estimator QLm)::

    W = Σ 1 / (c·μ + i·θ)   for i = 0 … n

Both rates are learnt from the queue's own events (:class:`Rate`); ``c`` is counted, never learnt, so that agents who come
and leave are followed at once.  Every estimate given to a contact when it joins is kept and compared with what it then
waited (:class:`Score`), and so is the plain estimate that the head of the line gives; it takes over while the formula is
wrong.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping

from attrs import Factory, define, field, frozen

from easycall.acd.agent import BUSY
from easycall.acd.routing import has_room, hindrance
from easycall.model import Agent, AgentState
from easycall.policy import Channel

__all__ = [
    "BEYOND",
    "RANGES",
    "Expectation",
    "Rate",
    "Score",
    "expected_wait",
    "free_agents",
    "rounded_range",
    "working_agents",
]

MEMORY_SECONDS = 7200.0
"""What is older than this counts for a third, while there is something to learn from; a night teaches nothing."""

USUAL_HANDLING_SECONDS = 180.0
USUAL_PATIENCE_SECONDS = 900.0
"""What is believed of a queue of which nothing is known: a call without its wrap-up, and how long one waits."""

BELIEVED_SERVICES = 5.0
BELIEVED_LEFT = 1.0
"""How many events of its own outweigh that."""

ENOUGH_SERVICES = 10.0
"""How many services must have been seen before an estimate is told to callers."""

SCORES = 200.0
"""How many estimates the score is about."""

ENOUGH_SCORES = 30.0
WORST_BIAS = 0.15
"""The bias beyond which the head of the line gives the estimate, once so many were compared."""

ABSENT = 500
"""The most contacts that gave up whose wait, had they stayed, is still looked out for."""

SUMMED = 32
"""So many terms are summed one by one; the rest is an integral with its first two corrections (Euler and Maclaurin), which
is within a millionth, and so the cost does not grow with the line."""

RANGES = tuple(
    (low * 60, high * 60)
    for low, high in (
        *((0, 1), (1, 2), (2, 3), (2, 4), (3, 5), (4, 6), (5, 8), (7, 10), (8, 12), (10, 15), (12, 18)),
        *((15, 20), (20, 30), (30, 45), (45, 60)),
    )
)
"""What is told of an expected wait: from and to, in seconds."""
BEYOND = (RANGES[-1][1], 0)
"""What is told of a longer one: more than an hour."""


def expected_wait(ahead: int, agents: float, service_rate: float, leaving_rate: float) -> float | None:
    """The seconds a contact with so many ahead of it waits for its agent; None when nobody serves the queue.

    ``agents``: how many work for the queue, fractions are shared ones; ``service_rate``: contacts an agent is done with in a
    second, above 0; ``leaving_rate``: how often in a second one who waits gives up, 0 or above.  Formula: see the module.
    """
    if agents <= 0:
        return None
    base = agents * service_rate
    wait = sum(1 / (base + one * leaving_rate) for one in range(min(ahead + 1, SUMMED)))
    return wait + _sum(SUMMED, ahead, base, leaving_rate) if ahead >= SUMMED else wait


def _sum(first: int, last: int, base: float, rate: float) -> float:
    """Σ 1/(base + i·rate) for i = first … last, by Euler and Maclaurin."""
    low, high = base + first * rate, base + last * rate
    growth = (high - low) / low
    area = (last - first) / low * (math.log1p(growth) / growth if growth > 1e-12 else 1.0)
    return area + (1 / low + 1 / high) / 2 + rate * (1 / low**2 - 1 / high**2) / 12


def _works(agent: Agent) -> bool:
    if agent.wants is not None and agent.wants[0] is not AgentState.READY:
        return False
    return (agent.state in (AgentState.READY, AgentState.WRAP_UP) or agent.state in BUSY) and (
        agent.state is not AgentState.SUPERVISING and not hindrance(agent)
    )


def working_agents(queue: str, agents: Iterable[Agent], ahead: Mapping[str, int]) -> float:
    """How many agents work for a contact of a queue; ``ahead``: how many go before it in each queue.

    One who serves several queues takes all their contacts in one order, and so counts for this one by its share of those
    who are in line, this contact among them: (own ahead + 1) / (all ahead + 1).  Who asked to be not ready after the
    present contact, supervises, or is kept away by the phone, does not count.
    """
    own = ahead.get(queue, 0) + 1
    return sum(
        own / (own + sum(ahead.get(other, 0) for other in agent.queues if other != queue))
        for agent in agents
        if queue in agent.queues and _works(agent)
    )


def free_agents(queue: str, agents: Iterable[Agent]) -> int:
    """How many agents of a queue could take a call now."""
    return sum(
        agent.state is AgentState.READY and queue in agent.queues and not hindrance(agent) and has_room(agent, Channel.CALL)
        for agent in agents
    )


def rounded_range(seconds: float) -> tuple[int, int]:
    """What is told of an expected wait of 0 seconds or more: the range of :data:`RANGES` in whose middle it lies best."""
    fitting = [(low, high) for low, high in RANGES if low <= seconds <= high]
    return min(fitting, key=lambda span: abs(span[0] + span[1] - 2 * seconds)) if fitting else BEYOND


@define
class Rate:
    """How often something happens to one of those to whom it may: events over the seconds they were exposed to it.

    That is the maximum-likelihood estimate of a constant hazard, and right for any distribution of service times.  It
    starts from a belief, and forgets while somebody is exposed.
    """

    believed: float
    """Events the belief is worth."""
    seconds: float
    """Seconds of exposure it says they took."""
    now: float
    exposed: int = 0
    """How many may meet the event now."""
    events: float = 0.0
    """Those seen, the older the less they count."""
    exposure: float = 0.0

    @property
    def value(self) -> float:
        """Events a second."""
        return (self.events + self.believed) / (self.exposure + self.seconds)

    def pass_to(self, now: float) -> None:
        """Time passes."""
        if self.exposed and now > self.now:
            kept = math.exp((self.now - now) / MEMORY_SECONDS)
            self.events *= kept
            self.exposure = self.exposure * kept + self.exposed * MEMORY_SECONDS * (1 - kept)
        self.now = max(now, self.now)

    def expose(self, exposed: int, now: float) -> None:
        """From now on so many may meet the event."""
        self.pass_to(now)
        self.exposed = exposed

    def happened(self, now: float) -> None:
        """The event happened to one of them."""
        self.pass_to(now)
        self.events += 1


@define
class Score:
    """Estimates against the truth, the latest :data:`SCORES` of them mostly."""

    number: float = 0.0
    estimated: float = 0.0
    waited: float = 0.0
    missed: float = 0.0

    def add(self, estimate: float, waited: float) -> None:
        """An estimate, and what the wait then was, in seconds."""
        kept = 1 - 1 / SCORES
        self.number = self.number * kept + 1
        self.estimated = self.estimated * kept + estimate
        self.waited = self.waited * kept + waited
        self.missed = self.missed * kept + abs(estimate - waited)

    @property
    def bias(self) -> float | None:
        """Mean estimate over mean wait, less 1: 0.1 is ten per cent too long.  None while nobody has waited."""
        return self.estimated / self.waited - 1 if self.waited > 0 else None

    @property
    def mean_absolute_error(self) -> float | None:
        """Seconds by which an estimate was wrong; None while there was none."""
        return self.missed / self.number if self.number else None

    @property
    def wrong(self) -> bool:
        """Whether the bias is beyond :data:`WORST_BIAS`, and not by chance."""
        return self.number >= ENOUGH_SCORES and abs(self.bias or 0.0) > WORST_BIAS


@frozen(order=True)
class _Estimate:
    """What was estimated for a contact when it joined."""

    since: float
    formula: float | None = field(order=False)
    head: float | None = field(order=False)


@define
class Expectation:
    """What one queue has taught about its waits.  Times are handed in, and never go back.

    A contact that gave up counts, too, or only the short waits would: it is held against the moment when its turn would
    have come, which is when one who joined after it is answered, or an agent is free and nobody waits.
    """

    wrap_up_seconds: float
    now: float
    served: Rate = field(init=False)
    """Of the agents who hold a contact of the queue: one is free again."""
    left: Rate = field(init=False)
    """Of the contacts that wait: one leaves unanswered."""
    ringing: float = 0.0
    """Seconds from the offer that is taken to its answer, on average."""
    score: Score = Factory(Score)
    head_score: Score = Factory(Score)
    """Of the estimate that the head of the line gives."""
    last_wait: float | None = None
    _waiting: dict[str, _Estimate] = Factory(dict)
    _absent: list[_Estimate] = Factory(list)
    """Of those who gave up, a heap: the first who joined comes first."""

    def __attrs_post_init__(self) -> None:
        handling = USUAL_HANDLING_SECONDS + self.wrap_up_seconds
        self.served = Rate(BELIEVED_SERVICES, BELIEVED_SERVICES * handling, self.now)
        self.left = Rate(BELIEVED_LEFT, BELIEVED_LEFT * USUAL_PATIENCE_SECONDS, self.now)

    @property
    def known(self) -> bool:
        """Whether enough was seen for an estimate to be told to callers."""
        return self.served.events >= ENOUGH_SERVICES and not (self.score.wrong and self.head_score.wrong)

    @property
    def by_head(self) -> bool:
        """Whether the head of the line gives the estimate: the formula is wrong, and it is less so."""
        mine, other = self.score.bias or 0.0, self.head_score.bias
        return self.score.wrong and other is not None and abs(other) < abs(mine)

    def estimate(self, ahead: int, agents: float, now: float) -> float | None:
        """The seconds until a contact with so many ahead is answered, ``agents`` working for it; None: cannot be said."""
        self.served.pass_to(now)
        self.left.pass_to(now)
        formula = self._by_formula(ahead, agents)
        if not self.by_head or formula is None:
            return formula
        by_head = self._by_head(ahead, now)
        return formula if by_head is None else by_head

    def _by_formula(self, ahead: int, agents: float) -> float | None:
        wait = expected_wait(ahead, agents, self.served.value, self.left.value)
        return None if wait is None else wait + self.ringing

    def _by_head(self, ahead: int, now: float) -> float | None:
        """What the head of the line has waited, for one further ahead its part of it; without a line the latest wait."""
        if not ahead or not self._waiting:
            return self.last_wait
        head = now - next(iter(self._waiting.values())).since
        return head * min(1.0, ahead / len(self._waiting))

    def foreseen(self, ahead: int, agents: float, now: float, since: float) -> tuple[float | None, float | None]:
        """What is to be held against the wait of one that joins now and counts as having joined then: by the formula, and by
        the head of the line."""
        if since < now - 1:
            # One who comes back to an older place has a part of the wait behind it: its estimate is of another kind.
            return None, None
        self.served.pass_to(now)
        self.left.pass_to(now)
        return self._by_formula(ahead, agents), self._by_head(ahead, now)

    # What happens in the queue

    def joined(self, contact: str, now: float, since: float, foreseen: tuple[float | None, float | None]) -> None:
        """A contact joins and nobody is free for it; ``since``: when it counts as having joined; see :meth:`foreseen`."""
        self._waiting[contact] = _Estimate(since, *foreseen)
        self.left.expose(len(self._waiting), now)

    def answered(self, contact: str, now: float, rang: float = 0.0) -> None:
        """A contact that waits is answered; ``rang``: the seconds since it was offered."""
        estimate = self._waiting.pop(contact, None)
        if estimate is None:
            return
        self.left.expose(len(self._waiting), now)
        self.ringing += (rang - self.ringing) / 20
        self.last_wait = now - estimate.since
        while self._absent and self._absent[0].since <= estimate.since:
            self._compare(heapq.heappop(self._absent), now)
        self._compare(estimate, now)

    def gave_up(self, contact: str, now: float, free: bool = False) -> None:
        """A contact that waits leaves unanswered; ``free``: an agent is free, and its turn would have come."""
        estimate = self._waiting.pop(contact, None)
        if estimate is None:
            return
        self.left.happened(now)
        self.left.expose(len(self._waiting), now)
        heapq.heappush(self._absent, estimate)
        if len(self._absent) > ABSENT:
            heapq.heappop(self._absent)
        if free:
            self.free(now)

    def taken(self, contact: str, now: float) -> None:
        """A contact that waits goes elsewhere, and not by its own wish: nothing is learnt of it."""
        if self._waiting.pop(contact, None) is not None:
            self.left.expose(len(self._waiting), now)

    def free(self, now: float) -> None:
        """An agent is free: unless somebody waits, the turn of all who gave up has come."""
        while self._absent and not self._waiting:
            self._compare(heapq.heappop(self._absent), now)

    def busy(self, agents: int, now: float) -> None:
        """So many agents hold a contact of the queue from now on: reserved, rung, talking or wrapping up."""
        self.served.expose(agents, now)

    def done(self, now: float) -> None:
        """An agent is done with a contact of the queue."""
        self.served.happened(now)

    def _compare(self, estimate: _Estimate, now: float) -> None:
        if estimate.formula is not None:
            self.score.add(estimate.formula, now - estimate.since)
        if estimate.head is not None:
            self.head_score.add(estimate.head, now - estimate.since)
