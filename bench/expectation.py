"""How good our estimate of a wait is: ``python bench/expectation.py``.

A queue is simulated, event by event, and every caller who has to wait is given three estimates: ours, which learns its rates
while the day goes on; the same formula with the true rates (the oracle); and app_queue's moving average of hold times.  See
README.rst for the scenarios and figures.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import count

import click
from attrs import Factory, define, frozen

from easycall.acd.expectation import Expectation, expected_wait

HOUR = 3600.0
WARM = HOUR
"""What is not counted at the start of a day: all three still learn."""
ORACLE, AVERAGE, BIAS = 1.05, 0.75, 0.03
"""The goals: at most so many times the oracle's error, and app_queue's; at most so much bias."""


@frozen
class Scenario:
    """A queue's day.  Callers come at random, and give up after a time that is exponential."""

    agents: int
    load: Callable[[float], float]
    """Time -> callers who come, as a multiple of those that the agents could serve."""
    handling: float
    """Mean seconds an agent is with a caller, wrap-up included."""
    patience: float
    """Mean seconds a caller waits before giving up."""
    lognormal: bool = False
    """Handling times are lognormal, their standard deviation 1.2 times their mean; otherwise exponential."""
    leave: int = 0
    """So many agents go in the middle of the day, each when the present call is done."""
    hours: float = 10.0

    def handled(self, dice: random.Random) -> float:
        """How long one caller takes."""
        if not self.lognormal:
            return dice.expovariate(1 / self.handling)
        spread = math.log(1 + 1.2**2)
        return dice.lognormvariate(math.log(self.handling) - spread / 2, math.sqrt(spread))


SCENARIOS: Mapping[str, Scenario] = {
    "steady_overload": Scenario(20, lambda at: 1.2, 200, 300),
    "heavy_abandonment": Scenario(100, lambda at: 1.4, 200, 120),
    "near_balance": Scenario(20, lambda at: 1.0, 200, 600),
    "sine_load": Scenario(30, lambda at: 1.05 + 0.35 * math.sin(2 * math.pi * at / HOUR), 200, 300),
    "lognormal_times": Scenario(30, lambda at: 1.2, 200, 300, lognormal=True),
    "a_fifth_leaves": Scenario(50, lambda at: 1.1, 200, 300, leave=10),
}
MOST_LOAD = 1.4


@frozen
class Answer:
    """The three estimates a caller was given, and how long the caller waited, or would have."""

    ours: float
    oracle: float
    average: float
    waited: float


@define(eq=False)
class Caller:
    """One who waits."""

    name: str
    joined: float
    estimates: tuple[float, float, float] | None
    """None when nothing is counted yet."""
    gone: bool = False
    """Gave up: keeps the place in line until its turn comes, and takes no agent then."""
    answered: bool = False


