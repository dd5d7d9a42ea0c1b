"""A burst on a real Asterisk: 400 calls at once that set 200 variables each: ``python bench/burst.py``.

It starts a lab of its own.  One process holds the AMI link as the daemon does and follows the calls; this one makes them.
Asterisk is asked in three ways: for everything, for everything through ``Filter``, and as the daemon asks.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import asdict, frozen
from contestants import say
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.link import Link, LinkFactory
from easycall.asterisk.manager import EVENT_CLASSES
from easycall.lab.lab import tied
from easycall.lab.layout import Order, State, free_block

T = TypeVar("T")

LABS = Path(__file__).resolve().parent.parent / "var" / "lab"
WANTED = (
    *("Newchannel", "Newstate", "DialBegin", "DialState", "DialEnd", "OriginateResponse", "BridgeEnter", "BridgeLeave"),
    *("HangupRequest", "Hangup"),
)
"""What the daemon listens to."""
WAYS = {"everything": "all", "everything, Filter": "all", "as the daemon asks": EVENT_CLASSES}
"""The classes of events asked for at the log-in."""
PER_STEP = 40
"""Variables set by one step of the dialplan: a line of AMI takes no more."""
PATIENCE = 10.0
"""For the last events, when Asterisk has no channel any more."""
SECONDS = 60.0
"""A burst that takes longer has failed."""


@frozen
class Outcome:
    """What came of one burst."""

    way: str
    expected: int
    hangups: int
    """Of our channels, each counted once."""
    megabytes: float
    """That Asterisk sent us."""
    seconds: float
    """From the first call to the last hang-up."""
    processor: float
    """Seconds of processor time the process with the link took in them."""

    @property
    def share(self) -> float:
        """Of one core."""
        return self.processor / self.seconds


class Counting(Link):
    """A link that counts the bytes."""

    received = 0

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        super().dataReceived(data)


async def connected(reactor: Any, state: State, link: Link, classes: str) -> None:
    """Connect to the PBX and log in."""
    await TCP4ClientEndpoint(reactor, "127.0.0.1", state.ports.a_ami).connect(LinkFactory(link))
    secret = state.secrets["lab"]
    await link.request(Action.of("Login", Username="lab", Secret=secret, Events=classes), 5.0)


# The process that follows


async def follower(reactor: Any, state: State, way: str) -> None:
    """Follow the calls as the daemon does, until stdin tells how many hang-ups there were; tell how many were seen."""
    gone: dict[str, float] = {}

    def listen(message: Message) -> None:
        leg = message.get("Uniqueid")
        if message.name == "Hangup" and leg.startswith("burst-"):
            gone.setdefault(leg, time.monotonic())
        else:
            message.get("ChannelStateDesc")

    link = Counting(reactor, dict.fromkeys(WANTED, listen))
    await connected(reactor, state, link, WAYS[way])
    if "Filter" in way:
        for name in WANTED:
            await link.request(Action.of("Filter", Operation="Add", MatchCriteria=f"action(include),name({name})"), 5.0)
    begun = time.process_time()
    say("ready")
    while not select.select([sys.stdin], [], [], 0)[0] and not link.reason:
        await deferLater(reactor, 0.05)
    expected, patience = int(sys.stdin.readline()), time.monotonic() + PATIENCE
    while len(gone) < expected and time.monotonic() < patience and not link.reason:
        await deferLater(reactor, 0.05)
    result = {"hangups": len(gone), "last": max(gone.values(), default=0.0), "received": link.received}
    say(json.dumps({**result, "processor": time.process_time() - begun, "reason": link.reason}))
    link.abort("done")


# The process that calls


async def burst(reactor: Any, state: State, way: str, calls: int, variables: int) -> Outcome:
    """Make the calls, wait until Asterisk has none left, and ask the other process what it saw."""
    argv = [sys.executable, __file__, "--follow", way, str(state.folder)]
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else happens here meanwhile
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as following:
        if following.stdout is None or following.stdout.readline() != "ready\n":
            raise click.ClickException("the process that should follow the calls did not begin")
        link = Link(reactor, {})
        await connected(reactor, state, link, "off")
        await prepare(link, variables)
        begun = time.monotonic()
        await gatherResults([link.request(call(way, number), SECONDS) for number in range(calls)])
        while "0 active channels" not in await command(link, "core show channels count"):
            if time.monotonic() > begun + SECONDS:
                raise click.ClickException("the calls do not end")
            await deferLater(reactor, 0.1)
        told = json.loads(following.communicate(f"{2 * calls}\n")[0])
        link.abort("done")
    if told["reason"]:
        raise click.ClickException(f"{way}: the link was lost: {told['reason']}")
    seconds, megabytes = round(told["last"] - begun, 3), round(told["received"] / 1e6, 1)
    return Outcome(way, 2 * calls, told["hangups"], megabytes, seconds, round(told["processor"], 3))


async def prepare(link: Link, variables: int) -> None:
    """Teach Asterisk the extension ``s@burst``: set variables, and hang up."""
    steps = [
        "MSet(" + ",".join(f"V{number:03d}=0123456789ab" for number in range(at, min(at + PER_STEP, variables))) + ")"
        for at in range(0, variables, PER_STEP)
    ]
    for priority, step in enumerate(["Answer()", *steps, "Hangup()"], 1):
        await command(link, f"dialplan add extension s,{priority},{step} into burst replace")


async def command(link: Link, line: str) -> list[str]:
    """A command of Asterisk's console; the lines of its answer."""
    [answer] = await link.request(Action.of("Command", Command=line), 5.0)
    return answer.all("Output")


