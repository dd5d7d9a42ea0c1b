"""The AGI commands as methods, with starpy's names, arguments, order and defaults.  Times are seconds.

Each gives a Deferred.  All fail with AGICommandFailure, Disconnected and UnsafeValue.  Commands that play give a key as its
ASCII code, 0 for none.
"""

from __future__ import annotations

import time as _time
from abc import ABC, abstractmethod
from typing import Any

from twisted.internet.defer import Deferred

from easycall.asterisk.agi import Reply
from easycall.asterisk.agi_commands import COMMAND_SECONDS, PLAY_SECONDS
from easycall.defer import start
from easycall.starpy.error import AGICommandFailure
from easycall.starpy.message import text

__all__ = ["FAILURE_CODE", "Commands", "result_line"]

FAILURE_CODE = -1


class Commands(ABC):
    """Everything that Asterisk can be told to do with the leg."""

    commandTimeout = COMMAND_SECONDS
    """Seconds for a command that does not wait for anything, and beyond what others wait for.  When the time is up the
    connection is closed.  These three are to be set on the class or the object."""
    playTimeout = PLAY_SECONDS
    """Seconds for playing a file or saying something."""
    executeTimeout = 86400.0
    """Seconds for an application of the dialplan (Dial lasts as long as the call), and for waiting without an end."""

    @abstractmethod
    async def _reply(self, verb: str, *words: str, seconds: float) -> Reply:
        """The answer of code 200 to a command, each word arriving as it is."""

    async def _ask(self, verb: str, *words: object, failure: str = "-1", seconds: float = 0.0) -> Reply:
        """The answer, if its result is not ``failure``; None among the words is left out."""
        given = [text(word) for word in words if word is not None]
        reply = await self._reply(verb, *given, seconds=seconds + self.commandTimeout)
        if reply.result == failure:
            raise AGICommandFailure(FAILURE_CODE, result_line(reply))
        return reply

    async def _ask_number(self, verb: str, *words: object, failure: str = "-1", seconds: float = 0.0) -> int:
        return _number(await self._ask(verb, *words, failure=failure, seconds=seconds))

    def _command(self, verb: str, *words: object, failure: str = "-1", seconds: float = 0.0) -> Deferred[int]:
        return start(self._ask_number(verb, *words, failure=failure, seconds=seconds))

    async def _ask_text(self, verb: str, *words: object) -> str:
        return (await self._ask(verb, *words, failure="0")).data

    # The leg

    def answer(self) -> Deferred[int]:
        """Answer the call."""
        return self._command("ANSWER")

    def hangup(self, channel: str | None = None) -> Deferred[int]:
        """Hang up this channel or another."""
        return self._command("HANGUP", channel)

    def channelStatus(self, channel: str | None = None) -> Deferred[int]:
        """0 down, 1 reserved, 2 off hook, 3 dialled, 4 ringing, 5 ringing at the far end, 6 up, 7 busy."""
        return self._command("CHANNEL STATUS", channel or None)

    def setAutoHangup(self, time: object) -> Deferred[int]:
        """Hang up in so many seconds; 0: do not."""
        return self._command("SET AUTOHANGUP", time)

    def setCallerID(self, number: object) -> Deferred[int]:
        """Change the caller's number."""
        return self._command("SET CALLERID", number, failure="")

    def setContext(self, context: str) -> Deferred[int]:
        """Where the dialplan goes on afterwards."""
        return self._command("SET CONTEXT", context, failure="")

    def setExtension(self, extension: object) -> Deferred[int]:
        """Where the dialplan goes on afterwards."""
        return self._command("SET EXTENSION", extension, failure="")

    def setPriority(self, priority: object) -> Deferred[int]:
        """Where the dialplan goes on afterwards: a number or a label."""
        return self._command("SET PRIORITY", priority, failure="")

    def setMusic(self, on: bool = True, musicClass: str | None = None) -> Deferred[int]:
        """Start or stop music on hold."""
        return self._command("SET MUSIC", "on" if on else "off", musicClass, failure="")

    def tddMode(self, on: bool | None = True) -> Deferred[int]:
        """True, False, or None for ``mate``."""
        return start(self._tdd_mode("mate" if on is None else "on" if on else "off"))

    async def _tdd_mode(self, mode: str) -> int:
        reply = await self._ask("TDD MODE", mode)
        if reply.result == "0":
            raise AGICommandFailure(FAILURE_CODE, result_line(reply))
        return _number(reply)

    # Playing, recording and keys

    def streamFile(self, filename: str, escapeDigits: str = "", offset: int | None = 0) -> Deferred[tuple[int, int]]:
        """Play a file from a sample on, until a key of ``escapeDigits``: the key, and the sample where it ended."""
        return start(self._play("STREAM FILE", filename, escapeDigits or "", offset, start_at=offset or 0))

    async def _play(self, verb: str, *words: object, start_at: int = 0, seconds: float = 0.0) -> tuple[int, int]:
        reply = await self._ask(verb, *words, seconds=self.playTimeout + seconds)
        key, end = _number(reply), reply.endpos
        if end is None or (end == start_at and not key):  # no file, or nothing in it
            raise AGICommandFailure(FAILURE_CODE, f"{verb}: nothing was played")
        return key, end

    def controlStreamFile(
        self,
        filename: str,
        escapeDigits: str,
        skipMS: int = 0,
        ffChar: str = "*",
        rewChar: str = "#",
        pauseChar: str | None = None,
    ) -> Deferred[tuple[int, int | None]]:
        """Play a file in which the caller can move by keys: the key that ended it, and where."""
        words = (filename, escapeDigits or "", skipMS, ffChar, rewChar, pauseChar or None)
        return start(self._controlled(words))

    async def _controlled(self, words: tuple[object, ...]) -> tuple[int, int | None]:
        reply = await self._ask("CONTROL STREAM FILE", *words, seconds=self.playTimeout)
        return _number(reply), reply.endpos

    def getData(self, filename: str, timeout: float = 2.000, maxDigits: int | None = None) -> Deferred[tuple[str, bool]]:
        """Play a file and read keys up to ``#``: the keys, and whether the time for one was up."""
        return start(self._get_data(filename, timeout, maxDigits))

    async def _get_data(self, filename: str, within: float, digits: int | None) -> tuple[str, bool]:
        reading = within * (1024 if digits is None else digits)  # Asterisk reads no more than 1,024
        seconds = min(self.playTimeout + reading, self.executeTimeout)
        reply = await self._ask("GET DATA", filename, _milliseconds(within), digits, seconds=seconds)
        return reply.result, reply.data == "timeout"

    def getOption(self, filename: str, escapeDigits: str, timeout: float | None = None) -> Deferred[tuple[str, int]]:
        """Play a file and wait for a key of ``escapeDigits``: the key or ``""``, and the sample where it ended."""
        return start(self._get_option(filename, escapeDigits, timeout))

    async def _get_option(self, filename: str, escape: str, within: float | None) -> tuple[str, int]:
        wait = None if within is None else _milliseconds(within)
        key, end = await self._play("GET OPTION", filename, escape, wait, seconds=within or 0.0)
        return (chr(key) if key else ""), end

    def waitForDigit(self, timeout: float) -> Deferred[int]:
        """Wait for a key, -1: without an end."""
        return self._command("WAIT FOR DIGIT", _milliseconds(timeout), seconds=self._wait(timeout))

    def recordFile(
        self,
        filename: str,
        format: str,
        escapeDigits: str,
        timeout: float = -1,
        offsetSamples: int | None = None,
        beep: object = True,
        silence: int | None = None,
    ) -> Deferred[tuple[int, str, int]]:
        """Record until a key, the time (-1: none) or seconds of silence: the key, what ended it, and the samples recorded.

        What ended it is ``dtmf``, ``timeout`` or ``hangup``.
        """
        words = (escapeDigits or "", _milliseconds(timeout), offsetSamples, "BEEP" if beep else None)
        quiet = None if silence is None else f"s={silence}"
        return start(self._record((filename, format, *words, quiet), self._wait(timeout)))

    async def _record(self, words: tuple[object, ...], seconds: float) -> tuple[int, str, int]:
        reply = await self._ask("RECORD FILE", *words, failure="", seconds=seconds)
        if reply.endpos is None or not reply.data:
            raise AGICommandFailure(FAILURE_CODE, result_line(reply))
        key = 0 if reply.data == "timeout" else _number(reply)  # Asterisk gives the rest of a wait then, no key
        return key, reply.data, reply.endpos

    def _wait(self, seconds: float | None) -> float:
        """How long to wait for what takes ``seconds``, none or a negative number meaning no end."""
        return self.executeTimeout if seconds is None or seconds < 0 else seconds

    # Saying

    def sayXXX(self, baseCommand: str, value: object, escapeDigits: str | None = "") -> Deferred[int]:
        """What the others are made of."""
        return self._command(baseCommand, value, escapeDigits or "", seconds=self.playTimeout)

    def sayAlpha(self, string: str, escapeDigits: str | None = None) -> Deferred[int]:
        """Spell letters and digits; others are left out."""
        return self.sayXXX("SAY ALPHA", "".join(filter(str.isalnum, string)), escapeDigits)

    def sayPhonetic(self, string: str, escapeDigits: str | None = None) -> Deferred[int]:
        """Spell in the phonetic alphabet."""
        return self.sayXXX("SAY PHONETIC", "".join(filter(str.isalnum, string)), escapeDigits)

    def sayDigits(self, number: object, escapeDigits: str | None = None) -> Deferred[int]:
        """Say digit by digit; others are left out."""
        return self.sayXXX("SAY DIGITS", _digits(number), escapeDigits)

    def sayNumber(self, number: object, escapeDigits: str | None = None) -> Deferred[int]:
        """Say a whole number."""
        sign = "-" if text(number).strip().startswith("-") else ""
        return self.sayXXX("SAY NUMBER", sign + _digits(number), escapeDigits)

    def sayDate(self, date: Any, escapeDigits: str | None = None) -> Deferred[int]:
        """Say the date of a datetime, a struct_time or seconds since the epoch."""
        return self.sayXXX("SAY DATE", self.dateAsSeconds(date), escapeDigits)

    def sayTime(self, time: Any, escapeDigits: str | None = None) -> Deferred[int]:
        """Say the time of day."""
        return self.sayXXX("SAY TIME", self.dateAsSeconds(time), escapeDigits)

    def sayDateTime(
        self, time: Any, escapeDigits: str | None = "", format: str | None = None, timezone: str | None = None
    ) -> Deferred[int]:
        """Say date and time in a format of Asterisk's voicemail.conf; a time zone needs a format."""
        words = (self.dateAsSeconds(time), escapeDigits or "", format, timezone if format is not None else None)
        return self._command("SAY DATETIME", *words, seconds=self.playTimeout)

    def dateAsSeconds(self, date: Any) -> int:
        """A datetime, a struct_time (of the local time) or a number as seconds since the epoch."""
        if hasattr(date, "timestamp"):
            return int(date.timestamp())
        if hasattr(date, "timetuple"):
            return int(_time.mktime(date.timetuple()))
        return int(_time.mktime(date) if isinstance(date, _time.struct_time) else date)

    # Text and pictures, for channels that have them

    def receiveChar(self, timeout: float | None = None) -> Deferred[tuple[str, bool]]:
        """Wait for a character: its code as text, and whether the time was up."""
        return start(self._receive_char(timeout))

    async def _receive_char(self, within: float | None) -> tuple[str, bool]:
        wait = _milliseconds(within or 0)  # 0: without an end
        reply = await self._ask("RECEIVE CHAR", wait, seconds=self._wait(within or None))
        return reply.result, reply.data == "timeout"

    def receiveText(self, timeout: float | None = None) -> Deferred[str]:
        """Wait for a text: the whole answer, ``1 (text)``."""
        return start(self._receive_text(timeout))

    async def _receive_text(self, within: float | None) -> str:
        wait = -1 if within is None else _milliseconds(within)
        return result_line(await self._ask("RECEIVE TEXT", wait, seconds=self._wait(within)))

    def sendImage(self, filename: str) -> Deferred[int]:
        """Send a picture."""
        return self._command("SEND IMAGE", filename)

    def sendText(self, text: str) -> Deferred[int]:
        """Send a text."""
        return self._command("SEND TEXT", text)

    # Variables and Asterisk's database

    def getVariable(self, variable: str) -> Deferred[str]:
        """A variable of the channel; AGICommandFailure when it is not set.  Asterisk's own have names such as::

        CHANNEL -- name of the channel
        CONTEXT -- where in the dialplan it is
        EXTEN -- so too
        PRIORITY -- so too
        UNIQUEID -- the channel's id
        EPOCH -- seconds since 1970
        DIALSTATUS -- how the last Dial ended
        HANGUPCAUSE -- why the other channel hung up
        """
        return start(self._ask_text("GET VARIABLE", variable))

    def setVariable(self, variable: str, value: object) -> Deferred[int]:
        """Set a variable of the channel; blanks and quotes arrive as they are."""
        return self._command("SET VARIABLE", variable, value, failure="")

    def databaseGet(self, family: str, key: str) -> Deferred[str]:
        """The value of a key; AGICommandFailure when there is none."""
        return start(self._ask_text("DATABASE GET", family, key))

    def databaseSet(self, family: str, key: str, value: object) -> Deferred[int]:
        """Set the value of a key."""
        return self._command("DATABASE PUT", family, key, value, failure="0")

    databasePut = databaseSet

    def databaseDel(self, family: str, key: str) -> Deferred[int]:
        """Delete a key."""
        return self._command("DATABASE DEL", family, key, failure="0")

    def databaseDeltree(self, family: str, keyTree: str | None = None) -> Deferred[int]:
        """Delete a family or a part of it."""
        return self._command("DATABASE DELTREE", family, keyTree or None, failure="0")

    # The dialplan and the console

    def execute(
        self, application: str, *options: object, comma_delimiter: bool = True, seconds: float | None = None
    ) -> Deferred[str]:
        """Run an application of the dialplan, ``execute("Dial", "PJSIP/100", 20)``, for at most ``seconds``.

        The options are joined by commas, whatever ``comma_delimiter`` says: Asterisk knows no other separator.
        """
        limit = self.executeTimeout if seconds is None else seconds
        return start(self._execute(application, ",".join(map(text, options)), limit))

    async def _execute(self, application: str, options: str, seconds: float) -> str:
        words = (application, options) if options else (application,)
        return result_line(await self._ask("EXEC", *words, failure="-2", seconds=seconds))

    def playback(self, filename: str, doAnswer: int = 1) -> Deferred[int]:
        """Play a file by the application Playback; ``doAnswer``: 1 answer before, 0 do not answer, -1 only if answered."""
        try:
            option = {-1: "skip", 0: "noanswer", 1: ""}[doAnswer]
        except KeyError:
            raise TypeError(f"doAnswer is -1, 0 or 1, not {doAnswer!r}") from None
        return self._command("EXEC", "Playback", f"{filename},{option}" if option else filename, seconds=self.playTimeout)

    def noop(self, message: object = None) -> Deferred[int]:
        """Do nothing, and answer."""
        return self._command("NOOP", message)

    def verbose(self, message: object, level: int | None = None) -> Deferred[int]:
        """Write to Asterisk's console."""
        return self._command("VERBOSE", message, level, failure="")


def result_line(reply: Reply) -> str:
    """What stood behind ``200 result=``."""
    parts = (reply.result, f"({reply.data})" if reply.data else "", reply.rest)
    line = " ".join(part for part in parts if part)
    return line if reply.endpos is None or reply.rest else f"{line} endpos={reply.endpos}"


def _number(reply: Reply) -> int:
    try:
        return int(reply.result)
    except ValueError:
        raise AGICommandFailure(FAILURE_CODE, result_line(reply)) from None


def _milliseconds(seconds: float) -> int:
    return -1 if seconds < 0 else int(seconds * 1000)


def _digits(value: object) -> str:
    return "".join(character for character in text(value) if character in "0123456789")
