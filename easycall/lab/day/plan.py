"""How much is to happen, and what people are like.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

__all__ = ["DAY_SECONDS", "MIDNIGHT", "SHIFTS", "Habits", "Plan", "Shift", "shift_of"]

DAY_SECONDS = 86_400.0
MIDNIGHT = 1_800_057_600.0
"""When the first day begins unless something else is planned: a midnight, in seconds since the epoch."""


@frozen
class Habits:
    """What people do.  Chances are shares from 0 to 1; times are seconds, and medians where nothing is said."""

    # Callers
    think: float = 4.0
    """From the answer to the first key: many know the menu and do not hear it out."""
    wrong_key: float = 0.03
    """Presses a key that is none of the menu, then the right one."""
    again: float = 0.02
    """Wants to hear the menu again."""
    silent: float = 0.01
    """Presses nothing, until the flow says goodbye."""
    leaves_in_menu: float = 0.03
    support: float = 0.35
    """Wants support; the others sales."""
    patience: float = 150.0
    """The mean of the exponential time after which a waiting caller hangs up."""
    talk: float = 65.0
    talk_spread: float = 0.6
    """Sigma of the log-normal talk."""
    agent_ends: float = 0.25
    """The talk is ended by the agent."""
    withheld: float = 0.05
    """Calls without a number."""

    # Customers who are called back
    asks: float = 0.25
    """Asks for a callback while waiting, where the flow offers it."""
    elsewhere: float = 0.3
    """Of these, who keys in another number, and has one."""
    calls_again: float = 0.3
    """Of those who hang up while waiting, who calls again within some hours."""
    picks_up: float = 8.0
    """From the first ring to the answer."""
    engaged: float = 0.1
    """The customer's telephone is busy."""
    away: float = 0.15
    """It rings, and nobody answers."""
    refuses: float = 0.05
    switched_off: float = 0.03
    """It cannot be reached."""
    called_patience: float = 60.0
    """The mean of the exponential time for which a customer who was called waits for an agent."""

    # Agents
    answer: float = 3.0
    """From the ringing to the answer."""
    declines: float = 0.02
    misses: float = 0.01
    unplugged: float = 0.003
    """The phone cannot be reached for some minutes."""
    ready_early: float = 0.3
    """Ends the wrap-up before its time."""
    returns: float = 45.0
    """From a missed call to being ready again."""
    breaks: int = 2
    """Breaks in a shift, of about ten minutes; a shift of six hours or more has a lunch, too."""


@frozen
class Shift:
    """When some of the agents work."""

    stretches: tuple[tuple[float, float], ...]
    """From when to when, in hours of the day."""
    share: float


SHIFTS: Sequence[Shift] = (
    Shift(((8.0, 16.5),), 0.26),
    Shift(((13.5, 22.0),), 0.33),
    Shift(((6.0, 14.5),), 0.18),
    Shift(((9.0, 17.5),), 0.18),
    Shift(((0.0, 6.0), (22.0, 24.0)), 0.05),
)


@frozen
class Plan:
    """What is to be simulated."""

    days: float = 1.0
    calls: int = 1_000
    """A day."""
    agents: int = 10
    seed: int = 1
    check_every: int = 1_000
    """Calls between two looks at the invariants."""
    lasting: float = 1.1
    """Seconds after which a difference between Asterisk and the daemon is no message on its way; when events are lost, the
    audits need their time.  No whole number: what is asked every so many seconds would be met again."""
    latency: float = 0.002
    """The longest time a piece of a TCP stream is on its way, in seconds; 0: none."""
    habits: Habits = field(factory=Habits)
    restarts: float = 0.0
    """How often a day the daemon ends and is started again, on average: half of the times in order, half as by SIGKILL."""
    midnight: float = MIDNIGHT
    """When the first day begins."""
    customers: int = 0
    """How many people there are, who call more than once and have telephones at which they are called back; 0: nobody calls
    twice, and nobody is called back."""
    calls_out: int = 0
    """How many customers a day agents call by themselves."""
    kept_days: float = 0.0
    """For how long the database keeps what happened, and the daemon has a journal's file; 0: no file, and what was looked at
    is thrown away.  Figures after a restart need three days."""


def shift_of(number: int, agents: int) -> Shift:
    """The shift of agent ``number`` of so many, from 0: shares are kept as well as whole people allow."""
    place = (number + 0.5) / agents
    for shift in SHIFTS:
        place -= shift.share
        if place < 0:
            return shift
    return SHIFTS[0]
