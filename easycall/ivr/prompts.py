"""Text -> sound files that Asterisk plays.

A text is spoken once, by the commands of the configuration (espeak-ng and sox unless told otherwise), and kept in the
prompts folder under a name made of voice, text and commands: a changed text is a new file, an unchanged one is never spoken
again.
"""

from __future__ import annotations

import os
import shutil
import wave
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import msgspec
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.config import PromptSettings
from easycall.defer import limited
from easycall.ivr.prompt import Prompt

__all__ = ["BEEP", "CommandFailed", "CommandMissing", "PromptError", "Prompts", "pipe"]

log = Logger()

BEEP = "beep"
"""What callers hear in place of a prompt that could not be made: a sound every Asterisk has."""

AT_ONCE = 2
"""How many texts are spoken at a time."""
SECONDS = 30.0
"""How long one command may take."""
SHORTEST = 800
"""The fewest bytes that can be speech: 50 ms."""
OUTPUT_LIMIT = 16 * 1024 * 1024
"""The longest sound, in bytes: about 17 minutes at 8 kHz."""
RATE = 8000


class CommandFailed(Exception):
    """A command did not do its work; the text says which and why."""


class CommandMissing(CommandFailed):
    """A command is not on this machine."""


class PromptError(Exception):
    """Texts that could not be made into sounds, and why."""


class Prompts:
    """The sounds of all prompts."""

    def __init__(self, settings: PromptSettings, reactor: Any) -> None:
        """``reactor`` gives processes (IReactorProcess) and time (IReactorTime)."""
        self._settings = settings
        self._reactor = reactor

    async def prepare(self, prompts: Iterable[Prompt]) -> None:
        """Make every sound that is not there yet.  Raises PromptError with every reason."""
        texts = {self._voiced(language, text) for prompt in prompts for language, text in prompt.texts}
        missing = [text for text in texts if not self._file(*text).exists()]
        try:
            self._make_directory()
        except OSError as error:
            raise PromptError(f"{self._settings.directory}: {error.strerror}") from error
        turns = DeferredSemaphore(AT_ONCE)
        reasons = await gatherResults([turns.run(self._make, *text) for text in missing])
        if wrong := sorted(set(filter(None, reasons))):
            raise PromptError("\n".join(wrong))

    def sounds(self, prompt: Prompt, language: str = "") -> list[str]:
        """What Asterisk plays for a prompt to a caller of that language (``""``: the site's own).

        A sound that is not there is a beep, and a line in the log: the call goes on.
        """
        if prompt.sound:
            return [prompt.sound]
        file = self._file(*self._voiced(*prompt.spoken(language, self._settings.language)))
        if file.exists():
            return [f"{self._settings.asterisk_directory.rstrip('/')}/{file.stem}"]
        log.warn("the prompt {file} is missing, callers hear a beep", file=str(file))
        return [BEEP]

    def _voiced(self, language: str, text: str) -> tuple[str, str]:
        """The voice of a language, or the site's own, and the text."""
        voices = self._settings.voices
        return voices.get(language) or voices[self._settings.language], text

    def _file(self, voice: str, text: str) -> Path:
        made_of = msgspec.json.encode((voice, text, self._settings.speak, self._settings.convert))
        return self._settings.directory / f"ec-{sha256(made_of).hexdigest()[:32]}.wav"

    def _make_directory(self) -> None:
        directory = self._settings.directory
        if not directory.is_dir():
            directory.mkdir(parents=True)
            directory.chmod(0o755)  # Asterisk runs as another user

    async def _make(self, voice: str, text: str) -> str:
        """Make one sound; returns why not, ``""`` when it is made."""
        speak = [argument.replace("{voice}", voice) for argument in self._settings.speak]
        try:
            spoken = await pipe(speak, text.encode(), self._reactor)
            samples = await pipe(self._settings.convert, spoken, self._reactor)
            if len(samples) < SHORTEST:
                raise CommandFailed(f"{self._settings.convert[0]}: gave no sound")
            _write(self._file(voice, text), samples)
        except CommandMissing as error:
            return str(error)
        except CommandFailed as error:
            return f"{error} (with the voice {voice!r} of prompts.voices)"
        except OSError as error:
            return f"{self._settings.directory}: {error.strerror}"
        return ""


def _write(file: Path, samples: bytes) -> None:
    """Write a wav file as a whole, so that Asterisk never sees half of it."""
    part = file.with_suffix(".part")
    with wave.open(str(part), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples[: len(samples) // 2 * 2])
    part.chmod(0o644)
    part.replace(file)


async def pipe(command: Sequence[str], given: bytes, reactor: Any, seconds: float = SECONDS) -> bytes:
    """Run a command without a shell, give it its input and return its output.  Raises CommandFailed."""
    program = shutil.which(command[0])
    if program is None:
        raise CommandMissing(f"{command[0]}: there is no such command here; install it (apt-get install {command[0]})")
    over: Deferred[bytes] = Deferred(lambda _: pipe_end.kill())
    pipe_end = _Pipe(given, over)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}  # ours may hold secrets
    cast(IReactorProcess, reactor).spawnProcess(pipe_end, program, [program, *command[1:]], environment)
    try:
        return await limited(over, seconds, cast(IReactorTime, reactor))
    except TimeoutError:
        raise CommandFailed(f"{command[0]}: not done within {seconds:g} s") from None
    except CommandFailed as error:
        raise CommandFailed(f"{command[0]}: {error}") from None


class _Pipe(ProcessProtocol):
    """Feeds a process and gathers what it gives."""

    transport: IProcessTransport

    def __init__(self, given: bytes, over: Deferred[bytes]) -> None:
        self._given = given
        self._over = over
        self._output: list[bytes] = []
        self._size = 0
        self._complaint = b""

    def kill(self) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def connectionMade(self) -> None:
        self.transport.write(self._given)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > OUTPUT_LIMIT:
            self.kill()
        else:
            self._output.append(data)

    def errReceived(self, data: bytes) -> None:
        self._complaint = (self._complaint + data)[:400]

    def processEnded(self, reason: Failure) -> None:
        if self._over.called:  # cancelled
            return
        if self._size > OUTPUT_LIMIT:
            self._over.errback(CommandFailed(f"gave more than {OUTPUT_LIMIT} bytes"))
        elif isinstance(reason.value, ProcessDone):
            self._over.callback(b"".join(self._output))
        else:
            complaint = " ".join(self._complaint.decode(errors="replace").split())
            self._over.errback(CommandFailed(complaint or reason.getErrorMessage()))
