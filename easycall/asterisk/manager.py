"""The AMI link to one Asterisk, kept alive: connect, log in, tell when it is up, tell when it is lost, and again.

:class:`Manager` is one coroutine (:meth:`Manager._run`) that reads as the life of the link.  A silent peer is noticed within
six seconds, a lost link repaired with a growing pause, and **nothing is replayed**: after a loss only the caller of an
action can know whether sending it again is right.
"""

from __future__ import annotations

import hashlib
import random as _random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionRefusedError, UserError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.link import (
    ActionRefused,
    ActionTimeout,
    AmiError,
    Link,
    LinkDown,
    LinkFactory,
    LinkLost,
    TooManyActions,
)
from easycall.defer import Bell, background, cancelled, first, limited, start

__all__ = [
    "SHUTS_DOWN",
    "Account",
    "ActionRefused",
    "ActionTimeout",
    "AmiError",
    "LinkDown",
    "LinkLost",
    "LoginRefused",
    "Manager",
    "TooManyActions",
    "proof",
]

log = Logger()

CONNECT_SECONDS = 5.0
LOGIN_SECONDS = 5.0
"""For the challenge and the log-in each; Asterisk itself takes one second to refuse."""
BOOT_SECONDS = 60.0
"""From the log-in to FullyBooted."""
LOGOFF_SECONDS = 1.0
CLOSE_SECONDS = 1.0
PING_SECONDS = 2.0
SILENCE_SECONDS = 6.0
"""Nothing heard for the time of three pings: the link is dead."""
PONG_SECONDS = 20.0
"""A ping not answered for so long though other data flows: we are not heard."""
FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 5.0
RETRY_GROWTH = 1.5
RETRY_JITTER = 0.2
"""Each pause is made up to this share longer or shorter."""
STABLE_SECONDS = 5.0
"""A link that held so long lets the pauses begin anew."""
REFUSED_RETRY_SECONDS = 30.0
"""After a refused log-in: a wrong secret must not hammer Asterisk."""
EVENT_CLASSES = "system,call"
"""The classes of events asked for at log-in, whatever more the account may read.  Not among them: dialplan, dtmf and agi,
which carry keyed digits and text that callers can forge, and reporting, which is RTCP figures.  Answers and lists come
whatever the classes."""


SHUTS_DOWN = "it shuts down when its last call is over; core abort shutdown lets it go on"
"""What an Asterisk does that was told ``core stop gracefully``: it makes no channel and refuses every action, and tells what
becomes of the calls it has."""


class LoginRefused(AmiError):
    """Asterisk refused user name, secret or our address."""


@frozen
class Account:
    """A user of Asterisk's manager.conf."""

    username: str
    secret: str = field(repr=False)
    login: Literal["md5", "plain"] = "md5"
    """How the secret is proved: ``md5``, by the answer to a challenge, or ``plain``, by sending it.  Whoever reads the
    connection reads it too then."""


async def proof(link: Link, account: Account) -> dict[str, str]:
    """The headers of a log-in that prove the secret: itself, or the MD5 of Asterisk's challenge and the secret.

    Raises AmiError.
    """
    if account.login == "plain":
        return {"Secret": account.secret}
    [challenge] = await link.request(Action.of("Challenge", AuthType="MD5"), LOGIN_SECONDS)
    mixed = challenge.get("Challenge") + account.secret
    key = hashlib.md5(mixed.encode(), usedforsecurity=False).hexdigest()  # the protocol knows no other digest
    return {"AuthType": "MD5", "Key": key}


