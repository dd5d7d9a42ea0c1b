"""What became of a number that was dialled, by what the switch and the network tell.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from easycall.model import DialOutcome, OfferOutcome

__all__ = ["outcome_of"]

_CAUSES: Mapping[int, DialOutcome] = {
    **dict.fromkeys((1, 22, 28), DialOutcome.UNALLOCATED),  # unallocated, number changed, invalid format
    17: DialOutcome.BUSY,
    **dict.fromkeys((18, 19), DialOutcome.NO_ANSWER),
    21: DialOutcome.DECLINED,
    **dict.fromkeys((34, 38, 41, 42, 44, 58), DialOutcome.CONGESTION),  # no circuit, out of order, temporary failure …
    **dict.fromkeys((2, 3, 20, 27), DialOutcome.UNREACHABLE),  # no route, subscriber absent, out of order
}
_REFUSALS: Mapping[OfferOutcome, DialOutcome] = {
    OfferOutcome.DECLINED: DialOutcome.BUSY,
    OfferOutcome.NO_ANSWER: DialOutcome.NO_ANSWER,
    OfferOutcome.UNREACHABLE: DialOutcome.UNREACHABLE,
}


def outcome_of(refusal: OfferOutcome, cause: int) -> DialOutcome:
    """``refusal``: what the switch makes of it; ``cause``: the network's (ITU-T Q.850), 0 when there is none."""
    return _CAUSES.get(cause) or _REFUSALS.get(refusal, DialOutcome.LOST)
