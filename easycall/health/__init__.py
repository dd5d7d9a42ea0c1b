"""How the daemon is: is it well, its figures for Prometheus, what systemd is told, and what ends it when it hangs."""

from attrs import frozen

from easycall.health.figures import Figures, State
from easycall.health.notify import Notifier
from easycall.health.pulse import Lag, Pulse
from easycall.health.vitals import Vitals
from easycall.health.watchdog import Watchdog

__all__ = ["Figures", "Health", "Lag", "Notifier", "Pulse", "State", "Vitals", "Watchdog"]


@frozen
class Health:
    """How one daemon is."""

    vitals: Vitals
    lag: Lag
    figures: Figures
