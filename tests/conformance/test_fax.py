"""Fax on a leg at home: what Asterisk answers and tells, and when the far end hangs up or calls as a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from easycall.lab.legs import FaxMachine

from ..transcripts.record import white_page
from ..wire.stage import SOON
from .peers import Leg
from .stage import Stage

PAGE_SECONDS = 40.0
"""For a page of one line all empty; 14.6 s were measured."""
ASKED = ("FAXSTATUS", "FAXERROR", "FAXPAGES", "FAXBITRATE", "REMOTESTATIONID")
TOLD = ("Operation", "Status", "LocalStationID", "RemoteStationID", "PagesTransferred", "TransferRate")


def page(stage: Stage) -> Path:
    file = stage.place.folder / "prompts" / "page.tiff"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(white_page())
    return file


async def result(stage: Stage, leg: Leg) -> None:
    """Note what is known of a fax afterwards, and what was told of it."""
    for name in ASKED:
        stage.notes.add(name, await leg.ask(f"GET VARIABLE {name}"))
    for event in stage.daemon.events:
        if event.name in ("FAXStatus", "SendFAX", "ReceiveFAX"):
            facts = [f"{name} {event.get(name)}" for name in TOLD if name.lower() in event.fields()]
            stage.notes.add(event.name, ", ".join(facts))


@pytest.mark.fact("§2 fax")
@pytest.mark.seconds(PAGE_SECONDS + 10)
async def test_a_page_is_sent_on_a_leg_at_home(stage: Stage) -> None:
    caller, leg = await stage.calls()
    file = page(stage)
    await stage.expect(leg, "SET VARIABLE FAXOPT(localstationid) 123", "200 result=1")
    received = stage.place.folder / "prompts" / "got.tiff"
    await caller.starts_fax(FaxMachine(received, station="+49 30 77"))
    leg.send(f'EXEC SendFAX "{file},f"\n'.encode())
    stage.notes.add("SendFAX", await leg.reply(PAGE_SECONDS))
    await result(stage, leg)
    assert received.exists()


@pytest.mark.fact("§2 fax")
async def test_what_became_of_a_fax_is_known_after_the_hang_up(stage: Stage) -> None:
    """Asterisk keeps the leg while its FastAGI session is open: a machine hangs up before we could ask."""
    caller, leg = await stage.calls()
    leg.send(f'EXEC SendFAX "{page(stage)},f"\n'.encode())
    await stage.runs(leg.id, "SendFAX")
    caller.hang_up()
    stage.notes.add("SendFAX", await leg.line())
    stage.notes.add("then", await leg.line())
    await result(stage, leg)
    leg.leave()
    await stage.gone(leg.id)


@pytest.mark.fact("§2 fax")
@pytest.mark.seconds(40)
async def test_a_machine_that_calls_is_heard(stage: Stage) -> None:
    """The leg is taken out of what it does, and comes home by the extension ``fax``."""
    caller, leg = await stage.calls()
    await stage.expect(leg, "SET VARIABLE FAXOPT(faxdetect) cng", "200 result=1")
    await caller.starts_fax(FaxMachine(page(stage), sends=True))
    leg.send(b"WAIT FOR DIGIT 20000\n")
    stage.notes.add("said", await leg.line(15))
    stage.notes.add("then", await leg.line())
    leg.leave()
    again = await stage.home.comes(leg.id, SOON)
    for name in ("agi_extension", "agi_arg_3"):
        stage.notes.add(name, again.facts[name])
