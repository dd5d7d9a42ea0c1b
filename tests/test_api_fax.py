"""Fax over the API: documents go in, faxes come out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve

from easycall.api import site as bounds
from easycall.fax import Documents, FaxDesk, Inbox, ReceivedFax
from easycall.verbs import Fax

from .clocks import clock_at
from .fakes_api import ANA, NOTHING, TOKEN, Running, running
from .pages import two_pages
from .test_fax_files import in_thread, settings
from .transcripts.record import white_page

PDF = {"Content-Type": "application/pdf"}


@pytest.fixture
def desk(tmp_path: Path) -> FaxDesk:
    from twisted.internet import reactor

    made = settings(tmp_path), clock_at(), reactor, in_thread
    return FaxDesk(settings(tmp_path), Documents(*made), Inbox(*made), clock_at())


@pytest_twisted.async_yield_fixture
async def site(desk: FaxDesk) -> AsyncIterator[Running]:
    await desk.open()
    async with running(fax=desk) as site:
        yield site
    await desk.close()


async def upload(site: Running, body: bytes, kind: str = "application/pdf", token: str = TOKEN) -> tuple[int, Any, Any]:
    return await site.ask("POST", "/api/v1/documents", token, data=body, headers={"Content-Type": kind})


@pytest.mark.requirement("F6")
class TestDocuments:
    async def test_from_the_cradle_to_the_grave(self, site: Running) -> None:
        status, document, _ = await upload(site, two_pages())
        assert (status, document["pages"], document["by"]) == (201, 2, "crm")
        address = f"/api/v1/documents/{document['id']}"
        assert (await site.ask("GET", address))[:2] == (200, document)
        assert (await site.ask("DELETE", address))[:2] == (200, {"id": document["id"]})
        assert (await site.ask("GET", address))[0] == 404

    async def test_what_is_no_document_is_refused_with_the_reason(self, site: Running) -> None:
        status, problem, _ = await upload(site, b"hello")
        assert (status, problem["detail"]) == (422, "it is no application/pdf: its first bytes are others")
        status, problem, _ = await upload(site, b"{}", "application/json")
        assert (status, problem["detail"]) == (415, "send the document as application/pdf or image/tiff")

    async def test_a_large_one_is_taken_and_one_too_large_is_not(
        self, site: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        large = two_pages() + b"%" * (2 << 20)
        assert (await upload(site, large))[0] == 201
        monkeypatch.setattr(bounds, "LARGE_BODY", 1 << 20)
        status, problem, _ = await upload(site, large)
        assert (status, problem["detail"]) == (413, "a body may have 1048576 bytes")

    async def test_large_ones_are_taken_from_nobody_else_and_nowhere_else(self, site: Running) -> None:
        large = two_pages() + b"%" * (2 << 20)
        assert (await upload(site, large, token="unknown"))[0] == 413
        assert (await site.ask("POST", "/api/v1/agents/bo/login", data=large))[0] == 413

    async def test_it_needs_the_right(self, site: Running) -> None:
        assert (await upload(site, two_pages(), token=NOTHING))[0] == 403


class TestTheVerb:
    @pytest.mark.parametrize(
        ("wish", "verb"),
        [
            ({"document": "d1"}, Fax("d1")),
            ({"receive": True}, Fax()),
            ({}, None),
            ({"document": "d", "receive": True}, None),
        ],
    )
    async def test_one_of_two(self, site: Running, wish: dict[str, Any], verb: Fax | None) -> None:
        site.contacts.add("c1", "ana")
        status, problem, _ = await site.ask("POST", "/api/v1/contacts/c1/fax", json=wish)
        if verb is None:
            assert (status, problem["detail"]) == (422, "name a document, or say receive")
        else:
            assert (status, site.contacts.asked) == (200, [("c1", verb)])


@pytest.mark.requirement("M6")
class TestFaxes:
    async def came(self, desk: FaxDesk, tmp_path: Path, **more: Any) -> ReceivedFax:
        name, _ = desk.inbox.expect()
        (tmp_path / f"fax/received/{name}.tiff").write_bytes(white_page())
        fax = ReceivedFax(name, clock_at().seconds(), "office", "c1", "+49301", "+49 30 77", 1, True)
        kept = await desk.inbox.keep(evolve(fax, **more))
        assert kept is not None
        return kept

    async def test_listed_fetched_and_thrown_away(self, site: Running, desk: FaxDesk, tmp_path: Path) -> None:
        fax = await self.came(desk, tmp_path)
        _, body, _ = await site.ask("GET", "/api/v1/faxes?box=office")
        assert body["next"] is None
        assert [one["id"] for one in body["faxes"]] == [fax.id]
        assert body["faxes"][0]["station"] == "+49 30 77"
        status, pdf, headers = await site.ask("GET", f"/api/v1/faxes/{fax.id}/pdf")
        assert (status, pdf[:5]) == (200, "%PDF-")
        assert headers.getRawHeaders("content-type") == ["application/pdf"]
        assert (await site.ask("GET", f"/api/v1/faxes/{fax.id}"))[1]["pages"] == 1
        assert (await site.ask("DELETE", f"/api/v1/faxes/{fax.id}"))[0] == 200
        assert (await site.ask("GET", f"/api/v1/faxes/{fax.id}/pdf"))[0] == 404

    async def test_who_may(self, site: Running, desk: FaxDesk, tmp_path: Path) -> None:
        fax, anas = await self.came(desk, tmp_path), await self.came(desk, tmp_path, agent="ana")
        assert (await site.ask("GET", "/api/v1/faxes", NOTHING))[0] == 403
        _, body, _ = await site.ask("GET", "/api/v1/faxes", ANA)
        assert [one["id"] for one in body["faxes"]] == [anas.id]
        assert (await site.ask("GET", f"/api/v1/faxes/{fax.id}", ANA))[0] == 404


async def test_where_there_is_no_fax_it_says_so() -> None:
    async with running() as site:
        status, problem, _ = await site.ask("GET", "/api/v1/faxes")
        assert (status, problem["detail"]) == (404, "there is no fax here: fax.lines in easycall.toml is 0")
        assert (await upload(site, two_pages()))[0] == 404
