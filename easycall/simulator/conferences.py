"""The AMI actions on conferences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from easycall.simulator.ami import Request
from easycall.simulator.bridge import Bridge
from easycall.simulator.channel import Channel
from easycall.simulator.rights import Action, Refused, needs

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk
    from easycall.simulator.manager import ManagerSession

__all__ = ["CONFERENCES"]


def _conference(asterisk: SimulatedAsterisk, request: Request) -> Bridge:
    conferences = asterisk.core.conferences
    if not conferences:
        raise Refused("No active conferences.")
    conference = conferences.get(request.get("Conference"))
    if conference is None:
        raise Refused("No Conference by that name found.")
    return conference


def _confbridge_list(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    conference = _conference(asterisk, request)
    items = [
        [
            ("Event", "ConfbridgeList"),
            ("Conference", conference.conference),
            ("Muted", "Yes" if channel in conference.muted else "No"),
            *channel.headers(),
        ]
        for channel in conference.channels
    ]
    session.listing(request, "Confbridge user list will follow", items, "ConfbridgeListComplete")


def _confbridge_rooms(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    if not asterisk.core.conferences:
        raise Refused("No active conferences.")
    items = [
        [("Event", "ConfbridgeListRooms"), ("Conference", name), ("Parties", str(len(conference.channels)))]
        for name, conference in asterisk.core.conferences.items()
    ]
    session.listing(request, "Confbridge conferences will follow", items, "ConfbridgeListRoomsComplete")


def _confbridge_mute(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    _mute(asterisk, session, request, mute=True)


def _confbridge_unmute(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    _mute(asterisk, session, request, mute=False)


def _user(conference: Bridge, request: Request) -> Channel:
    """One of a conference, by the name of the channel: these actions do not know its Uniqueid."""
    name = request.get("Channel").lower()
    for channel in conference.channels:
        if name and channel.name.lower().startswith(name):
            return channel
    raise Refused("No Channel by that name found in Conference.")


def _mute(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request, *, mute: bool) -> None:
    conference = _conference(asterisk, request)
    channel = _user(conference, request)
    (conference.muted.add if mute else conference.muted.discard)(channel)
    session.answer(request, "Success", ("Message", "User muted" if mute else "User unmuted"))
    asterisk.core.tell("call", "ConfbridgeMute" if mute else "ConfbridgeUnmute", channel, conference.headers())
    conference.sounds_changed()


def _confbridge_kick(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    conference = _conference(asterisk, request)
    channel = _user(conference, request)
    session.answer(request, "Success", ("Message", "User kicked"))
    conference.throw_out(channel)


CONFERENCES: Mapping[str, Action] = {
    "confbridgekick": needs(_confbridge_kick, "call"),
    "confbridgelist": needs(_confbridge_list, "reporting"),
    "confbridgelistrooms": needs(_confbridge_rooms, "reporting"),
    "confbridgemute": needs(_confbridge_mute, "call"),
    "confbridgeunmute": needs(_confbridge_unmute, "call"),
}
"""Name in lower case -> what it does, and the rights that allow it."""
