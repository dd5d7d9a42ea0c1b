"""The customer leaves a message: greeting, beep, recording."""

from __future__ import annotations

from contextlib import suppress

from twisted.logger import Logger

from easycall.defer import background, limited, start
from easycall.events import VoicemailLeft, VoicemailStarted
from easycall.live import LiveContact
from easycall.model import Message, Outcome, Stage
from easycall.ports import Messages, Taken
from easycall.talk.alone import answer_letters

__all__ = ["keep_message", "said_before", "take_message"]

log = Logger()

KEEP_SECONDS = 10.0
"""How long keeping a message may take."""
UNSERVED = frozenset({Outcome.ABANDONED, Outcome.ABANDONED_IN_IVR})
"""How it ends with a customer who talked with nobody, unless there is a message."""


async def take_message(live: LiveContact, messages: Messages, box: str) -> None:
    """Until the customer has said it all.  A customer who hangs up cancels it, which is how most messages end."""
    contact = live.contact
    contact.agent = ""
    live.at(Stage.VOICEMAIL)
    await live.recorder.stop("voicemail")
    live.tell(VoicemailStarted, box=box)
    greeting = live.script.greeting(box, contact.data.get("language", ""))
    file = messages.file(contact.id)

    async def greet() -> None:
        await live.customer.music(None)
        await live.customer.play(greeting)

    async with background(answer_letters(live)):
        await live.at_home(greet)
        with suppress(Taken):  # what was said up to then is the message
            await live.customer.record(file, seconds=messages.seconds, silence=messages.silence)


async def said_before(live: LiveContact, messages: Messages, box: str) -> bool:
    """Whether there is a message of a customer who was leaving one when the process before us ended.

    Asterisk records to the end without us; then the leg comes home.  Raises HungUp.
    """
    live.contact.agent = ""
    live.at(Stage.VOICEMAIL)
    async with background(answer_letters(live)):
        await live.customer.home()
    try:
        return await limited(start(messages.keep(_message(live, box))), KEEP_SECONDS, live.clock) > 0
    except (OSError, TimeoutError):
        return False


def _message(live: LiveContact, box: str) -> Message:
    contact = live.contact
    return Message(contact.id, box, contact.id, contact.caller, contact.caller_name, live.now())


async def keep_message(live: LiveContact, messages: Messages, box: str, outcome: Outcome) -> Outcome:
    """The call is over: what was recorded is a message, if it is long enough.

    Gives the contact's outcome, which was ``outcome`` before: a customer who talked with nobody, and did not just hang up,
    left a message.
    """
    contact, message = live.contact, _message(live, box)
    try:
        seconds = await limited(start(messages.keep(message)), KEEP_SECONDS, live.clock)
    except Exception:
        log.failure("the message of contact {contact} could not be kept", contact=contact.id)
        return Outcome.FAILED if outcome in UNSERVED else outcome
    if seconds <= 0:
        return outcome
    live.tell(VoicemailLeft, box=box, message=message.id, seconds=seconds)
    return Outcome.MESSAGE_LEFT if outcome in UNSERVED else outcome
