"""Fax: an agent sends a document, a caller's machine sends one; between real modems on the real Asterisk."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import treq
from twisted.web.client import HTTPConnectionPool

from easycall.client import Refused
from easycall.lab.legs import FaxMachine

from ..pages import two_pages
from .callcentre import STRAIGHT, CallCentre
from .people import SOON, Agent, Caller, hears, segments, talking
from .test_call_control import asks

FAX_SECONDS = 80.0
"""Two pages take 21 s between real modems, more on a machine that is busy."""
FAX = "95511"
"""The number with a menu for fax."""

numbers = pytest.mark.site(fax_lines=1, numbers={STRAIGHT: "straight", FAX: "fax"}, fax_detect={FAX: "hotline"})


async def connected(centre: CallCentre) -> tuple[Caller, Agent]:
    """A caller who talks with Ana."""
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials(STRAIGHT)
    await ana.answers()
    await talking(carl, ana)
    return carl, ana


def machine(centre: CallCentre, name: str, **how: Any) -> FaxMachine:
    """A caller's machine, with a file where both Asterisks see it."""
    folder = centre.state.folder / "machines"
    folder.mkdir(exist_ok=True)
    return FaxMachine(folder / f"{name}.tiff", **how)


async def upload(centre: CallCentre, body: bytes, kind: str = "application/pdf") -> Any:
    """Send a document in, as a CRM does."""
    answer = await treq.post(
        f"http://127.0.0.1:{centre.site.port}/api/v1/documents",
        body,
        headers={"Authorization": f"Bearer {centre.site.token}", "Content-Type": kind},
        timeout=30,
        pool=HTTPConnectionPool(centre.reactor, persistent=False),
    )
    return await treq.json_content(answer)


def pixels(tiff: Path, page: int, folder: Path) -> bytes:
    """A page as one bit a dot, row by row."""
    plain = folder / f"{tiff.stem}-{page}.tiff"
    subprocess.run(["tiffcp", "-c", "none", "-f", "msb2lsb", "-r", "100000", f"{tiff},{page}", plain], check=True)
    data = plain.read_bytes()
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    tags = {}
    for number in range(count):
        tag, kind, _, value = struct.unpack_from("<HHII", data, at + 2 + 12 * number)
        tags[tag] = value & 0xFFFF if kind == 3 else value
    assert tags[256] == 1728
    return data[tags[273] : tags[273] + tags[279]]


@pytest.mark.requirement("F6")
@pytest.mark.requirement("M6")
@numbers
@pytest.mark.seconds(100)
async def test_an_agent_faxes_a_document_and_has_the_customer_back(centre: CallCentre, tmp_path: Path) -> None:
    carl, ana = await connected(centre)
    document = await upload(centre, two_pages())
    assert document["pages"] == 2
    with pytest.raises(Refused, match="there is no document 'nonsense'"):
        await asks(carl, "fax", document="nonsense")
    await talking(carl, ana)
    assert (await asks(carl, "fax", document=document["id"]))["stage"] == "fax"
    await hears(carl, "speech")
    await hears(ana, "music")
    receiving = machine(centre, "received")
    await carl.leg.starts_fax(receiving)

    second = await centre.caller("second").dials(FAX)  # the only line is taken
    await second.presses("1")
    await second.waits_in("support")
    second.hangs_up()

    ended = await centre.feed.wait("fax.ended", FAX_SECONDS, agent="ana")
    assert (ended["outcome"], ended["pages"], ended["station"]) == ("done", 2, receiving.station), ended
    await talking(carl, ana)
    await ana.is_("talking")
    carl.hangs_up()
    assert segments(await carl.record())[-4:] == ["talk", "fax", "talk", "closing"]
    sent = centre.state.folder / "fax/documents" / f"{document['id']}.tiff"
    for page in range(2):
        assert pixels(sent, page, tmp_path) == pixels(receiving.file, page, tmp_path), f"page {page}"
    await centre.client.delete(f"/api/v1/documents/{document['id']}")
    assert not sent.exists()


@pytest.mark.requirement("M6")
@numbers
@pytest.mark.seconds(100)
async def test_a_caller_chooses_fax_and_its_pages_can_be_fetched(centre: CallCentre, tmp_path: Path) -> None:
    document = await upload(centre, two_pages(1))
    sending = machine(centre, "sent", sends=True, hangs_up=True)
    sending.file.write_bytes((centre.state.folder / "fax/documents" / f"{document['id']}.tiff").read_bytes())
    carl = await centre.caller("carl").dials(FAX)
    await carl.presses("1")
    await centre.feed.wait("fax.started", SOON, contact=await carl.contact())
    await carl.leg.starts_fax(sending)
    received = await centre.feed.wait("fax.received", FAX_SECONDS, box="office")
    assert (received["pages"], received["contact"]) == (1, await carl.contact())
    await carl.is_released()
    [fax] = (await centre.client.get("/api/v1/faxes?box=office"))["faxes"]
    assert (fax["id"], fax["caller"], fax["station"], fax["complete"]) == (
        received["fax"],
        carl.number,
        sending.station,
        True,
    )
    assert (await centre.client.get(f"/api/v1/faxes/{fax['id']}/pdf")).startswith(b"%PDF-")
    (tmp_path / "got.tiff").write_bytes(await centre.client.get(f"/api/v1/faxes/{fax['id']}/tiff"))
    assert pixels(sending.file, 0, tmp_path) == pixels(tmp_path / "got.tiff", 0, tmp_path)
    assert "fax" in segments(await carl.record())


@pytest.mark.requirement("M6")
@numbers
@pytest.mark.seconds(100)
async def test_a_machine_that_calls_is_known_by_its_tone(centre: CallCentre) -> None:
    document = await upload(centre, two_pages(1))
    sending = machine(centre, "sent", sends=True, hangs_up=True)
    sending.file.write_bytes((centre.state.folder / "fax/documents" / f"{document['id']}.tiff").read_bytes())
    carl = await centre.caller("carl").dials(FAX)
    await carl.reaches("menu")
    await carl.leg.answered(SOON)
    await carl.leg.starts_fax(sending)
    received = await centre.feed.wait("fax.received", FAX_SECONDS, box="hotline")
    assert (received["pages"], received["contact"]) == (1, await carl.contact())
    record = await carl.record(10)
    assert record["outcome"] == "self_served"


@pytest.mark.requirement("F6")
@numbers
@pytest.mark.seconds(100)
async def test_a_fax_nobody_starts_is_broken_off(centre: CallCentre) -> None:
    carl, ana = await connected(centre)
    document = await upload(centre, two_pages(1))
    await asks(carl, "fax", document=document["id"])
    await hears(ana, "music")
    await asks(carl, "cancel")
    ended = await centre.feed.wait("fax.ended", SOON, agent="ana")
    assert ended["outcome"] == "cancelled"
    await talking(carl, ana)
    await asks(carl, "fax", document=document["id"])  # the line is free again
    await hears(ana, "music")
    carl.hangs_up()
    ended = await centre.feed.wait("fax.ended", SOON, agent="ana", outcome="failed")
    assert ended["error"] == "the other side hung up too early"
    await ana.is_released()
