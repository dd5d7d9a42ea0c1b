"""Whom starpy's protocols talk to in memory: an Asterisk on AMI and one on FastAGI, with a clock that a test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from easycall.starpy.fastagi import FastAGIFactory, FastAGIProtocol
from easycall.starpy.manager import AMIFactory, AMIProtocol

reactor: Any = global_reactor
GREETING = b"Asterisk Call Manager/11.0.0\r\n"


class Asterisk:
    """One connection to an Asterisk in memory: what it is sent, and what it says."""

    def __init__(self, log_in: bool = True, **options: Any) -> None:
        self.clock = Clock()
        self.factory = AMIFactory("lab", "very secret", **options)
        self.factory.clock = self.clock
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5038))
        assert isinstance(protocol, AMIProtocol)
        self.ami = protocol
        self.wire = StringTransport()
        self.last = ""
        protocol.makeConnection(self.wire)
        self.says(GREETING)
        if log_in:
            self.answers("Response: Success", "Message: Authentication accepted")

    def says(self, data: bytes) -> None:
        self.ami.dataReceived(data)

    def sent(self) -> list[list[tuple[str, str]]]:
        """The actions sent since last asked, as pairs of header and value."""
        text = self.wire.value().decode("utf-8", "surrogateescape")
        self.wire.clear()
        *blocks, rest = text.split("\r\n\r\n")
        assert rest == ""
        return [
            [(name, value) for name, _, value in (line.partition(": ") for line in block.split("\r\n"))] for block in blocks
        ]

    def asked(self) -> list[tuple[str, str]]:
        """The one action sent, without its ActionID, which must be second."""
        [action] = self.sent()
        name, self.last = action.pop(1)
        assert name == "ActionID"
        return action

    def answers(self, *lines: str, event: str = "") -> None:
        """Say something about the last action sent."""
        if sent := self.sent():
            self.last = dict(sent[-1])["ActionID"]
        first, *others = (f"Event: {event}", *lines) if event else lines
        self.says("\r\n".join([first, f"ActionID: {self.last}", *others, "", ""]).encode("utf-8", "surrogateescape"))

    def cut(self) -> None:
        self.ami.connectionLost(Failure(ConnectionLost("cable")))


def outcome(work: Deferred[Any]) -> Any:
    """What a Deferred has by now: its result, or its exception."""
    results: list[Any] = []
    work.addBoth(results.append)
    [result] = results
    return result.value if isinstance(result, Failure) else result


def pending(work: Deferred[Any]) -> bool:
    return not work.called


HERE = IPv4Address("TCP", "127.0.0.1", 40000)
ENVIRONMENT = (
    b"agi_network: yes\nagi_channel: PJSIP/100-1\nagi_uniqueid: 17.1\nagi_context: home\nagi_extension: s\n"
    b"agi_priority: 4\nagi_arg_1: caller\nagi_channel: forged\n\n"
)


class Leg:
    """A FastAGIProtocol and the Asterisk at its other end."""

    def __init__(
        self,
        main: Callable[[FastAGIProtocol], Any] | None = None,
        environment: bytes = ENVIRONMENT,
        factory: FastAGIFactory | None = None,
    ) -> None:
        self.clock = factory.clock if factory else Clock()
        self.served: list[FastAGIProtocol] = []
        self.factory = factory or FastAGIFactory(main or self.served.append)
        self.factory.clock = self.clock
        protocol = self.factory.buildProtocol(HERE)
        assert protocol is not None
        self.agi = protocol
        self.wire = StringTransport(peerAddress=HERE)
        protocol.makeConnection(self.wire)
        self.says(environment)

    def says(self, data: bytes) -> None:
        self.agi.dataReceived(data)

    def asked(self) -> str:
        """What was sent since last asked."""
        data = self.wire.value()
        self.wire.clear()
        return data.decode("utf-8", "surrogateescape")

    def ends(self) -> None:
        """The connection ends."""
        self.agi.connectionLost(Failure(ConnectionDone()))
        assert not self.clock.getDelayedCalls()
        assert not self.factory.connections


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Let the reactor turn until something is so."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        await deferLater(reactor, 0.005)
