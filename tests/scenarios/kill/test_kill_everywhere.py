"""SIGKILL at every step of every flow of call control: everybody is where they were, and the call goes on from there.

The flows, and who must be where after which step, are those of the matrix (tests/scenarios/steps.py).  A few calls, each
with queues and agents of its own, go to their steps; then the daemon is killed and started, and of each call it is proved,
by what its people hear and by what the API shows, that nothing is different; then it is brought to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest
from attrs import evolve

from easycall.defer import background

from ..matrix import At, Cell, Failure, Is, Place, Step
from ..offices import offices
from ..people import SOON, hears
from ..stage import Call
from ..steps import FLOWS
from ..test_matrix import each
from .centre import START_SECONDS, KillableCentre

AT_ONCE = 12
"""Calls that are up when the daemon is killed."""
RING_SECONDS = 60
"""So long rings a telephone outside: longer than all of it takes."""
SECRET = "P1 secure capture"
"""The flow in which the customer is asked for a secret: nobody keeps what was keyed, so the agent has the customer again.

So it is with a fax whose machine was not started yet.
"""


class Killed(Cell):
    """A step, and that the daemon is killed there."""

    @property
    def expected(self) -> Place:
        """Where everybody must be afterwards: where they were, but for what a daemon takes with it."""
        place = self.step.place
        if (self.flow == SECRET and place.customer is At.FLOW) or place.customer is At.FAX:
            return evolve(place, customer=At.ONE, one=Is.TALKS)
        if place.two is Is.LISTENS:  # a supervision is the daemon's own
            return evolve(place, two=Is.NOT_READY)
        return place


def _steps() -> list[Killed]:
    """Every step that stays until somebody does something, once."""
    found: dict[tuple[Step, ...], Killed] = {}
    for flow, steps in FLOWS.items():
        for path in accumulate((step,) for step in steps):
            if not any(step.by_itself for step in path):
                found.setdefault(path, Killed(flow, path, Failure.NOTHING))
    return list(found.values())


STEPS = _steps()
WAVES = [STEPS[begin : begin + AT_ONCE] for begin in range(0, len(STEPS), AT_ONCE)]


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, wave: Sequence[Killed]) -> None:
    """What the daemon of these calls is configured with."""
    request.node.add_marker(pytest.mark.site(**{**offices(tmp_path, wave), "ring_outside": RING_SECONDS}))


@pytest.mark.fault("F32")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(180)
@pytest.mark.parametrize("wave", WAVES, ids=[f"{wave[0].flow} and on" for wave in WAVES])
async def test_killed_at_any_step_everybody_is_where_they_were(
    wave: Sequence[Killed], site: None, centre: KillableCentre
) -> None:
    calls = [Call(centre, number, cell) for number, cell in enumerate(wave)]
    await each(calls, Call.arrange)
    await centre.kill()
    async with background(each(calls, _hears_the_menu_again)) as heard:
        await centre.start_daemon()
        await centre.everybody_is_home()
        await heard
    await each(calls, _is_known)
    await each(calls, Call.settles)
    await centre.invariants_hold()
    await each(calls, Call.ends)
    for call in calls:
        print(f"{call.cell.flow} | {call.cell.way} | {call.cell.expected} | {call.wrong or 'ok'}")  # noqa: T201
    assert not [f"{call.cell.flow}: {call.cell.way}: {call.wrong}" for call in calls if call.wrong]


async def _hears_the_menu_again(call: Call) -> None:
    """One who was in a flow: first the dialplan's music, then the menu anew.  A key counts from then on."""
    if call.cell.expected.customer is At.FLOW:
        await hears(call.customer, "music")
        await call.customer.leg.hears_speech(START_SECONDS)


async def _is_known(call: Call) -> None:
    """The contact is live under its id."""
    contact = await call.customer.contact()

    async def live() -> bool:
        return contact in {one["id"] for one in (await call.centre.client.get("/api/v1/contacts"))["contacts"]}

    await call.centre.until(live, SOON, f"contact {contact} is live")
