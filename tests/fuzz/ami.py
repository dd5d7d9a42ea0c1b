"""Fuzz AMI's codec: ``python -m tests.fuzz.ami``.

Whatever comes, it is messages or a ProtocolError, the same however the stream is cut; what is sent is read as it was meant,
or refused.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["easycall.asterisk"]):
    from easycall.asterisk import ami
    from easycall.asterisk.ami import Action, Codec, Message, ProtocolError, UnsafeValue

from tests.fuzz.driver import fuzz, pieces

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
WANTED = ("Newchannel", "Hangup", "FullyBooted", "OriginateResponse")
TOKENS = (
    *(b"\r\n\r\n", b"\r\n", b"\n", b"Event: ", b"Response: ", b"ActionID: list", b"EventList: Complete", b"Output: "),
    *(b"Variable: ", b"Asterisk Call Manager/", b"Hangup", b"Newchannel", b"Success", b"ChanVariable: "),
)
# Small enough for the fuzzer to come near.
ami.MAX_LINE, ami.MAX_MESSAGE = 200, 1000


def received(stream: list[bytes], wanted: tuple[str, ...] | None) -> tuple[list[tuple[str, bytes]], int] | None:
    """The messages of a stream and how many were dropped; None for a protocol error."""
    codec = Codec(wanted)
    codec.open_list("list")
    try:
        messages = [message for piece in stream for message in codec.receive(piece)]
    except ProtocolError:
        return None
    for message in messages:
        read(message)
    return [(message.name, message.block) for message in messages], codec.unwanted


def read(message: Message) -> None:
    """Every way to look at a message gives the same."""
    fields = message.fields()
    for name, value in message.headers():
        assert value in message.all(name)
        assert message.get(name) == message.all(name)[0]
    assert all(message.get(name, "?") == value for name, value in fields.items() if name.isascii())
    assert message.name == "" or message.get("Event") == message.name
    assert isinstance(message.ok, bool)


def stream(given: atheris.FuzzedDataProvider) -> None:
    """What Asterisk could send."""
    cuts = given.ConsumeIntListInRange(4, 0, 2000)
    wanted = None if given.ConsumeBool() else WANTED
    data = given.ConsumeBytes(4096)
    if not data.startswith(GREETING[:8]):
        data = GREETING + data
    whole = received([data], wanted)
    assert received(pieces(data, cuts), wanted) == whole
    if len(data) < 400:
        assert received([data[at : at + 1] for at in range(len(data))], wanted) == whole


def action(given: atheris.FuzzedDataProvider) -> None:
    """What we could be asked to send."""
    name = given.ConsumeUnicode(12)
    headers = tuple((given.ConsumeUnicode(12), given.ConsumeUnicode(60)) for _ in range(given.ConsumeIntInRange(0, 6)))
    try:
        data = Codec.encode(Action(name, headers), "id-1")
    except UnsafeValue:
        return
    assert data.endswith(b"\r\n\r\n")
    lines = data[:-4].split(b"\r\n")
    assert not any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0"))
    assert all(0 < len(line) <= ami.MAX_ACTION_LINE for line in lines)
    assert Message(data[:-4]).headers() == [("Action", name), ("ActionID", "id-1"), *headers]


def variable(given: atheris.FuzzedDataProvider) -> None:
    """A channel variable is one, as Asterisk splits them."""
    name, value = given.ConsumeUnicode(12), given.ConsumeUnicode(60)
    try:
        text = ami.variable(name, value)
    except UnsafeValue:
        return
    assert not set(text) & set(',"\\\r\n\0')
    assert text.partition("=") == (name, "=", value)


def one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    given = atheris.FuzzedDataProvider(data)
    (stream, stream, stream, action, variable)[given.ConsumeIntInRange(0, 4)](given)


if __name__ == "__main__":
    fuzz("ami", one_input, TOKENS)