def call(way: str, number: int) -> Action:
    """A Local channel whose far end runs the extension; its two legs have ids of ours."""
    leg = f"burst-{list(WAYS).index(way)}-{number:04d}"  # Asterisk refuses an id that is the beginning of another
    return Action.of(
        "Originate",
        Channel="Local/s@burst/n",
        Application="Wait",
        Data="30",
        Async="true",
        ChannelId=leg,
        OtherChannelId=f"{leg}-x",
    )


def completed(work: Callable[[Any], Coroutine[Deferred[Any], Any, T]]) -> T:
    """Run the reactor for as long as ``work`` takes; its result."""
    from twisted.internet import reactor

    results: list[T | Failure] = []
    starting: Any = reactor
    starting.callWhenRunning(
        lambda: Deferred.fromCoroutine(work(reactor)).addBoth(results.append).addBoth(lambda _: starting.stop())
    )
    starting.run()
    [result] = results
    if isinstance(result, Failure):
        result.raiseException()
    return result


def show(outcomes: list[Outcome]) -> None:
    """Print it for a person."""
    click.echo(f"{'':<20}{'hang-ups seen':>14}{'received':>12}{'time':>9}{'our time':>10}{'share':>8}")
    for one in outcomes:
        seen, received = f"{one.hangups} of {one.expected}", f"{one.megabytes:.1f} MB"
        times = f"{one.seconds:7.2f} s{one.processor:8.2f} s{one.share:8.1%}"
        click.echo(f"{one.way:<20}{seen:>14}{received:>12}{times}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--calls", default=400, show_default=True, type=click.IntRange(1, 490), help="At once.")
@click.option("--variables", default=200, show_default=True, type=click.IntRange(1, 1000), help="Set by each call.")
@click.option("--follow", hidden=True, nargs=2, default=None, type=(click.Choice(list(WAYS)), click.Path(path_type=Path)))
def main(as_json: bool, calls: int, variables: int, follow: tuple[str, Path] | None) -> None:
    """Burst calls on a real Asterisk and show what following them costs."""
    if follow is not None:
        way, folder = follow
        if (state := State.read(folder)) is None:
            raise click.ClickException("the lab is not up")
        completed(lambda reactor: follower(reactor, state, way))
        return

    async def run(reactor: Any) -> list[Outcome]:
        return [await burst(reactor, lab, way, calls, variables) for way in WAYS]

    with tied(Order(LABS, f"burst-{os.getpid()}", free_block()), lambda text: click.echo(text, err=True)) as lab:
        outcomes = completed(run)
    if as_json:
        click.echo(json.dumps({"bursts": [{**asdict(one), "share": round(one.share, 4)} for one in outcomes]}))
    else:
        show(outcomes)


if __name__ == "__main__":
    main()
