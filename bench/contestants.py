"""The programs that are measured over sockets: ``python contestants.py <what> <library> [port] [words]``.

Each runs as a process of its own, for wire.py, which plays Asterisk.

``events``   connects to AMI at ``port``, hands on the kinds of the ``words``, prints ``done`` at the stream's last event
``actions``  connects to AMI at ``port``, sends as many actions as the word says, WINDOW at a time, prints ``done``
``agi``      serves FastAGI at any port and prints it: each leg is asked for a variable as often as its first argument says
"""

from __future__ import annotations

import asyncio
import collections
import sys
from collections.abc import Callable, Sequence
from typing import Any

from stream import KINDS

__all__ = ["CONTESTANTS", "LINE", "WINDOW"]

WINDOW = 100
CHANNEL, VARIABLE = "PJSIP/100-0000002a", "EC_CONTACT"
LINE = f"Action: Getvar, ActionID: 5f3a5f3a-12345, Channel: {CHANNEL}, Variable: {VARIABLE}".encode()
"""What the echoes send: a line as long as the action."""


def say(text: str) -> None:
    """Tell wire.py."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# Events


def easycall_events(port: int, words: Sequence[str]) -> None:
    """Our link on Twisted."""
    from twisted.internet import reactor

    from easycall.asterisk.link import Link, LinkFactory

    seen: list[None] = []
    listeners: dict[str, Callable[[Any], None]] = dict.fromkeys(words, lambda message: seen.append(None))
    listeners["UserEvent"] = lambda message: say(f"done {len(seen)}")
    reactor.connectTCP("127.0.0.1", port, _client(LinkFactory(Link(reactor, listeners))))
    reactor.run()


def panoramisk_events(port: int, words: Sequence[str]) -> None:
    """asyncio."""
    from panoramisk.manager import Manager

    seen: list[None] = []
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    manager = Manager(loop=loop, host="127.0.0.1", port=port)
    for name in ("*",) if len(words) == len(KINDS) else words:  # it tries every pattern on every event
        manager.register_event(name, lambda manager, message: seen.append(None))
    manager.register_event("UserEvent", lambda manager, message: say(f"done {len(seen) - (len(words) == len(KINDS))}"))
    manager.connect()
    loop.run_forever()


def pystrix_events(port: int, words: Sequence[str]) -> None:
    """Two threads."""
    import threading

    from pystrix.ami import Manager

    seen: list[None] = []
    manager = Manager()
    for name in ("",) if len(words) == len(KINDS) else words:
        manager.register_callback(name, lambda event, manager: seen.append(None))
    manager.register_callback("UserEvent", lambda event, manager: say(f"done {len(seen) - (len(words) == len(KINDS))}"))
    manager.connect("127.0.0.1", port)
    threading.Event().wait()


def starpy_events(port: int, words: Sequence[str]) -> None:
    """Twisted, a line at a time."""
    from starpy.manager import AMIFactory
    from twisted.internet import reactor

    seen: list[None] = []

    def logged_in(ami: Any) -> None:
        for name in words:
            ami.registerEvent(name, lambda ami, message: seen.append(None))
        ami.registerEvent("UserEvent", lambda ami, message: say(f"done {len(seen)}"))

    AMIFactory("bench", "bench").login("127.0.0.1", port).addCallback(logged_in)
    reactor.run()


def line_only_events(port: int, words: Sequence[str]) -> None:
    """The limit of what reads line by line: Twisted's LineOnlyReceiver with lines that are thrown away."""
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory
    from twisted.protocols.basic import LineOnlyReceiver

    class Nothing(LineOnlyReceiver):
        def lineReceived(self, line: bytes) -> None:
            if line == b"Event: UserEvent":
                say("done 0")

    reactor.connectTCP("127.0.0.1", port, _client(Factory.forProtocol(Nothing)))
    reactor.run()


# Actions


