"""What the API asks of the conduct, as protocols: the staff, the distributor, the contacts, the journal and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, tzinfo
from typing import Any, BinaryIO, Protocol

from twisted.internet.defer import Deferred

from easycall.acd.decisions import Decision
from easycall.acd.queue_edits import Routing
from easycall.acd.waits import Forecast
from easycall.acd.why import AgentWhy, ContactWhy
from easycall.callback.lifecycle import Later
from easycall.callback.shelf import Filter
from easycall.callback.wish import Change, Wish
from easycall.events import Event
from easycall.health import Figures, Lag, Vitals
from easycall.model import Agent, AgentState, Callback, Contact, EndedBy, Message, Queue, Request, SupervisionMode
from easycall.outbound.call import CallOut
from easycall.policy import Channel, WorkItem
from easycall.stats.journey import Step
from easycall.stats.record import Record
from easycall.stats.recordings import Recording
from easycall.stats.recovery import RecoveryDay, Standing
from easycall.stats.service_level import Level
from easycall.verbs import Verb

__all__ = [
    "Callbacks",
    "Contacts",
    "Desktops",
    "Distributor",
    "Health",
    "History",
    "Journal",
    "MessageBoxes",
    "Profiles",
    "QueueEdits",
    "RecordingFiles",
    "Requests",
    "Staff",
    "Supervision",
    "Supervisions",
    "Waits",
    "WrapUps",
]


class Staff(Protocol):
    """The agents."""

    @property
    def agents(self) -> Mapping[str, Agent]:
        """Every agent, by id."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by id."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why an agent may be not ready; empty: in words of one's own."""

    @property
    def wrap_ups(self) -> WrapUps:
        """The wrap-ups that run."""

    def log_in(self, agent_id: str, phone: str, queues: Sequence[str] | None = None, by: str = "") -> None:
        """Log in with a phone.  Raises KeyError (agent), ValueError (phone or queue), NotNow."""

    def log_out(self, agent_id: str, by: str = "") -> None:
        """Log out.  Raises KeyError, NotNow."""

    def set_state(self, agent_id: str, state: AgentState, reason: str = "", by: str = "", *, forced: bool = False) -> None:
        """Become ready or not ready.  Raises KeyError, ValueError, NotNow."""


class WrapUps(Protocol):
    """The wrap-ups that run.  Every method raises KeyError (agent), NotNow."""

    def dispose(self, agent_id: str, disposition: str, by: str = "") -> None:
        """Say what came of the contact.  Raises ValueError too."""

    def extend(self, agent_id: str, seconds: float, by: str = "") -> None:
        """Let it last longer."""

    def end(self, agent_id: str, by: str = "", *, forced: bool = False) -> None:
        """End it now."""


class Profiles(Protocol):
    """Queues and skills of agents, which are kept.  Every method raises KeyError (agent), StoreUnavailable."""

    async def set_queues(self, agent_id: str, queues: tuple[str, ...], by: str) -> None:
        """They are these.  Raises ValueError (queue) too."""

    async def join(self, agent_id: str, queue: str, by: str) -> None:
        """One more.  Raises ValueError (queue) too."""

    async def leave(self, agent_id: str, queue: str, by: str) -> None:
        """One less.  Raises ValueError (queue) too."""

    async def set_skills(self, agent_id: str, skills: Mapping[str, int], by: str) -> None:
        """They are these."""

    async def reset(self, agent_id: str, by: str) -> None:
        """Both are those of the configuration again."""


class QueueEdits(Protocol):
    """The routing of queues, which can be changed.  Every method raises KeyError (queue)."""

    def of(self, queue_id: str) -> Routing:
        """A queue's."""

    async def change(self, queue_id: str, changes: Mapping[str, Any], by: str) -> None:
        """Some options are these; None: that of the configuration.  Raises ConfigError, StoreUnavailable."""

    async def reset(self, queue_id: str, by: str) -> None:
        """Everything is as in the configuration.  Raises ConfigError, StoreUnavailable."""


