"""One supervision: a coroutine with a leg of its own, from the ringing of the supervisor's phone to its end.

The supervisor's leg is at home, with music, or listens to another leg.  Whatever changes (:meth:`Watch.look`) is looked at
in the next reactor turn: what is to be heard now is found out, and if that is something else, the leg is fetched home and
listens anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.defer import Bell, first, limited, start
from easycall.events import Event, SupervisionChanged, SupervisionEnded, SupervisionMoved, SupervisionStarted
from easycall.live import LiveContact, keep_music
from easycall.model import Role, SupervisionMode
from easycall.ports import BridgeFailed, Channel, HungUp, NotAnswered, Switch, Taken
from easycall.supervision.scene import Ear, Scene, ear_at_agent, ear_at_contact
from easycall.verbs import NotNow

__all__ = ["Order", "Watch"]

log = Logger()

RING_SECONDS = 20.0
AGAIN_SECONDS = 1.0
"""After so long a leg that ended under the supervisor is looked for again, if nothing was told of it until then."""
SILENCE_SECONDS = 3.0
"""Within which a supervisor must be taken away from a contact that nobody may hear."""
MUSIC = "default"


@frozen
class Order:
    """What was asked for."""

    id: str
    supervisor: str
    contact: str
    """The contact that is followed; empty when an agent is."""
    agent: str
    """The agent who is followed; empty when a contact is."""
    by: str
    """The name of the token that asked."""

    @property
    def follows(self) -> str:
        """``contact`` or ``agent``."""
        return "contact" if self.contact else "agent"


class Watch:
    """See the module; an :class:`easycall.audience.Listener`."""

    def __init__(
        self,
        order: Order,
        mode: SupervisionMode,
        phone: str,
        clock: IReactorTime,
        record: Callable[[Event], None],
        find: Callable[[], LiveContact | None],
        switches: Sequence[Switch],
    ) -> None:
        """``find`` gives the contact there is to hear now; ``switches``: where to ring while there is none."""
        self.order = order
        self.mode = mode
        self.since = clock.seconds()
        self.over = False
        """True once its end was told."""
        self.surrendered = False
        """True once the supervisor has taken the contact over: agent and leg are not its own any more."""
        self._phone = phone
        self._clock = clock
        self._record = record
        self._find = find
        self._switches = switches
        self._live: LiveContact | None = None
        self._leg: Channel | None = None
        self._switch: Switch | None = None
        self._rung = 0
        self._answered = False
        self._heard: tuple[str, str] | None = None
        """The contact that was told to be heard, and its agent then."""
        self._sounding = False
        """The leg may be listening: from before it is told to, until it was fetched home or is gone."""
        self._silent = Bell()
        self._changed = Bell()
        self._look: IDelayedCall | None = None
        self._running: Deferred[None] | None = None
        self._done = False

    @property
    def id(self) -> str:
        """Of the supervision."""
        return self.order.id

    @property
    def contact(self) -> str:
        """The contact that is supervised now; empty between two of an agent's."""
        return self._live.contact.id if self._live is not None else ""

    @property
    def agent(self) -> str:
        """The agent who is supervised now; empty while none has the contact that is followed."""
        if self.order.agent or self._live is None:
            return self.order.agent
        agent = self._live.contact.agent
        return agent if agent in self._live.audience.legs else ""

    @property
    def state(self) -> str:
        """``ringing``, ``hearing``, or ``waiting`` with music."""
        if not self._answered:
            return "ringing"
        return "hearing" if self._heard is not None else "waiting"

    # What others do

    def begin(self) -> Deferred[None]:
        """Begin; fires when it is over and its leg is gone, or surrendered."""
        self._attend(self._find())
        self._tell(SupervisionStarted, mode=self.mode, follows=self.order.follows, by=self.order.by)
        gone = Bell()
        self._running = start(self._carry())
        self._running.addBoth(lambda _: self._leave(gone))
        return gone.wait()

    def change(self, mode: SupervisionMode, by: str) -> None:
        """Listen, whisper or barge in from now."""
        if mode is not self.mode:
            self.mode = mode
            self._tell(SupervisionChanged, mode=mode, by=by)
            self.look()

    def end(self, how: str, by: str = "") -> None:
        """It is over.  A second time does nothing."""
        self.ended(how, by)
        if self._running is not None and not self._running.called:
            self._running.cancel()

    def ended(self, how: str, by: str = "") -> None:
        """Tell that it is over.  A second time does nothing."""
        if not self.over:
            self._tell(SupervisionEnded, how=how, by=by)
            self.over = True

    # easycall.audience.Listener

    def look(self) -> None:
        """Look again in the next reactor turn."""
        if self._look is None and not self._done:
            self._look = self._clock.callLater(0, self._looks)

    def _looks(self) -> None:
        self._look = None
        self._changed.ring()

    async def silence(self) -> None:
        """Wait until nothing is heard.  Raises NotNow."""
        if self._sounding:
            try:
                await limited(self._silent.wait(), SILENCE_SECONDS, self._clock)
            except TimeoutError:
                raise NotNow(f"the supervisor {self.order.supervisor} cannot be kept from hearing it") from None

    def contact_over(self) -> None:
        """The contact ends: so does this, or it waits for the agent's next one."""
        if self.order.contact:
            self.end("contact")
        else:
            self._tell_heard(False)
            self._attend(None)
            self.look()

    def surrender(self) -> tuple[str, Channel]:
        """Give agent and leg away."""
        if self.over or self._leg is None or not self._answered or self._leg.gone:
            raise NotNow("the supervisor is not on the phone")
        self.surrendered = True
        leg = self._leg
        if self._running is not None:
            self._running.cancel()
        return self.order.supervisor, leg

    # The story

    async def _carry(self) -> None:
        how = "failed"
        try:
            await self._follow()
        except NotAnswered as why:
            how = why.outcome.value
        except HungUp:
            how = "supervisor"
        except CancelledError:
            pass
        except (ValueError, BridgeFailed) as why:
            log.error("supervision {id} failed: {why}", id=self.id, why=why)
        except Exception:
            log.failure("supervision {id} failed", id=self.id)
        finally:
            if not self.surrendered:
                self.ended(how)

    async def _follow(self) -> None:
        while True:
            self._attend(self._find())
            leg, switch = await self._there()
            scene = self._scene()
            await switch.fetch(leg)
            self._is_silent()
            if self._same(scene):
                await self._hear(leg, scene)

    async def _there(self) -> tuple[Channel, Switch]:
        """The supervisor's leg on the Asterisk where there is something to hear: rung there, if it is not there yet.

        Raises NotAnswered, HungUp, ValueError.
        """
        switch = self._live.switch if self._live is not None else self._switch or self._some_switch()
        if self._leg is None or self._switch is not switch:
            if self._leg is not None:
                self._leg.hang_up()
                self._is_silent()
            self._leg, self._switch, self._answered = self._ring(switch), switch, False
        await self._leg.answered()
        self._answered = True
        return self._leg, switch

    def _some_switch(self) -> Switch:
        return next((switch for switch in self._switches if switch.up), self._switches[0])

    def _ring(self, switch: Switch) -> Channel:
        self._rung += 1
        return switch.ring(
            self._phone,
            leg=f"ec-{self.id}-{Role.SUPERVISOR.value}-{self._rung}",
            caller=self._live.contact.caller if self._live is not None else "",
            caller_name=f"Supervision {self.agent}".rstrip(),
            seconds=RING_SECONDS,
            values={"EC_ROLE": Role.SUPERVISOR.value, "EC_AG": self.order.supervisor},
        )

    def _ear(self) -> Ear | None:
        live = self._live
        if live is None or live.audience.over:
            return None
        agent = live.audience.legs.get(self.order.agent or live.contact.agent)
        leg = agent.id if agent is not None and not agent.gone else ""
        if self.order.agent:
            return ear_at_agent(self.mode, live.contact.stage, leg, live.audience.deaf)
        return ear_at_contact(self.mode, live.contact.stage, live.customer.id, leg, live.audience.deaf)

    def _scene(self) -> Scene | None:
        """What is to be heard now; None: nothing."""
        live, ear = self._live, self._ear()
        if live is None or ear is None:
            return None
        return Scene(ear, live.contact.stage, live.contact.agent, live.contact.consulted)

    def _same(self, scene: Scene | None) -> bool:
        """Whether that is what is to be heard, still."""
        return self._find() is self._live and self._scene() == scene

    async def _hear(self, leg: Channel, scene: Scene | None) -> None:
        """Until something else is to be heard: that, or music.  Raises HungUp."""
        over = Bell()
        if scene is not None:
            self._sounding, self._silent = True, Bell()
        hearing = start(keep_music(leg, MUSIC) if scene is None else _spy(leg, scene.ear))
        hearing.addErrback(_log_unexpected).addBoth(lambda _: over.ring())
        try:
            while self._same(scene):
                self._changed = Bell()
                self._tell_heard(scene is not None)
                news = await first(self._changed.wait(), leg.when_gone(), over.wait())
                if leg.gone:
                    raise HungUp
                if news == 2:  # who was heard is gone, and what is next will be told
                    with suppress(TimeoutError):
                        await limited(self._changed.wait(), AGAIN_SECONDS, self._clock)
                    return
        finally:
            hearing.cancel()

    # What is told

    def _tell_heard(self, hears: bool) -> None:
        """The supervisor hears the contact there is now, or hears none."""
        now = (self.contact, self.agent) if hears else None
        before, self._heard = self._heard, now
        if before is not None and (now is None or now[0] != before[0]):
            self._record(self._event(SupervisionMoved, *before, mode=self.mode, hears=False))
        if now is not None and now != before:
            self._record(self._event(SupervisionMoved, *now, mode=self.mode, hears=True))

    def _tell(self, event: type[Event], **facts: Any) -> None:
        self._record(self._event(event, self.contact, self.agent, **facts))

    def _event(self, event: type[Event], contact: str, agent: str, **facts: Any) -> Event:
        more = {"supervision": self.id, "supervisor": self.order.supervisor, **facts}
        return event(at=self._clock.seconds(), contact=contact, agent=agent, **more)

    # Coming and going

    def _attend(self, live: LiveContact | None) -> None:
        """Be among the audience of that contact and of no other."""
        if live is self._live:
            return
        if self._live is not None:
            self._live.audience.leave(self)
        self._live = live
        if live is not None:
            live.audience.join(self)

    def _is_silent(self) -> None:
        self._sounding = False
        self._silent.ring()

    def _leave(self, gone: Bell) -> None:
        """Hang up, unless surrendered; the contact's audience is left when nothing can be heard any more."""
        self._done = True
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if self.surrendered or self._leg is None:
            self._left(gone)
        else:
            self._leg.when_gone().addCallback(lambda _: self._left(gone))
            self._leg.hang_up()

    def _left(self, gone: Bell) -> None:
        self._is_silent()
        if self._live is not None:
            self._live.audience.leave(self)
        gone.ring()


async def _spy(leg: Channel, ear: Ear) -> None:
    """Listen, until whom it listens to is gone or the leg is fetched home."""
    with suppress(Taken, HungUp):
        await leg.music(None)
        await leg.listen(ear.leg, ear.speaks)


def _log_unexpected(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.failure("a supervisor could not listen", failure)
