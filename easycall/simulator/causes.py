"""Hang-up causes (ITU-T Q.850) as Asterisk numbers and names them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "BUSY",
    "CONGESTION",
    "NORMAL",
    "NO_ANSWER",
    "NO_SOUND",
    "NO_USER_RESPONSE",
    "REJECTED",
    "TEXT",
    "UNALLOCATED",
    "UNKNOWN",
]

UNKNOWN = 0
UNALLOCATED = 1
NORMAL = 16
BUSY = 17
NO_USER_RESPONSE = 18
NO_ANSWER = 19
REJECTED = 21
CONGESTION = 34
NO_SOUND = 44
"""What ``rtp_timeout`` says."""

TEXT: Mapping[int, str] = {
    0: "Unknown",
    1: "Unallocated (unassigned) number",
    3: "No route to destination",
    16: "Normal Clearing",
    17: "User busy",
    18: "No user responding",
    19: "User alerting, no answer",
    20: "Subscriber absent",
    21: "Call Rejected",
    26: "Answered elsewhere",
    27: "Destination out of order",
    31: "Normal, unspecified",
    34: "Circuit/channel congestion",
    38: "Network out of order",
    44: "Requested channel not available",
    127: "Interworking, unspecified",
}
"""``Cause-txt`` of a Hangup event."""
