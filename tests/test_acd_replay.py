"""A day let pass again: what is taken from the journal, who gets whom, and what the figures say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from random import Random

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.acd.replay.comparison import AS_CONFIGURED, AS_IT_WAS, Rules, compare, unconfigured
from easycall.acd.replay.day import AgentDay, Clocked, Day, Doing, Duty, Ending, Fate, Presence, Stay, Unanswered
from easycall.acd.replay.desk import Changed
from easycall.acd.replay.figures import TOTAL, AgentFigures, QueueFigures, average, average_of_agents, of_queues
from easycall.acd.replay.patience import USUAL, Conduct, Handling, Patience, conducts
from easycall.acd.replay.recount import Recount
from easycall.acd.replay.rerun import Passed, Rerun
from easycall.acd.staff import REFUSED_SECONDS
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    OfferEnded,
    PbxDown,
    PbxUp,
    Queued,
    QueueLeft,
    QueueOverflowed,
)
from easycall.lab.day.centre import VirtualCentre
from easycall.lab.day.plan import DAY_SECONDS, MIDNIGHT, Habits, Plan
from easycall.lab.day.site import configuration
from easycall.model import AgentState, EndedBy, OfferOutcome, Outcome, OverflowWhen
from easycall.policy import AgentOrder, Channel, QueuePolicy, Ring
from easycall.skills import parse

NOON = 1_800_100_800.0
HOUR = 3600.0
READY, NOT_READY, OFFLINE = AgentState.READY, AgentState.NOT_READY, AgentState.OFFLINE


def dice(run: int) -> Callable[[], float]:
    return Random(run).random  # noqa: S311 - a test


# A simulated day

PLAN = Plan(days=0.5, calls=600, agents=8, check_every=1_000_000)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """The journal of half a day of a busy centre."""
    told: list[Event] = []
    centre = VirtualCentre(PLAN)
    centre.joined.journal.subscribe(lambda sequence, event: told.append(event))
    assert not centre.run().violations
    return told


@pytest.fixture(scope="module")
def simulated(events: list[Event]) -> Day:
    """That half a day, as its journal tells it."""
    recount = Recount(MIDNIGHT, MIDNIGHT + PLAN.days * DAY_SECONDS, SKILLS, REFUSED_SECONDS)
    for event in events:
        recount.take(event)
    return recount.day()


SITE = configuration(PLAN.agents)
SKILLS = {agent.id: agent.skills for agent in SITE.agents.values()}
QUEUES = {queue.id: queue.routing for queue in SITE.queues.values()}
CONFIGURED = Rules(AS_CONFIGURED, QUEUES)


def test_a_simulated_day_under_the_same_policy_is_the_same_contact_by_contact(simulated: Day) -> None:
    """No tolerance: the same people do the same, so the waiting room must decide the same, to the very moment.

    It holds because nothing is different up to the first decision that is, which never comes.
    """
    counted = [fate.how for fate in simulated.fates.values()]
    assert counted.count(Ending.ANSWERED) > 150
    assert counted.count(Ending.ABANDONED) > 15
    assert simulated.unanswered
    assert simulated.rung
    for run in (1, 2):
        passed = Rerun(simulated, conducts(simulated, dice(run)), QUEUES.values()).pass_again()
        assert passed.fates == simulated.fates
        assert passed.clocked.keys() == simulated.clocked.keys()
        for agent, clocked in passed.clocked.items():
            assert clocked.contact == pytest.approx(simulated.clocked[agent].contact)
            assert clocked.idle == pytest.approx(simulated.clocked[agent].idle)


def test_a_day_of_impatient_callers_and_careless_agents_is_the_same_too() -> None:
    """Callers leave while phones ring, and of many offers not every second is answered."""
    habits = Habits(patience=12.0, declines=0.2, misses=0.2, unplugged=0.05, leaves_in_menu=0.2, talk=10.0)
    centre = VirtualCentre(evolve(PLAN, calls=1000, habits=habits, latency=0.2))
    recount = Recount(MIDNIGHT, MIDNIGHT + PLAN.days * DAY_SECONDS, SKILLS, REFUSED_SECONDS)
    centre.joined.journal.subscribe(lambda sequence, event: recount.take(event))
    centre.run()
    known = recount.day()
    assert min(len(known.unanswered), len(known.rung)) > 50
    assert Rerun(known, conducts(known, dice(1)), QUEUES.values()).pass_again().fates == known.fates


def test_a_part_of_a_simulated_day_is_the_same_too(events: list[Event]) -> None:
    """Whoever waits, works, or is idle so long when it begins does so in the replay."""
    first = MIDNIGHT + 10.25 * HOUR
    recount = Recount(first, first + HOUR, SKILLS, REFUSED_SECONDS)
    for event in events:
        recount.take(event)
    part = recount.day()
    assert len(part.stays) > 30
    assert Rerun(part, conducts(part, dice(1)), QUEUES.values()).pass_again().fates == part.fates


def test_a_policy_that_loads_the_first_agents_loads_them(simulated: Day) -> None:
    order = tuple(SKILLS)
    fixed = {queue: evolve(policy, agent_order=AgentOrder.FIXED, fixed_order=order) for queue, policy in QUEUES.items()}
    was, same, other = compare(simulated, [CONFIGURED, Rules("fixed", fixed)], dice, threshold=20.0, runs=2)
    assert (was.name, same.name, other.name) == (AS_IT_WAS, AS_CONFIGURED, "fixed")
    assert same.queues == was.queues

    def spread(agents: Mapping[str, AgentFigures]) -> float:
        shares = [one.occupancy for one in agents.values() if one.occupancy is not None]
        return max(shares) - min(shares)

    assert spread(other.agents) > spread(same.agents) + 0.05
    assert other.queues[TOTAL].offered == was.queues[TOTAL].offered


def test_as_many_hours_more_of_agents_shorten_the_waits(simulated: Day) -> None:
    """Everybody serves everything: fewer wait, and less long."""
    everything = {agent: Changed(queues=tuple(QUEUES)) for agent in SKILLS}
    was, _, other = compare(simulated, [CONFIGURED, Rules("all", QUEUES, everything)], dice, threshold=20.0, runs=5)
    before, after = was.queues[TOTAL], other.queues[TOTAL]
    assert after.abandoned < before.abandoned
    assert after.service_level is not None
    assert before.service_level is not None
    assert after.service_level > before.service_level


def test_the_same_seed_is_the_same_again(simulated: Day) -> None:
    priority = Rules("other", {**QUEUES, "support": evolve(QUEUES["support"], offset=300.0)})
    rules = [CONFIGURED, priority]
    first, again = (compare(simulated, rules, dice, threshold=20.0, runs=2) for _ in range(2))
    assert first == again
    assert first != compare(simulated, rules, lambda run: dice(run + 7), threshold=20.0, runs=2)


# Days made by hand


def agent_day(*presence: tuple[float, AgentState], queues: tuple[str, ...] = ("q",), **skills: int) -> AgentDay:
    return AgentDay(presence=[Presence(NOON + at, state, queues) for at, state in presence], skills=[(0.0, skills)])


def day(stays: Iterable[Stay], agents: Mapping[str, AgentDay], fates: Mapping[str, Fate] | None = None) -> Day:
    stays = tuple(stays)
    known = fates if fates is not None else {stay.id: Fate(Ending.WAITING, NOON + HOUR) for stay in stays}
    return Day(NOON, NOON + HOUR, NOON + HOUR, stays, known, {}, {}, agents, {})


def passes(known: Day, people: Mapping[str, Conduct], *policies: QueuePolicy, **changed: Changed) -> Passed:
    return Rerun(known, people, policies, changed).pass_again()


def patient(ring: float = 2.0, talk: float = 100.0, wrap_up: float = 10.0) -> Conduct:
    return Conduct(math.inf, Ending.ABANDONED, Handling(ring, talk, wrap_up))


def stays_at(*moments: float, queue: str = "q") -> list[Stay]:
    """Contacts c0, c1 …, of whom the first of those who come at once goes first."""
    names = [f"c{number:0{len(str(len(moments) - 1))}}" for number in range(len(moments))]
    return [Stay(name, name, queue, NOON + at, NOON + at) for name, at in zip(names, moments, strict=True)]


def oracle(arrivals: list[float], agents: int, busy: float, ring: float) -> list[tuple[str, float]]:
    """Who gets each contact and when the talk begins: first come first served, longest idle first, all busy as long."""
    free = [(0.0, -1, f"a{number}") for number in range(agents)]
    found = []
    for number, at in enumerate(arrivals):
        idle = [one for one in free if one[0] <= at]
        one = min(idle, key=lambda one: (one[0], one[2])) if idle else min(free)
        begins = max(at, one[0])
        free.remove(one)
        free.append((begins + busy, number, one[2]))
        found.append((one[2], begins + ring))
    return found


@given(
    st.lists(st.integers(0, 300), max_size=40).map(sorted),
    st.integers(1, 4),
    st.integers(1, 60),
    st.integers(0, 5),
    st.integers(0, 10),
)
def test_the_winner_is_the_oracles(arrivals: list[float], agents: int, talk: int, ring: int, wrap_up: int) -> None:
    stays = stays_at(*arrivals)
    known = day(stays, {f"a{number}": agent_day((0, READY)) for number in range(agents)})
    people = {stay.id: patient(ring, talk, wrap_up) for stay in stays}
    passed = passes(known, people, QueuePolicy("q"))
    assert [(passed.fates[stay.id].agent, passed.fates[stay.id].at - NOON) for stay in stays] == oracle(
        arrivals, agents, ring + talk + wrap_up, ring
    )


MOMENTS = st.integers(0, 3600).map(float)
SECONDS = st.integers(0, 400).map(float)
LANGUAGES = ("", "zh", "zh >= 2", "en or zh")


@st.composite
def days(draw: st.DrawFn) -> tuple[Day, dict[str, Conduct]]:
    """Any day: stays that follow from others, agents who come and go, duties, offers not answered, links that are lost."""
    stays: list[Stay] = []
    fates, people, unanswered = {}, {}, {}
    for number, at in enumerate(sorted(draw(st.lists(MOMENTS, max_size=25)))):
        name = f"c{number}"
        follows = draw(st.sampled_from(["", *(stay.id for stay in stays)]))
        stays.append(
            Stay(
                id=name,
                contact=name,
                queue=draw(st.sampled_from("qr")),
                at=NOON + at,
                since=NOON + at - draw(SECONDS),
                skills=draw(st.sampled_from(LANGUAGES)),
                offset=draw(st.sampled_from([0.0, 50.0])),
                owner=draw(st.sampled_from(["", "a0"])),
                owner_until=NOON + at + draw(SECONDS),
                pbx=draw(st.sampled_from(["", "p"])),
                follows=follows,
            )
        )
        how = draw(st.sampled_from([Ending.ANSWERED, Ending.ABANDONED, Ending.LEFT, Ending.WAITING]))
        fates[name] = Fate(how, NOON + at)
        leaves = draw(st.one_of(st.just(math.inf), SECONDS.map(lambda seconds, at=at: NOON + at + seconds)))
        handling = Handling(draw(SECONDS), draw(SECONDS), draw(SECONDS))
        unanswered[name] = [Unanswered(draw(SECONDS), 30.0) for _ in range(draw(st.integers(0, 2)))]
        people[name] = Conduct(leaves, draw(st.sampled_from([Ending.ABANDONED, Ending.LEFT])), handling, unanswered[name])
    agents = {}
    for number in range(draw(st.integers(0, 3))):
        told = AgentDay(skills=[(0.0, draw(st.sampled_from([{}, {"zh": 1}, {"zh": 3, "en": 1}])))])
        for at in sorted(draw(st.lists(MOMENTS, max_size=6))):
            state = draw(st.sampled_from([READY, READY, NOT_READY, OFFLINE]))
            queues = draw(st.sampled_from([("q",), ("q", "r"), ("r",)]))
            told.presence.append(Presence(NOON + at, state, queues, draw(st.booleans()) and draw(st.booleans())))
        for at in sorted(draw(st.lists(MOMENTS, max_size=3))):
            told.duties.append(Duty(NOON + at, draw(SECONDS), draw(st.booleans()), draw(st.booleans())))
        agents[f"a{number}"] = told
    down = sorted(draw(st.lists(MOMENTS, max_size=2)))
    links = [(NOON + at, "p", bool(number % 2)) for number, at in enumerate(down)]
    known = Day(NOON, NOON + HOUR, NOON + HOUR, tuple(stays), fates, unanswered, {}, agents, {}, links)
    return known, people


POLICIES = (
    QueuePolicy("q", requires=parse("zh"), rings=(Ring(60.0, drop=("zh",)), Ring(120.0, groups=("r",)))),
    QueuePolicy("r", agent_order=AgentOrder.ROUND_ROBIN, offset=30.0, cap=2),
)


@settings(max_examples=300)
@given(days())
def test_every_contact_has_one_fate_and_every_agent_one_contact_at_a_time(drawn: tuple[Day, dict[str, Conduct]]) -> None:
    known, people = drawn
    passed = passes(known, people, *POLICIES)
    assert passed.fates.keys() == people.keys()
    for stay in known.stays:
        fate = passed.fates[stay.id]
        if fate.how is Ending.SPARED:
            assert stay.follows
            before = passed.fates[stay.follows]
            assert before.how is not known.fates[stay.follows].how or before.at >= stay.at
            continue
        assert fate.at >= stay.at
        if fate.how in (Ending.ABANDONED, Ending.LEFT):
            late = sum(vain.seconds for vain in people[stay.id].unanswered) if fate.how is Ending.LEFT else 0.0
            assert fate.how is people[stay.id].ends
            assert people[stay.id].leaves <= fate.at <= people[stay.id].leaves + late
        elif fate.how is Ending.ANSWERED:
            handling = people[stay.id].handling
            assert stay.at <= fate.reserved <= fate.reserved + handling.ring == fate.at
            assert (fate.parted - fate.at, fate.freed - fate.parted) == (handling.talk, handling.wrap_up)
            assert fate.at < people[stay.id].leaves or people[stay.id].ends is Ending.LEFT
            assert fate.reserved <= people[stay.id].leaves
    for agent in known.agents:
        spans = sorted(
            (fate.reserved, fate.freed)
            for fate in passed.fates.values()
            if fate.how is Ending.ANSWERED and fate.agent == agent
        )
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
    figures = of_queues(known, passed.fates, {}, lambda agent, at: {}, 20.0)
    for one in figures.values():
        assert one.offered == one.answered + one.abandoned + one.left + one.waiting
    assert figures[TOTAL].offered == sum(one.offered for queue, one in figures.items() if queue != TOTAL)


@settings(max_examples=100)
@given(days())
def test_whom_an_agent_gets_the_agent_may_have(drawn: tuple[Day, dict[str, Conduct]]) -> None:
    known, people = drawn
    passed = passes(known, people, *POLICIES)
    for stay in known.stays:
        fate = passed.fates[stay.id]
        if fate.how is not Ending.ANSWERED:
            continue
        told = known.agents[fate.agent]
        [*_, present] = [one for one in told.presence if one.at <= fate.reserved]
        assert (present.state, present.hindered) == (READY, False)
        waited = fate.reserved - stay.since
        assert stay.queue in present.queues or (stay.queue == "q" and waited >= 120.0 and "r" in present.queues)
        if stay.queue == "r" or waited < 60.0:
            asked = [stay.skills, *(["zh"] if stay.queue == "q" else [])]
            assert all(parse(text).fits(told.skills_at(fate.reserved)) for text in asked)


def test_skills_that_are_relaxed_shorten_the_wait_and_cost_skill() -> None:
    """One of three speaks Chinese, and everybody asks for it: without the demand three serve, and a third fits."""
    stays = stays_at(*(20.0 * number for number in range(60)))
    fates = {stay.id: Fate(Ending.ANSWERED, stay.at + 5, "a0", stay.at, stay.at + 30, stay.at + 40) for stay in stays}
    agents = {f"a{number}": agent_day((0, READY), **({"zh": 1} if number == 0 else {})) for number in range(3)}
    strict = QueuePolicy("q", requires=parse("zh"))
    rules = [Rules(AS_CONFIGURED, {"q": strict}), Rules("relaxed", {"q": QueuePolicy("q")})]
    _, same, relaxed = (one.queues["q"] for one in compare(day(stays, agents, fates), rules, dice, threshold=20.0))
    assert (same.skilled, same.answered) == (1.0, 60)
    assert same.mean_wait == pytest.approx(5 + 20 * 59 / 2)  # each 20 s later than the one before
    assert (relaxed.mean_wait, relaxed.service_level) == (5.0, 1.0)
    assert relaxed.skilled == pytest.approx(1 / 3, abs=0.05)


def test_an_agent_who_is_given_the_skill_counts_as_skilled() -> None:
    stays = stays_at(0.0)
    fates = {"c0": Fate(Ending.ABANDONED, NOON + 100)}
    known = day(stays, {"a": agent_day((0, READY))}, fates)
    queues = {"q": QueuePolicy("q", requires=parse("zh"))}
    rules = [Rules(AS_CONFIGURED, queues), Rules("taught", queues, {"a": Changed(skills={"zh": 1})})]
    was, same, taught = (one.queues["q"] for one in compare(known, rules, dice, threshold=20.0))
    assert (was.abandoned, same.abandoned, same.skilled) == (1, 1, None)
    assert (taught.answered, taught.abandoned, taught.skilled) == (1, 0, 1.0)


def test_a_contact_that_is_answered_before_does_not_overflow() -> None:
    first = Stay("c", "c", "q", NOON, NOON)
    second = Stay("c (2)", "c", "r", NOON + 60, NOON, follows="c")
    fates = {
        "c": Fate(Ending.LEFT, NOON + 60),
        "c (2)": Fate(Ending.ANSWERED, NOON + 90, "b", NOON + 80, NOON + 99, NOON + 99),
    }
    agents = {"a": agent_day((0, NOT_READY), (30, READY)), "b": agent_day((80, READY), queues=("r",))}
    people = conducts(day([first, second], agents, fates), dice(0))
    served = passes(day([first, second], agents, fates), people, QueuePolicy("q"), QueuePolicy("r"))
    assert [served.fates[name].how for name in fates] == [Ending.ANSWERED, Ending.SPARED]
    agents["a"].presence.clear()
    as_then = passes(day([first, second], agents, fates), people, QueuePolicy("q"), QueuePolicy("r"))
    assert [as_then.fates[name].how for name in fates] == [Ending.LEFT, Ending.ANSWERED]


def test_what_no_queue_gave_out_keeps_the_agent_busy() -> None:
    agents = {"a": agent_day((0, READY))}
    agents["a"].duties.append(Duty(NOON + 5, 50.0, talked=True))
    agents["a"].duties.append(Duty(NOON + 60, 30.0, contact=False))
    stays = stays_at(0.0, 10.0, 100.0)
    passed = passes(day(stays, agents), {stay.id: patient(1.0, 20.0, 0.0) for stay in stays}, QueuePolicy("q"))
    # the first one until 21; then the call out, 50 s; then the supervision, put off to 71
    assert [passed.fates[stay.id].reserved - NOON for stay in stays] == [0.0, 101.0, 122.0]
    assert passed.clocked["a"].contact == pytest.approx(3 * 21 + 50)


def test_a_break_that_is_asked_for_in_a_talk_begins_after_it() -> None:
    agents = {"a": agent_day((0, READY), (10, NOT_READY), (200, READY), (210, OFFLINE))}
    stays = stays_at(0.0, 5.0, 220.0)
    passed = passes(day(stays, agents), {stay.id: patient() for stay in stays}, QueuePolicy("q"))
    assert [passed.fates[stay.id].reserved - NOON for stay in stays[:2]] == [0.0, 200.0]
    assert passed.fates["c2"].how is Ending.WAITING


def test_who_ends_a_wrap_up_by_going_for_a_break_is_not_idle_in_between() -> None:
    agents = {"a": agent_day((0, READY), (112, NOT_READY), (200, READY))}
    stays = stays_at(0.0, 5.0)
    passed = passes(day(stays, agents), {stay.id: patient(2.0, 100.0, 10.0) for stay in stays}, QueuePolicy("q"))
    assert [passed.fates[stay.id].reserved - NOON for stay in stays] == [0.0, 200.0]


def test_nothing_is_offered_on_an_asterisk_that_is_away_or_to_who_is_on_a_private_call() -> None:
    agents = {"a": agent_day((0, READY))}
    agents["a"].presence += [Presence(NOON + 40, READY, ("q",), hindered=True), Presence(NOON + 90, READY, ("q",))]
    stays = [evolve(stay, pbx="p") for stay in stays_at(10.0, 50.0)]
    known = evolve(day(stays, agents), links=[(NOON - 5, "p", False), (NOON + 20, "p", True)])
    passed = passes(known, {stay.id: patient(1.0, 5.0, 1.0) for stay in stays}, QueuePolicy("q"))
    assert [passed.fates[stay.id].reserved - NOON for stay in stays] == [20.0, 90.0]


# Patience


def brute_survival(waits: list[tuple[float, bool]], seconds: float) -> float:
    share = 1.0
    for moment in sorted({wait for wait, left in waits if left and wait <= seconds}):
        at_risk = sum(wait >= moment for wait, _ in waits)
        share *= 1 - sum(left and wait == moment for wait, left in waits) / at_risk
    return share


@given(
    st.lists(st.tuples(st.integers(0, 50).map(float), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 60).map(float),
    st.floats(0, 0.999),
)
def test_patience_is_the_product_limit_estimate(waits: list[tuple[float, bool]], waited: float, chance: float) -> None:
    found = Patience(waits).beyond(waited, chance)
    lefts = [wait for wait, left in waits if left]
    if not sum(wait for wait, _ in waits) or not lefts:
        assert found == math.inf
        return
    assert found >= waited
    target = brute_survival(waits, waited) * (1 - chance)
    later = sorted(wait for wait in set(lefts) if wait > waited)
    reached = [wait for wait in later if brute_survival(waits, wait) <= target + 1e-9]
    if reached and brute_survival(waits, reached[0]) < target - 1e-9:
        assert found == reached[0]
    elif not reached:
        assert found >= max(lefts)


def test_of_whom_all_is_known_the_chance_is_the_share() -> None:
    patience = Patience((float(wait), True) for wait in range(1, 101))
    assert [patience.beyond(0.0, share) for share in (0.0, 0.25, 0.505, 0.99)] == [1.0, 25.0, 51.0, 99.0]
    assert patience.beyond(50.0, 0.5) == 75.0
    assert Patience([(10.0, False)] * 5).beyond(0.0, 0.9) == math.inf


def test_what_the_callers_of_a_day_would_do() -> None:
    stays = stays_at(*(float(number) for number in range(10)))
    fates = {stay.id: Fate(Ending.ABANDONED, stay.at + 10 + number) for number, stay in enumerate(stays)}
    fates["c0"] = Fate(Ending.ANSWERED, NOON + 6, "a", NOON + 4, NOON + 66, NOON + 76)
    fates["c1"] = Fate(Ending.LEFT, NOON + 301)
    fates["c2"] = Fate(Ending.WAITING, NOON + HOUR)
    known = evolve(day(stays, {}, fates), rung={"c3": 8.0}, unanswered={"c4": [Unanswered(20.0, 30.0)]})
    people = conducts(known, dice(3))
    assert people["c0"].handling == people["c5"].handling == Handling(2.0, 60.0, 10.0)
    assert (people["c0"].ends, people["c0"].leaves > NOON + 6) == (Ending.ABANDONED, True)
    assert (people["c1"].ends, people["c1"].leaves) == (Ending.LEFT, NOON + 301)
    assert people["c2"].leaves > NOON + HOUR
    assert (people["c3"].leaves, people["c3"].handling.ring > 8.0) == (fates["c3"].at, True)
    assert people["c4"].unanswered == [Unanswered(20.0, 30.0)]
    nobody = conducts(day(stays[:1], {}, {"c0": Fate(Ending.ABANDONED, NOON + 9)}), dice(3))
    assert nobody["c0"].handling == USUAL


# The journal


def told(*events: Event, skills: Mapping[str, Mapping[str, int]] | None = None) -> Day:
    recount = Recount(NOON, NOON + HOUR, skills or {"a": {"zh": 1}}, REFUSED_SECONDS)
    for event in sorted(events, key=lambda event: event.at):
        recount.take(event)
    return recount.day()


def changed(at: float, state: AgentState, contact: str = "", **more: object) -> AgentChanged:
    return AgentChanged(at=NOON + at, agent="a", contact=contact, state=state, queues=("q",), **more)  # type: ignore[arg-type]


def queued(at: float, contact: str = "c", queue: str = "q", since: float | None = None) -> Queued:
    return Queued(at=NOON + at, contact=contact, queue=queue, position=1, since=NOON + (at if since is None else since))


def ended(at: float, by: EndedBy = EndedBy.CALLER) -> ContactEnded:
    return ContactEnded(at=NOON + at, contact="c", outcome=Outcome.ANSWERED, ended_by=by)


ARRIVED = ContactArrived(at=NOON, contact="c", pbx="p", leg="l", caller="", caller_name="", dialled="1")
ANSWERED = Answered(at=NOON + 15, contact="c", agent="a", queue="q", waited=5)
TALK = (
    changed(1, READY),
    changed(12, AgentState.RESERVED, "c"),
    changed(15, AgentState.TALKING, "c"),
    changed(60, AgentState.WRAP_UP, "c"),
    changed(70, READY),
)


def test_a_contact_that_is_answered_is_told_whole() -> None:
    known = told(ARRIVED, queued(10), *TALK, ANSWERED, ended(60))
    assert known.stays == (Stay("c", "c", "q", NOON + 10, NOON + 10, pbx="p"),)
    assert known.fates == {"c": Fate(Ending.ANSWERED, NOON + 15, "a", NOON + 12, NOON + 60, NOON + 70)}
    assert [(one.at - NOON, one.state) for one in known.agents["a"].presence] == [(1.0, READY)]
    assert known.agents["a"].duties == []
    assert (known.clocked["a"].contact, known.clocked["a"].idle) == (58.0, 11.0)


def test_an_offer_that_is_not_answered_stays_with_the_contact() -> None:
    missed = OfferEnded(at=NOON + 32, contact="c", agent="a", attempt=1, outcome=OfferOutcome.NO_ANSWER)
    known = told(
        ARRIVED,
        queued(10),
        changed(1, READY),
        changed(12, AgentState.RINGING, "c"),
        missed,
        changed(32, NOT_READY, reason="missed"),
        ended(40),
    )
    assert known.unanswered == {"c": [Unanswered(20.0, 30.0)]}
    assert known.fates == {"c": Fate(Ending.ABANDONED, NOON + 40)}
    assert [(one.at - NOON, one.state) for one in known.agents["a"].presence] == [(1.0, READY), (32.0, NOT_READY)]
    assert known.agents["a"].duties == []


def test_who_leaves_while_a_phone_rings_is_known_to_have_heard_it_so_long() -> None:
    left = OfferEnded(at=NOON + 17, contact="c", agent="a", attempt=1, outcome=OfferOutcome.CALLER_LEFT)
    known = told(
        ARRIVED, queued(10), changed(1, READY), changed(12, AgentState.RINGING, "c"), left, changed(17, READY), ended(17)
    )
    assert (known.rung, known.unanswered, known.agents["a"].duties) == ({"c": 5.0}, {}, [])


def test_what_no_queue_gives_out_is_a_duty() -> None:
    known = told(*TALK, ARRIVED, ANSWERED)  # called out, or consulted: nothing was queued
    assert known.agents["a"].duties == [Duty(NOON + 12, 58.0, contact=True, talked=True)]
    known = told(changed(0, NOT_READY), changed(5, AgentState.SUPERVISING), changed(25, NOT_READY))
    assert known.agents["a"].duties == [Duty(NOON + 5, 20.0, contact=False)]
    assert [one.state for one in known.agents["a"].presence] == [NOT_READY]


def test_a_wish_of_one_who_is_busy_counts_from_when_it_was_said() -> None:
    known = told(
        changed(1, READY), changed(2, AgentState.TALKING, "x"), changed(20, AgentState.TALKING, "x", next=NOT_READY)
    )
    assert [(one.at - NOON, one.state) for one in known.agents["a"].presence] == [(1.0, READY), (20.0, NOT_READY)]


def test_work_without_a_call_keeps_its_agent_from_calls_and_is_not_replayed() -> None:
    arrived = ContactArrived(
        at=NOON, contact="m", pbx="", leg="", caller="", caller_name="", dialled="", channel=Channel.MESSAGE
    )
    chat = {"m": Channel.MESSAGE}
    overflow = QueueOverflowed(at=NOON + 2, contact="m", queue="q", to="queue:r", rule=OverflowWhen.FULL, waited=1)
    events = (
        *(arrived, evolve(queued(1, "m"), channel=Channel.MESSAGE), overflow),
        *(changed(5, READY), changed(10, READY, work=chat), changed(60, READY), ended(70)),
    )
    known = told(*events)
    assert (known.stays, known.no_calls, known.kept_out) == ((), 1, 0)
    presence = [(one.at - NOON, one.hindered) for one in known.agents["a"].presence]
    assert presence == [(5.0, False), (10.0, True), (60.0, False)]
    recount = Recount(NOON, NOON + HOUR, {}, REFUSED_SECONDS, beside={"a": {Channel.MESSAGE}})
    for event in events:
        recount.take(event)
    assert [one.at - NOON for one in recount.day().agents["a"].presence] == [5.0]


def test_each_queue_a_contact_came_to_is_a_stay_of_its_own() -> None:
    overflow = QueueOverflowed(at=NOON + 40, contact="c", queue="q", to="queue:r", rule=OverflowWhen.WAITED, waited=30)
    key = QueueLeft(at=NOON + 50, contact="c", queue="r", waited=10)
    known = told(ARRIVED, queued(10), queued(20), overflow, queued(40, queue="r", since=10), key, ended(60))
    assert [(stay.id, stay.queue, stay.since - NOON, stay.follows) for stay in known.stays] == [
        ("c", "q", 10.0, ""),
        ("c (2)", "r", 10.0, "c"),
    ]
    assert [fate.how for fate in known.fates.values()] == [Ending.LEFT, Ending.LEFT]
    assert told(ARRIVED, overflow, ended(60)).kept_out == 1
    assert told(ARRIVED, queued(10), ended(30, EndedBy.SYSTEM)).fates == {"c": Fate(Ending.LEFT, NOON + 30)}


def test_who_waited_when_the_day_began_is_in_the_line_and_not_in_the_figures() -> None:
    before = [evolve(event, at=event.at - 11) for event in (ARRIVED, queued(10, since=-1))]
    known = told(*before, *TALK, ANSWERED, ended(60))
    assert [(stay.id, stay.at - NOON, stay.carried) for stay in known.stays] == [("c", -1.0, True)]
    passed = passes(known, conducts(known, dice(1)), QueuePolicy("q"))
    assert passed.fates["c"].reserved == NOON + 1
    assert of_queues(known, passed.fates, {}, lambda agent, at: {}, 20.0)[TOTAL].offered == 0


def test_what_came_before_or_comes_after_is_no_stay_but_keeps_agents_busy() -> None:
    known = told(*(evolve(event, at=event.at - 30) for event in (ARRIVED, queued(10), *TALK, ANSWERED)))
    assert known.stays == ()
    assert known.agents["a"].duties == [Duty(NOON, 40.0, contact=True, talked=True)]
    assert [(one.at - NOON, one.state) for one in known.agents["a"].presence] == [(0.0, READY)]
    assert told(ARRIVED, queued(HOUR), ended(HOUR + 5)).stays == ()


def test_a_talk_that_goes_on_has_no_known_length() -> None:
    known = told(ARRIVED, queued(10), *TALK[:3], ANSWERED)
    assert known.fates == {"c": Fate(Ending.ANSWERED, NOON + 15, "a", NOON + 12)}
    assert told(ARRIVED, queued(10)).fates == {"c": Fate(Ending.WAITING, NOON + 10)}


def test_skills_queues_and_links_as_of_then() -> None:
    assigned = AgentAssigned(at=NOON + 100, agent="a", queues=("q", "r"), serves=("q", "r"), skills={"en": 2})
    known = told(changed(1, READY), assigned, PbxDown(at=NOON + 5, pbx="p", reason=""), PbxUp(at=NOON + 9, pbx="p"))
    one = known.agents["a"]
    assert [one.skills_at(NOON + at) for at in (0, 99, 100)] == [{"zh": 1}, {"zh": 1}, {"en": 2}]
    assert [presence.queues for presence in one.presence] == [("q",), ("q", "r")]
    assert known.links == ((NOON + 5, "p", False), (NOON + 9, "p", True))


AGENTS = st.sampled_from("ab")
CONTACTS = st.sampled_from(["c", "d", "e"])
ANY_EVENT = st.one_of(
    st.builds(
        lambda agent, contact, state, following: AgentChanged(
            at=0, agent=agent, contact=contact, state=state, queues=("q",), next=following
        ),
        AGENTS,
        st.sampled_from(["", "c", "d"]),
        st.sampled_from(AgentState),
        st.sampled_from([None, READY, NOT_READY, OFFLINE]),
    ),
    st.builds(lambda contact, queue: queued(-NOON, contact, queue), CONTACTS, st.sampled_from("qr")),
    st.builds(lambda agent, contact: Answered(at=0, agent=agent, contact=contact, queue="q", waited=1), AGENTS, CONTACTS),
    st.builds(
        lambda agent, contact, how: OfferEnded(at=0, agent=agent, contact=contact, attempt=1, outcome=how),
        *(AGENTS, CONTACTS, st.sampled_from(OfferOutcome)),
    ),
    st.builds(lambda contact: evolve(ended(0), contact=contact), CONTACTS),
    st.builds(lambda contact: QueueLeft(at=0, contact=contact, queue="q", waited=1), CONTACTS),
    st.builds(lambda agent: AgentAssigned(at=0, agent=agent, queues=("r",), serves=("r",), skills={"zh": 1}), AGENTS),
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(-1000, 5000), ANY_EVENT), max_size=40).map(
        lambda rows: sorted(rows, key=lambda row: row[0])
    )
)
def test_a_journal_with_gaps_is_replayed_all_the_same(rows: list[tuple[int, Event]]) -> None:
    """A store that was away, or a daemon that was killed, leaves holes: nothing fails or is counted twice."""
    known = told(*(evolve(event, at=NOON + at) for at, event in rows))
    came = [at for at, event in rows if isinstance(event, Queued) and 0 <= at < HOUR]
    counted = [stay for stay in known.stays if not stay.carried]
    assert len(counted) <= len(came)
    assert known.fates.keys() == {stay.id for stay in known.stays}
    assert all(0 <= fate.reserved <= fate.at for fate in known.fates.values())
    passed = passes(known, conducts(known, dice(1)), QueuePolicy("q"), QueuePolicy("r"))
    assert passed.fates.keys() == known.fates.keys()
    for clocked in passed.clocked.values():
        assert 0 <= clocked.contact + clocked.idle <= HOUR


# Figures


def test_figures_are_the_fields() -> None:
    """The example of four contacts: answered after 5 s and 40 s, abandoned, kept by a rule."""
    stays = stays_at(0.0, 10.0, 20.0, 30.0)
    fates = {
        "c0": Fate(Ending.ANSWERED, NOON + 40, "a", NOON + 39, NOON + 50, NOON + 50),
        "c1": Fate(Ending.ANSWERED, NOON + 15, "b", NOON + 12, NOON + 50, NOON + 50),
        "c2": Fate(Ending.ABANDONED, NOON + 90),
        "c3": Fate(Ending.LEFT, NOON + 90),
    }
    figures = of_queues(
        day(stays, {}, fates), fates, {"q": parse("zh")}, lambda agent, at: {"zh": 1} if agent == "a" else {}, 20.0
    )
    assert figures["q"] == figures[TOTAL]
    assert figures["q"] == QueueFigures(4, 2, 1, 1, 0, 0.25, 22.5, 5.0, 40.0, 40.0, 1, 0.5)


def test_figures_of_nobody_are_nothing() -> None:
    figures = of_queues(day([], {}), {}, {}, lambda agent, at: {}, 20.0)
    assert figures == {TOTAL: QueueFigures(0, 0, 0, 0, 0, None, None, None, None, None, 0, None)}


def test_an_average_leaves_out_what_is_not_there() -> None:
    one = QueueFigures(2, 2, 0, 0, 0, 1.0, 5.0, 5.0, 5.0, 5.0, 0, None)
    other = QueueFigures(2, 0, 2, 0, 0, 0.0, None, None, None, None, 0, None)
    assert average([{"q": one}, {"q": other}])["q"] == QueueFigures(2, 1, 1, 0, 0, 0.5, 5.0, 5.0, 5.0, 5.0, 0, None)
    mean = average_of_agents([{"a": AgentFigures(4, 0.5)}, {"b": AgentFigures(2, None)}])
    assert mean == {"a": AgentFigures(2, 0.5), "b": AgentFigures(1, None)}


def test_time_outside_of_the_day_does_not_count() -> None:
    clocked = Clocked(NOON, NOON + 100)
    for doing, at in ((Doing.IDLE, -50), (Doing.CONTACT, 20), (Doing.ELSE, 60), (Doing.IDLE, 90), (Doing.ELSE, 200)):
        clocked.turn(doing, NOON + at)
    assert (clocked.contact, clocked.idle, clocked.occupancy) == (40.0, 30.0, pytest.approx(4 / 7))


def test_what_the_configuration_has_not_is_said() -> None:
    known = evolve(day(stays_at(0.0, queue="old"), {"gone": agent_day((0, READY))}), kept_out=3)
    notes = unconfigured(known, Rules(AS_CONFIGURED, {"q": QueuePolicy("q")}), {"a": None})
    assert [note.split(" ")[:2] for note in notes] == [["queue", "old"], ["agent", "gone"], ["3", "contacts"], ["of", "1"]]
    _, same = compare(known, [Rules(AS_CONFIGURED, {"q": QueuePolicy("q")})], dice, threshold=20.0)
    assert same.queues["old"].offered == 1
