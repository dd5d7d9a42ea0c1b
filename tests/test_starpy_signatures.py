"""starpy's interface: its methods take what those of starpy 1.1 take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from easycall.starpy.fastagi import FastAGIFactory, FastAGIProtocol, InSequence
from easycall.starpy.manager import AMIFactory, AMIProtocol

AMI = {
    "registerEvent": "event, function",
    "deregisterEvent": "event, function=None",
    "sendDeferred": "message",
    "sendMessage": "message, responseCallback=None",
    "collectDeferred": "message, stopEvent",
    "errorUnlessResponse": "message, expected='Success'",
    "cleanup": "result, actionid",
    "generateActionId": "",
    "dispatchEvent": "event",
    "absoluteTimeout": "channel, timeout",
    "action": "action",
    "agentLogoff": "agent, soft",
    "agents": "",
    "changeMonitor": "channel, filename",
    "command": "command",
    "dahdiDNDoff": "channel",
    "dahdiDNDon": "channel",
    "dahdiDialOffhook": "channel, number",
    "dahdiHangup": "channel",
    "dahdiRestart": "channel",
    "dahdiShowChannels": "",
    "dahdiTransfer": "channel",
    "dbDel": "family, key",
    "dbDelTree": "family, key=None",
    "dbGet": "family, key",
    "dbPut": "family, key, value",
    "events": "eventmask=False",
    "extensionState": "exten, context",
    "getConfig": "filename",
    "getVar": "channel, variable",
    "hangup": "channel",
    "listCommands": "",
    "login": "",
    "loginChallengeResponse": "",
    "logoff": "",
    "mailboxCount": "mailbox",
    "mailboxStatus": "mailbox",
    "meetmeMute": "meetme, usernum",
    "meetmeUnmute": "meetme, usernum",
    "monitor": "channel, file, format, mix",
    "originate": "channel, context=None, exten=None, priority=None, timeout=None, callerid=None, account=None,"
    " application=None, data=None, variable={}, nowait=False, channelid=None, otherchannelid=None, codecs=None",
    "park": "channel, channel2, timeout",
    "parkedCall": "",
    "parkedCalls": "",
    "pauseMonitor": "channel",
    "ping": "",
    "playDTMF": "channel, digit",
    "queueAdd": "queue, interface, penalty=0, paused=True, membername=None, stateinterface=None",
    "queueLog": "queue, event, uniqueid=None, interface=None, msg=None",
    "queuePause": "queue, interface, paused=True, reason=None",
    "queuePenalty": "interface, penalty, queue=None",
    "queueRemove": "queue, interface",
    "queueStatus": "queue=None, member=None",
    "queues": "",
    "redirect": "channel, context, exten, priority, extraChannel=None",
    "setCDRUserField": "channel, userField, append=True",
    "setVar": "channel, variable, value",
    "sipPeers": "",
    "sipShowPeers": "peer",
    "status": "channel=None",
    "stopMonitor": "channel",
    "unParkedCall": "",
    "unpauseMonitor": "channel",
    "updateConfig": "srcfile, dstfile, reload, headers={}",
    "userEvent": "event",
    "waitEvent": "timeout",
}
AGI = {
    "answer": "",
    "channelStatus": "channel=None",
    "controlStreamFile": "filename, escapeDigits, skipMS=0, ffChar='*', rewChar='#', pauseChar=None",
    "databaseDel": "family, key",
    "databaseDeltree": "family, keyTree=None",
    "databaseGet": "family, key",
    "databasePut": "family, key, value",
    "databaseSet": "family, key, value",
    "dateAsSeconds": "date",
    "execute": "application",
    "finish": "",
    "getData": "filename, timeout=2.0, maxDigits=None",
    "getOption": "filename, escapeDigits, timeout=None",
    "getVariable": "variable",
    "hangup": "channel=None",
    "jumpOnError": "reason, difference=100, forErrors=None",
    "noop": "message=None",
    "onClose": "",
    "playback": "filename, doAnswer=1",
    "receiveChar": "timeout=None",
    "receiveText": "timeout=None",
    "recordFile": "filename, format, escapeDigits, timeout=-1, offsetSamples=None, beep=True, silence=None",
    "sayAlpha": "string, escapeDigits=None",
    "sayDate": "date, escapeDigits=None",
    "sayDateTime": "time, escapeDigits='', format=None, timezone=None",
    "sayDigits": "number, escapeDigits=None",
    "sayNumber": "number, escapeDigits=None",
    "sayPhonetic": "string, escapeDigits=None",
    "sayTime": "time, escapeDigits=None",
    "sayXXX": "baseCommand, value, escapeDigits=''",
    "sendCommand": "commandString",
    "sendImage": "filename",
    "sendText": "text",
    "setAutoHangup": "time",
    "setCallerID": "number",
    "setContext": "context",
    "setExtension": "extension",
    "setMusic": "on=True, musicClass=None",
    "setPriority": "priority",
    "setVariable": "variable, value",
    "streamFile": "filename, escapeDigits='', offset=0",
    "tddMode": "on=True",
    "verbose": "message, level=None",
    "wait": "duration",
    "waitForDigit": "timeout",
}
FACTORY = {
    "__init__": "username, secret, id=None, plaintext_login=True, on_reconnect=None",
    "login": "ip='localhost', port=5038, timeout=5, bindAddress=None",
}


def signature(function: Callable[..., Any]) -> str:
    """The arguments that can be given by position; ``seconds``, the last of some, is ours."""
    given = []
    for each in list(inspect.signature(function).parameters.values())[1:]:
        if each.kind is each.POSITIONAL_OR_KEYWORD and each.name != "seconds":
            default = dict(each.default) if str(type(each.default)) == "<class 'mappingproxy'>" else each.default
            given.append(each.name if each.default is each.empty else f"{each.name}={default!r}")
    return ", ".join(given)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (AMIProtocol, AMI),
        (FastAGIProtocol, AGI),
        (AMIFactory, FACTORY),
        (FastAGIFactory, {"__init__": "mainFunction"}),
        (InSequence, {"append": "function", "__call__": ""}),
    ],
)
def test_signatures_are_those_of_starpy(where: type, expected: dict[str, str]) -> None:
    assert {name: signature(getattr(where, name)) for name in expected} == expected
