"""Fuzz AGI's codec: ``python -m tests.fuzz.agi``.

Whatever comes, it is items or a ProtocolError, the same however the stream is cut; each word of a command arrives as it is,
or is refused.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["easycall.asterisk"]):
    from easycall.asterisk import agi
    from easycall.asterisk.agi import Codec, Environment, Hangup, ProtocolError, Reply, UnsafeValue

from tests.fuzz.driver import fuzz, pieces
from tests.test_agi import parsed

ENVIRONMENT = b"agi_network: yes\nagi_uniqueid: 17.1\nagi_arg_1: caller\n\n"
TOKENS = (
    *(b"\n", b"\n\n", b"agi_", b"agi_arg_2: ", b"200 result=", b"200 result=1 (", b")\n", b" endpos=", b"HANGUP\n", b"510 "),
    *(b"511 ", b"520-", b"520 End of proper usage.\n", b"100 result=0 Trying...\n", b" (timeout)", b" (speech) endpos=1"),
)
# Small enough for the fuzzer to come near.
agi.MAX_REPLY, agi.MAX_ENVIRONMENT, agi.MAX_ENVIRONMENT_LINE, agi.MAX_ENVIRONMENT_LINES = 200, 600, 100, 30


def received(stream: list[bytes]) -> tuple[list[Environment | Reply | Hangup], bool] | None:
    """The items of a stream, and whether nothing is left over; None for a protocol error."""
    codec = Codec()
    try:
        return [item for piece in stream for item in codec.receive(piece)], codec.clean
    except ProtocolError:
        return None


def stream(given: atheris.FuzzedDataProvider) -> None:
    """What a peer could send."""
    cuts = given.ConsumeIntListInRange(4, 0, 1000)
    data = given.ConsumeBytes(4096)
    if not data.startswith(b"agi"):
        data = ENVIRONMENT + data
    whole = received([data])
    assert received(pieces(data, cuts)) == whole
    if len(data) < 400:
        assert received([data[at : at + 1] for at in range(len(data))]) == whole
    if whole is not None:
        for item in whole[0][1:]:
            assert not isinstance(item, Environment)


def command(given: atheris.FuzzedDataProvider) -> None:
    """What we could be asked to send."""
    words = [given.ConsumeUnicode(60) for _ in range(given.ConsumeIntInRange(0, 6))]
    try:
        line = agi.command("SET VARIABLE", *words)
    except UnsafeValue:
        return
    assert line.endswith(b"\n")
    assert not any(byte in line[:-1] for byte in (b"\r", b"\n", b"\0"))
    assert len(line) <= agi.MAX_COMMAND + 1
    assert parsed(line) == ["SET", "VARIABLE", *words]


def one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    given = atheris.FuzzedDataProvider(data)
    (stream, stream, stream, command)[given.ConsumeIntInRange(0, 3)](given)


if __name__ == "__main__":
    fuzz("agi", one_input, TOKENS)
