"""Row F86 on a real disk that is full: the journal's, in the middle of calls."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from easycall.client import Refused

from .callcentre import STRAIGHT, CallCentre
from .people import SOON, talking


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A disk of its own for a folder.  It needs root, as the labs do."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError:
        return filler


async def reasons(centre: CallCentre) -> str:
    try:
        return "; ".join((await centre.client.get("/readyz"))["reasons"])
    except Refused as refusal:
        return "; ".join(refusal.problem["reasons"])


@pytest.mark.fault("F86")
@pytest.mark.requirement("A3")
@pytest.mark.seconds(60)
async def test_calls_go_on_when_the_journals_disk_is_full(centre: CallCentre) -> None:
    await centre.stop_daemon()
    folder = centre.site.file.parent / "journal"
    for old in folder.iterdir():
        old.unlink()
    with small_disk(folder, 256):
        await centre.start_daemon()
        ana = await centre.agent("ana").works()
        filler = fill(folder)
        carl = await centre.caller("carl").dials(STRAIGHT)
        await ana.answers()
        await talking(carl, ana)

        async def told() -> bool:
            await centre.client.put("/api/v1/do-not-call/+49305550199", reason="there is room in the file's last page")
            return "the journal's file cannot be written: No space left on device" in await reasons(centre)

        await centre.until(told, SOON, "the operator is told")
        carl.hangs_up()
        assert (await carl.record())["outcome"] == "answered", "the database has it all the same"
        filler.unlink()

        async def heals() -> bool:
            return not await reasons(centre)

        await centre.until(heals, SOON, "it heals by itself")
        assert (centre.running.journal.dropped, centre.running.journal.trouble) == (0, "")
        await centre.stop_daemon()
        await centre.start_daemon()
