"""What all parts of the simulated Asterisk stand on: its channels and bridges, its time, and who is told of events."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.simulator import ami, variables
from easycall.simulator.bridge import Bridge
from easycall.simulator.causes import TEXT
from easycall.simulator.channel import Channel
from easycall.simulator.devices import Devices
from easycall.simulator.dialplan import Dialplan
from easycall.simulator.faults import Faults
from easycall.simulator.line import FarEnd

__all__ = ["Core", "EventListener"]

Headers = Sequence[tuple[str, str]]
Run = Callable[[Channel, str, str], Awaitable[None]]


class EventListener(Protocol):
    """An AMI connection, for those who tell of events."""

    def wants(self, event_class: str, name: str) -> bool:
        """Whether it asked for events of that class, and does not filter that one out."""

    def write(self, data: bytes) -> None:
        """Send it."""


def _strand(event: str) -> str:
    """Which of a channel's events keep their order: its states, its being dialled, its bridges (tests/conformance).

    DialState RINGING comes before Newstate Ringing or behind it, DialEnd before HangupRequest or behind it.  Newchannel is
    the first of all, and Hangup the last.
    """
    for strand in ("Dial", "Bridge", "Confbridge", "HangupRequest"):
        if event.startswith(strand):
            return strand
    return "state"


class Core:
    """The PBX without its wires."""

    def __init__(
        self,
        clock: IReactorTime,
        dialplan: Dialplan,
        *,
        music: Mapping[str, str],
        sounds: Callable[[str], float | None],
        applications: Collection[str],
        faults: Faults,
        run_application: Run,
        endpoints: Mapping[str, str],
        node: int,
    ) -> None:
        """``node``: tells the ids of its bridges from those of other Asterisks."""
        self.clock = clock
        self.dialplan = dialplan
        self.faults = faults
        self.globals: dict[str, str] = dict(dialplan.variables)
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, Bridge] = {}
        self.conferences: dict[str, Bridge] = {}
        self.database: dict[tuple[str, str], str] = {}
        self.processed = 0
        """How many channels have ended."""
        self.run_application = run_application
        self.endpoints = endpoints
        """PJSIP endpoint -> its device state."""
        self.devices = Devices(endpoints, lambda: self.channels.values(), self._tell_device)
        self.on_record: Callable[[Channel, str], Callable[[], None]] = lambda channel, file: lambda: None
        self.on_dialled: Callable[[Channel], None] = lambda channel: None
        self.on_dial_state: Callable[[Channel], None] = lambda channel: None
        self.on_ended: Callable[[Channel], None] = lambda channel: None
        self.recorded: deque[tuple[str, str]] = deque(maxlen=1000)
        """Which channel was recorded (RECORD FILE, MixMonitor) into which file, lately."""
        self._node = node
        self._music = music
        self._sounds = sounds
        self._applications = applications
        self._listeners: list[EventListener] = []
        self._wanted: dict[tuple[str, str], list[EventListener]] = {}
        self._numbers = {"channel": 0, "unique": 0, "bridge": 0}
        self._ages: dict[str, int] = {}
        self._due: dict[str, dict[str, float]] = {}
        """Channel -> strand -> when the last event of it that was delayed is told."""

    # Time and names

    def now(self) -> float:
        """Now, in seconds since the epoch."""
        return self.clock.seconds()

    def sound_seconds(self, sound: str) -> float | None:
        """How long a sound file is; None: there is none of that name."""
        return self._sounds(sound)

    def knows_application(self, name: str) -> bool:
        """Whether there is a dialplan application of that name (in lower case)."""
        return name in self._applications

    def note_recording(self, channel: Channel, file: str) -> None:
        """A file was recorded from a channel."""
        self.recorded.append((channel.id, file))

    def record_file(self, channel: Channel, file: str) -> Callable[[], None]:
        """Write what the far end of a channel says into a file, until what is returned is called."""
        return self.on_record(channel, file)

    def later(self, seconds: float, do: Callable[..., Any], *arguments: object) -> IDelayedCall:
        """Call later."""
        return self.clock.callLater(seconds, do, *arguments)

    def _next(self, kind: str) -> int:
        self._numbers[kind] += 1
        return self._numbers[kind] - 1

    def new_channel_name(self, technology: str) -> str:
        """``PJSIP/world`` -> ``PJSIP/world-0000002a``."""
        return f"{technology}-{self._next('channel'):08x}"

    def new_uniqueid(self) -> str:
        """An id that no other channel has or had."""
        return f"{int(self.now())}.{self._next('unique')}"

    def new_bridge_id(self) -> str:
        """An id that no other bridge has or had."""
        number = self._next("bridge")
        return f"{number:08x}-0000-4000-8000-{self._node:012x}"

    def age(self, uniqueid: str) -> int:
        """How late a channel of that id was made, for who of two is the older."""
        return self._ages.get(uniqueid, 0)

    def find(self, name: str) -> Channel | None:
        """A channel by its Uniqueid or name."""
        found = self.channels.get(name)
        if found is None and "/" in name:
            found = next((channel for channel in self.channels.values() if channel.name == name), None)
        return found

    def find_beginning(self, text: str) -> Channel | None:
        """A channel whose name, else whose Uniqueid, begins so: of several, which one is chance; here the newest."""
        newest = list(reversed(self.channels.values()))
        text = text.lower()
        found = (channel for channel in newest if channel.name.lower().startswith(text))
        return next(found, None) or next((channel for channel in newest if channel.id.lower().startswith(text)), None)

    # Channels

    def begin(self, channel: Channel) -> None:
        """A new channel is complete: tell."""
        self._ages[channel.id] = self._numbers["channel"]
        if self.wanted("call", "Newchannel"):
            self.tell("call", "Newchannel", channel)
        self.devices.changed(channel)

    def ended(self, channel: Channel) -> None:
        """A channel is gone: tell, and forget it."""
        self.channels.pop(channel.id, None)
        self._ages.pop(channel.id, None)
        self.processed += 1
        cause = [("Cause", str(channel.cause)), ("Cause-txt", TEXT.get(channel.cause, "Unknown"))]
        self.tell("call", "Hangup", channel, cause)
        self._due.pop(channel.id, None)
        self.devices.changed(channel)
        self.on_ended(channel)

    def dialled(self, channel: Channel) -> None:
        """The phone of a channel was answered, refused or given up."""
        self.on_dialled(channel)

    def dial_state(self, channel: Channel) -> None:
        """The state of a channel changed."""
        self.on_dial_state(channel)
        self.devices.changed(channel)

    def _tell_device(self, facts: Headers) -> None:
        self.tell("call", "DeviceStateChange", None, facts[1:], order_of=dict(facts)["Device"])

    def lookup(self, channel: Channel | None, name: str) -> str:
        """What ``${name}`` is on a channel, or on none."""
        return variables.value(self, channel, name)

    def find_variable(self, channel: Channel, name: str) -> str | None:
        """The same, but None when it is not set."""
        return variables.find(self, channel, name)

    def music(self, name: str) -> str:
        """The sound of a music class."""
        return self._music[name]

    def music_class(self, name: str) -> str:
        """The class that is played for this name: an unknown one is the default."""
        return name if name in self._music else "default"

    # Events

    def listen(self, listener: EventListener) -> None:
        """Tell it of events from now on; also when what it wants has changed."""
        if listener not in self._listeners:
            self._listeners.append(listener)
        self._wanted.clear()

    def forget(self, listener: EventListener) -> None:
        """Tell it no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        self._wanted.clear()

    def wanted(self, event_class: str, name: str) -> bool:
        """Whether anybody wants to be told."""
        return bool(self._who_wants(event_class, name))

    def _who_wants(self, event_class: str, name: str) -> list[EventListener]:
        key = (event_class, name)
        found = self._wanted.get(key)
        if found is None:
            found = self._wanted[key] = [one for one in self._listeners if one.wants(event_class, name)]
        return found

    def tell(
        self,
        event_class: str,
        name: str,
        channel: Channel | None = None,
        more: Headers = (),
        *,
        escaped: bool = True,
        order_of: str = "",
    ) -> None:
        """Tell everybody who wants it of an event; the faults of the simulation may delay, double or lose it.

        ``channel`` is described in it, and its events keep their order; ``order_of``: the id of a channel, or a device,
        whose order it keeps only.
        """
        if not self._who_wants(event_class, name):
            return
        headers = [("Event", name), ("Privilege", f"{event_class},all")]
        if channel is not None:
            headers += channel.headers()
        data = ami.message([*headers, *more], escaped=escaped)
        delays = self.faults.event(name)
        if delays is None:
            self._send(event_class, name, data)
            return
        for delay in delays:
            self._send_later(event_class, name, channel.id if channel is not None else order_of, delay, data)

    def _send_later(self, event_class: str, name: str, channel: str, delay: float, data: bytes) -> None:
        """Late, but in the order that Asterisk keeps."""
        due = self.now() + delay
        if channel:
            strands = self._due.setdefault(channel, {})
            strand = _strand(name)
            due = max(due, strands.get(strand, 0.0), strands.get("first", 0.0))
            if name == "Hangup":
                due = max(due, *strands.values(), 0.0)
            strands["first" if name == "Newchannel" else strand] = due
        self.later(due - self.now(), self._send, event_class, name, data)

    def _send(self, event_class: str, name: str, data: bytes) -> None:
        for listener in self._who_wants(event_class, name):
            listener.write(data)

    def tell_key(self, channel: Channel, key: str, direction: str) -> None:
        """A key was pressed or sent."""
        for name, more in (("DTMFBegin", []), ("DTMFEnd", [("DurationMs", "100")])):
            if self.wanted("dtmf", name):
                self.tell("dtmf", name, channel, [("Digit", key), ("Direction", direction), *more])

    def tell_music(self, channel: Channel, on: bool, music: str) -> None:
        """Music on hold began or ended."""
        name = "MusicOnHoldStart" if on else "MusicOnHoldStop"
        if self.wanted("call", name):
            self.tell("call", name, channel, [("Class", music)] if on else [])

    # Calls

    def new_channel(self, technology: str, far: FarEnd, *, uniqueid: str = "") -> Channel:
        """Make a channel; nobody is told yet (:meth:`begin`)."""
        return Channel(self, technology, far, uniqueid=uniqueid)
