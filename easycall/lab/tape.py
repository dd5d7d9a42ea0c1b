"""A recording of a simulated call as a wav file: tones are in it as tones, everything else as noise."""

from __future__ import annotations

import math
import random
import struct
import wave
from collections.abc import Sequence
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["WavTape"]

log = Logger()

RATE = 8000
LOUDNESS = 3276
"""Of a tone: 20 dB below full scale."""
FLUSH_SECONDS = 1.0
"""So often what was heard is written, as Asterisk does now and then."""


class WavTape:
    """See :class:`easycall.simulator.mixmonitor.Tape`.  Of a file that cannot be written nobody is told, as by Asterisk."""

    def __init__(self, file: str, clock: IReactorTime) -> None:
        self._clock = clock
        self._sounds: Sequence[str] = ()
        self._written = 0
        self._began = clock.seconds()
        self._timer: IDelayedCall | None = None
        self._wav: wave.Wave_write | None = None
        try:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            self._raw = open(file, "wb")  # noqa: SIM115 - closed by stop
        except OSError as error:
            log.warn("the simulated Asterisk cannot write {file}: {why}", file=file, why=error.strerror)
            return
        self._wav = wave.open(self._raw, "wb")  # noqa: SIM115 - the same
        self._wav.setnchannels(1)
        self._wav.setsampwidth(2)
        self._wav.setframerate(RATE)
        self._flush()

    def hears(self, sounds: Sequence[str]) -> None:
        """These sounds are recorded at once from now on."""
        self._write()
        self._sounds = sounds

    def stop(self) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()
        wav, self._wav = self._wav, None
        if wav is not None:
            wav.close()
            self._raw.close()

    def _flush(self) -> None:
        self._write()
        self._timer = self._clock.callLater(FLUSH_SECONDS, self._flush)

    def _write(self) -> None:
        """Write what was heard up to now."""
        if self._wav is None:
            return
        end = round((self._clock.seconds() - self._began) * RATE)
        samples = [self._sample(number) for number in range(self._written, end)]
        self._written = max(end, self._written)
        self._wav.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        self._raw.flush()

    def _sample(self, number: int) -> int:
        return sum(
            round(LOUDNESS * math.sin(2 * math.pi * int(sound) * number / RATE))
            if sound.isdecimal()
            else random.randrange(-LOUDNESS, LOUDNESS)  # noqa: S311 - noise
            for sound in self._sounds
        )
