"""Bridges: where channels hear each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from easycall.simulator.line import SILENCE, SPEECH

if TYPE_CHECKING:
    from easycall.simulator.channel import Channel
    from easycall.simulator.core import Core

__all__ = ["Bridge"]


class Bridge:
    """Two channels that talk, or a conference.

    A basic bridge is over when one of its two leaves: the other leaves too and goes on in its dialplan.
    """

    def __init__(self, core: Core, *, conference: str = "") -> None:
        self.id = core.new_bridge_id()
        self.conference = conference
        """The name of the conference; empty for a bridge of two."""
        self.channels: list[Channel] = []
        self.muted: set[Channel] = set()
        self._staying: dict[Channel, Deferred[None]] = {}
        self._core = core
        core.bridges[self.id] = self
        self._tell("BridgeCreate")

    def __repr__(self) -> str:
        return f"<bridge {self.id} of {self.channels}>"

    def add(self, channel: Channel) -> None:
        """A channel enters; from another bridge it is taken away."""
        if channel.bridge is not None:
            channel.bridge.remove(channel)
        self.channels.append(channel)
        channel.bridge = self
        self._tell("BridgeEnter", channel)
        if self.conference:
            self._tell("ConfbridgeJoin", channel)
        elif len(self.channels) == 2:
            one, other = self.channels
            one.connected, other.connected = (other.caller, other.caller_name), (one.caller, one.caller_name)
            other.linkedid = min(one.linkedid, other.linkedid, key=self._core.age)
            one.linkedid = other.linkedid
        self.sounds_changed()

    def remove(self, channel: Channel) -> None:
        """A channel leaves.  A second time does nothing."""
        if channel not in self.channels:
            return
        self.channels.remove(channel)
        self.muted.discard(channel)
        self._staying.pop(channel, None)
        channel.bridge = None
        if self.conference:
            self._tell("ConfbridgeLeave", channel)
        self._tell("BridgeLeave", channel)
        channel.sound_changed()
        if self.channels and not self.conference:
            last = self.channels[0]
            self.remove(last)
            last.interrupt()
        elif not self.channels:
            self._core.bridges.pop(self.id, None)
            self._tell("BridgeDestroy")
        self.sounds_changed()

    def thrown_out(self, channel: Channel) -> Deferred[None]:
        """Fires when one of a conference is thrown out."""
        staying = self._staying[channel] = Deferred()
        return staying

    def throw_out(self, channel: Channel) -> None:
        """Let one of a conference go on where it came from."""
        staying = self._staying.pop(channel, None)
        if staying is not None:
            staying.callback(None)

    def sounds_changed(self) -> None:
        """Somebody in it says something else, came, left or was muted."""
        for channel in list(self.channels):
            channel.sound_changed()

    def sound_for(self, channel: Channel) -> str:
        """What one of them hears; two sounds at once are no tone any more."""
        said = {other.far_sound for other in self.channels if other is not channel and other not in self.muted}
        said.discard(SILENCE)
        return SPEECH if len(said) > 1 else next(iter(said), SILENCE)

    def key(self, presser: Channel, key: str) -> None:
        """One of them pressed a key: the others hear it, of a conference only if that lets keys pass."""
        passes = not self.conference or presser.variables.get("CONFBRIDGE(user,dtmf_passthrough)") == "yes"
        if passes:
            for channel in [other for other in self.channels if other is not presser]:
                channel.send_key(key)

    def headers(self) -> list[tuple[str, str]]:
        """What events tell of a bridge."""
        technology = "softmix" if self.conference else "simple_bridge"
        return [
            ("BridgeUniqueid", self.id),
            ("BridgeType", "base" if self.conference else "basic"),
            ("BridgeTechnology", technology),
            ("BridgeCreator", "ConfBridge" if self.conference else "<unknown>"),
            ("BridgeName", self.conference or "<unknown>"),
            ("BridgeNumChannels", str(len(self.channels))),
            ("BridgeVideoSourceMode", "none"),
        ]

    def _tell(self, name: str, channel: Channel | None = None) -> None:
        core = self._core
        if core.wanted("call", name):
            headers = [("Conference", self.conference)] if name.startswith("Confbridge") else []
            core.tell("call", name, channel, [*headers, *self.headers()])