@define
class Day:
    """A scenario, lived through once."""

    scenario: Scenario
    dice: random.Random
    agents: int = 0
    """Those who work and stay; who goes in the middle of the day first ends the present call."""
    busy: int = 0
    waiting: int = 0
    hold: int = 0
    """app_queue's average hold time, in whole seconds."""
    line: list[Caller] = Factory(list)
    first: int = 0
    """The head of the line."""
    agenda: list[tuple[float, int, Callable[[float], None]]] = Factory(list)
    answers: list[Answer] = Factory(list)
    numbers: Iterator[int] = Factory(count)
    ours: Expectation = Factory(lambda: Expectation(20.0, 0.0))

    def live(self) -> list[Answer]:
        """Everything until the end of the day; what is heard of those who had to wait."""
        scenario = self.scenario
        self.agents = scenario.agents
        self._soon(0.0, self._arrives)
        if scenario.leave:
            self._soon(scenario.hours * HOUR / 2, self._leave)
        while self.agenda and self.agenda[0][0] <= scenario.hours * HOUR:
            at, _, happen = heapq.heappop(self.agenda)
            happen(at)
        return self.answers

    def _soon(self, at: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self.agenda, (at, next(self.numbers), happen))

    def _leave(self, now: float) -> None:
        self.agents -= self.scenario.leave

    def _arrives(self, now: float) -> None:
        """Thinning: callers come at the highest load, and are let in as the load of the moment wants."""
        scenario = self.scenario
        most = MOST_LOAD * scenario.agents / scenario.handling
        self._soon(now + self.dice.expovariate(most), self._arrives)
        if self.dice.random() >= scenario.load(now) / MOST_LOAD:
            return
        if self.busy < self.agents:
            self._taken(now)
            self._heard(0)
            return
        ours = self.ours.estimate(self.waiting, self.agents, now)
        oracle = expected_wait(self.waiting, self.agents, 1 / scenario.handling, 1 / scenario.patience)
        if ours is None or oracle is None:
            raise RuntimeError("nobody serves the queue")
        caller = Caller(str(next(self.numbers)), now, (ours, oracle, float(self.hold)) if now >= WARM else None)
        foreseen = self.ours.foreseen(self.waiting, self.agents, now, now)
        self.ours.joined(caller.name, now, now, foreseen)
        self.line.append(caller)
        self.waiting += 1
        self._soon(now + self.dice.expovariate(1 / scenario.patience), lambda at: self._gives_up(caller, at))

    def _gives_up(self, caller: Caller, now: float) -> None:
        if not caller.answered:
            caller.gone = True
            self.waiting -= 1
            self.ours.gave_up(caller.name, now)

    def _taken(self, now: float) -> None:
        self.busy += 1
        self.ours.busy(self.busy, now)
        self._soon(now + self.scenario.handled(self.dice), self._done)

    def _heard(self, waited: float) -> None:
        """What app_queue does after each answer: a quarter of the new one, in whole seconds."""
        self.hold = (self.hold * 3 + int(waited)) >> 2

    def _done(self, now: float) -> None:
        self.busy -= 1
        self.ours.done(now)
        self.ours.busy(self.busy, now)
        if self.busy >= self.agents:
            return
        while self.first < len(self.line):
            caller = self.line[self.first]
            self.first += 1
            if caller.estimates is not None:
                self.answers.append(Answer(*caller.estimates, now - caller.joined))
            if not caller.gone:
                self.waiting -= 1
                self.ours.answered(caller.name, now)
                caller.answered = True
                self._heard(now - caller.joined)
                self._taken(now)
                return
        self.ours.free(now)


def error(answers: list[Answer], of: Callable[[Answer], float]) -> float:
    """The root of the mean square error, as a part of the mean wait."""
    mean = sum(one.waited for one in answers) / len(answers)
    return math.sqrt(sum((of(one) - one.waited) ** 2 for one in answers) / len(answers)) / mean


def measured(scenario: Scenario, days: int) -> dict[str, float]:
    """The figures of a scenario, over so many days."""
    answers = [one for seed in range(days) for one in Day(scenario, random.Random(seed)).live()]  # noqa: S311
    waited = sum(one.waited for one in answers)
    ours = error(answers, lambda one: one.ours)
    oracle, average = error(answers, lambda one: one.oracle), error(answers, lambda one: one.average)
    return {
        "callers": len(answers),
        "mean_wait": round(waited / len(answers), 2),
        "error": round(ours, 4),
        "oracle_error": round(oracle, 4),
        "average_error": round(average, 4),
        "vs_oracle": round(ours / oracle, 4),
        "vs_average": round(ours / average, 4),
        "bias": round(sum(one.ours for one in answers) / waited - 1, 4),
        "oracle_bias": round(sum(one.oracle for one in answers) / waited - 1, 4),
    }


def reached(figures: Mapping[str, float]) -> bool:
    """Whether a scenario's figures are as they should be."""
    return figures["vs_oracle"] <= ORACLE and figures["vs_average"] <= AVERAGE and abs(figures["bias"]) <= BIAS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--days", default=10, show_default=True, type=click.IntRange(1), help="Simulated days of each scenario.")
def main(as_json: bool, days: int) -> None:
    """Compare our estimates of waits with the truth, with the true rates, and with app_queue's average."""
    table = {name: measured(scenario, days) for name, scenario in SCENARIOS.items()}
    if as_json:
        click.echo(json.dumps({"expected_wait": table, "goals": {"vs_oracle": ORACLE, "vs_average": AVERAGE, "bias": BIAS}}))
        return
    for name, figures in table.items():
        told = "  ".join(f"{key} {value:,g}" for key, value in figures.items())
        click.echo(f"{name:<18} {told}  {'reached' if reached(figures) else 'MISSED'}")


if __name__ == "__main__":
    main()