def easycall_actions(port: int, words: Sequence[str]) -> None:
    """Our link, asked by coroutines."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, gatherResults

    from easycall.asterisk.ami import Action
    from easycall.asterisk.link import Link, LinkFactory

    async def ask() -> None:
        for _ in range(int(words[0]) // WINDOW):
            [answer] = await link.request(Action.of("Getvar", Channel=CHANNEL, Variable=VARIABLE), 5.0)
            if answer.get("Value") != "1":
                raise RuntimeError("a wrong answer")

    def begin() -> None:
        gatherResults([Deferred.fromCoroutine(ask()) for _ in range(WINDOW)]).addCallbacks(lambda _: say("done"), _fail)

    link = Link(reactor, {})  # type: ignore[arg-type]
    reactor.connectTCP("127.0.0.1", port, _client(LinkFactory(link)))
    _at_go(begin)
    reactor.run()


def panoramisk_actions(port: int, words: Sequence[str]) -> None:
    """asyncio, asked by coroutines."""
    from panoramisk.manager import Manager

    async def ask() -> None:
        for _ in range(int(words[0]) // WINDOW):
            answer = await manager.send_action({"Action": "Getvar", "Channel": CHANNEL, "Variable": VARIABLE})
            if answer.value != "1":
                raise RuntimeError("a wrong answer")

    async def begin() -> None:
        await manager.connect()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await asyncio.gather(*(ask() for _ in range(WINDOW)))
        say("done")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    manager = Manager(loop=loop, host="127.0.0.1", port=port)
    loop.run_until_complete(begin())


def pystrix_actions(port: int, words: Sequence[str]) -> None:
    """A thread for each action under way: send_action blocks, and looks for its answer every 50 ms."""
    import threading

    from pystrix.ami import Manager, core

    def ask() -> None:
        for _ in range(int(words[0]) // WINDOW):
            answer = manager.send_action(core.Getvar(VARIABLE, CHANNEL))
            if answer.response["Value"] != "1":
                raise RuntimeError("a wrong answer")

    manager = Manager()
    manager.connect("127.0.0.1", port)
    sys.stdin.readline()
    threads = [threading.Thread(target=ask) for _ in range(WINDOW)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("done")


def echo_actions(port: int, words: Sequence[str]) -> None:
    """The limit of what asks and awaits on Twisted: a line as long as an action, a Deferred for the one that comes back.

    No names, no ids, no time limits: the first answer belongs to the first question.
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, gatherResults
    from twisted.internet.protocol import Factory
    from twisted.protocols.basic import LineOnlyReceiver

    class Echo(LineOnlyReceiver):
        def connectionMade(self) -> None:
            self.transport.setTcpNoDelay(True)
            self.waiting: collections.deque[Deferred[bytes]] = collections.deque()
            _at_go(self.begin)

        def begin(self) -> None:
            asking = [Deferred.fromCoroutine(self.ask_all()) for _ in range(WINDOW)]
            gatherResults(asking).addCallbacks(lambda _: say("done"), _fail)

        async def ask_all(self) -> None:
            for _ in range(int(words[0]) // WINDOW):
                if await self.ask() != LINE:
                    raise RuntimeError("a wrong answer")

        def ask(self) -> Deferred[bytes]:
            answer: Deferred[bytes] = Deferred()
            self.waiting.append(answer)
            self.sendLine(LINE)
            return answer

        def lineReceived(self, line: bytes) -> None:
            self.waiting.popleft().callback(line)

    reactor.connectTCP("127.0.0.1", port, _client(Factory.forProtocol(Echo)))
    reactor.run()


def bare_echo_actions(port: int, words: Sequence[str]) -> None:
    """The limit of the transport: the same lines, and for each that comes back the next is sent; nobody waits for one."""
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory
    from twisted.protocols.basic import LineOnlyReceiver

    class Echo(LineOnlyReceiver):
        left = int(words[0])

        def connectionMade(self) -> None:
            self.transport.setTcpNoDelay(True)
            _at_go(self.begin)

        def begin(self) -> None:
            for _ in range(WINDOW):
                self.sendLine(LINE)

        def lineReceived(self, line: bytes) -> None:
            self.left -= 1
            if self.left >= WINDOW:
                self.sendLine(LINE)
            elif not self.left:
                say("done")

    reactor.connectTCP("127.0.0.1", port, _client(Factory.forProtocol(Echo)))
    reactor.run()


# FastAGI


def easycall_agi(port: int, words: Sequence[str]) -> None:
    """Our server and one coroutine for each leg."""
    from twisted.internet import reactor

    from easycall.asterisk.fastagi import FastAgiFactory, Session, SessionOver
    from easycall.defer import unattended

    async def serve(session: Session) -> None:
        try:
            for _ in range(int(session.arguments[0])):
                if await session.get_variable(VARIABLE) is None:
                    raise RuntimeError("a wrong answer")
        except SessionOver:
            return
        session.close()

    factory = FastAgiFactory(lambda session: unattended(serve(session)), reactor, limit=2000)  # type: ignore[arg-type]
    _listen(factory)


def limit_agi(port: int, words: Sequence[str]) -> None:
    """The limit on Twisted: a LineOnlyReceiver that writes the same bytes for each line, without looking at it."""
    from twisted.internet.protocol import Factory
    from twisted.protocols.basic import LineOnlyReceiver

    class Limit(LineOnlyReceiver):
        delimiter = b"\n"
        left = 0
        begun = False

        def lineReceived(self, line: bytes) -> None:
            if not self.begun:
                if line.startswith(b"agi_arg_1"):
                    self.left = int(line[10:])
                self.begun = not line
                if line:
                    return
            if self.left:
                self.left -= 1
                self.transport.write(b'GET VARIABLE "EC_CONTACT"\n')
            else:
                self.transport.loseConnection()

    _listen(Factory.forProtocol(Limit))


def starpy_agi(port: int, words: Sequence[str]) -> None:
    """Twisted."""
    from starpy.fastagi import FastAGIFactory
    from twisted.internet.defer import Deferred

    async def serve(agi: Any) -> None:
        for _ in range(int(agi.variables["agi_arg_1"])):
            await agi.getVariable(VARIABLE)
        agi.finish()

    _listen(FastAGIFactory(lambda agi: Deferred.fromCoroutine(serve(agi)).addErrback(lambda _: None)))


def panoramisk_agi(port: int, words: Sequence[str]) -> None:
    """asyncio's streams."""
    from panoramisk.fast_agi import Application

    async def serve(request: Any) -> None:
        for _ in range(int(request.headers["agi_arg_1"])):
            await request.send_command(f"GET VARIABLE {VARIABLE}")

    async def listen() -> None:
        application = Application(loop=asyncio.get_running_loop())
        application.add_route("leg", serve)
        server = await asyncio.start_server(application.handler, "127.0.0.1", 0, backlog=2048)
        say(str(server.sockets[0].getsockname()[1]))
        await server.serve_forever()

    asyncio.run(listen())


def pystrix_agi(port: int, words: Sequence[str]) -> None:
    """A thread for each leg."""
    from pystrix.agi import FastAGIServer, core, fastagi

    def serve(agi: Any, args: Any, kwargs: Any, match: Any, path: Any) -> None:
        for _ in range(int(args[0])):
            agi.execute(core.GetVariable(VARIABLE))

    # It would run the program sysctl, which is not everywhere.
    fastagi._ThreadedTCPServer.get_somaxconn = staticmethod(lambda: 2048)
    FastAGIServer.handle_error = lambda *args: None  # a leg that goes is no news
    server = FastAGIServer(port=0)
    server.register_script_handler(None, serve)
    say(str(server.server_address[1]))
    server.serve_forever()


# What they share


def _client(factory: Any) -> Any:
    """``connectTCP`` wants the older kind of factory."""
    from twisted.internet.protocol import ClientFactory

    class Client(ClientFactory):
        noisy = False

        def buildProtocol(self, addr: Any) -> Any:
            return factory.buildProtocol(addr)

    return Client()


def _at_go(begin: Callable[[], None]) -> None:
    """Begin when wire.py says so."""
    from twisted.internet import reactor, threads

    threads.deferToThread(sys.stdin.readline).addCallback(lambda _: reactor.callLater(0, begin))


def _listen(factory: Any) -> None:
    from twisted.internet import reactor

    factory.noisy = False
    say(str(reactor.listenTCP(0, factory, backlog=2048, interface="127.0.0.1").getHost().port))
    reactor.run()


def _fail(failure: Any) -> None:
    say(f"failed {failure.getTraceback()}")


CONTESTANTS: dict[str, dict[str, Callable[[int, Sequence[str]], None]]] = {
    "events": {
        "easycall": easycall_events,
        "panoramisk": panoramisk_events,
        "pystrix": pystrix_events,
        "starpy": starpy_events,
        "line_only": line_only_events,
    },
    "actions": {
        "easycall": easycall_actions,
        "echo": echo_actions,
        "bare_echo": bare_echo_actions,
        "panoramisk": panoramisk_actions,
        "pystrix": pystrix_actions,
    },
    "agi": {
        "easycall": easycall_agi,
        "limit": limit_agi,
        "pystrix": pystrix_agi,
        "panoramisk": panoramisk_agi,
        "starpy": starpy_agi,
    },
}

if __name__ == "__main__":
    what, library, *more = sys.argv[1:]
    CONTESTANTS[what][library](int(more[0]) if more else 0, more[1:])
