"""What an agent may do when: the table of an agent's states.  Pure.

================  ======================================================================
state             leaves it by
================  ======================================================================
offline           log in -> not ready
not ready         ready, log out, *supervises*; *reserved* (for a call of the agent's own wish)
ready             not ready, log out, *reserved* (chosen for a contact), *supervises*
reserved          *rings* (the phone), *talks*, *released* (the offer came to nothing)
ringing           *talks*, *released*
talking           *holds* -> held; *parted* -> wrap-up
held              *retrieves*, *talks* -> talking; *parted* -> wrap-up
wrap-up           *wrapped up* (its time is over, or the agent ends it) -> ready; ready, not ready, log out
supervising       *released* (it is over), *reserved* (the supervisor takes the contact over)
================  ======================================================================

What the agent asks for while a contact holds the agent is taken up when the contact is done ("next state").
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from easycall.model import AgentState
from easycall.verbs import NotNow

__all__ = ["BUSY", "HANDLING", "NotNow", "Step", "after"]


class Step(StrEnum):
    """What happens to an agent: asked for by a person, or done by the distributor."""

    LOG_IN = "log in"
    LOG_OUT = "log out"
    READY = "become ready"
    NOT_READY = "become not ready"
    RESERVED = "be reserved"
    RINGS = "be rung"
    TALKS = "talk"
    RELEASED = "be released"
    HOLDS = "hold"
    RETRIEVES = "retrieve"
    PARTED = "end talking"
    WRAPPED_UP = "end wrap-up"
    SUPERVISES = "supervise"


BUSY = frozenset({AgentState.RESERVED, AgentState.RINGING, AgentState.TALKING, AgentState.HELD, AgentState.SUPERVISING})
"""States in which a contact or a supervision holds the agent."""
HANDLING = BUSY - {AgentState.SUPERVISING}
"""States in which a contact does."""

_TABLE: Mapping[AgentState, Mapping[Step, AgentState]] = {
    AgentState.OFFLINE: {Step.LOG_IN: AgentState.NOT_READY},
    AgentState.NOT_READY: {
        Step.LOG_IN: AgentState.NOT_READY,
        Step.LOG_OUT: AgentState.OFFLINE,
        Step.READY: AgentState.READY,
        Step.NOT_READY: AgentState.NOT_READY,
        Step.RESERVED: AgentState.RESERVED,
        Step.SUPERVISES: AgentState.SUPERVISING,
    },
    AgentState.READY: {
        Step.LOG_IN: AgentState.NOT_READY,
        Step.LOG_OUT: AgentState.OFFLINE,
        Step.READY: AgentState.READY,
        Step.NOT_READY: AgentState.NOT_READY,
        Step.RESERVED: AgentState.RESERVED,
        Step.SUPERVISES: AgentState.SUPERVISING,
    },
    AgentState.RESERVED: {
        Step.RINGS: AgentState.RINGING,
        Step.TALKS: AgentState.TALKING,
        Step.RELEASED: AgentState.READY,
    },
    AgentState.RINGING: {Step.TALKS: AgentState.TALKING, Step.RELEASED: AgentState.READY},
    AgentState.TALKING: {Step.HOLDS: AgentState.HELD, Step.PARTED: AgentState.WRAP_UP},
    AgentState.HELD: {
        Step.RETRIEVES: AgentState.TALKING,
        Step.TALKS: AgentState.TALKING,
        Step.PARTED: AgentState.WRAP_UP,
    },
    AgentState.WRAP_UP: {
        Step.WRAPPED_UP: AgentState.READY,
        Step.LOG_OUT: AgentState.OFFLINE,
        Step.READY: AgentState.READY,
        Step.NOT_READY: AgentState.NOT_READY,
    },
    AgentState.SUPERVISING: {Step.RESERVED: AgentState.RESERVED, Step.RELEASED: AgentState.READY},
}


def after(state: AgentState, step: Step) -> AgentState:
    """The state that follows.  Raises NotNow when the step is not possible in ``state``."""
    try:
        return _TABLE[state][step]
    except KeyError:
        raise NotNow(f"an agent who is {state.value.replace('_', ' ')} cannot {step.value}") from None
