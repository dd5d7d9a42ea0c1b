"""What the days of a virtual call centre came to.  Pure."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Progress", "Result"]


@frozen
class Progress:
    """How far it is."""

    seconds: float
    """Virtual ones since the beginning."""
    calls: int
    live: int
    checks: int
    violations: int


@frozen
class Result:
    """What came of it.  All but the last four is the same again for the same plan."""

    days: float
    agents: int
    seed: int
    calls: int
    answered: int
    outcomes: dict[str, int]
    """Outcome of a contact -> how many."""
    offers: dict[str, int]
    """Outcome of an offer to an agent -> how many."""
    average_wait: float
    """Seconds, of the answered."""
    longest_wait: float
    service_level: float
    """The share of those who queued who were answered within 20 s."""
    peak_live: int
    """The most contacts at one moment."""
    events: int
    corrected: int
    """Differences between Asterisk and the daemon that were found and mended."""
    checks: int
    """How often all invariants were checked."""
    choices: int
    """How many choices of an agent were judged as to who waited longest."""
    records: int
    """How many records were looked at whether they add up."""
    violations: tuple[str, ...]
    virtual_seconds: float
    wall_seconds: float
    calls_per_second: float
    """Of wall time."""
    times_real_time: float
    peak_memory_mib: float
    """The most the process ever had."""

    @property
    def story(self) -> tuple[object, ...]:
        """What is the same again for the same plan."""
        return (
            *(self.calls, self.answered, self.outcomes, self.offers, self.average_wait, self.longest_wait),
            *(self.peak_live, self.events, self.corrected, self.checks, self.choices, self.records, self.violations),
            self.virtual_seconds,
        )
