"""A voice for labs that have none: noise, for as long as somebody would take to read the text aloud.

Also a program, ``python voice.py VOICE``: a text on standard input, samples of 8 kHz, mono, 16 bit on standard output.  It
needs nothing but Python, which is why it imports nothing of ours.
"""

from __future__ import annotations

import random
import struct
import sys

__all__ = ["CONVERT", "SPEAK", "spoken"]

SPEAK = (sys.executable, "-I", __file__, "{voice}")
"""``prompts.speak`` of a daemon without espeak-ng."""
CONVERT = ("cat",)
"""``prompts.convert`` of a daemon without sox: the voice gives samples already."""

RATE = 8000
LETTERS_A_SECOND = 15
SHORTEST_SECONDS = 0.3
LOUDNESS = 16
"""What a byte of noise, -128 to 127, is multiplied by: 24 dB below full scale."""


def spoken(text: str, voice: str) -> bytes:
    """The samples; the same for the same text in the same voice."""
    seconds = max(SHORTEST_SECONDS, len(text) / LETTERS_A_SECOND)
    noise = random.Random(voice + text).randbytes(int(seconds * RATE))  # noqa: S311 -- nothing secret in it
    return struct.pack(f"<{len(noise)}h", *((byte - 128) * LOUDNESS for byte in noise))


if __name__ == "__main__":
    sys.stdout.buffer.write(spoken(sys.stdin.read(), sys.argv[1]))
