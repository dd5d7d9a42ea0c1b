"""Every flow of call control × every step × whatever can happen there, on both PBXs, each cell proved by sound.

The table is :data:`.steps.FLOWS`; what must come of a failure says :func:`.matrix.expected`.  The cells of a group of flows
share a daemon and run side by side as calls of their own, each with its own queues and agents.  ``-s`` prints each line as
it is done, ``--matrix FILE`` writes the whole table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path

import pytest
from twisted.internet.defer import DeferredList

from easycall.asterisk import manager
from easycall.defer import start

from ..proxy import Way
from .callcentre import CallCentre, after
from .matrix import ON_A_LEG, At, Failure, Is, Results, cells, expected, possible
from .offices import offices
from .people import SOON
from .stage import Call
from .steps import FLOWS

WIDTH = 8
"""How many calls at once."""
CUTS = (Failure.LINK, Failure.ACTION_LOST, Failure.ANSWER_LOST)
"""What happens to all calls at once."""
QUIET_SECONDS = 0.1
GROUPS = sorted({flow.partition(" ")[0] for flow in FLOWS})
"""Flows that share a daemon: those of one requirement."""
MATRIX = {group: [cell for cell in cells(FLOWS) if cell.flow.partition(" ")[0] == group] for group in GROUPS}


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, group: str) -> None:
    """What the daemon of a group is configured with."""
    request.node.add_marker(pytest.mark.site(**offices(tmp_path, MATRIX[group])))


def waves(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """So many at once, to whom the same happens if it happens to all, at the end of ways that take as long."""
    for _, group in groupby(calls, lambda call: (_cut(call), call.cell.seconds)):
        together = list(group)
        for begin in range(0, len(together), WIDTH):
            yield together[begin : begin + WIDTH]


def _cut(call: Call) -> int:
    """Which cut it is that happens to all calls; -1: none."""
    return CUTS.index(call.cell.failure) if call.cell.failure in CUTS else -1


async def each(calls: Sequence[Call], do: Callable[[Call], Awaitable[None]]) -> None:
    """Of the calls in which nothing went wrong yet, side by side."""

    async def noting(call: Call) -> None:
        try:
            await do(call)
        except Exception as failure:
            call.wrong = f"{do.__name__}: {failure}"
            print(f"{call.cell.flow}: {await call.lately()}")  # noqa: T201

    await DeferredList([start(noting(call)) for call in calls if not call.wrong])


async def happens_to_all(centre: CallCentre, calls: Sequence[Call]) -> None:
    """The failures of some calls: of each its own, or the link's."""
    match calls[0].cell.failure:
        case Failure.LINK:
            await the_link_is_away(centre, calls)
        case Failure.ACTION_LOST:
            await taken_while_it_is_cut(centre, calls, centre.ami.to_server)
        case Failure.ANSWER_LOST:
            await taken_while_it_is_cut(centre, calls, centre.ami.to_client)
        case _:
            await each(calls, Call.happens)


async def the_link_is_away(centre: CallCentre, calls: Sequence[Call]) -> None:
    """Everybody is where they were, and hears what they heard, while it is."""
    since = centre.feed.heard[-1].get("seq", 0)
    await centre.ami.stop()
    await centre.feed.wait("pbx.down", SOON, since=since)
    await each(calls, lambda call: call.prove(call.place))
    await centre.ami.start()
    await centre.feed.wait("pbx.up", SOON, since=since)


async def taken_while_it_is_cut(centre: CallCentre, calls: Sequence[Call], way: Way) -> None:
    """The steps are taken, and what is said that way does not arrive."""
    since = centre.feed.heard[-1].get("seq", 0)
    way.hold()
    taken = start(each(calls, Call.takes_the_step))
    await all_is_said(centre)
    centre.ami.reset()
    centre.ami.mend()
    lost = await centre.feed.wait("pbx.down", SOON, since=since)
    await centre.feed.wait("pbx.up", SOON, since=lost["seq"])
    await taken


async def all_is_said(centre: CallCentre) -> None:
    """Wait until the daemon has sent what it had to, and nothing more for a moment."""
    said, before = 0, -1
    while said != before:
        await after(centre.reactor, QUIET_SECONDS)
        said, before = sum(len(one.to_server.heard) for one in centre.ami.accepted), said


@pytest.mark.requirement("F1")
@pytest.mark.requirement("F2")
@pytest.mark.requirement("F3")
@pytest.mark.requirement("F4")
@pytest.mark.requirement("F5")
@pytest.mark.requirement("F6")
@pytest.mark.requirement("F7")
@pytest.mark.requirement("P1")
@pytest.mark.requirement("P2")
@pytest.mark.fault("F04", "F05", "F06", "F09")
@pytest.mark.seconds(240)
@pytest.mark.parametrize("group", GROUPS)
async def test_whatever_happens_where(
    group: str,
    site: None,
    centre: CallCentre,
    request: pytest.FixtureRequest,
    matrix: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each cut is the first one for the calls it happens to: the link is tried as soon as after that.
    monkeypatch.setattr(manager, "STABLE_SECONDS", 0.0)
    calls = [Call(centre, number, cell) for number, cell in enumerate(MATRIX[group])]
    calls.sort(key=lambda call: (_cut(call), call.cell.seconds, call.takes_its_time))
    for wave in waves(calls):
        if wave[0].cell.failure is Failure.ACTION_LOST and not centre.corrected:
            assert not [one for one in centre.feed.heard if one["kind"] == "pbx.corrected"]
            centre.corrected = True
        await each(wave, Call.arrange)
        await happens_to_all(centre, wave)
        await each(wave, Call.settles)
        await centre.invariants_hold()
        await each(wave, Call.ends)
        for call in wave:
            line = matrix.take(request.node.callspec.params["pbx"], call.cell, call.wrong or "ok")
            print(line)  # noqa: T201
    assert not [f"{call.number}: {call.cell.step.name}, {call.cell.failure}: {call.wrong}" for call in calls if call.wrong]


@pytest.mark.parametrize("failure", Failure)
def test_nothing_costs_the_customer_the_call(failure: Failure) -> None:
    """Of what is expected: only the customer, the API, the network, and who has the customer end a contact."""
    for step in chain.from_iterable(FLOWS.values()):
        if not possible(step, failure):
            continue
        place = expected(step.place, failure)
        if place.customer is At.GONE:
            assert place.ended_by in ("caller", "api", "agent", "outside", "network")
        else:
            served = place.customer not in (At.MUSIC, At.ONE, At.TWO, At.BOTH, At.OUTSIDE)
            has_it = served or {place.one, place.two, place.outside} & {*ON_A_LEG, Is.RINGS}
            assert has_it or place.in_line
