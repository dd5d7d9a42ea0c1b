"""What Asterisk tells over AMI during the calls of a queue: 32 kinds of event, on average 23 headers and 600 bytes.

The form of each event is Asterisk 22's (tests/transcripts/ami-one-leg.txt shows some).  How many of each kind one call
brings is that of a caller who walks through a menu, waits in a queue and talks to an agent: 112 events, of which 36 are
variables set and 16 steps of the dialplan, with ``channelvars`` naming five variables.
"""

from __future__ import annotations

__all__ = ["ACD", "GREETING", "KINDS", "READ", "THREE", "calls"]

GREETING = b"Asterisk Call Manager/11.0.0\r\n"

_CHANNEL_VARIABLES = ("EC_CONTACT", "EC_QUEUE", "EC_CUSTOMER", "EC_CAMPAIGN", "EC_LANGUAGE")
_ONE = ("",)
_DIAL = ("", "Dest")
_KINDS: dict[str, tuple[int, tuple[str, ...], str]] = {
    # how many in a call, the channels it tells about, and what else
    "Newchannel": (2, _ONE, ""),
    "VarSet": (36, _ONE, "Variable: MACRO_DEPTH_{n}|Value: a value of {n} words"),
    "Newexten": (16, _ONE, "Extension: s|Application: Set|AppData: EC_STEP={n}"),
    "Newstate": (3, _ONE, ""),
    "NewConnectedLine": (3, _ONE, ""),
    "NewCallerid": (2, _ONE, "CID-CallingPres: 0 (Presentation Allowed, Not Screened)"),
    "AGIExecStart": (4, _ONE, "CommandId: {n}|Command: STREAM FILE welcome"),
    "AGIExecEnd": (4, _ONE, "CommandId: {n}|Command: STREAM FILE welcome|ResultCode: 200|Result: Success"),
    "DTMFBegin": (1, _ONE, "Digit: 1|Direction: Received"),
    "DTMFEnd": (1, _ONE, "Digit: 1|DurationMs: 100|Direction: Received"),
    "MusicOnHoldStart": (1, _ONE, "Class: default"),
    "MusicOnHoldStop": (1, _ONE, ""),
    "QueueCallerJoin": (1, _ONE, "Queue: sales|Position: 1|Count: 1"),
    "QueueCallerLeave": (1, _ONE, "Queue: sales|Position: 1|Count: 0"),
    "QueueMemberStatus": (4, (), "Queue: sales|MemberName: Ana|Interface: PJSIP/100|StateInterface: PJSIP/100"
        "|Membership: static|Penalty: 0|CallsTaken: {n}|LastCall: 0|LastPause: 0|LoginTime: 1795450000|InCall: 0"
        "|Status: 2|Paused: 0|PausedReason: |Ringinuse: 0|Wrapuptime: 0"),
    "AgentCalled": (1, _DIAL, "Queue: sales|Interface: PJSIP/100|MemberName: Ana"),
    "AgentConnect": (1, _DIAL, "Queue: sales|Interface: PJSIP/100|MemberName: Ana|RingTime: 4|HoldTime: 21"),
    "AgentComplete": (1, _DIAL, "Queue: sales|Interface: PJSIP/100|MemberName: Ana|HoldTime: 21|TalkTime: 90|Reason: agent"),
    "DeviceStateChange": (5, (), "Device: PJSIP/100|State: INUSE"),
    "ExtensionStatus": (2, (), "Exten: 100|Context: default|Hint: PJSIP/100|Status: 1|StatusText: InUse"),
    "DialBegin": (1, _DIAL, "DialString: 100"),
    "DialState": (2, _DIAL, "DialStatus: RINGING"),
    "DialEnd": (1, _DIAL, "DialStatus: ANSWER"),
    "BridgeCreate": (1, (), "BridgeUniqueid: 8d2ce4a5-{n}|BridgeType: basic|BridgeTechnology: simple_bridge"
        "|BridgeCreator: <unknown>|BridgeName: <unknown>|BridgeNumChannels: 0|BridgeVideoSourceMode: none"),
    "BridgeEnter": (2, _ONE, "BridgeUniqueid: 8d2ce4a5-{n}|BridgeType: basic|BridgeTechnology: simple_bridge"
        "|BridgeCreator: <unknown>|BridgeName: <unknown>|BridgeNumChannels: 1|BridgeVideoSourceMode: none"),
    "BridgeLeave": (2, _ONE, "BridgeUniqueid: 8d2ce4a5-{n}|BridgeType: basic|BridgeTechnology: simple_bridge"
        "|BridgeCreator: <unknown>|BridgeName: <unknown>|BridgeNumChannels: 1|BridgeVideoSourceMode: none"),
    "BridgeDestroy": (1, (), "BridgeUniqueid: 8d2ce4a5-{n}|BridgeType: basic|BridgeTechnology: simple_bridge"
        "|BridgeCreator: <unknown>|BridgeName: <unknown>|BridgeNumChannels: 0|BridgeVideoSourceMode: none"),
    "RTCPSent": (4, _ONE, "To: 127.0.0.1:25101|From: 127.0.0.1:25201|SSRC: 0x1b2c3d4e|PT: 200(SR)|ReportCount: 1"
        "|SentNTP: 1795456342.118000|SentRTP: {n}|SentPackets: 250|SentOctets: 40000|Report0SourceSSRC: 0x0a0b0c0d"
        "|Report0FractionLost: 0|Report0CumulativeLost: 0|Report0HighestSequence: {n}|Report0IAJitter: 4"),
    "RTCPReceived": (4, _ONE, "To: 127.0.0.1:25201|From: 127.0.0.1:25101|RTT: 0.0004|SSRC: 0x0a0b0c0d|PT: 200(SR)"
        "|ReportCount: 1|SentNTP: 1795456342.118000|SentRTP: {n}|SentPackets: 250|SentOctets: 40000"),
    "HangupRequest": (1, _ONE, "Cause: 16"),
    "SoftHangupRequest": (1, _ONE, "Cause: 16"),
    "Hangup": (2, _ONE, "Cause: 16|Cause-txt: Normal Clearing"),
}  # fmt: skip

