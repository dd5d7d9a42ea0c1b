"""What a frame of telephone sound is: silence, a pure tone, or something richer.  Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

__all__ = ["FRAME_SECONDS", "OTHER", "SILENCE", "TONES", "described", "sound_of", "tones_in"]

FRAME_SECONDS = 0.02
"""The length of an RTP packet's sound."""
TONES = (440, 700, 1000)
"""The pure tones of the lab in Hz: the PBX's music, a caller who talks, an agent who talks."""
SILENCE = 0
OTHER = -1
"""Neither silence nor one of the tones: speech, ringing, two tones at once."""
SILENT_BELOW = 60.0
"""Root mean square of the samples, of 32768 at most: 55 dB below full scale."""
PURE_FROM = 0.8
"""Share of a frame's energy that lies in one tone."""
RATE = 8000


def _decoded(code: int) -> int:
    """One byte of G.711 mu-law as a sample."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 0x07)) - 0x84
    return -magnitude if code & 0x80 else magnitude


MU_LAW = tuple(_decoded(code) for code in range(256))
GOERTZEL = {tone: 2 * math.cos(2 * math.pi * tone / RATE) for tone in TONES}


def sound_of(frame: bytes) -> int:
    """What a frame of G.711 mu-law is: :data:`SILENCE`, the frequency of a tone in Hz, or :data:`OTHER`."""
    samples = [MU_LAW[code] for code in frame]
    energy = sum(sample * sample for sample in samples)
    if not samples or math.sqrt(energy / len(samples)) < SILENT_BELOW:
        return SILENCE
    for tone, factor in GOERTZEL.items():
        if _power(samples, factor) * 2 > PURE_FROM * energy * len(samples):
            return tone
    return OTHER


def tones_in(samples: Sequence[int]) -> frozenset[int]:
    """The tones of the lab in samples, however many at once; fainter ones than 40 dB below full scale do not count."""
    loud = (len(samples) * 328 / 2) ** 2  # the power of a sine is (n * amplitude / 2) squared
    return frozenset(tone for tone, factor in GOERTZEL.items() if _power(samples, factor) > loud)


def _power(samples: Iterable[int], factor: float) -> float:
    """Goertzel's algorithm: the square of the spectrum's magnitude at one frequency."""
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    return last * last + before * before - factor * last * before


def described(sounds: Iterable[int]) -> str:
    """A sequence of frames in words: ``0.40 s of speech or the like, 1.20 s of 440 Hz``."""
    names = {SILENCE: "silence", OTHER: "speech or the like"}
    runs = [(sound, len(list(frames)) * FRAME_SECONDS) for sound, frames in groupby(sounds)]
    return ", ".join(f"{seconds:.2f} s of {names.get(sound, f'{sound} Hz')}" for sound, seconds in runs) or "no sound at all"