class Desktops(Protocol):
    """Which agents' desktops are there."""

    def came(self, agent_id: str) -> None:
        """One is there."""

    def went(self, agent_id: str) -> None:
        """It is gone."""


class Distributor(Protocol):
    """The waiting room: queues and who waits."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by id."""

    def waiting(self, queue: str) -> list[WorkItem]:
        """Who waits in a queue, first in line first."""

    def position(self, contact: str) -> int:
        """The place of a contact in its queue, from 1.  Raises KeyError when it does not wait."""

    def why_contact(self, contact: str, zone: tzinfo, limit: int) -> ContactWhy | None:
        """Why a contact waits, with the first so many agents; None: it does not wait."""

    def why_agent(self, agent: str, zone: tzinfo, limit: int) -> AgentWhy | None:
        """Why an agent has none of the first so many items; None: the agent is logged out."""

    def decided(self, limit: int, *, contact: str = "", agent: str = "") -> list[Decision]:
        """The last decisions about a contact or an agent, oldest first."""


class ServiceLevels(Protocol):
    """How many were answered in time today."""

    def of_queue(self, queue: str, now: float) -> Mapping[Channel, Level]:
        """Of each kind of work in a queue.  Raises KeyError."""


class Recovery(Protocol):
    """Lost contacts and callbacks, by queue and day.  Every method of one queue raises KeyError."""

    def of_queue(self, queue: str, now: float) -> Mapping[date, RecoveryDay]:
        """Each of the last days on which there was something, the earliest first."""

    def first_day(self, queue: str, days: int, now: float) -> date:
        """With which day the last so many began, today being one of them."""

    def abandonment(self, queue: str, now: float) -> float | None:
        """The share of customers who answered and were kept waiting, over 30 days; None while nobody answered."""

    def open(self) -> Mapping[str, Standing]:
        """Queue -> its open callbacks, of those that have any."""


class History(Protocol):
    """The figures that go on after a restart."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Figure -> why it knows nothing from before the start; those that do are not in it."""


class Waits(Protocol):
    """The expected waits."""

    def of_queue(self, queue: str) -> Forecast:
        """Of one who would join the queue now.  Raises KeyError."""


class Contacts(Protocol):
    """The live contacts."""

    @property
    def live(self) -> Mapping[str, Contact]:
        """The contacts of now, by id."""

    def call(self, asked: CallOut) -> Contact:
        """Call a customer for an agent.  Raises NotNow."""

    def ask(self, contact_id: str, verb: Verb) -> Deferred[Mapping[str, str]]:
        """Ask a verb; what came of it, or a failure with NotNow.  Raises KeyError when the contact is not live."""

    def hang_up(self, contact_id: str, ended_by: EndedBy = EndedBy.API) -> None:
        """End a contact.  Raises KeyError when it is not live."""


class Requests(Protocol):
    """What is asked of agents without a call, and not done."""

    @property
    def live(self) -> Mapping[str, Request]:
        """All of it, by id."""

    async def ask(self, request: Request) -> Contact:
        """Store one; it waits from then on.  Raises NotNow, StoreUnavailable."""


class Callbacks(Protocol):
    """Those who are to be called back.

    What changes something is stored first.  It raises StoreUnavailable, KeyError when no callback of that id is open or
    there is no such queue, NotNow, and ValueError for times that make no sense.
    """

    @property
    def live(self) -> Mapping[str, Callback]:
        """Those that are open, by id."""

    async def ask(self, wish: Wish, /) -> tuple[Callback, bool]:
        """A new one, or the open one of that queue and number; whether it is new.  Raises NotDialled too."""

    async def edit(self, callback: str, change: Change, by: str, /) -> Callback:
        """Change one."""

    async def cancel(self, callback: str, by: str, /) -> Callback:
        """Nobody is called back any more."""

    async def call_now(self, callback: str, by: str, /) -> Callback:
        """It is due at once."""

    def why(self, callback: str, /) -> tuple[Later | None, str]:
        """Why it is not made yet, and in words; None: it is in line, or may begin.  Raises KeyError."""

    async def find(self, wanted: Filter, limit: int, /) -> Sequence[Callback]:
        """Open or not, the latest first, so many at most.  Raises StoreUnavailable."""

    async def one(self, callback: str, /) -> Callback | None:
        """The one of that id, open or not.  Raises StoreUnavailable."""


