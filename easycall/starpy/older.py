"""AMI actions that Asterisk 22 has no more, or only with DAHDI hardware.

They are sent as starpy sends them, so that a program still runs with an older Asterisk; where Asterisk does not know the
action they fail with AMICommandFailure.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from easycall.starpy.actions import Actions
from easycall.starpy.message import AMIMessage

__all__ = ["OlderActions"]


class OlderActions(Actions):
    """Recording by res_monitor, MeetMe, chan_sip, CDR fields and DAHDI."""

    def monitor(self, channel: str, file: str, format: str, mix: object) -> Deferred[AMIMessage]:
        """Record a channel.  Now: ``action("MixMonitor", …)``."""
        return self.action("monitor", channel=channel, file=file, format=format, mix=mix)

    def stopMonitor(self, channel: str) -> Deferred[AMIMessage]:
        """End a recording.  (starpy began another.)  Now: ``action("StopMixMonitor", …)``."""
        return self.action("stopmonitor", channel=channel)

    def changeMonitor(self, channel: str, filename: str) -> Deferred[AMIMessage]:
        """Record to another file."""
        return self.action("changemonitor", channel=channel, file=filename)

    def pauseMonitor(self, channel: str) -> Deferred[AMIMessage]:
        """Pause a recording.  Now: ``action("MixMonitorMute", State=1, …)``."""
        return self.action("pausemonitor", channel=channel)

    def unpauseMonitor(self, channel: str) -> Deferred[AMIMessage]:
        """Go on recording.  Now: ``action("MixMonitorMute", State=0, …)``."""
        return self.action("unpausemonitor", channel=channel)

    def meetmeMute(self, meetme: str, usernum: object) -> Deferred[AMIMessage]:
        """Mute somebody in a MeetMe conference; the answer is not checked.  Now: ``action("ConfbridgeMute", …)``."""
        return self.sendDeferred({"action": "MeetMeMute", "meetme": meetme, "usernum": usernum})

    def meetmeUnmute(self, meetme: str, usernum: object) -> Deferred[AMIMessage]:
        """Undo it; the answer is not checked."""
        return self.sendDeferred({"action": "MeetMeUnmute", "meetme": meetme, "usernum": usernum})

    def sipPeers(self) -> Deferred[list[AMIMessage]]:
        """chan_sip's peers.  Now: ``collectDeferred({"action": "PJSIPShowEndpoints"}, "EndpointListComplete")``."""
        return self.collectDeferred({"action": "sippeers"}, "PeerlistComplete")

    def sipShowPeers(self, peer: str) -> Deferred[AMIMessage]:
        """One of chan_sip's peers."""
        return self.action("sipshowpeer", peer=peer)

    def queues(self) -> Deferred[AMIMessage]:
        """The queues as text for a person.  Now: ``queueStatus()``."""
        return self.action("queues")

    def parkedCall(self) -> Deferred[AMIMessage]:
        """An event, never an action: Asterisk refuses it.  Now: ``parkedCalls()``."""
        return self.action("ParkedCall")

    def unParkedCall(self) -> Deferred[AMIMessage]:
        """An event, never an action: Asterisk refuses it."""
        return self.action("UnParkedCall")

    def setCDRUserField(self, channel: str, userField: str, append: object = True) -> Deferred[AMIMessage]:
        """Set a field of the CDR.  (starpy sent no action.)  Now: ``setVar(channel, "CDR(userfield)", …)``."""
        appended = "true" if append in (True, "true", 1) else "false"
        return self.action("SetCDRUserField", channel=channel, userfield=userField, append=appended)

    def dahdiDNDoff(self, channel: object) -> Deferred[AMIMessage]:
        """Let a DAHDI channel be disturbed."""
        return self.action("DAHDIDNDoff", dahdichannel=channel)

    def dahdiDNDon(self, channel: object) -> Deferred[AMIMessage]:
        """Do not let a DAHDI channel be disturbed."""
        return self.action("DAHDIDNDon", dahdichannel=channel)

    def dahdiDialOffhook(self, channel: object, number: object) -> Deferred[AMIMessage]:
        """Dial on a DAHDI channel that is off hook."""
        return self.action("DAHDIDialOffhook", dahdichannel=channel, number=number)

    def dahdiHangup(self, channel: object) -> Deferred[AMIMessage]:
        """Hang up a DAHDI channel."""
        return self.action("DAHDIHangup", dahdichannel=channel)

    def dahdiRestart(self, channel: object) -> Deferred[AMIMessage]:
        """Restart the DAHDI channels; calls end."""
        return self.action("DAHDIRestart", dahdichannel=channel)

    def dahdiShowChannels(self) -> Deferred[list[AMIMessage]]:
        """The answer, an event for each DAHDI channel, and DAHDIShowChannelsComplete."""
        return self.collectDeferred({"action": "DAHDIShowChannels"}, "DAHDIShowChannelsComplete")

    def dahdiTransfer(self, channel: object) -> Deferred[AMIMessage]:
        """Flash a DAHDI channel."""
        return self.action("DAHDITransfer", dahdichannel=channel)
