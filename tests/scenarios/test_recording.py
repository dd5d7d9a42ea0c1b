"""Talks are recorded: proved by the tones people speak, which are in the file, or are not."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Mapping
from typing import Any

import pytest

from easycall.client import Refused
from easycall.lab.tones import tones_in

from .callcentre import CallCentre, after
from .people import SOON, Agent, Caller, hears, talking
from .test_call_control import asks

MUSIC, CUSTOMER, AGENT = 440, 700, 1000
WINDOW_SECONDS = 0.1
EDGE_SECONDS = 0.4
"""So far the clock of the file may be from ours, at the beginning of a stretch and at its end."""
TALK_SECONDS = 1.2


class Sound:
    """The sound of a recording, and which tones are in it when."""

    def __init__(self, wav: bytes, recording: Mapping[str, Any]) -> None:
        with wave.open(io.BytesIO(wav)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
            frames = file.readframes(file.getnframes())
        samples = struct.unpack(f"<{len(frames) // 2}h", frames)
        size = int(WINDOW_SECONDS * 8000)
        self.windows = [tones_in(samples[at : at + size]) for at in range(0, len(samples) - size, size)]
        self.seconds = len(samples) / 8000
        self._began = recording["started"]

    def within(self, first: float, last: float) -> list[frozenset[int]]:
        """The windows between two moments, without those at the edges."""
        low, high = (
            round((at - self._began + edge) / WINDOW_SECONDS) for at, edge in ((first, EDGE_SECONDS), (last, -EDGE_SECONDS))
        )
        found = self.windows[max(0, low) : high]
        assert found, f"nothing between {first - self._began:.2f} and {last - self._began:.2f} of {self.seconds:.2f} s"
        return found

    def mostly(self, first: float, last: float) -> set[int]:
        """The tones that are in most of the windows between two moments."""
        found = self.within(first, last)
        return {tone for tone in (MUSIC, CUSTOMER, AGENT) if sum(tone in one for one in found) > 0.7 * len(found)}

    def ever(self, first: float, last: float) -> set[int]:
        """The tones that are in any of them."""
        return set().union(*self.within(first, last))


async def speaking(centre: CallCentre) -> tuple[Caller, Agent]:
    """A caller who talks with Ana, both all the time."""
    ana = await centre.agent("ana").works()
    carl = await centre.caller("carl").dials(speaks=True)
    await carl.chooses("1", "sales")
    await ana.answers()
    await talking(carl, ana)
    return carl, ana


async def recorded(centre: CallCentre, caller: Caller) -> tuple[Mapping[str, Any], Sound]:
    """The one recording of a caller who has hung up, and its sound."""
    [recording] = (await caller.record())["recordings"]
    listed = await centre.client.get(f"/api/v1/recordings?contact={await caller.contact()}")
    assert [one["id"] for one in listed["recordings"]] == [recording["id"]]
    sounds: list[bytes] = []

    async def written() -> bool:
        sounds[:] = [await centre.client.get(f"/api/v1/recordings/{recording['id']}/audio")]
        with wave.open(io.BytesIO(sounds[0])) as file:
            return file.getnframes() > 0  # Asterisk completes the file when the leg is gone

    await centre.until(written, SOON, "the file is complete")
    return recording, Sound(sounds[0], recording)


@pytest.mark.site(record="always")
async def test_a_recording_with_a_pause_across_a_transfer(centre: CallCentre) -> None:
    carl, _ = await speaking(centre)
    bo = await centre.agent("bo").works()
    await after(centre.reactor, TALK_SECONDS)
    assert (await asks(carl, "record", action="pause"))["recording"] == "paused"
    paused = centre.running.journal._clock.seconds()
    await after(centre.reactor, TALK_SECONDS)
    await asks(carl, "transfer", agent="bo")
    await bo.answers()
    await talking(carl, bo)
    await after(centre.reactor, TALK_SECONDS)
    resumed = centre.running.journal._clock.seconds()
    assert (await asks(carl, "record", action="resume"))["recording"] == "on"
    await talking(carl, bo)
    await after(centre.reactor, TALK_SECONDS)
    gone = centre.running.journal._clock.seconds()
    carl.hangs_up()
    recording, sound = await recorded(centre, carl)
    assert abs(sound.seconds - recording["seconds"]) < 0.5
    assert sound.mostly(recording["started"], paused) == {CUSTOMER, AGENT}
    assert sound.ever(paused, resumed) == set()
    assert sound.mostly(resumed, gone) == {CUSTOMER, AGENT}
    assert MUSIC not in sound.ever(recording["started"], gone)
    assert [gap["why"] for gap in recording["gaps"]] == ["agent", "waiting"]


@pytest.mark.site(record="always")
async def test_a_recording_through_hold_and_consultation(centre: CallCentre) -> None:
    carl, ana = await speaking(centre)
    bo = await centre.agent("bo").works()
    await asks(carl, "hold")
    held = centre.running.journal._clock.seconds()
    await hears(carl, "music")
    await asks(carl, "consult", agent="bo")
    await bo.answers()
    await talking(ana, bo)
    await after(centre.reactor, TALK_SECONDS)
    joined = centre.running.journal._clock.seconds()
    await asks(carl, "complete")
    await talking(carl, bo)
    await after(centre.reactor, TALK_SECONDS)
    gone = centre.running.journal._clock.seconds()
    carl.hangs_up()
    recording, sound = await recorded(centre, carl)
    assert sound.ever(held, joined) == set()
    assert sound.mostly(joined, gone) == {CUSTOMER, AGENT}
    assert [gap["why"] for gap in recording["gaps"]] == ["hold"]


async def test_a_talk_is_recorded_when_the_agent_asks_and_until_the_agent_stops(centre: CallCentre) -> None:
    carl, ana = await speaking(centre)
    assert (await asks(carl, "record", action="start"))["recording"] == "on"
    await talking(carl, ana)
    await after(centre.reactor, TALK_SECONDS)
    assert (await asks(carl, "record", action="stop"))["recording"] is None
    with pytest.raises(Refused, match="nothing is recorded"):
        await asks(carl, "record", action="pause")
    await talking(carl, ana)
    carl.hangs_up()
    recording, sound = await recorded(centre, carl)
    assert sound.mostly(recording["started"], recording["ended"]) == {CUSTOMER, AGENT}
    assert abs(sound.seconds - recording["seconds"]) < 0.5
    assert recording["gaps"] == []
    heard = await centre.feed.wait("recording.heard", SOON, recording=recording["id"])
    assert heard["by"] == "lab"


@pytest.mark.fault("F86")
@pytest.mark.site(record="always", recordings="unwritable")
async def test_where_asterisk_cannot_write_the_talk_goes_on_and_somebody_is_told(centre: CallCentre) -> None:
    carl, ana = await speaking(centre)
    failed = await centre.feed.wait("recording.failed", 2 * SOON)
    assert failed["why"] == "there is no file"
    await talking(carl, ana)
    carl.hangs_up()
    [recording] = (await carl.record())["recordings"]
    assert [gap["why"] for gap in recording["gaps"]] == ["fault"]
    with pytest.raises(Refused, match="there is no file of this recording"):
        await centre.client.get(f"/api/v1/recordings/{recording['id']}/audio")


@pytest.mark.requirement("P1")
@pytest.mark.site(record="always")
async def test_a_recording_goes_on_after_a_restart(centre: CallCentre) -> None:
    """It is the same recording, with nothing missing; and what pauses it is known and undone."""
    carl, _ = await speaking(centre)
    await centre.restart_daemon()
    await after(centre.reactor, TALK_SECONDS)
    await asks(carl, "hold")
    await centre.feed.wait("recording.paused", SOON, why="hold")
    held = centre.reactor.seconds()
    await centre.restart_daemon()
    await asks(carl, "retrieve")
    retrieved = await centre.feed.wait("recording.resumed", SOON, why="hold")
    await after(centre.reactor, TALK_SECONDS)
    ended = centre.reactor.seconds()
    carl.hangs_up()
    recording, sound = await recorded(centre, carl)
    assert [gap["why"] for gap in recording["gaps"]] == ["hold"]
    assert sound.mostly(recording["started"], held) == {CUSTOMER, AGENT}
    assert sound.mostly(retrieved["at"], ended) == {CUSTOMER, AGENT}


@pytest.mark.requirement("P1")
@pytest.mark.site(record="always")
async def test_a_recording_that_the_agent_has_stopped_is_not_begun_again_by_a_restart(centre: CallCentre) -> None:
    carl, _ = await speaking(centre)
    assert (await asks(carl, "record", action="stop"))["recording"] is None
    await centre.restart_daemon()
    bo = await centre.agent("bo").works()
    await asks(carl, "transfer", agent="bo")
    await bo.answers()
    await talking(carl, bo)
    carl.hangs_up()
    [recording] = (await carl.record())["recordings"]
    assert recording["id"]
