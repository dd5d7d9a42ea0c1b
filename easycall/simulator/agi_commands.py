"""What each AGI command does with a channel.

Each function gets the channel and the words behind the verb, and gives what stands behind ``200 result=``.  Wrong is
raised for words that do not fit.  A command that waits raises Interrupted when its channel is hung up or taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from easycall.simulator.channel import Channel, Failed
from easycall.simulator.expression import compiled
from easycall.simulator.variables import caller_id, set_variable

__all__ = ["ALIVE_ONLY", "COMMANDS", "USAGE", "Wrong"]

USAGE = "Usage: {verb}"
ALL_KEYS = "0123456789*#"
SAMPLES = 8000
SAY_SECONDS = 0.5
"""How long one digit or word of SAY takes."""

BEEP_SECONDS = 0.2

MOMENT = 0.001
"""A time too short to wait for: at a late hour adding less to it changes nothing."""

Words = Sequence[str]
Command = Callable[[Channel, Words], Awaitable[str]]


class Wrong(Exception):
    """The words do not fit the command (520)."""


def _word(words: Words, index: int) -> str:
    if index >= len(words):
        raise Wrong
    return words[index]


def _number(words: Words, index: int, default: int | None = None) -> int:
    if default is not None and index >= len(words):
        return default
    try:
        return int(_word(words, index))
    except ValueError:
        raise Wrong from None


def _ascii(key: str) -> str:
    return str(ord(key)) if key else "0"


async def _answer(channel: Channel, words: Words) -> str:
    channel.pick_up()
    return "0"


async def _channel_status(channel: Channel, words: Words) -> str:
    found = channel.core.find(words[0]) if words else channel
    return "-1" if found is None else str(found.state)


async def _hangup(channel: Channel, words: Words) -> str:
    found = channel.core.find(words[0]) if words else channel
    if found is None:
        return "-1"
    channel.core.later(0, found.hang_up_soft, 16)
    return "1"


async def _noop(channel: Channel, words: Words) -> str:
    return "0"


async def _verbose(channel: Channel, words: Words) -> str:
    _word(words, 0)
    return "1"


async def _get_variable(channel: Channel, words: Words) -> str:
    return _found(channel.core.find_variable(channel, _word(words, 0)))


async def _get_full_variable(channel: Channel, words: Words) -> str:
    other = channel.core.find(words[1]) if len(words) > 1 else channel
    return "0" if other is None else _found(compiled(_word(words, 0))(other.lookup))


def _found(value: str | None) -> str:
    return "0" if value is None else f"1 ({value})"


async def _set_variable(channel: Channel, words: Words) -> str:
    set_variable(channel.core, channel, _word(words, 0), _word(words, 1))
    return "1"


async def _set_callerid(channel: Channel, words: Words) -> str:
    channel.caller, name = caller_id(_word(words, 0))
    channel.caller_name = name or channel.caller_name
    return "1"


async def _set_context(channel: Channel, words: Words) -> str:
    channel.go((_word(words, 0), channel.extension, channel.priority))
    return "0"


async def _set_extension(channel: Channel, words: Words) -> str:
    channel.go((channel.context, _word(words, 0), channel.priority))
    return "0"


async def _set_priority(channel: Channel, words: Words) -> str:
    priority = channel.core.dialplan.priority(channel.context, channel.extension, _word(words, 0))
    if priority is None:
        return "-1"
    channel.go((channel.context, channel.extension, priority))
    return "0"


async def _set_music(channel: Channel, words: Words) -> str:
    if _word(words, 0) not in ("on", "off"):
        raise Wrong
    channel.set_music((words[1] if len(words) > 1 else "default") if words[0] == "on" else "")
    return "0"


async def _set_autohangup(channel: Channel, words: Words) -> str:
    channel.limit(_number(words, 0))
    return "0"


# Sounds and keys


async def _listen(channel: Channel, sound: str, keys: str, offset: int = 0) -> tuple[str, int]:
    """Play a sound; the key of ``keys`` that ended it, and where, in samples.  -1 for the place: no such sound."""
    seconds = channel.core.sound_seconds(sound)
    if seconds is None:
        return "", -1
    channel.keys = deque()
    channel.play(sound)
    began = channel.core.now()
    try:
        while (left := seconds - offset / SAMPLES - (channel.core.now() - began)) > MOMENT:
            key = await channel.read_key(left)
            if key and key in keys:
                return key, offset + round((channel.core.now() - began) * SAMPLES)
    finally:
        channel.keys = None
        channel.play("")
    return "", round(seconds * SAMPLES)


async def _stream_file(channel: Channel, words: Words) -> str:
    key, at = await _listen(channel, _word(words, 0), _word(words, 1), _number(words, 2, 0))
    return "-1 endpos=0" if at < 0 else f"{_ascii(key)} endpos={at}"


async def _control_stream_file(channel: Channel, words: Words) -> str:
    key, at = await _listen(channel, _word(words, 0), words[1] if len(words) > 1 else "")
    return "-1 endpos=0" if at < 0 else f"{_ascii(key)} endpos={at}"


async def _get_data(channel: Channel, words: Words) -> str:
    sound, seconds = _word(words, 0), _number(words, 1, 6000) / 1000
    most = _number(words, 2, 1024)
    key, at = await _listen(channel, sound, ALL_KEYS)
    if at < 0:
        return "-1"
    typed = ""
    channel.keys = deque(key)
    try:
        while len(typed) < most:
            key = await channel.read_key(seconds)
            if not key:
                return f"{typed} (timeout)"
            if key == "#":
                break
            typed += key
    finally:
        channel.keys = None
    return typed


async def _get_option(channel: Channel, words: Words) -> str:
    key, at = await _listen(channel, _word(words, 0), _word(words, 1))
    if at < 0:
        return "-1 endpos=0"
    if not key:
        key = await channel.read_key(_number(words, 2, 5000) / 1000)
    return f"{_ascii(key if key in words[1] else '')} endpos={at}"


async def _wait_for_digit(channel: Channel, words: Words) -> str:
    milliseconds = _number(words, 0)
    return _ascii(await channel.read_key(milliseconds / 1000 if milliseconds >= 0 else 86_400.0))


async def _record_file(channel: Channel, words: Words) -> str:
    ending, limit = _word(words, 2), _number(words, 3)
    if "BEEP" in (word.upper() for word in words[4:]):
        await channel.sleep(BEEP_SECONDS)
    began = channel.core.now()
    channel.core.note_recording(channel, words[0])
    recording = channel.core.record_file(channel, f"{words[0]}.{words[1]}")
    left = limit / 1000 if limit >= 0 else 86_400.0
    try:
        while left > MOMENT:
            key = await channel.read_key(left)
            samples = round((channel.core.now() - began) * SAMPLES)
            if key and key in ending:
                return f"{_ascii(key)} (dtmf) endpos={samples}"
            left = (limit / 1000 if limit >= 0 else 86_400.0) - (channel.core.now() - began)
    finally:
        recording()
    return f"0 (timeout) endpos={round((channel.core.now() - began) * SAMPLES)}"


async def _say(channel: Channel, words: Words) -> str:
    text, keys = _word(words, 0), _word(words, 1)
    channel.play("say")
    try:
        key = await channel.read_key(SAY_SECONDS * len(text))
    finally:
        channel.play("")
    return _ascii(key if key in keys else "")


async def _send_text(channel: Channel, words: Words) -> str:
    _word(words, 0)
    return "0"


async def _receive_nothing(channel: Channel, words: Words) -> str:
    await channel.sleep(_number(words, 0) / 1000)
    return "0 (timeout)"


async def _tdd_mode(channel: Channel, words: Words) -> str:
    _word(words, 0)
    return "0"


# The PBX


async def _exec(channel: Channel, words: Words) -> str:
    application = _word(words, 0).lower()
    if not channel.core.knows_application(application):
        return "-2"
    home = channel.application, channel.data
    try:
        await channel.core.run_application(channel, application, words[1] if len(words) > 1 else "")
    except Failed:
        return "-1"
    finally:
        channel.application, channel.data = home
    return "0"


async def _gosub(channel: Channel, words: Words) -> str:
    return "-1 Gosub label not found"


async def _database_get(channel: Channel, words: Words) -> str:
    return _found(channel.core.database.get((_word(words, 0), _word(words, 1))))


async def _database_put(channel: Channel, words: Words) -> str:
    channel.core.database[_word(words, 0), _word(words, 1)] = _word(words, 2)
    return "1"


async def _database_del(channel: Channel, words: Words) -> str:
    return "0" if channel.core.database.pop((_word(words, 0), _word(words, 1)), None) is None else "1"


async def _database_deltree(channel: Channel, words: Words) -> str:
    family, tree = _word(words, 0), words[1] if len(words) > 1 else ""
    gone = [key for key in channel.core.database if key[0] == family and key[1].startswith(tree)]
    for key in gone:
        del channel.core.database[key]
    return "1" if gone else "0"


SAY = ("ALPHA", "DATE", "DATETIME", "DIGITS", "NUMBER", "PHONETIC", "TIME")

COMMANDS: Mapping[str, Command] = {
    "ANSWER": _answer,
    "CHANNEL STATUS": _channel_status,
    "CONTROL STREAM FILE": _control_stream_file,
    "DATABASE DEL": _database_del,
    "DATABASE DELTREE": _database_deltree,
    "DATABASE GET": _database_get,
    "DATABASE PUT": _database_put,
    "EXEC": _exec,
    "GET DATA": _get_data,
    "GET FULL VARIABLE": _get_full_variable,
    "GET OPTION": _get_option,
    "GET VARIABLE": _get_variable,
    "GOSUB": _gosub,
    "HANGUP": _hangup,
    "NOOP": _noop,
    "RECEIVE CHAR": _receive_nothing,
    "RECEIVE TEXT": _receive_nothing,
    "RECORD FILE": _record_file,
    **{f"SAY {what}": _say for what in SAY},
    "SEND IMAGE": _send_text,
    "SEND TEXT": _send_text,
    "SET AUTOHANGUP": _set_autohangup,
    "SET CALLERID": _set_callerid,
    "SET CONTEXT": _set_context,
    "SET EXTENSION": _set_extension,
    "SET MUSIC": _set_music,
    "SET PRIORITY": _set_priority,
    "SET VARIABLE": _set_variable,
    "STREAM FILE": _stream_file,
    "TDD MODE": _tdd_mode,
    "VERBOSE": _verbose,
    "WAIT FOR DIGIT": _wait_for_digit,
}
"""Verb -> what it does."""

ALIVE_ONLY = frozenset(COMMANDS) - {
    *("DATABASE DEL", "DATABASE DELTREE", "DATABASE GET", "DATABASE PUT", "EXEC", "GET FULL VARIABLE", "GET VARIABLE"),
    *("NOOP", "SET VARIABLE", "VERBOSE"),
}
"""What needs a leg that is there; on another it answers 511."""
