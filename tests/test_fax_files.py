"""Documents and received faxes on the disk, made by the real commands; and what nobody should send in."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from easycall.config import FaxSettings
from easycall.fax import Documents, Inbox, ReceivedFax, Unreadable
from easycall.fax.tiff import count_pages
from easycall.ivr.prompts import CommandMissing
from easycall.verbs import NotNow

from .clocks import clock_at
from .pages import two_pages
from .transcripts.record import white_page


def in_thread(work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
    return deferToThread(work, *arguments)


def settings(folder: Path, **more: Any) -> FaxSettings:
    return evolve(FaxSettings(folder / "fax", "/seen/fax", lines=1), **more)


def documents(folder: Path, **more: Any) -> Documents:
    return Documents(settings(folder, **more), clock_at(), reactor, in_thread)


async def refused(folder: Path, body: bytes, kind: str = "application/pdf", **more: Any) -> str:
    made = documents(folder, **more)
    await made.open()
    with pytest.raises(Unreadable) as why:
        await made.add(io.BytesIO(body), kind, "crm")
    assert not list((folder / "fax/documents").iterdir()), "nothing of it is left"
    return str(why.value)


@pytest.mark.requirement("F6")
class TestDocuments:
    async def test_a_pdf_becomes_pages_of_a_fax(self, tmp_path: Path) -> None:
        made = documents(tmp_path)
        await made.open()
        document = await made.add(io.BytesIO(two_pages()), "application/pdf", "crm")
        assert (document.pages, document.by) == (2, "crm")
        assert made.seen(document) == f"/seen/fax/documents/{document.id}.tiff"
        names = sorted(path.name for path in (tmp_path / "fax/documents").iterdir())
        assert names == [f"{document.id}.json", f"{document.id}.tiff"]
        assert (tmp_path / "fax/documents").stat().st_mode & 0o777 == 0o711
        assert (tmp_path / f"fax/documents/{document.id}.tiff").stat().st_mode & 0o777 == 0o644

    async def test_so_does_a_tiff(self, tmp_path: Path) -> None:
        made = documents(tmp_path)
        await made.open()
        document = await made.add(io.BytesIO(white_page()), "image/tiff", "crm")
        assert document.pages == 1

    async def test_they_are_there_after_a_restart_and_go_when_they_are_old(self, tmp_path: Path) -> None:
        made = documents(tmp_path)
        await made.open()
        document = await made.add(io.BytesIO(white_page()), "image/tiff", "crm")
        (tmp_path / "fax/documents/half.in").touch()
        clock = clock_at()
        again = Documents(settings(tmp_path, document_days=1), clock, reactor, in_thread)
        await again.open()
        assert again.get(document.id) == document
        assert not (tmp_path / "fax/documents/half.in").exists()
        clock.advance(86_401)
        await again.clean()
        assert again.get(document.id) is None
        assert not list((tmp_path / "fax/documents").iterdir())

    async def test_one_is_removed(self, tmp_path: Path) -> None:
        made = documents(tmp_path)
        await made.open()
        document = await made.add(io.BytesIO(white_page()), "image/tiff", "crm")
        assert await made.remove(document.id)
        assert not await made.remove(document.id)
        assert not list((tmp_path / "fax/documents").iterdir())

    async def test_what_is_something_else_is_refused(self, tmp_path: Path) -> None:
        assert await refused(tmp_path, b"GIF89a") == "it is no application/pdf: its first bytes are others"
        assert await refused(tmp_path, two_pages(), "image/tiff") == "it is no image/tiff: its first bytes are others"

    async def test_what_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        assert (await refused(tmp_path, b"%PDF-1.4\n" + bytes(300))).startswith("it has no page that can be read: ")
        assert (await refused(tmp_path, b"II*\0" + bytes(300), "image/tiff")).startswith("it cannot be read: ")

    async def test_what_has_too_many_pages_is_refused(self, tmp_path: Path) -> None:
        assert await refused(tmp_path, two_pages(3), pages=2) == "it has more than 2 pages"

    async def test_a_command_that_takes_too_much_is_ended(self, tmp_path: Path) -> None:
        hungry = ("sh", "-c", "head -c 400000000 /dev/zero >{output}; : {input}")
        assert (await refused(tmp_path, two_pages(), render=hungry)).startswith("it")

    async def test_a_missing_command_is_nobody_elses_fault(self, tmp_path: Path) -> None:
        made = documents(tmp_path, render=("no-such-command", "{input}", "{output}"))
        await made.open()
        with pytest.raises(CommandMissing, match="no-such-command"):
            await made.add(io.BytesIO(two_pages()), "application/pdf", "crm")

    async def test_so_many_wait_and_no_more(self, tmp_path: Path) -> None:
        made = documents(tmp_path)
        await made.open()
        made._waiting = 20
        with pytest.raises(NotNow, match="too many documents"):
            await made.add(io.BytesIO(two_pages()), "application/pdf", "crm")


def came(fax: str, **more: Any) -> ReceivedFax:
    usual = ReceivedFax(fax, clock_at().seconds(), "office", "c1", "+49301", "+49 30 77", 1, True)
    return evolve(usual, **more)


@pytest.mark.requirement("M6")
class TestInbox:
    async def inbox(self, folder: Path, **more: Any) -> Inbox:
        inbox = Inbox(settings(folder, **more), clock_at(), reactor, in_thread)
        await inbox.open()
        return inbox

    async def receive(self, folder: Path, inbox: Inbox, **more: Any) -> ReceivedFax | None:
        """As Asterisk does."""
        fax, seen = inbox.expect()
        assert seen == f"/seen/fax/received/{fax}.tiff"
        (folder / "fax/received" / f"{fax}.tiff").write_bytes(white_page())
        return await inbox.keep(came(fax, **more))

    async def test_pages_are_kept_and_become_a_pdf(self, tmp_path: Path) -> None:
        inbox = await self.inbox(tmp_path)
        fax = await self.receive(tmp_path, inbox)
        assert fax is not None
        assert (await inbox.read(fax, "pdf")).startswith(b"%PDF-")
        assert await inbox.read(fax, "tiff") == white_page()
        again = await self.inbox(tmp_path)
        assert again.get(fax.id) == fax

    async def test_a_fax_without_a_page_is_none(self, tmp_path: Path) -> None:
        inbox = await self.inbox(tmp_path)
        assert await inbox.keep(came(inbox.expect()[0])) is None
        assert await self.receive(tmp_path, inbox, pages=0) is None
        assert not list((tmp_path / "fax/received").iterdir())

    async def test_a_fax_of_which_no_pdf_can_be_made_is_kept_all_the_same(self, tmp_path: Path) -> None:
        inbox = await self.inbox(tmp_path, to_pdf=("false", "{input}", "{output}"))
        fax = await self.receive(tmp_path, inbox)
        assert fax is not None
        with pytest.raises(OSError, match="No such file"):
            await inbox.read(fax, "pdf")

    async def test_they_are_listed_by_page_box_and_agent(self, tmp_path: Path) -> None:
        inbox = await self.inbox(tmp_path)
        faxes = [
            await self.receive(tmp_path, inbox, box=box, agent=agent) for box, agent in (("a", ""), ("b", "ana"), ("a", ""))
        ]
        first, second, third = faxes
        assert inbox.latest(2) == [third, second]
        assert second is not None
        assert inbox.latest(2, second.id) == [first]
        assert inbox.latest(9, box="a") == [third, first]
        assert inbox.latest(9, agent="ana") == [second]

    async def test_one_is_thrown_away(self, tmp_path: Path) -> None:
        inbox = await self.inbox(tmp_path)
        fax = await self.receive(tmp_path, inbox)
        assert fax is not None
        assert await inbox.remove(fax.id)
        assert not list((tmp_path / "fax/received").iterdir())

    async def test_what_came_while_we_were_away_is_not_lost(self, tmp_path: Path) -> None:
        inbox = await self.inbox(tmp_path)
        (tmp_path / "fax/received/orphan.tiff").write_bytes(white_page())
        again = await self.inbox(tmp_path)
        assert (tmp_path / "fax/received/orphan.tiff").exists()
        assert again.latest(9) == inbox.latest(9) == []


class TestCountingPages:
    def test_of_real_ones(self) -> None:
        assert count_pages(io.BytesIO(white_page()), 9) == 1

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "cut short"),
            (b"GIF89a..", "no TIFF"),
            (b"II*\0\x08\0\0\0", "cut short"),
            (b"II*\0\x08\0\0\0\0\0", "damaged"),
            (b"MM\0*\0\0\0\x08\0\x01" + bytes(12) + b"\0\0\0\x08", "circles"),
        ],
    )
    def test_of_others(self, data: bytes, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            count_pages(io.BytesIO(data), 9)

    def test_no_more_than_asked(self) -> None:
        pages = b"".join(struct.pack("<H12xI", 1, 8 + 18 * (number + 1)) for number in range(100))
        assert count_pages(io.BytesIO(b"II*\0\x08\0\0\0" + pages), 5) == 5

    @given(st.binary(max_size=200))
    def test_whatever_it_is(self, data: bytes) -> None:
        for head in (b"II*\0", b"MM\0*"):
            with contextlib.suppress(ValueError):
                assert 0 <= count_pages(io.BytesIO(head + data), 50) <= 50
