"""The two open interfaces of the CTI server and the services its conduct needs, as protocols.

:class:`Channel` is the **media interface**, :class:`Switch` the **call-control interface** (row A1 of the requirements).
What is below them (:mod:`easycall.asterisk`) can be changed without touching what is above.

**Every leg is in a bridge or at home.**  At home its media verbs work.  When it is bridged away they raise :class:`Taken`,
when it is gone :class:`HungUp`; a verb never waits on a leg that cannot answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from easycall.events import Event
from easycall.model import FaxResult, Message, OfferOutcome, Speaks, Trunk
from easycall.policy import Case
from easycall.secure.secret import Secret

__all__ = [
    "ActionFailed",
    "Arrival",
    "BridgeFailed",
    "CannotRecord",
    "Channel",
    "Conference",
    "Conversation",
    "Database",
    "HungUp",
    "Journal",
    "Messages",
    "NotAnswered",
    "Service",
    "ServiceFailed",
    "StatementRefused",
    "StoreUnavailable",
    "StoreUnusable",
    "Strategy",
    "StrategyOutside",
    "Switch",
    "Taken",
]


class HungUp(Exception):
    """The leg is gone."""


class Taken(Exception):
    """The leg left home alive (bridged or redirected); it may come home again."""


class NotAnswered(Exception):
    """A leg we rang did not answer."""

    def __init__(self, outcome: OfferOutcome, cause: int = 0) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome
        self.cause = cause
        """What the network told (ITU-T Q.850); 0: nothing."""


class BridgeFailed(Exception):
    """Two legs could not be joined; each is where it was, or gone."""


class ActionFailed(Exception):
    """The switch could not do what was asked of a leg, and the text says why; nothing was changed."""


class ServiceFailed(Exception):
    """A service did not answer as it should.  Whether it did what was asked is not known; the text never quotes."""


class CannotRecord(Exception):
    """Asterisk does not begin, pause or stop a recording; the text says why."""


class StoreUnavailable(Exception):
    """The database did not take or give what was asked.  A change was made as a whole or not at all; where the answer to its
    commit was lost, it may have been made: so every statement may be run twice."""


class StoreUnusable(StoreUnavailable):
    """The database cannot be used as it is, or as it is configured: only the operator mends that, waiting does not."""


class StatementRefused(Exception):
    """The database finds values wrong, and will always do so; nothing was changed."""


class Channel(Protocol):
    """One leg for its whole life, and the media verbs that work while it is at home.

    Verbs raise :class:`Taken` or :class:`HungUp`; one verb runs at a time, later ones wait their turn.
    """

    @property
    def id(self) -> str:
        """The switch's unique id of the leg."""

    @property
    def endpoint(self) -> str:
        """Where it came in, as :attr:`Arrival.endpoint`; empty while, or when, that is not known."""

    @property
    def gone(self) -> bool:
        """True once the leg has ended."""

    @property
    def doomed(self) -> bool:
        """True once we have hung it up, whether it knows yet or not."""

    @property
    def end_seen(self) -> bool:
        """False when the leg was found gone, some time after it went."""

    @property
    def died_of(self) -> str:
        """Why the leg ended though nobody hung up, in the switch's words: its phone died, or the way to it.

        Empty while it lives, and when somebody hung up or nothing tells why it ended.
        """

    def when_gone(self) -> Deferred[None]:
        """A Deferred of the asker's own that fires when the leg has ended (at once if it has)."""

    async def home(self) -> None:
        """Wait until the leg is at home.  Raises HungUp."""

    async def answer(self) -> None:
        """Answer the call; does nothing when it is answered."""

    async def play(self, sounds: Sequence[str], keys: str = "") -> str:
        """Play sound files one after another; a key of ``keys`` stops them and is returned, else ``""``."""

    async def collect(self, sounds: Sequence[str], digits: int, seconds: float) -> str:
        """Play, then read up to ``digits`` keys (type-ahead works), each within ``seconds``; ``#`` ends.

        Returns the keys without the terminator, ``""`` on silence.
        """

    async def wait_key(self, seconds: float) -> str:
        """Wait for one key at most ``seconds`` (≤ 25); ``""`` when none came."""

    async def music(self, name: str | None) -> None:
        """Start music of that class under the leg, or stop it with None."""

    async def listen(self, leg: str, speaks: Speaks) -> None:
        """Hear what another leg says and hears, and speak as ``speaks`` says, until that leg ends.

        It goes with that leg into bridges and home again.  :meth:`Switch.fetch` ends it, stopping to wait for it does not.
        """

    async def record(self, file: str, *, seconds: float, silence: float) -> None:
        """Record what the far end says into a file of the switch, after a beep, without its ending ``.wav``.

        It ends after ``seconds``, after so many seconds of ``silence``, or with the key ``#``.
        """

    async def remember(self, values: Mapping[str, str]) -> None:
        """Keep values on the leg itself, where a later process of ours finds them."""

    async def send_fax(self, file: str, station: str, header: str, at_page: Callable[[int], None]) -> FaxResult:
        """Send a fax TIFF file, by its path on the switch, to the machine at the far end; returns when it is over.

        ``station``: what we call ourselves; ``header``: a line above each page, ``""`` for none.  A machine that hangs up
        when it is done is no HungUp: the result is given.  ``at_page`` is told now and then which page the machines are at.
        """

    async def receive_fax(self, file: str, station: str, at_page: Callable[[int], None]) -> FaxResult:
        """Receive a fax into a TIFF file that is not there yet; else as :meth:`send_fax`."""

    async def who_answered(self) -> str:
        """Listen for two seconds at most who is there: ``machine``, ``person``, or ``""`` when it cannot be told.

        A guess.
        """

    async def listen_for_fax(self, on: bool) -> None:
        """Listen for the tone of a fax machine that calls, or not any more.

        When it is heard, the verb under way raises Taken and the leg is at home again at once.
        """

    def when_fax_tone(self) -> Deferred[None]:
        """Fires when that tone was heard."""

    async def answered(self) -> None:
        """For a leg we rang: wait until it is answered and at home.  Raises NotAnswered."""

    def when_ringing(self) -> Deferred[None]:
        """For a leg we rang: fires when the phone rings (or answers without ringing)."""

    def hang_up(self, *, elsewhere: bool = False) -> None:
        """Hang up: a standing intent, carried out now or as soon as the leg can be reached.

        ``elsewhere``: another phone has answered; one that rings shows no missed call.
        """


