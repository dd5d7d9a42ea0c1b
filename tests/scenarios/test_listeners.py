"""Supervisors and recordings with conference, park, fax and somebody outside; proved by ear and by the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..pages import two_pages
from .callcentre import CallCentre, after
from .people import SOON, Agent, Caller, hears, talking
from .test_call_control import asks
from .test_fax import FAX_SECONDS, machine, pixels, upload
from .test_recording import AGENT, CUSTOMER, TALK_SECONDS, recorded
from .test_supervision import HIGH, LOW, connected, supervises


async def consults(carl: Caller, bo: Agent) -> None:
    """The agent and Bo are together."""
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await carl.centre.feed.wait("consult.answered", SOON, to="bo")


@pytest.mark.requirement("P2")
@pytest.mark.requirement("F4")
@pytest.mark.seconds(60)
async def test_a_supervisor_follows_the_contact_wherever_it_goes(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    bo, dora = centre.agent("bo"), centre.outsider("dora")
    bo.voice = 0
    await bo.works()
    one, chen = await supervises(centre, "whisper", contact=await carl.contact())
    await hears(ana, chen)
    await consults(carl, bo)
    await hears(chen, "music")
    await asks(carl, "merge")
    await hears(ana, chen)
    await hears(bo, ana)
    await hears(carl, ana)
    await one.becomes("barge")
    await hears(ana, "silence")  # nobody barges into a conference
    await hears(carl, ana)
    await hears(chen, ana)
    await asks(carl, "drop", party="consulted")
    await hears(carl, "speech")  # two voices
    await hears(ana, chen)
    await one.becomes("listen")
    await asks(carl, "park")
    await hears(chen, "music")
    bo.voice = LOW
    await bo.is_("ready")
    await asks(carl, "pick", agent="bo")
    await bo.answers()
    await hears(chen, bo)
    await asks(carl, "transfer", number=dora.number)
    await hears(chen, "music")
    dora.voice = HIGH
    await dora.answers()
    await hears(chen, dora)
    await talking(carl, dora)
    carl.hangs_up()
    for who in (chen, dora):
        await who.is_released()
    await chen.is_("not_ready")


@pytest.mark.requirement("P2")
@pytest.mark.requirement("F4")
@pytest.mark.seconds(60)
async def test_a_supervisor_follows_an_agent_into_a_conference_and_out_of_it(centre: CallCentre) -> None:
    carl, _ = await connected(centre, caller=HIGH, agent=0)
    bo = centre.agent("bo")
    bo.voice = LOW
    await bo.works()
    one, chen = await supervises(centre, "listen", voice=HIGH, agent="ana")
    await hears(chen, carl)
    await consults(carl, bo)
    await hears(chen, bo)
    await asks(carl, "merge")
    await hears(chen, "speech")  # two voices
    await hears(carl, bo)
    await one.becomes("barge")
    await hears(chen, "speech")
    await hears(carl, bo)
    await asks(carl, "drop", party="consulted")
    await hears(chen, carl)
    await asks(carl, "park")
    await hears(chen, "music")
    carl.hangs_up()
    chen.hangs_up()
    await chen.is_("not_ready")


@pytest.mark.requirement("F6")
@pytest.mark.requirement("P2")
@pytest.mark.site(record="always", fax_lines=1)
@pytest.mark.seconds(100)
async def test_a_fax_goes_well_though_somebody_listens_and_is_not_recorded(centre: CallCentre, tmp_path: Path) -> None:
    carl, ana = await connected(centre)
    document = await upload(centre, two_pages(1))
    _, chen = await supervises(centre, "listen", contact=await carl.contact())
    await hears(chen, ana)
    await asks(carl, "fax", document=document["id"])
    await hears(chen, "speech")
    receiving = machine(centre, "received")
    await carl.leg.starts_fax(receiving)
    ended = await centre.feed.wait("fax.ended", FAX_SECONDS, agent="ana")
    assert (ended["outcome"], ended["pages"]) == ("done", 1), ended
    await hears(chen, ana)
    await talking(carl, ana)
    await after(centre.reactor, TALK_SECONDS)
    carl.hangs_up()
    await chen.is_released()
    sent = centre.state.folder / "fax/documents" / f"{document['id']}.tiff"
    assert pixels(sent, 0, tmp_path) == pixels(receiving.file, 0, tmp_path)
    recording, sound = await recorded(centre, carl)
    [gap] = recording["gaps"]
    assert gap["why"] == "fax"
    assert sound.mostly(gap["ended"], recording["ended"]) == {AGENT}


@pytest.mark.requirement("F4")
@pytest.mark.site(record="always")
@pytest.mark.seconds(60)
async def test_one_recording_has_the_third_of_a_conference_and_nobody_outside(centre: CallCentre) -> None:
    carl, _ = await connected(centre, caller=LOW, agent=0)
    bo, dora = centre.agent("bo"), centre.outsider("dora")
    await bo.works()
    await consults(carl, bo)
    await asks(carl, "merge")
    await hears(carl, bo)
    joined = centre.running.journal._clock.seconds()
    await after(centre.reactor, TALK_SECONDS)
    left = centre.running.journal._clock.seconds()
    await asks(carl, "drop", party="consulted")
    two = centre.running.journal._clock.seconds()
    await after(centre.reactor, TALK_SECONDS)
    parked = centre.running.journal._clock.seconds()
    await asks(carl, "park")
    await hears(carl, "music")
    await bo.is_("ready")
    await asks(carl, "pick", agent="bo")
    await bo.answers()
    await hears(carl, bo)
    dora.voice = HIGH
    await asks(carl, "transfer", number=dora.number)
    await dora.answers()
    await hears(carl, dora)
    outside = centre.running.journal._clock.seconds()
    await after(centre.reactor, TALK_SECONDS)
    gone = centre.running.journal._clock.seconds()
    carl.hangs_up()
    recording, sound = await recorded(centre, carl)
    assert sound.mostly(joined, left) == {CUSTOMER, AGENT}
    assert sound.mostly(two, parked) == {CUSTOMER}
    assert sound.ever(outside, gone) == set()
    assert [gap["why"] for gap in recording["gaps"]] == ["hold", "waiting", "waiting", "outside"]