class Manager:
    """The link to the Asterisk called ``name``, reached at ``endpoint``.

    ``events`` are the listeners by event name, called in the order the events came; what they raise is logged.
    ``connected()`` is awaited each time the link is up and Asterisk has fully booted, and may use :meth:`send`; when it
    fails the link is closed and made anew.  ``lost(reason)`` is called once for each call of ``connected``, when the
    connection is gone, or Asterisk shuts down.  Events still come then, and ``connected()`` is called again if it goes on.
    """

    def __init__(
        self,
        name: str,
        endpoint: IStreamClientEndpoint,
        account: Account,
        clock: IReactorTime,
        *,
        events: Mapping[str, Callable[[Message], None]],
        connected: Callable[[], Awaitable[None]],
        lost: Callable[[str], None],
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._account = account
        self._clock = clock
        self._events = {**events, "FullyBooted": self._on_fully_booted}
        self._listener = events.get("FullyBooted")
        self._connected = connected
        self._lost = lost
        self._random = random
        self._link: Link | None = None
        self._has_booted = Bell()
        self._refuses, self._obeys = Bell(), Bell()
        self._first_login: Deferred[None] = Deferred()
        self._running: Deferred[None] | None = None
        self._stopping = False
        self._said = ""
        self.linked = False
        """True while actions reach an Asterisk that has fully booted."""
        self.refused: float | None = None
        """Since when every try to connect has been refused: nobody listens, Asterisk does not run.  None: it is not so."""
        self.booted: float | None = None
        """When that Asterisk started, seconds since the epoch; None until it has told."""
        self.restarted = False
        """True until ``connected()`` is over, when it has started since the connection before: what was then is gone."""
        self._last_heard: float | None = None

    @property
    def heard(self) -> float | None:
        """When something came over the connection last; None: there is none."""
        return None if self._link is None else self._link.heard

    @property
    def shuts_down(self) -> bool:
        """True while it refuses everything because it is about to end."""
        return self._link is not None and self._refuses.rung

    @property
    def uptime(self) -> float | None:
        """For how many seconds that Asterisk has been running; None until it has told."""
        return None if self.booted is None else self._clock.seconds() - self.booted

    def start(self) -> Deferred[None]:
        """Begin, and go on until :meth:`stop`.

        The Deferred fires when the first log-in has succeeded.  It fails with LoginRefused when that is refused, and then
        nothing more is tried; a refusal later on is tried again every 30 s.  An Asterisk that cannot be reached is tried for
        ever.  It fails with CancelledError when :meth:`stop` comes before.
        """
        if self._running is not None or self._stopping:
            raise RuntimeError(f"the AMI link to {self.name} was started before")
        self._running = start(self._run())
        return self._first_login

    async def stop(self) -> None:
        """Log off, close, and end all that waits."""
        self._stopping = True
        with suppress(AmiError):  # a link that is gone is what was wanted
            await self.send(Action("Logoff"), LOGOFF_SECONDS)
        running, self._running = self._running, None
        if running is not None:
            await cancelled(running)
            self._first_login.cancel()

    async def send(self, action: Action, seconds: float = 5.0, *, action_id: str = "") -> Message:
        """Send an action and give its answer; the lines of a command's output are ``answer.all("Output")``.

        ``action_id`` is for actions whose outcome comes as an event later (OriginateResponse): it must be new; otherwise
        one is made.  Raises UnsafeValue, LinkDown, TooManyActions (nothing was sent), ActionRefused, ActionTimeout and
        LinkLost.
        """
        return (await self._linked(action).request(action, seconds, action_id=action_id))[0]

    async def collect(self, action: Action, seconds: float = 5.0) -> list[Message]:
        """Send an action that answers with a list; give its items, the last one being the closing ``…Complete``.

        Raises as :meth:`send` does.  The second list in a row that does not end in time closes the link.
        """
        return await self._linked(action).request(action, seconds, listing=True)

    def _linked(self, action: Action) -> Link:
        if self._link is None:
            raise LinkDown(f"{action.name}: no link to {self.name}")
        return self._link

    # The life of the link

    async def _run(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while not self._stopping:
            try:
                held = await self._attempt()
            except LoginRefused as refusal:
                if not self._first_login.called:
                    self._first_login.errback(refusal)
                    return
                self._say(str(refusal))
                wait = REFUSED_RETRY_SECONDS
            else:
                if held >= STABLE_SECONDS:
                    pause = FIRST_RETRY_SECONDS
                wait = pause * (1 + RETRY_JITTER * (2 * self._random() - 1))
                pause = min(pause * RETRY_GROWTH, LAST_RETRY_SECONDS)
            if not self._stopping:
                await deferLater(self._clock, wait)

    async def _attempt(self) -> float:
        """One connection, from its beginning to its end: for how many seconds we were logged in.  Raises LoginRefused."""
        link = Link(self._clock, self._events)
        logged_in = None
        refused, self.refused = self.refused, None
        try:
            await limited(self._endpoint.connect(LinkFactory(link)), CONNECT_SECONDS, self._clock)
            await self._log_in(link)
            logged_in = self._clock.seconds()
            await self._hold(link)
        except LoginRefused:
            raise
        except (AmiError, OSError, ConnectError, ConnectingCancelledError, UserError) as error:
            self._say(link.reason or str(error) or type(error).__name__)
            if isinstance(error, ConnectionRefusedError):
                self.refused = self._clock.seconds() if refused is None else refused
        except (CancelledError, Exception):
            if self._stopping:
                raise
            log.failure("AMI link to {name}: closed because of a failure", name=self.name)
        finally:
            await self._close(link)
        return 0.0 if logged_in is None else self._clock.seconds() - logged_in

    async def _log_in(self, link: Link) -> None:
        """Log in as the account wants it."""
        self._has_booted = Bell()
        shown = await proof(link, self._account)
        try:
            await link.request(
                Action.of("Login", Username=self._account.username, **shown, Events=EVENT_CLASSES), LOGIN_SECONDS
            )
        except ActionRefused as refusal:
            if _is_shutting_down(refusal):
                raise  # nothing wrong with the account
            user = self._account.username
            raise LoginRefused(f"{self.name}: Asterisk refused the AMI user {user!r}: {refusal.message}") from None

    async def _hold(self, link: Link) -> None:
        """From the log-in to the loss."""
        self._link = link
        self._said = ""
        log.info("AMI link to {name}: logged in to {greeting}", name=self.name, greeting=link.greeting)
        if not self._first_login.called:
            self._first_login.callback(None)
        try:
            async with background(self._keep_alive(link)):
                await first(start(self._stay(link)), link.when_lost())
            log.warn("AMI link to {name}: lost: {reason}", name=self.name, reason=link.reason)
        finally:
            self._link, self._last_heard = None, link.heard
            self._tell_lost(link.reason or ("stopped" if self._stopping else "could not get ready"))

    async def _stay(self, link: Link) -> None:
        """Let those above get ready, and once more whenever an Asterisk that was to shut down goes on after all."""
        await self._until_booted(link)
        while True:
            self._refuses = Bell()
            self.linked = True
            await self._connected()
            self.restarted = False
            await self._refuses.wait()
            log.warn("AMI link to {name}: {why}", name=self.name, why=SHUTS_DOWN)
            self._tell_lost(SHUTS_DOWN)
            self._obeys = Bell()
            await self._obeys.wait()

    async def _until_booted(self, link: Link) -> None:
        """Wait until Asterisk is ready for us."""
        try:
            await limited(self._has_booted.wait(), BOOT_SECONDS, self._clock)
        except TimeoutError:
            user = self._account.username
            raise AmiError(f"no FullyBooted within {BOOT_SECONDS:g} s: the AMI user {user!r} needs read = system") from None
        await self._ask_for_less(link)

    async def _ask_for_less(self, link: Link) -> None:
        """Let Asterisk send the wanted events only: the cheapest event is the one never sent.

        Needs the right ``write = system``, which our account should not have, and Asterisk 22.1; without them we go on.
        """
        for count, name in enumerate(sorted(self._events)):
            wanted = Action.of("Filter", Operation="Add", MatchCriteria=f"action(include),name({name})")
            try:
                await link.request(wanted, LOGIN_SECONDS)
            except ActionRefused:
                if count:
                    raise  # half of a list would hide events that are wanted
                return

    async def _keep_alive(self, link: Link) -> None:
        """Ping, and close a link over which nothing comes."""
        while True:
            left = link.heard + SILENCE_SECONDS - self._clock.seconds()
            if left <= 0:
                link.abort(f"nothing heard for {SILENCE_SECONDS:g} s")
                return
            with suppress(LinkDown, TooManyActions):
                link.request(Action("Ping"), PONG_SECONDS).addCallbacks(self._pong, self._no_pong, errbackArgs=(link,))
            wait = min(PING_SECONDS, left)
            due = self._clock.seconds() + wait
            await deferLater(self._clock, wait)
            link.heard += max(
                0.0, self._clock.seconds() - due
            )  # when we were late ourselves, that was no silence of the peer

    def _pong(self, answer: object) -> None:
        self._obeys.ring()

    def _no_pong(self, failure: Failure, link: Link) -> None:
        if isinstance(failure.value, ActionTimeout):
            link.abort(f"no answer to a ping within {PONG_SECONDS:g} s")
        elif isinstance(failure.value, ActionRefused) and _is_shutting_down(failure.value):
            self._refuses.ring()
        elif not isinstance(failure.value, LinkLost):
            log.failure("a ping failed", failure)

    async def _close(self, link: Link) -> None:
        link.abort("closed")
        if link.transport is not None:
            with suppress(TimeoutError):
                await limited(link.when_lost(), CLOSE_SECONDS, self._clock)

    def _on_fully_booted(self, event: Message) -> None:
        """Sent behind the log-in, or when Asterisk has booted if we logged in before that."""
        uptime = event.get("Uptime")
        self.restarted = False
        if uptime.isdecimal():
            self.booted = self._clock.seconds() - int(uptime)
            self.restarted = self._last_heard is not None and self.booted > self._last_heard
        self._has_booted.ring()
        if self._listener is not None:
            self._listener(event)

    def _tell_lost(self, reason: str) -> None:
        if not self.linked:
            return
        self.linked = False
        try:
            self._lost(reason)
        except Exception:
            log.failure("AMI link to {name}: telling its loss failed", name=self.name)

    def _say(self, why: str) -> None:
        """Log why there is no link, once for each reason and not at every try."""
        if why != self._said:
            self._said = why
            log.warn("AMI link to {name}: {why}; trying again", name=self.name, why=why)


def _is_shutting_down(refusal: ActionRefused) -> bool:
    return "shutting down" in refusal.message.lower()
