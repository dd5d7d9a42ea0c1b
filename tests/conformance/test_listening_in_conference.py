"""Supervisors who listen to a leg of a conference: who hears them there, and what they hear when the leg comes and goes."""

from __future__ import annotations

import pytest

from easycall.lab.legs import NotSeen

from ..wire.stage import SOON
from .stage import Stage
from .test_bridge import at_home
from .test_conference import attends
from .test_listening import listens
from .test_redirect import HOME


@pytest.mark.fact("§2 listen, whisper, barge", "§2 conference of 3")
@pytest.mark.parametrize("whom", ["caller", "agent"])
@pytest.mark.parametrize("options", ["uqEw", "uqEB"])
async def test_in_a_conference_only_whom_one_listens_to_hears_one(stage: Stage, options: str, whom: str) -> None:
    """Also when one would barge in: there is no other one, there are several."""
    caller, one = await stage.calls(tone=None)
    first, two = await stage.agent("first", tone=None)
    second, three = await stage.agent("second", "2003", tone=None)
    for leg in (one, two, three):
        await attends(stage, leg)
    hearer, spied = {"caller": (caller, one), "agent": (first, two)}[whom]
    await listens(stage, spied.id, options, tone=700)
    await hearer.hears(700, SOON)
    for other in {caller, first, second} - {hearer}:
        with pytest.raises(NotSeen):
            await other.hears(700, 0.5)


@pytest.mark.fact("§2 listen, whisper, barge", "§2 conference of 3")
async def test_who_listens_goes_with_a_leg_from_a_bridge_into_a_conference_and_home(stage: Stage) -> None:
    _, _, one, other = await stage.bridged()
    third, three = await stage.agent("third", "2003", tone=700)
    supervisor, leg = await listens(stage, one.id, "uqE")
    await supervisor.hears(1000, SOON)
    one.leave()
    other.leave()
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=one.id, **HOME))
    one, other = await at_home(stage, one.id), await at_home(stage, other.id)
    for moved in (one, other, three):
        await attends(stage, moved)
    await supervisor.hears_speech(SOON)  # two tones at once
    third.hang_up()
    await supervisor.hears(1000, SOON)
    stage.notes.answer("Redirect", await stage.daemon.ask("Redirect", Channel=one.id, **HOME))
    one.leave()
    again = await at_home(stage, one.id)
    await stage.expect(again, "SET MUSIC on", "200 result=0")
    await supervisor.hears(440, SOON)
    assert not leg.unread()