class Conversation(Protocol):
    """Two legs in one bridge."""

    async def over(self) -> Channel:
        """Wait until they are no longer together; the leg that left first."""


class Conference(Conversation, Protocol):
    """Legs in one room that hear each other: those who are in it, until the first of them has left.

    Who comes or goes makes another one of it, of the same room.
    """

    def without(self, *channels: Channel) -> Conference:
        """The same without these, whether they have left or are about to."""

    async def mute(self, channel: Channel, muted: bool) -> None:
        """Let the others not hear one of them, or hear it again.  Raises ActionFailed."""


class Switch(Protocol):
    """Call control on one Asterisk."""

    @property
    def name(self) -> str:
        """The name of the Asterisk in the configuration."""

    @property
    def up(self) -> bool:
        """True while actions reach the Asterisk and our picture of it is right."""

    def when_up(self) -> Deferred[None]:
        """Fires when :attr:`up` is true, at once if it is."""

    def ring(
        self,
        phone: str,
        *,
        leg: str,
        caller: str,
        caller_name: str,
        seconds: float,
        values: Mapping[str, str],
        auto_answer: bool = False,
    ) -> Channel:
        """Ring an agent's phone with a leg id of ours; returns at once with the leg, not yet answered.

        ``values`` are kept on the leg as :meth:`Channel.remember` does; ``auto_answer``: a phone that can shall answer by
        itself.  Raises ValueError for a phone or value that
        must not be dialled or sent.
        """

    def dial(
        self,
        trunk: Trunk,
        number: str,
        *,
        leg: str,
        caller: str,
        seconds: float,
        longest: float,
        values: Mapping[str, str],
    ) -> Channel:
        """Dial a number on a trunk of this Asterisk, as :meth:`ring` does a phone; ``caller``: the number shown;
        ``longest``: the leg ends so many seconds from now, as with :meth:`limit`."""

    def limit(self, channel: Channel, seconds: float) -> None:
        """Have the Asterisk end a leg so many seconds from now, whether a process of ours is there or not."""

    def expect(self, leg: str, *, rings: float | None = None, phone: str = "", ends_at: float | None = None) -> Channel:
        """A leg of this id that a process of ours had before this one.

        Where it is, or that it is gone, is known when the switch is :attr:`up`.  ``rings``: it was not answered when we
        heard of it last, and may ring so many seconds more; ``phone``: of an agent's leg; ``ends_at``: see :meth:`limit`.
        """

    def together(self, one: Channel, other: Channel) -> Conversation | None:
        """Two legs that are in one bridge already; None: they are not."""

    def gathered(self, room: str, *channels: Channel) -> Conference | None:
        """Those of these legs who are in one conference already, in the room of that name; None: fewer than two are."""

    async def bridge(self, one: Channel, other: Channel) -> Conversation:
        """Join two legs that are at home, or in bridges: whom they leave there comes home.

        Waits for the link when it is down.  Raises BridgeFailed.
        """

    async def confer(self, room: str, *channels: Channel) -> Conference:
        """Put legs that are at home and idle into one conference, in a room of that name that nobody else uses.

        Waits for the link when it is down.  Raises BridgeFailed; then some of them may be in it.
        """

    async def admit(self, conference: Conference, *channels: Channel) -> Conference:
        """Put more legs that are at home and idle into a conference: the same with these.  Else as :meth:`confer`."""

    async def send_digits(self, channel: Channel, digits: str) -> None:
        """Send keys to the far end of a leg, one after another; ``w`` is a pause of half a second.

        Waits for the link when it is down.  Raises ActionFailed.
        """

    async def fetch(self, *channels: Channel) -> None:
        """Bring legs home from wherever they are, at once, out of whatever they hear; idle ones stay.

        Waits for the link when it is down.  Raises HungUp when one of them is gone, BridgeFailed when they do not come.
        """

    async def record(self, channel: Channel, file: str) -> None:
        """Begin to record a leg, its own sound and all it hears, into a file of Asterisk's.

        For that the leg comes home, at once, out of whatever it hears; the recording follows it from there through every
        bridge.  Waits for the link when it is down.  Raises CannotRecord when nothing was begun, HungUp, and BridgeFailed
        when the leg does not come.
        """

    async def mute_recording(self, channel: Channel, muted: bool) -> None:
        """Let silence be recorded of a leg from now on, or sound again; returns when Asterisk has said that it is so.

        Waits for the link when it is down.  Raises CannotRecord, HungUp.
        """

    async def stop_recording(self, channel: Channel) -> None:
        """End the recording of a leg.  Waits for the link when it is down.  Raises CannotRecord, HungUp."""


