"""The AMI actions that ask what there is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from easycall.simulator import ami
from easycall.simulator.ami import Request
from easycall.simulator.channel import Channel
from easycall.simulator.fastagi import VERSION
from easycall.simulator.rights import Action, Refused, channel_of, forbidden_to_read, lacks_system, needs

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk
    from easycall.simulator.manager import ManagerSession

__all__ = ["LISTINGS"]

Pairs = list[tuple[str, str]]


def _status(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    wanted = [name for name in request.get("Variables").split(",") if name]
    if lacks_system(session) and forbidden_to_read(request.get("Variables")):
        raise Refused("Status Access Forbidden: Variables")
    channels = [channel_of(asterisk, request)] if request.get("Channel") else list(asterisk.core.channels.values())
    every = request.get("AllVariables").lower() == "true"
    items = [_status_of(channel, [*wanted, *(channel.variables if every else ())]) for channel in channels]
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
        *(("Variable", f"{name}={_shown(channel.core.find_variable(channel, name))}") for name in wanted),
    ]


def _shown(value: str | None) -> str:
    return "(null)" if value is None else value


def _core_settings(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    facts = {
        "AMIversion": ami.VERSION,
        "AsteriskVersion": VERSION,
        "SystemName": "",
        "CoreMaxCalls": "0",
        "CoreMaxLoadAvg": "0.000000",
        "CoreRunUser": "",
        "CoreRunGroup": "",
        "CoreMaxFilehandles": "0",
        "CoreRealTimeEnabled": "No",
        "CoreCDRenabled": "No",
        "CoreHTTPenabled": "No",
        "SoundsSearchCustomDir": "No",
    }
    session.answer(request, "Success", *facts.items())


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
        raise Refused("Specified BridgeUniqueid not found")
    items = [[("Event", "BridgeInfoChannel"), *channel.headers()] for channel in bridge.channels]
    session.listing(request, "Bridge channel listing will follow", items, "BridgeInfoComplete")


def _show_dialplan(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    context = request.get("Context")
    steps = asterisk.core.dialplan.written(context)
    if steps is None:
        raise Refused(f"Did not find context {context}")
    items = [
        [
            ("Event", "ListDialplan"),
            ("Context", context),
            ("Extension", extension),
            ("Priority", str(priority)),
            ("Application", step.written[0]),
            ("AppData", step.written[1]),
            ("Registrar", "pbx_config"),
        ]
        for extension, priority, step in steps
    ]
    session.listing(request, "DialPlan list will follow", items, "ShowDialPlanComplete")


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


def _device_states(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    items = list(asterisk.core.devices)
    session.listing(request, "Device State Changes will follow", items, "DeviceStateListComplete")


def _fax_sessions(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    items = [
        [
            ("Event", "FAXSessionsEntry"),
            ("Channel", asterisk.core.channels[channel].name),
            ("Technology", "Spandsp"),
            ("SessionNumber", str(number)),
            ("SessionType", "G.711"),
            ("Operation", faxing.operation),
            ("State", "Active"),
            ("Files", faxing.file),
        ]
        for number, (channel, faxing) in enumerate(asterisk.faxes.items())
        if channel in asterisk.core.channels
    ]
    session.listing(request, "FAXSessionsEntry event list will follow", items, "FAXSessionsComplete")


def _fax_session(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    number = request.get("SessionNumber")
    faxes = dict(enumerate(asterisk.faxes.values()))
    if not number.isdecimal() or int(number) not in faxes:
        raise Refused("Session not found")
    faxing = faxes[int(number)]
    session.answer(request, "Success", ("Message", "FAXSession event will follow"))
    facts = [
        ("SessionNumber", number),
        ("Operation", faxing.operation),
        ("State", "Active"),
        ("DataRate", "14400"),
        ("PageNumber", str(faxing.page)),
        ("FileName", faxing.file),
    ]
    session.write(ami.message([("Event", "FAXSession"), ("ActionID", request.get("ActionID")), *facts]))


LISTINGS: Mapping[str, Action] = {
    "bridgeinfo": needs(_bridge_info, "command", "reporting", "system"),
    "bridgelist": needs(_bridge_list, "command", "reporting", "system"),
    "coresettings": needs(_core_settings, "system", "reporting"),
    "coreshowchannels": needs(_core_show_channels, "system", "reporting"),
    "corestatus": needs(_core_status, "system", "reporting"),
    "devicestatelist": needs(_device_states, "call", "reporting"),
    "faxsession": needs(_fax_session, "system", "reporting", "call"),
    "faxsessions": needs(_fax_sessions, "system", "reporting", "call"),
    "pjsipshowendpoints": needs(_endpoints, "system"),
    "showdialplan": needs(_show_dialplan, "config", "reporting"),
    "status": needs(_status, "system", "call", "reporting"),
}
"""Name in lower case -> what it does, and the rights that allow it."""
