"""``twistd easycall``: the room that joins all parts.

:class:`~easycall.options.Options` reads and checks the configuration; :func:`makeService` makes every object and hands each
what it needs.  Nobody else makes these objects, and no other module sees the global reactor.  How each starts and stops, and
why it cannot, is in :mod:`easycall.parts`.

============  ===================================================================================
module        what it makes and joins
============  ===================================================================================
``daemon``    the whole daemon, of its parts in the order in which they start
``conduct``   what serves calls
``pbx``       one Asterisk: its call control and its two connections
``beside``    what is beside the calls: how the daemon is, privacy, the API
``disk``      what works on files, in threads
============  ===================================================================================
"""

from __future__ import annotations

from twisted.application.service import MultiService

from easycall.clock import steady
from easycall.garbage import settle
from easycall.options import Options
from easycall.service import Leaving
from easycall.tap.conduct import Conduct, make_conduct
from easycall.tap.daemon import Joined, join, join_conduct
from easycall.tap.pbx import Pbx

__all__ = ["Conduct", "Joined", "Options", "Pbx", "join", "join_conduct", "makeService", "make_conduct"]


def makeService(options: Options) -> MultiService:
    """The daemon as a service of twistd."""
    from twisted.internet import reactor

    steady(reactor)
    service = MultiService()
    config = options.config
    limit = config.watchdog_seconds
    daemon = join(config, options.flows, reactor, Leaving(reactor), watchdog_seconds=limit, loaded=settle).daemon
    daemon.setServiceParent(service)  # type: ignore[no-untyped-call] # Twisted's
    settle()
    return service