@frozen
class Arrival:
    """A caller's leg that came in, and what is known of it."""

    switch: Switch
    channel: Channel
    caller: str
    """The calling number, ``""`` when withheld."""
    caller_name: str
    dialled: str
    endpoint: str = ""
    """Where it came in, as Asterisk names it with its technology, ``PJSIP/carrier``; empty when it is not known."""


class Journal(Protocol):
    """Where facts go.  Recording never waits and never fails."""

    def record(self, event: Event) -> None:
        """Number the event, tell the subscribers at once, store it soon."""

    def write(self) -> None:
        """What was recorded so far outlives the process from now on.  For who acts outside by it within the turn."""

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        """Call ``listener(sequence, event)`` for each event from now on; returns how to stop it."""


class Messages(Protocol):
    """The messages in the voice mail boxes."""

    @property
    def seconds(self) -> float:
        """How long a message may be."""

    @property
    def silence(self) -> float:
        """Silence of so many seconds ends a message."""

    def file(self, message: str) -> str:
        """Where the switch records a message of that id, without the ending ``.wav``."""

    async def keep(self, message: Message) -> float:
        """The message was recorded: keep it, and tell its length in seconds; 0 when nothing was said, then it is not kept.

        Raises OSError.
        """


class Service(Protocol):
    """A service outside, which flows hand values to."""

    async def post(self, values: Mapping[str, Secret]) -> Mapping[str, Any]:
        """Send values, once, and give the object that is answered.  Raises ServiceFailed.

        Cancelled, it does not wait for the answer; the service may have got the values.
        """


class Strategy(Protocol):
    """Who of the agents who may have a contact gets it.

    A class is registered under a name by an entry point of the group ``easycall.strategies`` and named in the configuration
    (``[strategies.NAME] use``); one object of it is made for each such section, before the daemon starts, as
    ``CLASS(given)``, with what stands there (:class:`easycall.config.strategies.Given`).
    """

    def choose(self, case: Case) -> str | Awaitable[str | None] | None:
        """The id of one of the agents of the case, or None for the queue's own choice; or a promise of it.

        It must not block: what takes time is awaited, and is cancelled when the time is over or the caller has gone.  What
        it raises, and an answer that is no agent of the case, is logged, and the queue's own choice holds.
        """


@runtime_checkable
class StrategyOutside(Protocol):
    """What a strategy has beside :meth:`Strategy.choose` if it needs the network."""

    def start(self, reactor: Any, clock: IReactorTime) -> None:
        """The daemon starts: ``reactor`` connects, ``clock`` tells the time and has timers.  Before the first case."""

    async def stop(self) -> None:
        """The daemon stops: leave nothing open.  After the last case."""


class Database(Protocol):
    """The whole port to a database: one query, or a list of statements in one transaction.  ``?`` marks parameters."""

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one reading statement.  Raises StoreUnavailable and StatementRefused."""

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """Run each statement for each of its rows of values, all or nothing.  Raises as :meth:`query`."""
