"""A customer and an agent together, from the first word until they part, and everything the agent may ask for between.

=============  ====================  ==================================================================
stage          where                 who is where
=============  ====================  ==================================================================
talking        talk.py               customer and agent in a bridge
held           talk.py               the customer hears music, the agent waits
calling        consultation.py       the phone of a second one rings; customer and agent hear music
consulting     consultation.py       the agent and the second one in a bridge; the customer hears music
alternating    consultation.py       customer and agent in a bridge; the second one hears music
following      consultation.py       the agent has left; the second one's phone still rings
lent           loan.py               the customer walks a flow; the agent hears music
faxing         faxing.py             the customer's fax machine is at it; the agent hears music
alone          faxing.py             the same, and the agent has left
conference     conference.py         customer, agent and those who were consulted in a conference
calling        aside.py              these talk on; one more is rung, the agent hears music
consulting     aside.py              these talk on; the agent and one more in a bridge of their own
alternating    aside.py              all in the conference but the one more, who hears music
=============  ====================  ==================================================================

Who is consulted is another agent, or somebody outside (:mod:`easycall.outbound`).

Each stage is a method that waits for news (a verb from the mailbox, a leg that left) and gives the next stage.
"""

from easycall.talk.course import (
    Course,
    Farewell,
    Joined,
    Outside,
    OutsideConference,
    Reach,
    ReachOutside,
    RunFlow,
    Rung,
    RungOutside,
    Stay,
    TakeMessage,
    TalkOn,
    Wait,
)
from easycall.talk.ringing import Side, ring
from easycall.talk.talk import Talk

__all__ = [
    "Course",
    "Farewell",
    "Joined",
    "Outside",
    "OutsideConference",
    "Reach",
    "ReachOutside",
    "RunFlow",
    "Rung",
    "RungOutside",
    "Side",
    "Stay",
    "TakeMessage",
    "Talk",
    "TalkOn",
    "Wait",
    "ring",
]
