"""What Asterisk's words for "not answered" mean for an offer.  Pure.

``OriginateResponse`` says ``Reason: 0`` for most failures, so ``DialEnd`` and the ``Cause`` of ``Hangup`` are read instead.
"""

from __future__ import annotations

from easycall.model import OfferOutcome

__all__ = ["ANSWERED_ELSEWHERE", "NORMAL_CLEARING", "is_death", "of_cause", "of_dial_status"]

NORMAL_CLEARING = "16"
"""Nobody's fault."""
ANSWERED_ELSEWHERE = "26"
"""A phone that rings is told so (RFC 3326, "Call completed elsewhere"), and shows no missed call."""

_DIAL_STATUS = {
    "BUSY": OfferOutcome.DECLINED,
    "NOANSWER": OfferOutcome.NO_ANSWER,
    "CANCEL": OfferOutcome.NO_ANSWER,
    "CHANUNAVAIL": OfferOutcome.UNREACHABLE,
    "CONGESTION": OfferOutcome.UNREACHABLE,
}

_CAUSES = {
    **dict.fromkeys((17, 21), OfferOutcome.DECLINED),  # user busy, call rejected
    **dict.fromkeys((18, 19), OfferOutcome.NO_ANSWER),  # no user responding, no answer from user
    # unallocated, no route, subscriber absent, out of order, no circuit, temporary failure and the like
    **dict.fromkeys((1, 2, 3, 20, 27, 34, 38, 41, 42, 44, 58), OfferOutcome.UNREACHABLE),
}

_DEATHS = frozenset({18, 20, 27, 38, 41, 42, 44, 102})
"""Causes of a Hangup after the answer that nobody asked for: 44 when no sound came any more (``rtp_timeout``), 18 when the
far end did not answer within its dialog, the others of networks.  Who hangs up says 16, or nothing (0)."""


def is_death(cause: str) -> bool:
    """Whether the ``Cause`` of the Hangup of an answered leg means that its far end died, and nobody hung up."""
    return cause.isdecimal() and int(cause) in _DEATHS


def of_dial_status(status: str) -> OfferOutcome | None:
    """The meaning of ``DialStatus`` in a DialEnd event; None when it says nothing about a failure."""
    return _DIAL_STATUS.get(status)


def of_cause(cause: str) -> OfferOutcome | None:
    """The meaning of the ``Cause`` of a Hangup before the answer (ITU-T Q.850); None when it says nothing."""
    return _CAUSES.get(int(cause)) if cause.isdecimal() else None
