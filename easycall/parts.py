"""The parts of the daemon: how each starts and stops, and in which words the operator is told why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from easycall.asterisk.fastagi import FastAgiFactory
from easycall.asterisk.manager import Manager
from easycall.config import AsteriskBox, RecordingSettings, VoicemailSettings
from easycall.fax import FaxDesk
from easycall.health import Health, Notifier, Pulse, Watchdog
from easycall.ivr.prompt import Prompt
from easycall.ivr.prompts import PromptError, Prompts
from easycall.ports import StoreUnavailable
from easycall.privacy.retention import Retention
from easycall.service import CannotStart, Part, nothing
from easycall.stats.journal import Journal
from easycall.store.messages import MessageFiles
from easycall.store.recordings import RecordingFiles

__all__ = [
    "ami",
    "api",
    "data",
    "fastagi",
    "fax",
    "journal",
    "prompts",
    "recordings",
    "retention",
    "systemd",
    "voice_mail",
    "watchdog",
]


def watchdog(folder: Path, seconds: float, clock: IReactorTime, health: Health) -> Part:
    """The pulse of the reactor, and the thread that ends the process when there is none for ``seconds``; 0: never.

    It comes behind the store, which is asked for signs of life.
    """
    thread = Watchdog(seconds, folder / "watchdog.log")
    pulse = Pulse(clock, health.lag, [thread.beat, health.vitals.look])

    async def start() -> None:
        try:
            await thread.start()
        except OSError as error:
            raise CannotStart(f"node.data = {str(folder)!r}: {error.strerror}") from error
        await pulse.start()

    async def stop() -> None:
        await pulse.stop()
        await health.vitals.stop()
        await thread.stop()

    return Part("watchdog", start, stop)


def systemd(clock: IReactorTime, status: Callable[[], str]) -> Part:
    """What systemd is told, if it started us."""
    notifier = Notifier(clock, status)
    return Part("systemd", notifier.start, notifier.stop)


def data(folder: Path) -> Part:
    """The data folder."""

    async def start() -> None:
        try:
            _make_folder(folder)
        except OSError as error:
            raise CannotStart(f"node.data = {str(folder)!r}: {error.strerror}") from error

    return Part("data folder", start, nothing)


def _make_folder(folder: Path) -> None:
    """Make the data folder when it is not there.  Asterisk reads the prompts in it; what is confidential is not readable."""
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(0o755)


def journal(made: Journal, folder: Path | None, refused: str = "", loaded: Callable[[], None] = lambda: None) -> Part:
    """The journal; its file stands in ``folder``, if anywhere.  ``refused``: why it must not start.

    ``loaded`` is called when it, and the database before it, are in memory with all they need.
    """

    async def start() -> None:
        if refused:
            raise CannotStart(refused)
        try:
            await made.start()
        except OSError as error:
            raise CannotStart(f"journal in {str(folder)!r}: {error.strerror or error}") from error
        except StoreUnavailable as why:
            raise CannotStart(f"journal: {why}") from why
        loaded()

    return Part("journal", start, made.stop)


def prompts(made: Prompts, wanted: Iterable[Prompt]) -> Part:
    """Every text that may be played, as a sound."""

    async def start() -> None:
        try:
            await made.prepare(wanted)
        except PromptError as why:
            raise CannotStart(f"prompts: {why}") from why

    return Part("prompts", start, nothing)


def voice_mail(settings: VoicemailSettings, messages: MessageFiles) -> Part:
    """The folder of messages, if there are boxes."""

    async def start() -> None:
        try:
            if settings.boxes:
                messages.make_folder()
        except OSError as error:
            raise CannotStart(f"voicemail.directory = {str(settings.directory)!r}: {error.strerror}") from error

    return Part("voice mail", start, nothing)


def recordings(settings: RecordingSettings, files: RecordingFiles, *, needed: bool) -> Part:
    """The folder of recordings, if anything is recorded."""

    async def start() -> None:
        if needed:
            try:
                files.prepare()
            except OSError as error:
                why = f"{error.strerror}; docs/recording.rst has the rights"
                raise CannotStart(f"recordings.directory = {str(settings.directory)!r}: {why}") from error

    return Part("recordings", start, nothing)


def retention(made: Retention) -> Part:
    """What is too old is removed in the night."""
    return Part("retention", made.start, made.stop)


def fax(desk: FaxDesk, folder: Path) -> Part:
    """Faxes and documents to send."""

    async def start() -> None:
        try:
            await desk.open()
        except OSError as error:
            raise CannotStart(f"fax.directory = {str(folder)!r}: {error.strerror}") from error

    return Part("fax", start, desk.close)


def ami(name: str, manager: Manager, fatal: Callable[[str], None]) -> Part:
    """The AMI link to one Asterisk.

    Starting does not wait for an Asterisk that is away; a log-in refused at boot is a fault of the configuration.
    """

    async def start() -> None:
        manager.start().addErrback(refused)

    def refused(failure: Failure) -> None:
        if not failure.check(CancelledError):  # by stopping before the first log-in
            fatal(f"asterisk.{failure.getErrorMessage()}")  # which begins with the name of the Asterisk

    return Part(f"AMI link to {name}", start, manager.stop)


def fastagi(box: AsteriskBox, factory: FastAgiFactory, reactor: Any) -> Part:
    """Where the legs of one Asterisk come home."""
    ports: list[IListeningPort] = []

    async def start() -> None:
        ports.append(await _listen(f"asterisk.{box.name}.fastagi", box.fastagi, factory, reactor))

    async def stop() -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)
        for session in list(factory.sessions):
            session.close()

    return Part(f"FastAGI of {box.name} on {box.fastagi}", start, stop)


def api(endpoint: str, make: Callable[[], Any], reactor: Any) -> Part:
    """The HTTP API, which ``make`` makes when its turn has come."""
    ports: list[IListeningPort] = []
    apis: list[Any] = []

    async def start() -> None:
        made = make()
        apis.append(made)
        ports.append(await _listen("api.listen", endpoint, made.site(), reactor))

    async def stop() -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)
        for one in apis:
            one.stop()

    return Part(f"API on {endpoint}", start, stop)


async def _listen(setting: str, endpoint: str, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
    """Listen at the endpoint that a setting gives.  Raises CannotStart, above all when its port is taken."""
    try:
        port: IListeningPort = await serverFromString(reactor, endpoint).listen(factory)
        return port
    except (CannotListenError, OSError, ValueError) as error:
        raise CannotStart(f"{setting} = {endpoint!r}: {error}") from error