class Journal(Protocol):
    """What happened."""

    @property
    def last(self) -> int:
        """The sequence of the latest event."""

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event from now on; returns how to stop it."""

    async def record_of(self, contact: str) -> tuple[Record, list[Step]] | None:
        """A contact's record and story.  Raises StoreUnavailable."""

    async def ended(self, limit: int, before: str = "") -> list[Record]:
        """Ended contacts, latest arrival first.  Raises StoreUnavailable."""

    def record(self, event: Event) -> None:
        """Note something that happened."""

    def write(self) -> None:
        """What was recorded so far outlives the process from now on."""

    async def flush(self) -> None:
        """Store everything recorded so far.  Raises StoreUnavailable."""

    async def recording(self, recording: str) -> tuple[str, Recording] | None:
        """The contact of a recording, and what is known of it; None when it is unknown.  Raises StoreUnavailable."""

    async def recordings(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        """Contacts and recordings that began from ``first`` on and before ``end``, latest first; only those before recording
        ``before``.  Raises StoreUnavailable."""


class RecordingFiles(Protocol):
    """The files of recordings."""

    async def open(self, file: str) -> BinaryIO:
        """One of them, for reading.  Raises FileNotFoundError, and OSError when it may not be read."""


class Order(Protocol):
    """What was asked for when a supervision began."""

    @property
    def supervisor(self) -> str:
        """The agent who supervises."""

    @property
    def follows(self) -> str:
        """``contact`` or ``agent``."""


class Supervision(Protocol):
    """One supervision."""

    mode: SupervisionMode
    since: float
    """When it began."""

    @property
    def order(self) -> Order:
        """What was asked for."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def contact(self) -> str:
        """The contact that is supervised now; empty: none."""

    @property
    def agent(self) -> str:
        """The agent who is supervised now; empty: none."""

    @property
    def state(self) -> str:
        """``ringing``, ``hearing`` or ``waiting``."""


class Supervisions(Protocol):
    """Supervisors who listen."""

    @property
    def live(self) -> Mapping[str, Supervision]:
        """The supervisions of now, by id."""

    def begin(self, supervisor: str, mode: SupervisionMode, *, contact: str, agent: str, by: str) -> Supervision:
        """Ring a supervisor's phone.  Raises KeyError, NotAllowed, NotNow."""

    def change(self, supervision: str, mode: SupervisionMode, by: str) -> None:
        """Change the mode.  Raises KeyError."""

    def end(self, supervision: str, by: str) -> None:
        """End it.  Raises KeyError."""

    def take_over(self, supervision: str) -> Deferred[Mapping[str, str]]:
        """The supervisor gets the customer.  Raises KeyError, NotNow; the Deferred fails with NotNow."""


class Health(Protocol):
    """How the daemon is."""

    @property
    def vitals(self) -> Vitals:
        """Why it is not ready."""

    @property
    def lag(self) -> Lag:
        """By how much the reactor is late."""

    @property
    def figures(self) -> Figures:
        """Its figures for Prometheus."""


class MessageBoxes(Protocol):
    """The messages in the voice mail boxes."""

    async def page(self, limit: int, before: str = "", box: str = "") -> list[Message]:
        """Messages, the latest first; ``before``: behind that one; ``box``: of that box only."""

    async def open(self, message: str) -> BinaryIO:
        """The sound of a message, for the one who closes it.  Raises FileNotFoundError, OSError."""
