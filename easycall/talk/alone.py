"""The customer is with no agent: what may be asked of the contact then, and the stay of one that is parked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from twisted.internet.task import deferLater

from easycall.acd.staff import Assignment
from easycall.defer import background
from easycall.events import DataAttached, Parked, ParkEnded, Picked
from easycall.live import LiveContact, attach, keep_music
from easycall.mailbox import Letter
from easycall.model import Queue, Stage
from easycall.talk.course import Course, Reach, Stay, Wait
from easycall.talk.ringing import Side
from easycall.verbs import Amend, Answer, AttachData, NotNow, Pick

__all__ = ["NOBODY", "answer_alone", "answer_letters", "answer_rung", "pick", "stay"]

NOBODY = "the customer talks with nobody"
"""Why a verb is refused before and after a talk."""


def answer_alone(live: LiveContact, letter: Letter) -> None:
    """A verb that needs no agent is carried out, any other refused."""
    if isinstance(letter.verb, AttachData):
        attach(live.contact.data, letter.verb.data)
        live.tell(DataAttached, live.contact.agent, data=dict(letter.verb.data))
        letter.done()
    elif isinstance(letter.verb, Amend):
        _amend(live, letter, letter.verb)
    elif isinstance(letter.verb, Pick):
        letter.refused(f"Pick is not possible while the contact is {live.contact.stage.value}")
    else:
        letter.refused(NOBODY)


def _amend(live: LiveContact, letter: Letter, verb: Amend) -> None:
    """What waits, or is offered, asks for something else from now on."""
    contact = live.contact
    try:
        item = live.distributor.amend(contact.id, offset=verb.priority, requires=verb.skills, by=verb.by)
    except KeyError:
        letter.refused(f"the contact waits in no queue: it is {contact.stage.value}")
        return
    contact.priority, contact.skills = item.offset, item.requires
    letter.done()


def answer_rung(live: LiveContact, ringing: Sequence[Side], letter: Letter) -> None:
    """The same while phones of agents ring, which they may answer from the desktop."""
    if not isinstance(letter.verb, Answer):
        answer_alone(live, letter)
        return
    asked = letter.verb.agent
    side = next((side for side in ringing if asked in ("", side.agent)), None)
    if side is None or (not asked and len(ringing) > 1):
        letter.refused(f"the phones of {', '.join(side.agent for side in ringing)} ring: say which agent answers")
        return
    try:
        side.answer()
        letter.done()
    except NotNow as why:
        letter.refused(str(why))


async def answer_letters(live: LiveContact) -> NoReturn:
    """Until cancelled: answer what is asked of a customer who is with no agent."""
    while True:
        answer_alone(live, await live.mailbox.take())


def pick(live: LiveContact, letter: Letter, verb: Pick) -> Assignment | None:
    """Hold the agent who picks the contact; None when that is refused, and it was said why."""
    contact = live.contact
    try:
        live.staff.askable(verb.agent)
    except NotNow as why:
        letter.refused(str(why))
        return None
    live.tell(Picked, verb.agent)
    contact.attempts += 1
    assignment = live.staff.reserve(verb.agent, contact.id, contact.attempts)
    contact.agent = verb.agent
    live.at(Stage.OFFERED)
    letter.done()
    return assignment


async def stay(live: LiveContact, parked: Stay, queue: Queue, seconds: float) -> Course:
    """The customer hears music until an agent picks the contact, at most so many seconds."""
    live.contact.agent = ""
    live.at(Stage.PARKED)
    until = live.now() + seconds if parked.until is None else parked.until
    if parked.until is None:
        live.tell(Parked, parked.by, until=until)
    async with background(keep_music(live.customer, queue.music)):
        while isinstance(news := await live.news(deferLater(live.clock, max(0.0, until - live.now()))), Letter):
            if not isinstance(news.verb, Pick):
                answer_alone(live, news)
            elif (assignment := pick(live, news, news.verb)) is not None:
                return Reach(assignment, queue.id, parked.by)
    return _back(live, parked, queue)


def _back(live: LiveContact, parked: Stay, queue: Queue) -> Course:
    """Nobody picked it: to the agent who parked it, if that one is ready, else to the front of the queue."""
    contact = live.contact
    try:
        assignment = live.staff.reserve(parked.by, contact.id, contact.attempts + 1)
    except NotNow:
        live.tell(ParkEnded)
        return Wait(queue.id, live.distributor.front(queue.id, live.contact.priority))
    contact.attempts += 1
    live.tell(ParkEnded, parked.by)
    return Reach(assignment, queue.id, parked.by)
