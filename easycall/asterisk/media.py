"""The media verbs of a leg at home, as commands of its FastAGI session.  All raise SessionOver when the leg leaves home.

What Asterisk cannot play is said in the log and passed over, and the call goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from twisted.logger import Logger

from easycall.asterisk.fastagi import CommandFailed, Session
from easycall.model import Speaks

__all__ = ["attend", "collect", "listen", "music", "play", "record", "remember"]

log = Logger()

LISTEN_SECONDS = 4 * 3600.0
"""After so long the session of a leg that listens is given up; it comes home anew and may listen again."""

SPEAKS: Mapping[Speaks, str] = {Speaks.NOBODY: "", Speaks.ONE: "w", Speaks.BOTH: "B"}
"""ChanSpy's options for speaking."""

CONFERENCE_SECONDS = 86_400.0
"""How long a leg may be in a conference; then its session is closed, and it goes on there without."""


async def play(session: Session, sounds: Sequence[str], keys: str) -> str:
    """Play sounds; a key of ``keys`` stops them and is returned."""
    for sound in sounds:
        key = await _stream(session, sound, keys)
        if key:
            return key
    return ""


async def collect(session: Session, sounds: Sequence[str], digits: int, seconds: float) -> str:
    """Play, then read keys.  GET DATA takes one file: the earlier ones are played with all keys stopping them."""
    typed = ""
    for sound in sounds[:-1]:
        typed = await _stream(session, sound, "0123456789*#")
        if typed:
            break
    if typed == "#" or len(typed) >= digits:
        return typed.rstrip("#")
    wanted = round(seconds * 1000), digits - len(typed)
    if sounds and not typed:
        with _passed_over(sounds[-1]):
            return (await session.get_data(sounds[-1], *wanted))[0]
    return typed + (await session.get_data("silence/1", *wanted))[0]


async def music(session: Session, name: str | None) -> None:
    """Start music of a class, or stop it."""
    with _passed_over(f"music {name}"):
        await session.set_music(name is not None, name or "")


async def listen(session: Session, leg: str, speaks: Speaks) -> None:
    """Hear another leg by ChanSpy: ``u``, exactly that one; ``q``, without a beep; ``E``, until it ends."""
    with suppress(CommandFailed):  # there is no such leg any more
        await session.exec("ChanSpy", leg, "uqE" + SPEAKS[speaks], seconds=LISTEN_SECONDS)


async def record(session: Session, file: str, seconds: float, silence: float) -> None:
    """Record the far end into a file, after a beep.  Raises CommandFailed."""
    await session.record_file(file, "wav", "#", round(seconds * 1000), beep=True, silence=round(silence))


async def attend(session: Session, room: str, settings: Mapping[str, str]) -> None:
    """Be in a conference, as this kind of user.  Raises CommandFailed."""
    await session.set_music(False)  # it would go on in there
    for name, value in settings.items():
        await session.set_variable(f"CONFBRIDGE(user,{name})", value)
    await session.exec("ConfBridge", room, seconds=CONFERENCE_SECONDS)


async def remember(session: Session, values: Mapping[str, str]) -> None:
    """Set channel variables.  Raises CommandFailed."""
    for key, value in values.items():
        await session.set_variable(key, value)


async def _stream(session: Session, sound: str, keys: str) -> str:
    """Play one sound; the key that stopped it, or ``""``."""
    with _passed_over(sound):
        return await session.stream_file(sound, keys)
    return ""


@contextmanager
def _passed_over(sound: str) -> Iterator[None]:
    """What Asterisk cannot play is said in the log and passed over, and the call goes on."""
    try:
        yield
    except CommandFailed as failure:
        log.error("{sound} cannot be played: {failure}", sound=sound, failure=failure)
