"""Every AGI command of Asterisk 22 as a method, over one that sends a command and gives its answer.

Left out is ASYNCAGI BREAK, which FastAGI does not have.  Methods that play return the key that stopped them, ``""`` for
none.  Keys are never logged and never in the text of an error.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from easycall.asterisk.agi import Reply, UnsafeValue

__all__ = ["COMMAND_SECONDS", "PLAY_SECONDS", "CommandFailed", "Commands", "SessionOver"]

COMMAND_SECONDS = 10.0
"""How long Asterisk may take for a command that does not wait for anything, and beyond what others wait for."""
PLAY_SECONDS = 300.0
"""How long a sound file, an application or a subroutine may take if the caller does not say otherwise."""

_APPLICATION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_SPLITS = re.compile(r'[\x00-\x1f\x7f,"\\]')


class SessionOver(Exception):
    """The leg is not ours any more: hung up, taken into a bridge, or the connection lost.  AGI cannot tell which."""


class CommandFailed(Exception):
    """Asterisk does not know the command, or not with these words, or could not carry it out.  The session goes on."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """Asterisk's code for a command it does not take (510, 520, …); None when it took it and could not carry it out."""


class Commands(ABC):
    """All methods raise SessionOver, CommandFailed and UnsafeValue.  Times are milliseconds where AGI's are."""

    @abstractmethod
    async def command(self, verb: str, *words: str, seconds: float = COMMAND_SECONDS) -> Reply:
        """Send one command and give its answer of code 200; no answer within ``seconds`` ends the session."""

    async def _media(self, verb: str, *words: str, seconds: float = COMMAND_SECONDS) -> Reply:
        """A command of the leg's sound.  Its -1 means a gone leg, or only that it could not be done (no such file)."""
        reply = await self.command(verb, *words, seconds=seconds)
        if reply.result == "-1":
            await self.command("NOOP")  # of a gone leg Asterisk says HANGUP before it answers this
            raise CommandFailed(f"{verb}: it could not be done, the leg is still there")
        return reply

    async def _key(self, verb: str, *words: str, seconds: float) -> str:
        """A command whose result is the ASCII code of a key, 0 for none."""
        result = (await self._media(verb, *words, seconds=seconds)).result
        if not (result.isascii() and result.isdecimal() and int(result) < 128):
            raise CommandFailed(f"{verb}: the answer is no key")
        return chr(int(result)) if int(result) else ""

    async def _done(self, verb: str, *words: str) -> bool:
        """A command whose result is 1 for done and 0 for not."""
        return (await self.command(verb, *words)).result == "1"

    async def _text(self, verb: str, *words: str) -> str | None:
        """A command whose result is 1 with a text, or 0."""
        reply = await self.command(verb, *words)
        return reply.data if reply.result == "1" else None

    # The call

    async def answer(self) -> None:
        """Answer the call if it is not answered."""
        await self._media("ANSWER")

    async def hangup(self, channel: str = "") -> bool:
        """Hang up this or another channel; False when there is none of that name."""
        return (await self.command("HANGUP", *_given(channel))).result == "1"

    async def channel_status(self, channel: str = "") -> int:
        """0 down, 4 ringing at the far end, 5 ringing, 6 up, 7 busy, …; -1 when there is no such channel."""
        return _integer("CHANNEL STATUS", await self.command("CHANNEL STATUS", *_given(channel)))

    async def set_autohangup(self, seconds: int) -> None:
        """Hang up in so many seconds; 0: do not."""
        await self.command("SET AUTOHANGUP", str(seconds))

    async def set_callerid(self, number: str) -> None:
        """Change the caller's number."""
        await self.command("SET CALLERID", number)

    async def set_context(self, context: str) -> None:
        """Where the dialplan goes on afterwards."""
        await self.command("SET CONTEXT", context)

    async def set_extension(self, extension: str) -> None:
        """Where the dialplan goes on afterwards."""
        await self.command("SET EXTENSION", extension)

    async def set_priority(self, priority: str) -> None:
        """Where the dialplan goes on afterwards: a number or a label."""
        await self.command("SET PRIORITY", priority)

    async def set_music(self, on: bool, music_class: str = "") -> None:
        """Start music on hold under the leg (without a class: its default), or stop it."""
        await self.command("SET MUSIC", "on" if on else "off", *_given(music_class))

    async def tdd_mode(self, mode: str) -> bool:
        """``on``, ``off`` or ``mate``; False when the channel cannot do it."""
        return await self._done("TDD MODE", mode)

    # Playing and keys

    async def stream_file(self, file: str, escape: str = "", offset: int = 0, *, seconds: float = PLAY_SECONDS) -> str:
        """Play a sound file from a sample on; a key of ``escape`` stops it."""
        return await self._key("STREAM FILE", file, escape, str(offset), seconds=seconds + COMMAND_SECONDS)

    async def control_stream_file(
        self,
        file: str,
        escape: str = "",
        skip_ms: int = 3000,
        forward: str = "#",
        rewind: str = "*",
        pause: str = "",
        *,
        seconds: float = PLAY_SECONDS,
    ) -> str:
        """Play a sound file in which the caller can move by keys."""
        words = (file, escape, str(skip_ms), forward, rewind, pause)
        return await self._key("CONTROL STREAM FILE", *words, seconds=seconds + COMMAND_SECONDS)

    async def get_data(self, file: str, ms: int, max_digits: int, *, seconds: float = PLAY_SECONDS) -> tuple[str, bool]:
        """Play a file, then read up to ``max_digits`` keys, each within ``ms``; ``#`` ends and is not among them.

        Gives the keys and whether the time was up.
        """
        limit = seconds + max_digits * ms / 1000 + COMMAND_SECONDS
        reply = await self._media("GET DATA", file, str(ms), str(max_digits), seconds=limit)
        return reply.result, reply.data == "timeout"

    async def get_option(self, file: str, escape: str, ms: int, *, seconds: float = PLAY_SECONDS) -> str:
        """Play a file, and wait ``ms`` for a key of ``escape``."""
        return await self._key("GET OPTION", file, escape, str(ms), seconds=seconds + ms / 1000 + COMMAND_SECONDS)

    async def wait_for_digit(self, ms: int) -> str:
        """Wait for one key."""
        if ms < 0:
            raise ValueError("WAIT FOR DIGIT without an end")
        return await self._key("WAIT FOR DIGIT", str(ms), seconds=ms / 1000 + COMMAND_SECONDS)

    async def record_file(
        self, file: str, format: str, escape: str, ms: int, *, offset: int = 0, beep: bool = False, silence: int = 0
    ) -> Reply:
        """Record at most ``ms``, till a key of ``escape`` or so many seconds of silence; ``data`` tells what ended it."""
        if ms <= 0:
            raise ValueError("RECORD FILE without an end")
        words = (
            file,
            format,
            escape,
            str(ms),
            str(offset),
            *_given("beep" if beep else ""),
            *_given(f"s={silence}" if silence else ""),
        )
        return await self._media("RECORD FILE", *words, seconds=ms / 1000 + COMMAND_SECONDS)

    async def say_alpha(self, text: str, escape: str = "") -> str:
        """Spell letters and digits."""
        return await self._key("SAY ALPHA", text, escape, seconds=PLAY_SECONDS)

    async def say_digits(self, digits: str, escape: str = "") -> str:
        """Say digit by digit."""
        return await self._key("SAY DIGITS", digits, escape, seconds=PLAY_SECONDS)

    async def say_number(self, number: int, escape: str = "", gender: str = "") -> str:
        """Say a number."""
        return await self._key("SAY NUMBER", str(number), escape, *_given(gender), seconds=PLAY_SECONDS)

    async def say_phonetic(self, text: str, escape: str = "") -> str:
        """Spell in the phonetic alphabet."""
        return await self._key("SAY PHONETIC", text, escape, seconds=PLAY_SECONDS)

    async def say_date(self, when: int, escape: str = "") -> str:
        """Say the date of a moment in seconds since the epoch."""
        return await self._key("SAY DATE", str(when), escape, seconds=PLAY_SECONDS)

    async def say_time(self, when: int, escape: str = "") -> str:
        """Say the time of day of a moment in seconds since the epoch."""
        return await self._key("SAY TIME", str(when), escape, seconds=PLAY_SECONDS)

    async def say_datetime(self, when: int, escape: str = "", format: str = "", zone: str = "") -> str:
        """Say a moment in a format of voicemail.conf; a zone needs a format."""
        words = (format, *_given(zone)) if format else ()
        return await self._key("SAY DATETIME", str(when), escape, *words, seconds=PLAY_SECONDS)

    # Text and pictures, for channels that have them

    async def receive_char(self, ms: int) -> str:
        """Wait for one character; ``""`` when none came."""
        return await self._key("RECEIVE CHAR", str(ms), seconds=ms / 1000 + COMMAND_SECONDS)

    async def receive_text(self, ms: int) -> str | None:
        """Wait for a text; None when none came."""
        reply = await self.command("RECEIVE TEXT", str(ms), seconds=ms / 1000 + COMMAND_SECONDS)
        return reply.data if reply.result == "1" else None

    async def send_text(self, text: str) -> None:
        """Send a text."""
        await self._media("SEND TEXT", text)

    async def send_image(self, name: str) -> None:
        """Send a picture."""
        await self._media("SEND IMAGE", name)

    # Variables and Asterisk's database

    async def set_variable(self, name: str, value: str) -> None:
        """Set a variable of the channel."""
        await self.command("SET VARIABLE", name, value)

    async def get_variable(self, name: str) -> str | None:
        """A variable of the channel, of a long one the first 1,023 bytes; None when it is not set.

        The answer is not escaped: for a text of a stranger ask :meth:`get_full_variable` for ``${URIENCODE(${NAME})}``.
        """
        return await self._text("GET VARIABLE", name)

    async def get_full_variable(self, expression: str, channel: str = "") -> str | None:
        """An expression such as ``${CALLERID(num)}``, of this or another channel."""
        return await self._text("GET FULL VARIABLE", expression, *_given(channel))

    async def database_get(self, family: str, key: str) -> str | None:
        """A value of Asterisk's own database."""
        return await self._text("DATABASE GET", family, key)

    async def database_put(self, family: str, key: str, value: str) -> bool:
        """Set a value."""
        return await self._done("DATABASE PUT", family, key, value)

    async def database_del(self, family: str, key: str) -> bool:
        """Delete a value."""
        return await self._done("DATABASE DEL", family, key)

    async def database_deltree(self, family: str, tree: str = "") -> bool:
        """Delete a family or a part of it."""
        return await self._done("DATABASE DELTREE", family, *_given(tree))

    # The dialplan

    async def exec(self, application: str, *arguments: str, seconds: float = PLAY_SECONDS) -> str:
        """Run a dialplan application and give its result.

        An argument with a comma would become two: it is refused, as are quotes and backslashes, which Asterisk eats.
        """
        if not _APPLICATION.fullmatch(application):
            raise UnsafeValue("EXEC: the name of an application is letters, digits and '_'")
        if any(map(_SPLITS.search, arguments)):
            raise UnsafeValue(f"EXEC {application}: no comma, quote, backslash or control character is allowed")
        reply = await self._media("EXEC", application, ",".join(arguments), seconds=seconds + COMMAND_SECONDS)
        if reply.result == "-2":
            raise CommandFailed(f"EXEC: Asterisk has no application {application}")
        return reply.result

    async def gosub(
        self, context: str, extension: str, priority: str, *arguments: str, seconds: float = PLAY_SECONDS
    ) -> None:
        """Run a subroutine of the dialplan up to its Return."""
        words = (context, extension, priority, *_given(",".join(arguments)))
        if (await self.command("GOSUB", *words, seconds=seconds + COMMAND_SECONDS)).result != "0":
            raise CommandFailed("GOSUB: no such subroutine, or it failed")

    async def noop(self) -> None:
        """Do nothing, and answer."""
        await self.command("NOOP")

    async def verbose(self, message: str, level: int = 1) -> None:
        """Write to Asterisk's console and log."""
        await self.command("VERBOSE", message, str(level))

    # Speech recognition, when Asterisk has an engine

    async def speech_create(self, engine: str = "") -> bool:
        """Begin to use an engine."""
        return await self._done("SPEECH CREATE", engine)

    async def speech_set(self, name: str, value: str) -> bool:
        """Set an option of the engine."""
        return await self._done("SPEECH SET", name, value)

    async def speech_destroy(self) -> bool:
        """End the use of the engine."""
        return await self._done("SPEECH DESTROY")

    async def speech_load_grammar(self, name: str, path: str) -> bool:
        """Load a grammar."""
        return await self._done("SPEECH LOAD GRAMMAR", name, path)

    async def speech_unload_grammar(self, name: str) -> bool:
        """Unload a grammar."""
        return await self._done("SPEECH UNLOAD GRAMMAR", name)

    async def speech_activate_grammar(self, name: str) -> bool:
        """Listen for a grammar."""
        return await self._done("SPEECH ACTIVATE GRAMMAR", name)

    async def speech_deactivate_grammar(self, name: str) -> bool:
        """Do not listen for a grammar."""
        return await self._done("SPEECH DEACTIVATE GRAMMAR", name)

    async def speech_recognize(self, prompt: str, ms: int, *, seconds: float = PLAY_SECONDS) -> Reply:
        """Play a prompt and listen; ``data`` is ``speech``, ``digit`` or ``timeout``, ``rest`` what was heard."""
        limit = seconds + ms / 1000 + COMMAND_SECONDS
        return await self._media("SPEECH RECOGNIZE", prompt, str(ms), seconds=limit)


def _given(word: str) -> tuple[str, ...]:
    """An optional word: left out when it is empty."""
    return (word,) if word else ()


def _integer(verb: str, reply: Reply) -> int:
    try:
        return int(reply.result)
    except ValueError:
        raise CommandFailed(f"{verb}: the answer is no number") from None
