"""What an Asterisk answered to the doctor, as frozen objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import field, frozen

from easycall.asterisk.dialplan import Step

__all__ = ["Answers", "Phone", "Step"]


@frozen
class Phone:
    """A phone that is in the configuration."""

    agent: str
    """Whose."""
    dialled: str
    """How it is dialled, ``PJSIP/2001``."""

    @property
    def endpoint(self) -> str:
        """The endpoint of Asterisk it is reached by; empty when it is none of PJSIP."""
        technology, _, resource = self.dialled.partition("/")
        return resource.partition("/")[0].rpartition("@")[2] if technology == "PJSIP" else ""


@frozen
class Answers:
    """Of one Asterisk.  What was not asked, because something before it failed, is as here."""

    unreachable: str = ""
    """Why there is no AMI there; empty when there is."""
    refused: str = ""
    """Why we may not log in; empty when we may."""
    fastagi: str | None = None
    """Why nobody is reached where its calls come in, ``""`` when somebody is; None: cannot be tried."""
    greeting: str = ""
    """The first line of AMI."""
    uptime: int | None = None
    """Seconds, as FullyBooted told; None: it was not told."""
    skew: float = 0.0
    """Seconds that its clock is ahead of ours."""
    settings: Mapping[str, str] = field(factory=dict)
    """What CoreSettings told."""
    tried: Mapping[str, str] = field(factory=dict)
    """Action -> why it was refused; empty: it was carried out."""
    told: bool = False
    """OriginateResponse came, so events about calls do."""
    dialplan: Mapping[str, Sequence[Step]] = field(factory=dict)
    """Context -> the steps of its extension ``s``; what is not there is not in it."""
    variables: Mapping[str, str] = field(factory=dict)
    """Variable or function -> its value; empty: not set, or not known."""
