"""The mailbox of a contact: verbs come in from anywhere and are taken out by the contact's own coroutine, one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from attrs import field, mutable
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from easycall.verbs import NotNow, Verb

__all__ = ["Letter", "Mailbox"]

ROOM = 10
"""So many verbs may wait for their turn; whoever sends more hears that the contact is busy."""


@mutable(eq=False)
class Letter:
    """A verb, and where its answer goes."""

    verb: Verb
    reply: Deferred[Mapping[str, str]] = field(factory=Deferred)

    def done(self, **facts: str) -> None:
        """It was carried out."""
        if not self.reply.called:
            self.reply.callback(facts)

    def refused(self, why: str) -> None:
        """It was not, and nothing was changed."""
        if not self.reply.called:
            self.reply.errback(NotNow(why))


class Mailbox:
    """Letters in order.  Who asks waits for the answer; who stops waiting does not stop the verb."""

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()
        self._taker: Deferred[Letter] | None = None
        self._closed = ""

    def ask(self, verb: Verb) -> Deferred[Mapping[str, str]]:
        """Put a verb in; the Deferred gives what came of it, or fails with NotNow."""
        letter = Letter(verb)
        answer: Deferred[Mapping[str, str]] = Deferred()
        letter.reply.addBoth(_hand_on, answer)
        if self._closed:
            letter.refused(self._closed)
        elif len(self._letters) >= ROOM:
            letter.refused(f"{ROOM} verbs are waiting for this contact")
        else:
            self._letters.append(letter)
            self._hand_over()
        return answer

    def take(self) -> Deferred[Letter]:
        """The next letter, when there is one.  Cancel it to stop waiting; nothing is lost."""
        taker: Deferred[Letter] = Deferred(self._stop_taking)
        self._taker = taker
        self._hand_over()
        return taker

    def close(self, why: str) -> None:
        """Refuse what waits and what comes, with that reason."""
        self._closed = why
        self.clear(why)

    def clear(self, why: str) -> None:
        """Refuse what waits, with that reason."""
        letters, self._letters = self._letters, deque()
        for letter in letters:
            letter.refused(why)

    def _hand_over(self) -> None:
        if self._taker is not None and self._letters:
            taker, self._taker = self._taker, None
            taker.callback(self._letters.popleft())

    def _stop_taking(self, taker: Deferred[Letter]) -> None:
        if self._taker is taker:
            self._taker = None


def _hand_on(result: Mapping[str, str] | Failure, answer: Deferred[Mapping[str, str]]) -> None:
    """The answer to one who may not wait any more."""
    if not answer.called:
        if isinstance(result, Failure):
            answer.errback(result)
        else:
            answer.callback(result)
