"""The AMI actions as methods, with starpy's names, arguments, order and defaults.

Each gives a Deferred of the answer, an :class:`~easycall.starpy.message.AMIMessage`, unless it says otherwise.  All fail
with AMICommandFailure, ActionTimeout, Disconnected, UnsafeValue or TooManyActions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred

from easycall.defer import start
from easycall.starpy.error import AMICommandFailure
from easycall.starpy.message import AMIMessage, Request, assignment

__all__ = ["Actions"]

DIAL_SECONDS = 30.0
"""How long Asterisk lets a channel ring if Originate does not say."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Actions(ABC):
    """Everything that can be asked of Asterisk."""

    actionTimeout = 10.0
    """Within how many seconds an action must be answered, and a list be complete.  To be set on the class or the object."""

    @abstractmethod
    def sendDeferred(self, message: Request, seconds: float | None = None) -> Deferred[AMIMessage]:
        """Send an action; the Deferred gives its answer, also one that is a refusal."""

    @abstractmethod
    def collectDeferred(self, message: Request, stopEvent: str, seconds: float | None = None) -> Deferred[list[AMIMessage]]:
        """Send an action; the Deferred gives its answer and every event that belongs to it, ``stopEvent`` being the last."""

    @abstractmethod
    def errorUnlessResponse(self, message: AMIMessage, expected: str = "Success") -> AMIMessage:
        """The message if its response is ``expected``.  Raises AMICommandFailure otherwise."""

    def _checked(self, message: Request, expected: str = "Success", seconds: float | None = None) -> Deferred[AMIMessage]:
        return self.sendDeferred(message, seconds).addCallback(self.errorUnlessResponse, expected=expected)

    def action(self, action: str, **action_args: Any) -> Deferred[AMIMessage]:
        """Any action; a list as value repeats its header."""
        return self._checked([("action", action), *action_args.items()])

    def command(self, command: str) -> Deferred[list[str]]:
        """The lines a command of Asterisk's console prints."""
        return self._checked({"action": "command", "command": command}).addCallback(lambda answer: answer.get(" ", []))

    # The connection

    def events(self, eventmask: Any = False) -> Deferred[AMIMessage]:
        """Which classes of events are sent: True, False, or names with commas between."""
        mask = "off" if eventmask in ("off", False, 0) else "on" if eventmask in ("on", True, 1) else eventmask
        return self._checked({"action": "events", "eventmask": mask})

    def listCommands(self) -> Deferred[AMIMessage]:
        """The actions this account may use: name in lower case -> what it does."""

        def without_id(answer: AMIMessage) -> AMIMessage:
            answer.pop("actionid", None)
            return answer

        return self._checked({"action": "listcommands"}).addCallback(without_id)

    def ping(self) -> Deferred[AMIMessage]:
        """Whether Asterisk answers."""
        return self.action("ping")

    def waitEvent(self, timeout: float) -> Deferred[list[AMIMessage]]:
        """The answer, when an event came or after ``timeout`` seconds (-1: a day at most), and WaitEventComplete.

        The events themselves go to the registered functions.
        """
        wait = timeout if timeout >= 0 else 86400.0
        message = {"action": "WaitEvent", "timeout": int(timeout)}
        return self.collectDeferred(message, "WaitEventComplete", wait + self.actionTimeout)

    def userEvent(self, event: str, **headers: Any) -> Deferred[AMIMessage]:
        """Send an event of one's own to everyone who listens.  (starpy gave no Deferred.)"""
        return self.action("UserEvent", userevent=event, **headers)

    # Calls

    def originate(
        self,
        channel: str,
        context: str | None = None,
        exten: object = None,
        priority: object = None,
        timeout: float | None = None,
        callerid: str | None = None,
        account: str | None = None,
        application: str | None = None,
        data: str | None = None,
        variable: Mapping[str, Any] = _NOTHING,
        nowait: object = False,
        channelid: str | None = None,
        otherchannelid: str | None = None,
        codecs: str | None = None,
        **named: Any,
    ) -> Deferred[AMIMessage]:
        """Call a channel and connect it to a place in the dialplan, or to an application.

        ``timeout`` is in seconds.  Unless ``nowait``, the answer comes when the call was answered or has failed.
        ``is_async`` and ``async`` are older names of ``nowait``.
        """
        for older in ("is_async", "async"):
            nowait = named.pop(older, nowait)
        if named:
            raise TypeError(f"originate() has no argument {next(iter(named))!r}")
        message: list[tuple[str, Any]] = [
            ("action", "originate"),
            ("channel", channel),
            ("context", context),
            ("exten", exten),
            ("priority", priority),
            ("callerid", callerid),
            ("account", account),
            ("application", application),
            ("data", data),
            ("async", str(nowait)),
            ("channelid", channelid),
            ("otherchannelid", otherchannelid),
            ("codecs", codecs),
            ("timeout", None if timeout is None else int(timeout * 1000)),
            *(("variable", assignment(name, value)) for name, value in variable.items()),
        ]
        return self._checked(message, seconds=(DIAL_SECONDS if timeout is None else timeout) + self.actionTimeout)

    def redirect(
        self, channel: str, context: str, exten: object, priority: object, extraChannel: str | None = None
    ) -> Deferred[AMIMessage]:
        """Move a channel, or two, to another place of the dialplan."""
        place = {"context": context, "exten": exten, "priority": priority}
        return self.action("redirect", channel=channel, **place, extrachannel=extraChannel)

    def hangup(self, channel: str) -> Deferred[AMIMessage]:
        """Hang up a channel."""
        return self.action("hangup", channel=channel)

    def absoluteTimeout(self, channel: str, timeout: object) -> Deferred[AMIMessage]:
        """Hang up a channel in so many seconds."""
        return self.action("absolutetimeout", timeout=timeout, channel=channel)

    def playDTMF(self, channel: str, digit: object) -> Deferred[AMIMessage]:
        """Send a key to a channel."""
        return self.action("playdtmf", channel=channel, digit=digit)

    def status(self, channel: str | None = None) -> Deferred[list[AMIMessage]]:
        """The answer, a Status event for each channel or for the one, and StatusComplete."""
        return self.collectDeferred({"action": "Status", "channel": channel or None}, "StatusComplete")

    def park(self, channel: str, channel2: str | None, timeout: object) -> Deferred[AMIMessage]:
        """Park a channel; the timeout is in milliseconds, as Asterisk has it."""
        return self.action("park", channel=channel, channel2=channel2, timeout=timeout)

    def parkedCalls(self) -> Deferred[list[AMIMessage]]:
        """The answer, a ParkedCall event each, and ParkedCallsComplete."""
        return self.collectDeferred({"action": "ParkedCalls"}, "ParkedCallsComplete")

    # Variables, Asterisk's database and configuration

    def getVar(self, channel: str | None, variable: str) -> Deferred[str | None]:
        """The value of a channel's variable or function, or of a global one."""

        def value(answer: AMIMessage) -> str | None:
            found: str | None = answer.get("value", answer.get(variable.lower()))
            if found is None:
                raise AMICommandFailure(answer)
            return None if found == "(null)" else found

        return self.action("getvar", variable=variable, channel=channel or None).addCallback(value)

    def setVar(self, channel: str | None, variable: str, value: object) -> Deferred[AMIMessage]:
        """Set a channel's variable or function, or a global one."""
        return self.action("setvar", variable=variable, value=value, channel=channel or None)

    def dbDel(self, family: str, key: str) -> Deferred[AMIMessage]:
        """Delete a key."""
        return self.action("DBDel", family=family, key=key)

    def dbDelTree(self, family: str, key: str | None = None) -> Deferred[AMIMessage]:
        """Delete a family, or a part of it."""
        return self.action("DBDelTree", family=family, key=key)

    def dbGet(self, family: str, key: str) -> Deferred[str | None]:
        """The value of a key; None when there is none."""
        return start(self._db_get(family, key))

    async def _db_get(self, family: str, key: str) -> str | None:
        try:
            *_, found = await self.collectDeferred({"action": "DBGet", "family": family, "key": key}, "DBGetResponse")
        except AMICommandFailure as failure:
            if "not found" in failure.args[0].get("message", "").lower():
                return None
            raise
        value: str = found["val"]
        return value

    def dbPut(self, family: str, key: str, value: object) -> Deferred[AMIMessage]:
        """Set the value of a key."""
        return self.action("DBPut", family=family, key=key, val=value)

    def getConfig(self, filename: str) -> Deferred[AMIMessage]:
        """What is in a configuration file."""
        return self.action("GetConfig", filename=filename)

    def updateConfig(
        self, srcfile: str, dstfile: str, reload: object, headers: Mapping[str, Any] = _NOTHING
    ) -> Deferred[AMIMessage]:
        """Change a configuration file by ``Action-000000``, ``Cat-000000``, ``Var-000000``, ``Value-000000`` …"""
        wanted = "yes" if reload in (True, "yes", 1) else "no"
        files = {"action": "updateconfig", "srcfilename": srcfile, "dstfilename": dstfile, "reload": wanted}
        return self._checked([*files.items(), *headers.items()])

    # Queues, agents, extensions and mailboxes

    def queueAdd(
        self,
        queue: str,
        interface: str,
        penalty: object = 0,
        paused: object = True,
        membername: str | None = None,
        stateinterface: str | None = None,
    ) -> Deferred[AMIMessage]:
        """Add a member to a queue of Asterisk's, paused if not said otherwise."""
        member = {"interface": interface, "membername": membername, "stateinterface": stateinterface}
        return self.action("queueadd", queue=queue, penalty=penalty, paused=_truth(paused), **member)

    def queueLog(
        self, queue: str, event: str, uniqueid: str | None = None, interface: str | None = None, msg: str | None = None
    ) -> Deferred[AMIMessage]:
        """Write a line into queue_log."""
        return self.action("queuelog", queue=queue, event=event, uniqueid=uniqueid, interface=interface, message=msg)

    def queuePause(
        self, queue: str | None, interface: str, paused: object = True, reason: str | None = None
    ) -> Deferred[AMIMessage]:
        """Let a member pause, or work again."""
        return self.action("queuepause", queue=queue, interface=interface, paused=_truth(paused), reason=reason)

    def queuePenalty(self, interface: str, penalty: object, queue: str | None = None) -> Deferred[AMIMessage]:
        """Set a member's penalty."""
        return self.action("queuepenalty", interface=interface, penalty=penalty, queue=queue)

    def queueRemove(self, queue: str, interface: str) -> Deferred[AMIMessage]:
        """Take a member out of a queue."""
        return self.action("queueremove", queue=queue, interface=interface)

    def queueStatus(self, queue: str | None = None, member: str | None = None) -> Deferred[list[AMIMessage]]:
        """The answer, QueueParams, QueueMember and QueueEntry events, and QueueStatusComplete."""
        return self.collectDeferred({"action": "queuestatus", "queue": queue, "member": member}, "QueueStatusComplete")

    def agentLogoff(self, agent: str, soft: object) -> Deferred[AMIMessage]:
        """Log an agent of app_agent_pool off, at once or after the call."""
        return self.action("AgentLogoff", agent=agent, soft="true" if soft in (True, "yes", 1) else "false")

    def agents(self) -> Deferred[list[AMIMessage]]:
        """The answer, an Agents event for each agent of app_agent_pool, and AgentsComplete."""
        return self.collectDeferred({"action": "agents"}, "AgentsComplete")

    def extensionState(self, exten: object, context: str) -> Deferred[AMIMessage]:
        """The ``status`` of a hint: -1 there is none, 0 idle, 1 in use, 2 busy, 4 unavailable, 8 ringing, 16 on hold."""
        return self.action("ExtensionState", exten=exten, context=context)

    def mailboxCount(self, mailbox: str) -> Deferred[AMIMessage]:
        """How many messages are in a mailbox."""
        return self.action("mailboxcount", mailbox=mailbox)

    def mailboxStatus(self, mailbox: str) -> Deferred[AMIMessage]:
        """Whether messages wait in a mailbox."""
        return self.action("mailboxstatus", mailbox=mailbox)


def _truth(value: object) -> str:
    return "true" if value in (True, "true", 1) else "false"
