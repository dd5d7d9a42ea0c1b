"""The states of the simulated devices: what ``DeviceStateChange`` tells of the phones and trunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from easycall.simulator.channel import DOWN, RINGING, Channel

__all__ = ["AWAY", "Devices"]

AWAY = "Unavailable"
"""The state of an endpoint that does not answer to Asterisk, in the list of endpoints."""


class Devices:
    """The devices of all endpoints; a channel that is none of theirs is none of a device."""

    def __init__(
        self,
        endpoints: Mapping[str, str],
        channels: Callable[[], Iterable[Channel]],
        tell: Callable[[list[tuple[str, str]]], None],
    ) -> None:
        """``endpoints``: name -> state as the list of endpoints has it; ``tell`` is told of each change."""
        self._reachable = {name: state != AWAY for name, state in endpoints.items()}
        self._channels = channels
        self._tell = tell
        self._states = {name: self._state(name) for name in endpoints}

    def __iter__(self) -> Iterator[list[tuple[str, str]]]:
        """All of them, as they are told."""
        return iter([_facts(name, state) for name, state in self._states.items()])

    def is_reachable(self, name: str) -> bool:
        """Whether the endpoint is there and answers."""
        return self._reachable.get(name, False)

    def set_reachable(self, name: str, reachable: bool) -> None:
        """The endpoint answers to Asterisk from now on, or no more."""
        self._reachable[name] = reachable
        self._look(name)

    def changed(self, channel: Channel) -> None:
        """A channel is new, in another state, or gone."""
        self._look(_endpoint(channel))

    def _look(self, name: str) -> None:
        if name in self._states and (state := self._state(name)) != self._states[name]:
            self._states[name] = state
            self._tell(_facts(name, state))

    def _state(self, name: str) -> str:
        states = {channel.state for channel in self._channels() if not channel.over and _endpoint(channel) == name}
        ringing, used = RINGING in states, bool(states - {DOWN, RINGING})
        if ringing or used:
            return "RINGINUSE" if ringing and used else "RINGING" if ringing else "INUSE"
        return "NOT_INUSE" if self._reachable[name] else "UNAVAILABLE"


def _endpoint(channel: Channel) -> str:
    return channel.name.partition("/")[2].rpartition("-")[0]


def _facts(name: str, state: str) -> list[tuple[str, str]]:
    return [("Event", "DeviceStateChange"), ("Device", f"PJSIP/{name}"), ("State", state)]
