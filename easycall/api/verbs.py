"""The verbs of call control as the API takes them: the address' last word, and what the body says."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

import msgspec

from easycall import verbs
from easycall.api.problems import Problem
from easycall.api.schemas import Id, Text

__all__ = ["WISHES", "Wish"]


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """A verb that needs no more than its name."""

    def verb(self) -> verbs.Verb:
        """What is asked of the contact.  Raises Problem."""
        raise NotImplementedError


class Hold(Wish):
    """Put the customer on hold."""

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Hold`."""
        return verbs.Hold()


class Retrieve(Wish):
    """Take the customer back from hold, or from a consultation or loan."""

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Retrieve`."""
        return verbs.Retrieve()


class Alternate(Wish):
    """Change between the customer and the one who is consulted."""

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Alternate`."""
        return verbs.Alternate()


class Complete(Wish):
    """Join the customer with the one who is consulted."""

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Complete`."""
        return verbs.Complete()


class Cancel(Wish):
    """Break a consultation or a loan off."""

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Cancel`."""
        return verbs.Cancel()


class Consult(Wish):
    """Ask another agent."""

    agent: Id

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Consult`."""
        return verbs.Consult(self.agent)


class Lend(Wish):
    """Send the customer to a flow and get it back."""

    flow: Id

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.Lend`."""
        return verbs.Lend(self.flow)


class Transfer(Wish):
    """Give the contact to an agent, a queue or a flow."""

    agent: Id = ""
    queue: Id = ""
    wait: bool = True
    """Of a queue: False refuses when nobody is free."""
    flow: Id = ""

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.ToAgent`, ``ToQueue`` and ``ToFlow``."""
        given = [name for name in ("agent", "queue", "flow") if getattr(self, name)]
        if len(given) != 1:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "name one of agent, queue and flow", field="agent")
        if self.agent:
            return verbs.ToAgent(self.agent)
        return verbs.ToQueue(self.queue, self.wait) if self.queue else verbs.ToFlow(self.flow)


class Data(Wish):
    """Attach data to the contact; an empty value takes one away."""

    data: Annotated[dict[Annotated[str, msgspec.Meta(min_length=1, max_length=40)], Text], msgspec.Meta(max_length=50)]

    def verb(self) -> verbs.Verb:
        """See :class:`easycall.verbs.AttachData`."""
        return verbs.AttachData(self.data)


WISHES: Mapping[str, type[Wish]] = {
    "hold": Hold,
    "retrieve": Retrieve,
    "alternate": Alternate,
    "complete": Complete,
    "cancel": Cancel,
    "consult": Consult,
    "lend": Lend,
    "transfer": Transfer,
    "data": Data,
}
"""The address' last word -> what the body may say."""
