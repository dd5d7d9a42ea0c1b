"""The lab's own voice: noise that is as long as the text, for machines without espeak-ng."""

from __future__ import annotations

import subprocess

import pytest

from easycall.lab.tones import MU_LAW, OTHER, sound_of
from easycall.lab.voice import SPEAK, spoken

RATE = 8000


@pytest.mark.parametrize(("text", "seconds"), [("", 0.3), ("Hi", 0.3), ("x" * 45, 3.0), ("技术支持" * 15, 4.0)])
def test_it_takes_as_long_as_somebody_who_reads_aloud(text: str, seconds: float) -> None:
    assert len(spoken(text, "en")) == 2 * seconds * RATE


def test_the_program_says_the_same_each_time_and_another_voice_something_else() -> None:
    command = [word.replace("{voice}", "en-us") for word in SPEAK]
    done = subprocess.run(command, input="Welcome. 您好".encode(), capture_output=True, timeout=10, check=True)
    assert done.stdout == spoken("Welcome. 您好", "en-us") != spoken("Welcome. 您好", "cmn")


def test_an_ear_hears_speech_and_no_tone() -> None:
    samples = memoryview(spoken("Please stay on the line.", "en")).cast("h")
    codes = bytes(min(range(256), key=lambda code: abs(MU_LAW[code] - sample)) for sample in samples[:160])
    assert sound_of(codes) == OTHER
