"""What each AMI action does.  Each function answers itself, or raises Refused with Asterisk's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from easycall.simulator import causes
from easycall.simulator.ami import Request, arguments
from easycall.simulator.bridge import Bridge
from easycall.simulator.channel import Channel, Place
from easycall.simulator.conferences import CONFERENCES
from easycall.simulator.listings import LISTINGS
from easycall.simulator.originate import ENTRANCE, Order
from easycall.simulator.rights import (
    NOT_SIMULATED,
    Action,
    Refused,
    channel_of,
    forbidden_to_read,
    forbidden_to_run,
    lacks_system,
    needs,
)
from easycall.simulator.variables import caller_id, set_variable

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk
    from easycall.simulator.manager import ManagerSession

__all__ = ["ACTIONS"]

_PATTERN = re.compile("/(.*)/")


def _originate(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    dialled, context, application = (request.get(name) for name in ("Channel", "Context", "Application"))
    if "/" not in dialled:
        raise Refused("Invalid channel" if dialled else "Channel not specified")
    place: Place | None = None
    if not application:
        extension = request.get("Exten")
        priority = asterisk.core.dialplan.priority(context, extension, request.get("Priority") or "1")
        if priority is None:
            raise Refused("Extension does not exist.")
        place = (context, extension, priority)
    if lacks_system(session) and forbidden_to_run(application, request.get("Data")):
        raise Refused("Originate Access Forbidden: app or data blacklisted")
    if not (request.get("Timeout") or "0").isdecimal():
        raise Refused("Invalid timeout")
    number, name = caller_id(request.get("CallerID"))
    pairs = [pair.partition("=") for line in request.all("Variable") for pair in arguments(line) if pair]
    order = Order(
        action_id=request.get("ActionID"),
        dialled=dialled,
        uniqueid=request.get("ChannelId"),
        place=place,
        application=application,
        data=request.get("Data"),
        seconds=int(request.get("Timeout") or 30000) / 1000,
        caller=number,
        caller_name=name,
        variables={key.lstrip("_"): value for key, _, value in pairs},
    )
    session.answer(request, "Success", ("Message", "Originate successfully queued"))
    asterisk.originate(order)


def _hangup(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    cause = int(request.get("Cause") or causes.UNKNOWN)
    if (pattern := _PATTERN.fullmatch(request.get("Channel"))) is not None:
        matching = [channel for channel in asterisk.core.channels.values() if re.search(pattern[1], channel.name)]
        items = [[("Event", "ChannelHungup"), ("Channel", channel.name)] for channel in matching]
        session.listing(request, "Channels hung up will follow", items, "ChannelsHungupListComplete")
        for channel in matching:
            asterisk.hang_up(channel, cause)
        return
    channel = channel_of(asterisk, request)
    session.answer(request, "Success", ("Message", "Channel Hungup"))
    asterisk.hang_up(channel, cause)


def _absolute_timeout(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    seconds = request.get("Timeout")
    if not seconds:
        raise Refused("No timeout specified")
    channel_of(asterisk, request).limit(float(seconds))
    session.answer(request, "Success", ("Message", "Timeout Set"))


def _bridge(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    found = []
    for number in ("1", "2"):
        channel = asterisk.core.find_beginning(request.get(f"Channel{number}"))
        if channel is None:
            raise Refused(f"Channel{number} does not exist: {request.get(f'Channel{number}')}")
        found.append(channel)
    one, other = found
    if one.bridge is not None and one.bridge is other.bridge and asterisk.core.faults.parts():
        one.bridge.remove(one)
        one.interrupt()
        raise Refused(f"Unable to add Channel2 to bridge: {other.name}")
    for place, channel in enumerate(found, 1):
        if channel.bridge is not None and channel.bridge.conference:
            raise Refused(f"Unable to add Channel{place} to bridge: {channel.name}")
    session.answer(request, "Success", ("Message", "Channels have been bridged"))
    bridge = Bridge(asterisk.core)
    for channel in found:
        channel.take(bridge)
        _lead_away(asterisk, channel, ENTRANCE)


def _lead_away(asterisk: SimulatedAsterisk, channel: Channel, place: Place) -> bool:
    """Take a phone away from who dials it, if somebody does."""
    dialling = asterisk.dialling.get(channel.id)
    if dialling is None or dialling.led_away:
        return False
    dialling.lead_away(place)
    return True


def _redirect(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    moves = []
    for prefix in ("", "Extra") if request.get("ExtraChannel") else ("",):
        channel = asterisk.core.find(request.get(f"{prefix}Channel"))
        if channel is None:
            raise Refused(f"{prefix}Channel does not exist: {request.get(f'{prefix}Channel')}")
        context = request.get(f"{prefix}Context") or request.get("Context")
        extension = request.get(f"{prefix}Exten") or request.get("Exten")
        name = request.get(f"{prefix}Priority") or request.get("Priority")
        priority = asterisk.core.dialplan.priority(context, extension, name)
        if channel.hung_up:
            raise Refused(f"Redirect failed, {'extra ' if prefix else ''}channel not up.")
        moves.append((channel, (context, extension, priority or 1)))
    session.answer(request, "Success", ("Message", "Redirect successful" if len(moves) == 1 else "Dual Redirect successful"))
    if asterisk.core.faults.loses_redirect():
        return
    for channel, place in moves:
        if not _lead_away(asterisk, channel, place):
            channel.redirect(place)


def _play_dtmf(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    channel = asterisk.core.find(request.get("Channel"))
    if channel is None:
        raise Refused("Channel not found")

    def played() -> None:
        channel.send_key(request.get("Digit"))
        session.answer(request, "Success", ("Message", "DTMF successfully queued"))

    asterisk.core.later(int(request.get("Duration") or 100) / 1000, played)


def _setvar(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    name, value = request.get("Variable"), request.get("Value")
    if not name:
        raise Refused("No variable specified")
    if not request.get("Channel"):
        asterisk.core.globals[name] = value
    elif not set_variable(asterisk.core, channel_of(asterisk, request), name, value):
        raise Refused("Variable not set")
    session.answer(request, "Success", ("Message", "Variable Set"))


def _getvar(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    name = request.get("Variable")
    if not name:
        raise Refused("No variable specified")
    if lacks_system(session) and forbidden_to_read(name):
        raise Refused("GetVar Access Forbidden: Variable")
    value = channel_of(asterisk, request).lookup(name) if request.get("Channel") else asterisk.core.lookup(None, name)
    session.answer(request, "Success", ("Variable", name), ("Value", value), escaped=False)


def _mix_monitor(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    asterisk.record(channel_of(asterisk, request), request.get("File"))
    session.answer(request, "Success")


def _stop_mix_monitor(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    channel = channel_of(asterisk, request)
    if not channel.recordings:
        raise Refused("Could not stop monitoring channel")
    asterisk.stop_recording(channel, request.get("MixMonitorID"))
    session.answer(request, "Success")


def _mix_monitor_mute(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    channel = channel_of(asterisk, request)
    if not channel.recordings:
        raise Refused("Cannot set mute flag")
    direction, state = request.get("Direction") or "both", request.get("State")
    for recording in channel.recordings.values():
        recording.muted = direction if state == "1" else ""
    asterisk.core.tell("call", "MixMonitorMute", channel, [("Direction", direction), ("State", state)])
    session.answer(request, "Success")


def _user_event(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    body = [(name, value) for name, value in request.headers if name.lower() not in ("action", "actionid")]
    session.answer(request, "Success", ("Message", "Event Sent"))
    asterisk.core.tell("user", "UserEvent", None, body, escaped=False)


ACTIONS: Mapping[str, Action] = {
    "bridge": needs(_bridge, "call"),
    "getvar": needs(_getvar, "call", "reporting"),
    "hangup": needs(_hangup, "system", "call"),
    "mixmonitor": needs(_mix_monitor, "system"),
    "mixmonitormute": needs(_mix_monitor_mute, "system", "call"),
    "originate": needs(_originate, "originate"),
    "absolutetimeout": needs(_absolute_timeout, "system", "call"),
    "playdtmf": needs(_play_dtmf, "call"),
    "redirect": needs(_redirect, "call"),
    "setvar": needs(_setvar, "call"),
    "stopmixmonitor": needs(_stop_mix_monitor, "system", "call"),
    "userevent": needs(_user_event, "user"),
    **LISTINGS,
    **CONFERENCES,
    **NOT_SIMULATED,
}
"""Name in lower case -> what it does, and the rights that allow it."""
