"""The daemon's configuration: files and environment -> frozen objects, every fault reported at once.  Pure but for reading.

* :mod:`~easycall.config.settings` – what an operator decides
* :mod:`~easycall.config.schema` – what may stand in the file
* :mod:`~easycall.config.load` – reads the file and finds what contradicts itself
* :mod:`~easycall.config.queues`, :mod:`~easycall.config.callback` – queues, and how they call back
* :mod:`~easycall.config.outside` – services and public keys
* :mod:`~easycall.config.strategies` – strategies by entry point
* :mod:`~easycall.config.toml`, :mod:`~easycall.config.kinds` – reading TOML without stopping at the first fault

What an option means is told in ``etc/easycall.toml``.
"""

from easycall.config.load import load
from easycall.config.settings import (
    AgentSettings,
    AsteriskBox,
    Config,
    DialingSettings,
    FaxSettings,
    PromptSettings,
    RecordingSettings,
    RetentionSettings,
    Right,
    ServiceSettings,
    StaffSettings,
    StrategySettings,
    Token,
    VoicemailSettings,
)
from easycall.config.toml import ConfigError, Fault

__all__ = [
    "AgentSettings",
    "AsteriskBox",
    "Config",
    "ConfigError",
    "DialingSettings",
    "Fault",
    "FaxSettings",
    "PromptSettings",
    "RecordingSettings",
    "RetentionSettings",
    "Right",
    "ServiceSettings",
    "StaffSettings",
    "StrategySettings",
    "Token",
    "VoicemailSettings",
    "load",
]
