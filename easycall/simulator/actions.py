"""What each AMI action does.  Each function answers itself, or raises Refused with Asterisk's words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from easycall.simulator import causes
from easycall.simulator.ami import Request
from easycall.simulator.bridge import Bridge
from easycall.simulator.channel import UP, Channel, Place
from easycall.simulator.originate import Order
from easycall.simulator.variables import caller_id, set_variable

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk
    from easycall.simulator.manager import ManagerSession

__all__ = ["ACTIONS", "Action", "Refused"]

Do = Callable[["SimulatedAsterisk", "ManagerSession", Request], None]
Pairs = list[tuple[str, str]]


class Refused(Exception):
    """The action is not carried out; the text is Asterisk's."""


@frozen
class Action:
    """One action and the rights of which one is needed; none: everybody may."""

    do: Do
    rights: frozenset[str] = frozenset()


def _channel(asterisk: SimulatedAsterisk, request: Request, header: str = "Channel") -> Channel:
    name = request.get(header)
    if not name:
        raise Refused(f"{header} not specified")
    found = asterisk.core.find(name)
    if found is None:
        raise Refused("No such channel")
    return found


# Calls


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
    number, name = caller_id(request.get("CallerID"))
    pairs = [variable.partition("=") for line in request.all("Variable") for variable in line.split(",") if variable]
    order = Order(
        action_id=request.get("ActionID"),
        dialled=dialled,
        uniqueid=request.get("ChannelId") or asterisk.core.new_uniqueid(),
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
    channel = _channel(asterisk, request)
    cause = int(request.get("Cause") or causes.UNKNOWN)
    session.answer(request, "Success", ("Message", "Channel Hungup"))
    asterisk.hang_up(channel, cause)


def _bridge(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    found = []
    for number in ("1", "2"):
        channel = asterisk.core.find(request.get(f"Channel{number}"))
        if channel is None or channel.hung_up:
            raise Refused(f"Channel{number} does not exists: {request.get(f'Channel{number}')}")
        found.append(channel)
    one, other = found
    for place, channel in enumerate(found, 1):
        if channel.state != UP or (channel.bridge is not None and channel.bridge.conference):
            raise Refused(f"Unable to add Channel{place} to bridge")
    session.answer(request, "Success", ("Message", "Channels have been bridged"))
    bridge = Bridge(asterisk.core)
    one.take(bridge)
    other.take(bridge)


def _redirect(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    moves = []
    for prefix in ("", "Extra") if request.get("ExtraChannel") else ("",):
        channel = _channel(asterisk, request, f"{prefix}Channel")
        context = request.get(f"{prefix}Context") or request.get("Context")
        extension = request.get(f"{prefix}Exten") or request.get("Exten")
        name = request.get(f"{prefix}Priority") or request.get("Priority")
        priority = asterisk.core.dialplan.priority(context, extension, name)
        if channel.state != UP:
            raise Refused(f"Redirect failed, {'extra ' if prefix else ''}channel not up.")
        moves.append((channel, (context, extension, priority or 1)))
    session.answer(request, "Success", ("Message", "Redirect successful" if len(moves) == 1 else "Dual Redirect successful"))
    if asterisk.core.faults.loses_redirect():
        return
    for channel, place in moves:
        channel.redirect(place)


def _play_dtmf(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    channel = _channel(asterisk, request)
    session.answer(request, "Success", ("Message", "DTMF successfully queued"))
    asterisk.core.later(0.1, channel.send_key, request.get("Digit"))


def _setvar(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    name, value = request.get("Variable"), request.get("Value")
    if not name:
        raise Refused("No variable specified")
    if request.get("Channel"):
        set_variable(asterisk.core, _channel(asterisk, request), name, value)
    else:
        asterisk.core.globals[name] = value
    session.answer(request, "Success", ("Message", "Variable Set"))


def _getvar(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    name = request.get("Variable")
    if not name:
        raise Refused("No variable specified")
    value = _channel(asterisk, request).lookup(name) if request.get("Channel") else asterisk.core.globals.get(name, "")
    session.answer(request, "Success", ("Variable", name), ("Value", value), escaped=False)


def _mix_monitor(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    number = asterisk.record(_channel(asterisk, request), request.get("File"))
    session.answer(request, "Success", ("MixMonitorID", number))


def _stop_mix_monitor(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    asterisk.stop_recording(_channel(asterisk, request), request.get("MixMonitorID"))
    session.answer(request, "Success")


def _mix_monitor_mute(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    channel = _channel(asterisk, request)
    if not channel.recordings:
        raise Refused("Cannot set mute flag")
    direction, state = request.get("Direction") or "both", request.get("State")
    for recording in channel.recordings.values():
        recording["muted"] = direction if state == "1" else ""
    asterisk.core.tell("call", "MixMonitorMute", channel, [("Direction", direction), ("State", state)])
    session.answer(request, "Success")


# What there is


def _status(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    wanted = [name for name in request.get("Variables").split(",") if name]
    channels = [_channel(asterisk, request)] if request.get("Channel") else list(asterisk.core.channels.values())
    items = [_status_of(channel, wanted) for channel in channels]
    session.listing(request, "Channel status will follow", items, "StatusComplete")


def _status_of(channel: Channel, wanted: list[str]) -> Pairs:
    number, name = channel.connected
    return [
        ("Event", "Status"),
        ("Privilege", "Call"),
        *channel.headers(),
        ("Type", channel.name.partition("/")[0]),
        ("DNID", channel.dnid),
        ("EffectiveConnectedLineNum", number or "<unknown>"),
        ("EffectiveConnectedLineName", name or "<unknown>"),
        ("TimeToHangup", "0"),
        ("BridgeID", channel.bridge.id if channel.bridge is not None else ""),
        ("Application", channel.application or "(null)"),
        ("Data", channel.data or "(null)"),
        ("Nativeformats", "(ulaw)"),
        ("Readformat", "ulaw"),
        ("Readtrans", ""),
        ("Writeformat", "ulaw"),
        ("Writetrans", ""),
        ("Callgroup", "0"),
        ("Pickupgroup", "0"),
        ("Seconds", str(channel.seconds())),
        *(("Variable", f"{name}={channel.lookup(name) or '(null)'}") for name in wanted),
    ]


def _core_show_channels(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    items = [
        [
            ("Event", "CoreShowChannel"),
            *channel.headers(),
            ("Application", channel.application),
            ("ApplicationData", channel.data),
            ("Duration", time.strftime("%H:%M:%S", time.gmtime(channel.seconds()))),
            ("BridgeId", channel.bridge.id if channel.bridge is not None else ""),
        ]
        for channel in asterisk.core.channels.values()
    ]
    session.listing(request, "Channels will follow", items, "CoreShowChannelsComplete")


def _core_status(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    core = asterisk.core
    day, moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(asterisk.booted_at)).split()
    started = [("CoreStartupDate", day), ("CoreStartupTime", moment), ("CoreReloadDate", day), ("CoreReloadTime", moment)]
    calls = [("CoreCurrentCalls", str(len(core.channels))), ("CoreProcessedCalls", str(core.processed))]
    session.answer(request, "Success", *started, *calls)


def _bridge_list(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    items = [[("Event", "BridgeListItem"), *bridge.headers()] for bridge in asterisk.core.bridges.values()]
    session.listing(request, "Bridge listing will follow", items, "BridgeListComplete")


def _bridge_info(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    bridge = asterisk.core.bridges.get(request.get("BridgeUniqueid"))
    if bridge is None:
        raise Refused("Bridge not found")
    items = [[("Event", "BridgeInfoChannel"), *channel.headers()] for channel in bridge.channels]
    session.listing(request, "Bridge channel listing will follow", items, "BridgeInfoComplete")


def _endpoints(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    items = [
        [
            ("Event", "EndpointList"),
            ("ObjectType", "endpoint"),
            ("ObjectName", name),
            ("Transport", "loopback"),
            ("Aor", name),
            ("Auths", ""),
            ("OutboundAuths", ""),
            ("Contacts", f"{name}/sip:127.0.0.1:5060,"),
            ("DeviceState", state),
            ("ActiveChannels", "0"),
        ]
        for name, state in asterisk.settings.endpoints.items()
    ]
    text = "A listing of Endpoints follows, presented as EndpointList events"
    session.listing(request, text, items, "EndpointListComplete")


def _fax_sessions(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    items = [
        [
            ("Event", "FAXSessionsEntry"),
            ("Channel", asterisk.core.channels[channel].name),
            ("Technology", "Spandsp"),
            ("SessionNumber", str(number)),
            ("SessionType", "G.711"),
            ("Operation", operation),
            ("State", "Active"),
            ("Files", file),
        ]
        for number, (channel, (operation, file)) in enumerate(asterisk.faxes.items())
        if channel in asterisk.core.channels
    ]
    session.listing(request, "FAXSessionsEntry event list will follow", items, "FAXSessionsComplete")


# Conferences


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


def _mute(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request, *, mute: bool) -> None:
    conference, channel = _conference(asterisk, request), asterisk.core.find(request.get("Channel"))
    if channel not in conference.channels or channel is None:
        raise Refused("No Channel by that name found in Conference.")
    (conference.muted.add if mute else conference.muted.discard)(channel)
    session.answer(request, "Success", ("Message", "User muted" if mute else "User unmuted"))
    asterisk.core.tell("call", "ConfbridgeMute" if mute else "ConfbridgeUnmute", channel, conference.headers())
    conference.sounds_changed()


def _confbridge_kick(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    conference, channel = _conference(asterisk, request), asterisk.core.find(request.get("Channel"))
    if channel not in conference.channels or channel is None:
        raise Refused("No Channel by that name found in Conference.")
    session.answer(request, "Success", ("Message", "User kicked"))
    channel.redirect((channel.context, channel.extension, channel.priority + 1))


def _user_event(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    body = [(name, value) for name, value in request.headers if name.lower() not in ("action", "actionid")]
    session.answer(request, "Success", ("Message", "Event Sent"))
    asterisk.core.tell("user", "UserEvent", None, body, escaped=False)


def _of(do: Do, *rights: str) -> Action:
    return Action(do, frozenset(rights))


ACTIONS: Mapping[str, Action] = {
    "bridge": _of(_bridge, "call"),
    "bridgeinfo": _of(_bridge_info, "command", "reporting", "system"),
    "bridgelist": _of(_bridge_list, "command", "reporting", "system"),
    "confbridgekick": _of(_confbridge_kick, "call"),
    "confbridgelist": _of(_confbridge_list, "reporting"),
    "confbridgelistrooms": _of(_confbridge_rooms, "reporting"),
    "confbridgemute": _of(_confbridge_mute, "call"),
    "confbridgeunmute": _of(_confbridge_unmute, "call"),
    "coreshowchannels": _of(_core_show_channels, "system", "reporting"),
    "corestatus": _of(_core_status, "system", "reporting"),
    "faxsessions": _of(_fax_sessions, "system", "reporting", "call"),
    "getvar": _of(_getvar, "call", "reporting"),
    "hangup": _of(_hangup, "system", "call"),
    "mixmonitor": _of(_mix_monitor, "system"),
    "mixmonitormute": _of(_mix_monitor_mute, "system", "call"),
    "originate": _of(_originate, "originate"),
    "pjsipshowendpoints": _of(_endpoints, "system", "reporting"),
    "playdtmf": _of(_play_dtmf, "call"),
    "redirect": _of(_redirect, "call"),
    "setvar": _of(_setvar, "call"),
    "status": _of(_status, "system", "call", "reporting"),
    "stopmixmonitor": _of(_stop_mix_monitor, "system", "call"),
    "userevent": _of(_user_event, "user"),
}
"""Name in lower case -> what it does, and the rights that allow it."""