KINDS = tuple(_KINDS)
"""Every kind of event in the stream: 32."""
THREE = ("Newchannel", "DialEnd", "Hangup")
"""What a program wants that only follows calls."""
ACD = (
    *("Newchannel", "Newstate", "NewConnectedLine", "DialBegin", "DialState", "DialEnd", "BridgeEnter", "BridgeLeave"),
    *("QueueCallerJoin", "QueueCallerLeave", "DeviceStateChange", "MusicOnHoldStart", "HangupRequest", "Hangup"),
)
"""What a contact centre wants: 14 kinds."""
READ = ("Uniqueid", "Linkedid", "Channel", "ChannelStateDesc", "CallerIDNum", "Cause")
"""The headers a contact centre reads of each."""


def calls(number: int) -> list[bytes]:
    """The events of so many calls, each with the empty line at its end."""
    return [event for call in range(number) for event in _call(call)]


def _call(call: int) -> list[bytes]:
    """One call's events, the kinds spread over the whole call as they are in a real one."""
    placed = [
        (_place(at, count, kind), kind, at)
        for kind, (count, _, _) in _KINDS.items()
        for at in range(count)
    ]  # fmt: skip
    return [_event(kind, call, at) for _, kind, at in sorted(placed)]


def _place(at: int, count: int, kind: str) -> float:
    """Where in its call the event stands, from 0 to 1."""
    return {"Newchannel": 0.4 * at, "Hangup": 1.0 + at}.get(kind, (at + 1) / (count + 1))


def _event(kind: str, call: int, at: int) -> bytes:
    _, channels, more = _KINDS[kind]
    lines = [f"Event: {kind}", "Privilege: call,all"]
    for number, prefix in enumerate(channels):
        lines += _channel(prefix, call, number if len(channels) > 1 else at % 2)
    if more:
        lines += more.format(n=call * 10 + at).split("|")
    if channels:
        lines += [f"ChanVariable: {name}={call:018d}" for name in _CHANNEL_VARIABLES]
    return "\r\n".join([*lines, "", ""]).encode()


def _channel(prefix: str, call: int, leg: int) -> list[str]:
    """What Asterisk tells about a channel in every event of it."""
    name, number, exten = (("PJSIP/world", f"55512{call % 1000:03d}", "95588"), ("PJSIP/100", "100", ""))[leg]
    return [
        f"{prefix}Channel: {name}-{2 * call + leg:08x}",
        f"{prefix}ChannelState: 6",
        f"{prefix}ChannelStateDesc: Up",
        f"{prefix}CallerIDNum: {number}",
        f"{prefix}CallerIDName: Jörg Smith",
        f"{prefix}ConnectedLineNum: <unknown>",
        f"{prefix}ConnectedLineName: <unknown>",
        f"{prefix}Language: en",
        f"{prefix}AccountCode: ",
        f"{prefix}Context: easycall",
        f"{prefix}Exten: {exten}",
        f"{prefix}Priority: 4",
        f"{prefix}Uniqueid: {1795456342 + call}.{2 * call + leg}",
        f"{prefix}Linkedid: {1795456342 + call}.{2 * call}",
    ]
