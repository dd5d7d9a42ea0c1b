"""The flows of call control, as steps: the table that test_matrix.py tries whole."""

from __future__ import annotations

from attrs import evolve

from .acts import (
    PAGE_SECONDS,
    PARKED_SECONDS,
    chooses_group,
    comes_back,
    customer_answers,
    customer_answers_first,
    dials,
    fax_is_over,
    is_called,
    keys_the_pin,
    machine_starts,
    one_answers,
    one_answers_again,
    one_answers_first,
    one_is_ready,
    one_is_rung_again,
    one_picks,
    outside_answers,
    outside_answers_one,
    outside_is_asked,
    outside_is_sent,
    to_fax,
    to_function,
    to_group,
    to_group_now,
    to_mail,
    two_answers,
    two_answers_one,
    two_is_asked,
    two_is_ready,
    two_is_sent,
    two_listens,
    two_picks,
    two_takes_over,
    verb,
)
from .matrix import At, Is, Place, Step

__all__ = ["FLOWS"]

TALK = (
    Step("waits", dials, Place(At.MUSIC)),
    Step("agent 1 is rung", one_is_ready, Place(At.MUSIC, Is.RINGS)),
    Step("agent 1 answers", one_answers, Place(At.ONE, Is.TALKS)),
)
HOLD = Step("hold", verb("hold"), Place(At.MUSIC, Is.WAITS))
ASK = Step("agent 2 is asked", two_is_asked, Place(At.MUSIC, Is.WAITS, Is.RINGS), asks_two=True)
CONSULT = Step("agent 2 answers", two_answers_one, Place(At.MUSIC, Is.TALKS, Is.TALKS))
TO_CUSTOMER = Step("alternate", verb("alternate"), Place(At.ONE, Is.TALKS, Is.WAITS))
TO_TWO = Step("alternate back", verb("alternate"), Place(At.MUSIC, Is.TALKS, Is.TALKS))
COMPLETE = Step("complete", verb("complete"), Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
MERGE = Step("merge", verb("merge"), Place(At.BOTH, Is.TALKS, Is.TALKS))
DROP_TWO = Step("drop agent 2", verb("drop", party="consulted"), Place(At.ONE, Is.TALKS, Is.WRAPS_UP))
DROP_ONE = Step("drop agent 1", verb("drop", party="agent"), Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
CANCEL = Step("cancel", verb("cancel"), Place(At.ONE, Is.TALKS, Is.WRAPS_UP))
RUNG_FOR = Place(At.MUSIC, Is.WRAPS_UP, Is.RINGS)
IN_LINE = Place(At.MUSIC, Is.WRAPS_UP)
HAS_IT = Step("agent 2 answers", two_answers, Place(At.TWO, Is.WRAPS_UP, Is.TALKS))
LEND = Step("lend", verb("lend", flow="onward{n}"), Place(At.FLOW, Is.WAITS))
CAPTURE = Step("lend to a function", to_function, Place(At.FLOW, Is.WAITS))
BACK = Place(At.ONE, Is.TALKS)
RETRIEVE = Step("retrieve", verb("retrieve"), BACK)
TAKE_BACK = Step("cancel", verb("cancel"), BACK)

PARK = Step("park", verb("park"), Place(At.PARKED, Is.WRAPS_UP))
AGAIN = Step("agent 1 answers", one_answers_again, BACK)
RUNG_AGAIN = Place(At.MUSIC, Is.RINGS)
MAIL = Step("transfer", to_mail, Place(At.MAIL, Is.WRAPS_UP))
FAX = Step("fax", to_fax, Place(At.FAX, Is.WAITS))
MACHINE = Step("the machine receives", machine_starts, Place(At.FAX, Is.WAITS), by_itself=True)

CALLED = Step("customer is rung", is_called("customer"), Place(At.RUNG, Is.RESERVED), dials_at_once=True)
REACHED = Step("customer answers, agent 1 is rung", customer_answers_first, Place(At.MUSIC, Is.RINGS))
ONE_CALLED = Step("agent 1 is rung", is_called("agent"), Place(At.UNCALLED, Is.RINGS), dials_at_once=True)
ONE_WAITS = Step("agent 1 answers, customer is rung", one_answers_first, Place(At.RUNG, Is.WAITS), dials_at_once=True)

ASK_OUTSIDE = Step("a number outside is asked", outside_is_asked, Place(At.MUSIC, Is.WAITS, outside=Is.RINGS))
OUTSIDE = Step("outsider answers", outside_answers_one, Place(At.MUSIC, Is.TALKS, outside=Is.TALKS))
OUT_TO_CUSTOMER = evolve(TO_CUSTOMER, place=Place(At.ONE, Is.TALKS, outside=Is.WAITS))
OUT_TO_OUTSIDER = evolve(TO_TWO, place=OUTSIDE.place)
OUT_COMPLETE = evolve(COMPLETE, place=Place(At.OUTSIDE, Is.WRAPS_UP, outside=Is.TALKS))
OUTSIDE_RUNG = Place(At.MUSIC, Is.WRAPS_UP, outside=Is.RINGS)
OUTSIDE_HAS_IT = Step("outsider answers", outside_answers, OUT_COMPLETE.place)

FLOWS = {
    "F1 queue": TALK,
    "P2 hold": (*TALK, HOLD, RETRIEVE),
    "F4 consult, complete": (*TALK, ASK, CONSULT, COMPLETE),
    "conference, back to agent 1": (*TALK, ASK, CONSULT, MERGE, DROP_TWO),
    "conference, on to agent 2": (*TALK, ASK, CONSULT, TO_CUSTOMER, MERGE, DROP_ONE),
    "F4 consult, cancel": (*TALK, ASK, CONSULT, CANCEL),
    "F4 consult, cancel early": (*TALK, ASK, Step("cancel", verb("cancel"), Place(At.ONE, Is.TALKS, Is.READY))),
    "F4 consult, complete early": (*TALK, ASK, Step("complete", verb("complete"), RUNG_FOR), HAS_IT),
    "F4 consult from hold": (*TALK, HOLD, evolve(ASK, dials_at_once=True)),
    "F4 alternate": (*TALK, ASK, CONSULT, TO_CUSTOMER, TO_TWO, COMPLETE),
    "F4 alternate, complete": (*TALK, ASK, CONSULT, TO_CUSTOMER, COMPLETE),
    "F4 alternate, cancel": (*TALK, ASK, CONSULT, TO_CUSTOMER, CANCEL),
    "F4 to an agent": (*TALK, Step("transfer", two_is_sent, RUNG_FOR, asks_two=True), HAS_IT),
    "F5 to a group": (*TALK, Step("transfer", to_group, IN_LINE), Step("agent 2 is rung", two_is_ready, RUNG_FOR), HAS_IT),
    "F5 to a group, no wait": (*TALK, Step("transfer", to_group_now, RUNG_FOR, asks_two=True), HAS_IT),
    "F5 from hold": (*TALK, HOLD, Step("transfer", to_group, IN_LINE)),
    "F2 to a flow": (
        *TALK,
        Step("transfer", verb("transfer", flow="onward{n}"), Place(At.FLOW, Is.WRAPS_UP)),
        Step("chooses a queue", chooses_group, IN_LINE),
    ),
    "F3 lend": (*TALK, LEND, Step("back", comes_back, BACK)),
    "F3 lend, taken back": (*TALK, LEND, TAKE_BACK),
    "F3 lend from hold": (*TALK, HOLD, LEND),
    "P2 supervision": (
        *TALK,
        Step("agent 2 listens", two_listens, Place(At.ONE, Is.TALKS, Is.LISTENS), dials_at_once=True),
        Step("agent 2 takes over", two_takes_over, Place(At.TWO, Is.WRAPS_UP, Is.TALKS)),
    ),
    "P1 secure capture": (*TALK, CAPTURE, Step("keys the PIN", keys_the_pin, BACK)),
    "P1 capture, taken back": (*TALK, CAPTURE, TAKE_BACK),
    "park, picked by agent 2": (*TALK, PARK, Step("pick", two_picks, RUNG_FOR, asks_two=True, dials_at_once=True), HAS_IT),
    "park, picked by agent 1": (*TALK, PARK, Step("pick", one_picks, RUNG_AGAIN, dials_at_once=True), AGAIN),
    "parked, comes back": (
        *TALK,
        PARK,
        Step("agent 1 is rung", one_is_rung_again, RUNG_AGAIN, seconds=PARKED_SECONDS, by_itself=True),
        AGAIN,
    ),
    "park from hold": (*TALK, HOLD, PARK),
    "voicemail": (*TALK, MAIL),
    "voicemail from hold": (*TALK, HOLD, MAIL),
    "F6 fax": (*TALK, FAX, MACHINE, Step("back", fax_is_over, BACK, seconds=PAGE_SECONDS, by_itself=True)),
    "F6 fax, taken back": (*TALK, FAX, TAKE_BACK),
    "F6 fax from hold": (*TALK, HOLD, FAX),
    "F7 customer first": (CALLED, REACHED, Step("agent 1 answers", one_answers, BACK)),
    "F7 agent first": (ONE_CALLED, ONE_WAITS, Step("customer answers", customer_answers, BACK)),
    "outside, complete": (*TALK, ASK_OUTSIDE, OUTSIDE, OUT_COMPLETE),
    "outside, cancel": (*TALK, ASK_OUTSIDE, OUTSIDE, TAKE_BACK),
    "outside, cancel early": (*TALK, ASK_OUTSIDE, TAKE_BACK),
    "outside, complete early": (*TALK, ASK_OUTSIDE, Step("complete", verb("complete"), OUTSIDE_RUNG), OUTSIDE_HAS_IT),
    "outside, alternate": (*TALK, ASK_OUTSIDE, OUTSIDE, OUT_TO_CUSTOMER, OUT_TO_OUTSIDER, OUT_COMPLETE),
    "outside, alternate, complete": (*TALK, ASK_OUTSIDE, OUTSIDE, OUT_TO_CUSTOMER, OUT_COMPLETE),
    "outside, alternate, cancel": (*TALK, ASK_OUTSIDE, OUTSIDE, OUT_TO_CUSTOMER, TAKE_BACK),
    "outside, consult from hold": (*TALK, HOLD, evolve(ASK_OUTSIDE, dials_at_once=True)),
    "outside, transfer": (*TALK, Step("transfer", outside_is_sent, OUTSIDE_RUNG), OUTSIDE_HAS_IT),
}
"""Flow -> its steps."""
