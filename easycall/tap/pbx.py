"""One Asterisk: its call control and its two connections, made and joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IReactorTime

from easycall.acd.distributor import Distributor
from easycall.asterisk.fastagi import FastAgiFactory
from easycall.asterisk.manager import Account, Manager
from easycall.asterisk.switch import AsteriskSwitch
from easycall.config import AsteriskBox
from easycall.contacts import Contacts
from easycall.stats.journal import Journal

__all__ = ["Pbx", "make_pbx"]


@frozen
class Pbx:
    """One Asterisk: its call control and its two connections."""

    box: AsteriskBox
    switch: AsteriskSwitch
    manager: Manager
    fastagi: FastAgiFactory


def make_pbx(
    box: AsteriskBox,
    clock: IReactorTime,
    reactor: Any,
    journal: Journal,
    distributor: Distributor,
    contacts: Contacts,
    dice: Callable[[], float],
) -> Pbx:
    """One Asterisk, joined with what its calls come to; nothing is offered on it until it is there."""
    distributor.freeze(box.name)
    switch = AsteriskSwitch(
        box.name,
        dial=box.dial,
        context=box.context,
        clock=clock,
        journal=journal,
        arrived=contacts.arrive,
        went_up=distributor.thaw,
        went_down=distributor.freeze,
        phone_is=distributor.staff.phone_is,
    )
    manager = Manager(
        box.name,
        clientFromString(reactor, box.ami),
        Account(box.username, box.secret, box.login),
        clock,
        events=switch.listeners(),
        connected=switch.connected,
        lost=switch.lost,
        random=dice,
    )
    switch.use(manager)
    return Pbx(box, switch, manager, FastAgiFactory(switch.serve, clock, peers=box.peers))
