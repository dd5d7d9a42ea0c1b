"""Supervision: listening to contacts and agents, whispering, barging in, taking over.

``scene.py`` decides what a supervisor hears now; ``watch.py`` is one supervision, a coroutine with a leg of its own;
``supervisions.py`` has all of them, and says who may supervise whom.
"""

from easycall.supervision.supervisions import Supervisions
from easycall.supervision.watch import Watch

__all__ = ["Supervisions", "Watch"]
