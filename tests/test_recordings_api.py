"""Recordings over HTTP: lists, ranges, rights, and what nobody gets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor

from easycall.api.media import part_of
from easycall.events import (
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    Offered,
    RecordingHeard,
    RecordingPaused,
    RecordingResumed,
    RecordingStarted,
    RecordingStopped,
)
from easycall.model import EndedBy, Outcome
from easycall.store.recordings import RecordingFiles
from tests.fakes_api import ANA, NOTHING, OTHER, TOKEN, Running, pause, running
from tests.test_api import check_problem, raw

SOUND = bytes(range(256)) * 1000
DAY = 1_800_000_000.0
"""2027-01-15, 08:00 UTC."""


def story(contact: str, recording: str, at: float, agent: str = "ana", file: str = "") -> list[Event]:
    """A contact that was recorded."""
    of: dict[str, Any] = {"contact": contact, "agent": agent}
    mine: dict[str, Any] = {"recording": recording, **of}
    return [
        ContactArrived(at=at, contact=contact, pbx="main", leg="1", caller="1", caller_name="", dialled="9"),
        Offered(at=at, queue="cards", attempt=1, **of),
        Answered(at=at + 1, queue="cards", waited=1.0, **of),
        RecordingStarted(at=at + 1, file=file or f"2027/01/15/{recording}.wav", why="queue", **mine),
        RecordingPaused(at=at + 2, why="agent", **mine),
        RecordingResumed(at=at + 4, why="agent", **mine),
        RecordingStopped(at=at + 9, why="ended", **mine),
        ContactEnded(at=at + 9, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER, **of),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    (folder / "2027/01/15").mkdir(parents=True)
    (folder / "2027/01/15/R1.wav").write_bytes(SOUND)
    return folder


@pytest_twisted.async_yield_fixture
async def site(folder: Path) -> AsyncIterator[Running]:
    async with running(folder) as site:
        site.journal.events = [*story("c1", "R1", DAY), *story("c2", "R2", DAY + 86400, "bo")]
        yield site


async def sound(site: Running, path: str = "/api/v1/recordings/R1/audio", verb: str = "GET", **headers: str) -> Any:
    """Status, body, headers."""
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    answer = await treq.request(verb, site.url(path), headers=headers, persistent=False, timeout=10)
    found = {name: values[0] for name, values in answer.headers.getAllRawHeaders()}
    return answer.code, await answer.content(), {**found, b"Content-Length": str(answer.length).encode()}


async def head(site: Running, asked: str = "") -> list[bytes]:
    """The lines of the answer to a HEAD: the client above hides the length."""
    lines = ["HEAD /api/v1/recordings/R1/audio HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Connection: close"]
    client = await raw(site, "\r\n".join([*lines, *([f"Range: {asked}"] if asked else []), "", ""]).encode())
    start, _, body = (await client.over).partition(b"\r\n\r\n")
    assert body == b""
    return start.split(b"\r\n")


@pytest_twisted.ensureDeferred
async def test_the_recordings_of_a_contact(site: Running) -> None:
    code, body, _ = await site.ask("GET", "/api/v1/recordings?contact=c1")
    assert (code, body["next"]) == (200, None)
    assert body["recordings"] == [
        {
            "id": "R1",
            "contact": "c1",
            "started": DAY + 1,
            "ended": DAY + 9,
            "seconds": 8,
            "gaps": [{"started": DAY + 2, "ended": DAY + 4, "why": "agent"}],
        }
    ]
    assert (await site.ask("GET", "/api/v1/recordings/R1"))[1] == body["recordings"][0]
    record = (await site.ask("GET", "/api/v1/contacts/c1"))[1]
    assert record["recordings"] == body["recordings"]


@pytest_twisted.ensureDeferred
async def test_pages_of_recordings(site: Running) -> None:
    async def listed(query: str) -> tuple[list[str], str | None]:
        code, body, _ = await site.ask("GET", f"/api/v1/recordings{query}")
        assert code == 200
        return [one["id"] for one in body["recordings"]], body["next"]

    assert await listed("") == (["R2", "R1"], None)
    assert await listed("?limit=1") == (["R2"], "R2")
    assert await listed("?limit=1&before=R2") == (["R1"], "R1")
    assert await listed("?day=2027-01-15") == (["R1"], None)
    assert await listed("?day=2027-01-17") == ([], None)


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("?day=15.1.2027", 422, "day"),
        ("?day=2027-02-30", 422, "day"),
        ("?day=9999-12-31", 422, "day"),
        ("?limit=0", 422, "limit"),
        ("?contact=c1&limit=5", 422, "contact"),
        ("?contact=nobody", 404, ""),
        ("?agent=ana", 400, "agent"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_listed(site: Running, query: str, status: int, field: str) -> None:
    check_problem(await site.ask("GET", f"/api/v1/recordings{query}"), status, field)


@pytest_twisted.ensureDeferred
async def test_the_whole_sound(site: Running) -> None:
    code, body, headers = await sound(site)
    assert (code, body) == (200, SOUND)
    assert headers[b"Content-Type"] == b"audio/wav"
    assert headers[b"Content-Length"] == b"256000"
    assert headers[b"Accept-Ranges"] == b"bytes"
    assert headers[b"Content-Disposition"] == b'inline; filename="R1.wav"'
    assert headers[b"Cache-Control"] == b"no-store"
    assert {b"HTTP/1.1 200 OK", b"Content-Length: 256000"} <= set(await head(site))


@pytest.mark.parametrize(
    ("asked", "first", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-", 100, 255_900),
        ("bytes=1000-70999", 1000, 70_000),
        ("bytes=-10", 255_990, 10),
        ("bytes=-999999", 0, 256_000),
        ("bytes=255999-999999999999", 255_999, 1),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_part_of_the_sound(site: Running, asked: str, first: int, length: int) -> None:
    code, body, headers = await sound(site, Range=asked)
    assert (code, body) == (206, SOUND[first : first + length])
    assert headers[b"Content-Range"] == f"bytes {first}-{first + length - 1}/256000".encode()
    assert headers[b"Content-Length"] == str(length).encode()
    assert {b"HTTP/1.1 206 Partial Content", f"Content-Length: {length}".encode()} <= set(await head(site, asked))


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=999999-1000000", "bytes=-0"])
@pytest_twisted.ensureDeferred
async def test_a_part_that_is_not_there(site: Running, asked: str) -> None:
    code, body, headers = await sound(site, Range=asked)
    assert (code, body, headers[b"Content-Range"]) == (416, b"", b"bytes */256000")


@pytest.mark.parametrize(
    "asked", ["bytes=5-2", "bytes=0-1,5-9", "bytes=", "bytes=-", "lines=1-2", "bytes=a-b", "x", "bytes=1-\xb2"]
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_range_is_all_of_it(site: Running, asked: str) -> None:
    assert (await sound(site, Range=asked))[:2] == (200, SOUND)


@given(
    st.one_of(st.none(), st.text(max_size=20), st.from_regex(r"bytes=[0-9]{0,5}-[0-9]{0,5}", fullmatch=True)),
    st.integers(0, 999),
)
def test_a_part_lies_within_the_file(header: str | None, size: int) -> None:
    part = part_of(header, size)
    if part is not None and part[1]:
        assert 0 <= part[0] < part[0] + part[1] <= size


@pytest_twisted.ensureDeferred
async def test_who_listens_is_journalled_once_in_a_while(site: Running) -> None:
    await sound(site, verb="HEAD")
    assert not [event for event in site.journal.events if isinstance(event, RecordingHeard)]
    await sound(site)
    await sound(site, Range="bytes=100-")
    await sound(site, Authorization=f"Bearer {OTHER}")
    heard = [event for event in site.journal.events if isinstance(event, RecordingHeard)]
    assert [(event.by, event.recording, event.contact) for event in heard] == [("crm", "R1", "c1"), ("wall", "R1", "c1")]


@pytest.mark.fault("A44")
@pytest_twisted.ensureDeferred
async def test_who_may_not(site: Running) -> None:
    for path in ("", "/R1", "/R1/audio"):
        assert "lacks the right 'recordings'" in check_problem(
            await site.ask("GET", f"/api/v1/recordings{path}", NOTHING), 403
        )
    for path in ("/R2", "/R2/audio", "?contact=c2"):  # Bo's
        check_problem(await site.ask("GET", f"/api/v1/recordings{path}", ANA), 404)
    assert (await site.ask("GET", "/api/v1/recordings/R1", ANA))[0] == 200
    assert (await site.ask("GET", "/api/v1/recordings?contact=c1", ANA))[0] == 200
    check_problem(await site.ask("GET", "/api/v1/recordings", ANA), 403)


@pytest.mark.fault("A42")
@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "....//",
        "%2fetc%2fpasswd",
        "R1%00",
        "..%252f..%252fetc",
        "R1.wav",
        "2027%2f01%2f15%2fR1",
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_other_file_is_reached(site: Running, name: str) -> None:
    for path in (name, f"{name}/audio"):
        lines = [f"GET /api/v1/recordings/{path} HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Connection: close"]
        client = await raw(site, "\r\n".join([*lines, "", ""]).encode())
        status = (await client.over).split(b" ")[1]
        assert status in (b"400", b"404"), status


@pytest.mark.fault("A42", "A43")
@pytest.mark.parametrize(
    "file",
    [
        "../secret.wav",
        "/etc/passwd",
        "2027/01/15/../../../secret.wav",
        "2027/01/15/link.wav",
        "2027/02/15/R1.wav",
        "2027/01/15",
        "",
    ],
)
@pytest_twisted.ensureDeferred
async def test_not_even_when_the_journal_names_it(site: Running, folder: Path, file: str) -> None:
    (folder.parent / "secret.wav").write_bytes(b"secret")
    (folder / "2027/01/15/link.wav").symlink_to(folder.parent / "secret.wav")
    (folder / "2027/02").symlink_to(folder / "2027/01")
    os.mkfifo(folder / "2027/01/15/fifo.wav")
    for named in (file, "2027/01/15/fifo.wav"):
        site.journal.events = story("c3", "R3", DAY, file=named or "2027/01/15/R3.wav")
        answer = await site.ask("GET", "/api/v1/recordings/R3/audio")
        assert check_problem(answer, 404) == "there is no file of this recording"
    assert not [event for event in site.journal.events if isinstance(event, RecordingHeard)]


@pytest_twisted.ensureDeferred
async def test_what_still_runs_is_not_heard(site: Running) -> None:
    site.journal.events = story("c3", "R3", DAY)[:4]
    original = site.journal.recording

    async def running_one(recording: str) -> Any:
        found = await original(recording)
        return found and (found[0], evolve(found[1], ended=None))

    site.journal.recording = running_one  # type: ignore[method-assign]
    assert check_problem(await site.ask("GET", "/api/v1/recordings/R3/audio"), 409) == "it is still being recorded"


@pytest_twisted.ensureDeferred
async def test_a_listener_who_leaves_keeps_nothing_open(site: Running, folder: Path) -> None:
    (folder / "2027/01/15/R1.wav").write_bytes(SOUND * 100)
    request = f"GET /api/v1/recordings/R1/audio HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    client = await raw(site, request.encode())
    while not client.heard:
        await pause()
    client.transport.abortConnection()
    for _ in range(100):
        await pause()
        if not any("R1.wav" in name for name in opened()):
            return
    raise AssertionError(opened())


def opened() -> Iterator[str]:
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue


# The files themselves


@pytest_twisted.ensureDeferred
async def test_how_long_a_file_is(folder: Path) -> None:
    files = RecordingFiles(folder, reactor)
    assert await files.size("2027/01/15/R1.wav") == 256_000
    assert await files.size("2027/01/15/R9.wav") is None
    assert await RecordingFiles(folder / "nowhere", reactor).size("2027/01/15/R1.wav") is None


@pytest.mark.fault("A86")
def test_the_folder_is_made_for_us_and_our_group(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    RecordingFiles(folder, reactor).prepare()
    assert folder.stat().st_mode & 0o7777 == 0o2770
    RecordingFiles(folder, reactor).prepare()
    with pytest.raises(FileNotFoundError):
        RecordingFiles(tmp_path / "nowhere/recordings", reactor).prepare()
