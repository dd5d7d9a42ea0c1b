"""What both targets share: the seeds, libFuzzer's options, and feeding a stream in pieces."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import atheris

__all__ = ["fuzz", "pieces"]

HERE = Path(__file__).resolve().parent
FOUND = HERE.parent.parent / "var" / "fuzz"
SECONDS = os.environ.get("SECONDS", "60")
SEED_BYTES = 3000


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """``data`` cut at those places."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


def fuzz(name: str, one_input: Callable[[bytes], None], tokens: Sequence[bytes]) -> None:
    """Run a target for SECONDS, from the recorded transcripts and what earlier runs found on.  Does not return.

    Given files, it runs those only: ``python -m tests.fuzz.ami var/fuzz/ami-crash-…`` shows a failure again.
    """
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    for transcript in (HERE.parent / "transcripts").glob(f"{name}-*.txt"):
        stream = transcript.read_bytes()
        for at in range(0, min(len(stream), 10 * SEED_BYTES), SEED_BYTES):
            (found / f"seed-{transcript.stem}-{at}").write_bytes(stream[at : at + SEED_BYTES] + bytes(16))
    words = FOUND / f"{name}.dict"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in tokens))
    options = [
        f"-max_total_time={SECONDS}",
        f"-dict={words}",
        f"-artifact_prefix={FOUND}/{name}-",
        *("-max_len=4096", "-timeout=5", "-print_final_stats=1", "-verbosity=0"),
    ]
    atheris.Setup([sys.argv[0], *options, *(sys.argv[1:] or [str(found)])], one_input)
    atheris.Fuzz()
