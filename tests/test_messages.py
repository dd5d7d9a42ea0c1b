"""Voice mail in a folder, and what the API shows of it."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.api.media import part_of
from easycall.model import Message
from easycall.store.messages import MessageFiles

from .fakes_api import ANA, NOTHING, Running, running


def message(name: str, box: str = "sales") -> Message:
    return Message(name, box, name, "+4930", "Carl", 1_800_000_000.0)


def record(folder: Path, name: str, seconds: float) -> None:
    """What Asterisk does."""
    with wave.open(str(folder / f"{name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\x01\x02" * round(8000 * seconds))


@pytest.fixture
def files(tmp_path: Path) -> MessageFiles:
    files = MessageFiles(tmp_path / "mail", "/seen", 60, 5, reactor)
    files.make_folder()
    return files


class TestFolder:
    def test_it_is_for_us_and_our_group(self, files: MessageFiles, tmp_path: Path) -> None:
        assert (tmp_path / "mail").stat().st_mode & 0o007 == 0
        files.make_folder()
        assert files.file("c1") == "/seen/c1"

    async def test_what_was_recorded_is_kept_and_listed(self, files: MessageFiles, tmp_path: Path) -> None:
        for name, box in (("c1", "sales"), ("c2", "support"), ("c3", "sales")):
            record(tmp_path / "mail", name, 2.5)
            assert await files.keep(message(name, box)) == 2.5
        assert [one.id for one in await files.page(10)] == ["c3", "c2", "c1"]
        assert [one.id for one in await files.page(1)] == ["c3"]
        assert [one.id for one in await files.page(10, "c3")] == ["c2", "c1"]
        assert [(one.id, one.seconds) for one in await files.page(10, box="support")] == [("c2", 2.5)]
        with await files.open("c2") as sound:
            assert sound.read(4) == b"RIFF"

    async def test_what_is_too_short_or_was_never_recorded_is_none(self, files: MessageFiles, tmp_path: Path) -> None:
        record(tmp_path / "mail", "c1", 0.1)
        assert await files.keep(message("c1")) == 0
        assert await files.keep(message("c2")) == 0
        assert await files.page(10) == []
        assert list((tmp_path / "mail").iterdir()) == []

    @pytest.mark.parametrize("name", ["c9", "../c1", "", "c1.json", "a" * 65])
    async def test_what_is_no_message_is_not_opened(self, files: MessageFiles, tmp_path: Path, name: str) -> None:
        record(tmp_path, "c1", 1)
        (tmp_path / "c1.json").write_text("{}")
        with pytest.raises(FileNotFoundError):
            await files.open(name)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 10)),
        ("bytes=-10", (90, 10)),
        ("bytes=-1000", (0, 100)),
        ("bytes=50-5000", (50, 50)),
        ("bytes=100-", (100, 0)),
        ("bytes=-0", (100, 0)),
        ("bytes=9-1", None),
        ("bytes=0-1,5-6", None),
        ("pages=1-2", None),
    ],
)
def test_what_a_range_asks_for(asked: str | None, part: tuple[int, int] | None) -> None:
    assert part_of(asked, 100) == part


class TestApi:
    @pytest_twisted.async_yield_fixture
    async def site(self, files: MessageFiles, tmp_path: Path) -> AsyncIterator[Running]:
        for name, box in (("c1", "sales"), ("c2", "support")):
            record(tmp_path / "mail", name, 1)
            await files.keep(message(name, box))
        async with running(messages=files) as site:
            yield site

    async def test_messages_are_listed(self, site: Running) -> None:
        status, body, _ = await site.ask("GET", "/api/v1/voicemails")
        assert (status, [one["id"] for one in body["voicemails"]], body["next"]) == (200, ["c2", "c1"], None)
        assert body["voicemails"][1] == {
            "id": "c1",
            "box": "sales",
            "contact": "c1",
            "caller": "+4930",
            "caller_name": "Carl",
            "at": 1_800_000_000.0,
            "seconds": 1.0,
        }
        _, body, _ = await site.ask("GET", "/api/v1/voicemails?limit=1")
        assert ([one["id"] for one in body["voicemails"]], body["next"]) == (["c2"], "c2")
        _, body, _ = await site.ask("GET", "/api/v1/voicemails?box=sales&before=c2")
        assert [one["id"] for one in body["voicemails"]] == ["c1"]

    async def test_a_message_is_heard_whole_or_in_part(self, site: Running) -> None:
        status, _, headers = await site.ask("GET", "/api/v1/voicemails/c1/audio")
        assert (status, headers.getRawHeaders("content-type")) == (200, ["audio/wav"])
        assert headers.getRawHeaders("accept-ranges") == ["bytes"]
        status, body, headers = await site.ask("GET", "/api/v1/voicemails/c1/audio", headers={"Range": "bytes=0-3"})
        assert (status, body) == (206, "RIFF")
        assert headers.getRawHeaders("content-range") == ["bytes 0-3/16044"]
        status, _, headers = await site.ask("GET", "/api/v1/voicemails/c1/audio", headers={"Range": "bytes=99999-"})
        assert (status, headers.getRawHeaders("content-range")) == (416, ["bytes */16044"])

    async def test_what_is_not_there_and_who_may_not(self, site: Running) -> None:
        assert (await site.ask("GET", "/api/v1/voicemails/c3/audio"))[0] == 404
        assert (await site.ask("GET", "/api/v1/voicemails/..%2Fc1/audio"))[0] == 404
        for token in (ANA, NOTHING):
            assert (await site.ask("GET", "/api/v1/voicemails", token))[0] == 403
            assert (await site.ask("GET", "/api/v1/voicemails/c1/audio", token))[0] == 403
        assert (await site.ask("GET", "/api/v1/voicemails?limit=0"))[0] == 422


async def test_a_site_without_voice_mail_has_none() -> None:
    async with running() as site:
        assert (await site.ask("GET", "/api/v1/voicemails"))[1] == {"voicemails": [], "next": None}
        assert (await site.ask("GET", "/api/v1/voicemails/c1/audio"))[0] == 404
