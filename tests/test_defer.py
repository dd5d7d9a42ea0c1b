"""Structured waiting: nothing is lost between those who wait, cancel and fail at the same time."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from easycall.defer import Bell, background, cancelled, dropped, first, limited, shielded, start, unattended

from .fakes_journal import Logged


async def waits(deferred: Deferred[Any]) -> Any:
    return await deferred


def failing(text: str = "broken") -> Deferred[Any]:
    return fail(RuntimeError(text))


def result_of(deferred: Deferred[Any]) -> list[Any]:
    """What a Deferred gives, collected as it comes."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def failure_of(deferred: Deferred[Any]) -> list[type[BaseException]]:
    kinds: list[type[BaseException]] = []
    deferred.addErrback(lambda failure: kinds.append(failure.type))
    return kinds


class SlowToLeave:
    """Work that takes its time when it is cancelled."""

    def __init__(self) -> None:
        self.leaving: Deferred[None] = Deferred()
        self.left = False

    async def __call__(self) -> None:
        try:
            await Deferred()
        finally:
            await self.leaving
            self.left = True


class TestBell:
    def test_everyone_who_waits_hears_it_on_a_deferred_of_their_own(self) -> None:
        bell = Bell()
        one, other = result_of(bell.wait()), result_of(bell.wait())
        bell.ring()
        assert (one, other, result_of(bell.wait())) == ([None], [None], [None])

    def test_it_rings_once(self) -> None:
        bell = Bell()
        heard = result_of(bell.wait())
        bell.ring()
        bell.ring()
        assert heard == [None]

    def test_one_who_stops_waiting_does_not_disturb_the_others(self) -> None:
        bell = Bell()
        gone, stays = bell.wait(), result_of(bell.wait())
        stopped = failure_of(gone)
        gone.cancel()
        bell.ring()
        assert (stopped, stays) == ([CancelledError], [None])

    def test_a_waiter_may_cancel_another_when_it_rings(self) -> None:
        bell = Bell()
        first_, second = bell.wait(), bell.wait()
        stopped = failure_of(second)
        first_.addCallback(lambda _: second.cancel())
        bell.ring()
        assert stopped == [CancelledError]

    def test_a_waiter_may_wait_again_and_ring_again_when_it_rings(self) -> None:
        bell = Bell()
        again: list[Any] = []
        bell.wait().addCallback(lambda _: (bell.ring(), bell.wait().addBoth(again.append)))
        last = result_of(bell.wait())
        bell.ring()
        assert (again, last) == ([None], [None])

    def test_a_waiter_that_is_cancelled_twice(self) -> None:
        bell = Bell()
        waiter = bell.wait()
        stopped = failure_of(waiter)
        waiter.cancel()
        waiter.cancel()
        bell.ring()
        assert stopped == [CancelledError]


class TestFirst:
    def test_the_index_of_the_first_and_the_others_are_cancelled(self) -> None:
        works: list[Deferred[Any]] = [Deferred(), Deferred(), Deferred()]
        index = result_of(start(first(*works)))
        works[1].callback("x")
        assert index == [1]
        assert all(work.called for work in works)

    def test_the_failure_of_the_first_is_raised(self) -> None:
        works: list[Deferred[Any]] = [Deferred(), Deferred()]
        raised = failure_of(start(first(*works)))
        works[0].errback(RuntimeError())
        assert raised == [RuntimeError]
        assert works[1].called

    def test_it_may_be_over_before_it_begins(self) -> None:
        assert result_of(start(first(Deferred(), succeed(None)))) == [1]

    def test_cancelled_it_cancels_all(self) -> None:
        works: list[Deferred[Any]] = [Deferred(), Deferred()]
        waiting = start(first(*works))
        raised = failure_of(waiting)
        waiting.cancel()
        assert raised == [CancelledError]
        assert all(work.called for work in works)

    @pytest.mark.logs_failures
    def test_the_failure_of_another_is_not_swallowed(self) -> None:
        with Logged() as failures:
            assert result_of(start(first(succeed(None), failing()))) == [0]
        assert ["broken" in one for one in failures] == [True]

    @pytest.mark.logs_failures
    def test_the_failure_of_another_on_its_way_out_is_not_swallowed(self) -> None:
        async def fails_on_leaving() -> None:
            try:
                await Deferred()
            finally:
                raise RuntimeError("broken")

        with Logged() as failures:
            assert result_of(start(first(succeed(None), start(fails_on_leaving())))) == [0]
        assert ["broken" in one for one in failures] == [True]

    def test_one_may_finish_another_when_it_finishes(self) -> None:
        one: Deferred[Any] = Deferred()
        other: Deferred[Any] = Deferred()
        one.addCallback(lambda _: other.callback(None))
        index = result_of(start(first(one, other)))
        one.callback(None)
        assert index == [1]


class TestLimited:
    def setup_method(self) -> None:
        self.clock = Clock()

    def test_a_result_in_time(self) -> None:
        work: Deferred[str] = Deferred()
        result = result_of(start(limited(work, 5, self.clock)))
        self.clock.advance(4.9)
        work.callback("done")
        assert result == ["done"]
        assert not self.clock.getDelayedCalls()

    def test_a_result_that_was_there(self) -> None:
        assert result_of(start(limited(succeed("done"), 5, self.clock))) == ["done"]
        assert not self.clock.getDelayedCalls()

    def test_no_result_in_time(self) -> None:
        work: Deferred[str] = Deferred()
        raised = failure_of(start(limited(work, 5, self.clock)))
        self.clock.advance(5)
        assert raised == [TimeoutError]
        assert work.called

    def test_its_own_failure_and_its_own_cancelling_are_no_time_out(self) -> None:
        assert failure_of(start(limited(failing(), 5, self.clock))) == [RuntimeError]
        assert failure_of(start(limited(fail(CancelledError()), 5, self.clock))) == [CancelledError]
        assert not self.clock.getDelayedCalls()

    def test_cancelled_from_outside(self) -> None:
        work: Deferred[str] = Deferred()
        waiting = start(limited(work, 5, self.clock))
        raised = failure_of(waiting)
        waiting.cancel()
        assert raised == [CancelledError]
        assert work.called
        assert not self.clock.getDelayedCalls()

    def test_work_that_finishes_when_its_time_is_up_has_finished(self) -> None:
        async def last_moment() -> str:
            try:
                return str(await Deferred())
            except CancelledError:
                return "just"

        result = result_of(start(limited(start(last_moment()), 5, self.clock)))
        self.clock.advance(5)
        assert result == ["just"]

    def test_the_result_comes_in_the_turn_in_which_its_time_is_up(self) -> None:
        work: Deferred[str] = Deferred()
        self.clock.callLater(5, work.callback, "done")
        result = result_of(start(limited(work, 5, self.clock)))
        self.clock.advance(5)
        assert result == ["done"]
        assert not self.clock.getDelayedCalls()


class TestCancelled:
    def test_it_waits_until_the_work_has_cleaned_up(self) -> None:
        slow = SlowToLeave()
        done = result_of(start(cancelled(start(slow()))))
        assert (slow.left, done) == (False, [])
        slow.leaving.callback(None)
        assert (slow.left, done) == (True, [None])

    def test_work_that_is_done(self) -> None:
        assert result_of(start(cancelled(succeed(None)))) == [None]

    def test_work_that_nobody_cancels_twice_in_vain(self) -> None:
        work: Deferred[None] = Deferred()
        work.cancel()
        assert result_of(start(cancelled(work))) == [None]

    @pytest.mark.logs_failures
    def test_a_failure_on_the_way_out_is_logged(self) -> None:
        with Logged() as failures:
            assert result_of(start(cancelled(failing()))) == [None]
        assert ["broken" in one for one in failures] == [True]

    def test_who_is_cancelled_while_waiting_for_it_is_cancelled(self) -> None:
        went_on = []

        async def story() -> None:
            await cancelled(start(SlowToLeave()()))
            went_on.append(True)

        running = start(story())
        raised = failure_of(running)
        running.cancel()
        assert (raised, went_on) == ([CancelledError], [])


class TestBackground:
    async def _with(self, work: Any, body: Deferred[Any]) -> Any:
        async with background(work):
            return await body

    def test_it_runs_beside_the_body_and_ends_with_it(self) -> None:
        slow, body = SlowToLeave(), Deferred[str]()
        result = result_of(start(self._with(slow(), body)))
        body.callback("told")
        assert result == []
        slow.leaving.callback(None)
        assert (slow.left, result) == (True, ["told"])

    def test_it_ends_when_the_body_fails(self) -> None:
        work: Deferred[None] = Deferred()
        raised = failure_of(start(self._with(waits(work), failing())))
        assert raised == [RuntimeError]
        assert work.called

    def test_it_ends_when_the_body_is_cancelled(self) -> None:
        work: Deferred[None] = Deferred()
        running = start(self._with(waits(work), Deferred()))
        raised = failure_of(running)
        running.cancel()
        assert raised == [CancelledError]
        assert work.called

    @pytest.mark.logs_failures
    def test_its_failure_is_logged_once_and_the_body_goes_on(self) -> None:
        body = Deferred[str]()
        with Logged() as failures:
            result = result_of(start(self._with(waits(failing()), body)))
            body.callback("told")
        assert (result, ["broken" in one for one in failures]) == (["told"], [True])

    def test_the_body_may_cancel_it(self) -> None:
        async def story() -> str:
            async with background(waits(Deferred())) as beside:
                beside.cancel()
                beside.cancel()
                return "told"

        assert result_of(start(story())) == ["told"]


class TestShielded:
    def test_its_result_and_its_failure(self) -> None:
        assert result_of(start(waits(shielded(waits(succeed("done")))))) == ["done"]
        assert failure_of(shielded(waits(failing()))) == [RuntimeError]

    def test_cancelling_the_wait_leaves_the_work_running(self) -> None:
        work: Deferred[None] = Deferred()
        done = []

        async def finishes() -> None:
            await work
            done.append(True)

        waiting = shielded(finishes())
        raised = failure_of(waiting)
        waiting.cancel()
        assert (raised, done) == ([CancelledError], [])
        work.callback(None)
        assert done == [True]

    def test_the_work_may_cancel_the_one_who_waits_for_it(self) -> None:
        """Twisted loses a cancel that a coroutine gets from what it calls itself."""
        came: Deferred[None] = Deferred()
        went_on = []

        async def cancels() -> None:
            await came
            story.cancel()

        async def tells() -> None:
            await shielded(cancels())
            went_on.append(True)

        story = start(tells())
        raised = failure_of(story)
        came.callback(None)
        assert (raised, went_on) == ([CancelledError], [])

    @pytest.mark.logs_failures
    def test_a_failure_that_nobody_waits_for_any_more_is_logged(self) -> None:
        work: Deferred[None] = Deferred()
        with Logged() as failures:
            waiting = shielded(waits(work))
            failure_of(waiting)
            waiting.cancel()
            work.errback(RuntimeError("broken"))
        assert ["broken" in one for one in failures] == [True]

    def test_a_refusal_that_nobody_waits_for_any_more_is_not(self) -> None:
        work: Deferred[None] = Deferred()
        with Logged() as failures:
            waiting = shielded(waits(work), KeyError, RuntimeError)
            failure_of(waiting)
            waiting.cancel()
            work.errback(RuntimeError("not now"))
        assert failures == []


class TestUnowned:
    @pytest.mark.logs_failures
    def test_what_goes_wrong_in_unattended_work_is_logged(self) -> None:
        with Logged() as failures:
            unattended(waits(failing()))
        assert ["broken" in one for one in failures] == [True]

    def test_dropped_work_is_cancelled(self) -> None:
        work: Deferred[None] = Deferred()
        dropped(work)
        assert work.called
        dropped(succeed(None))

    @pytest.mark.logs_failures
    def test_what_goes_wrong_in_dropped_work_is_logged(self) -> None:
        with Logged() as failures:
            dropped(failing())
        assert ["broken" in one for one in failures] == [True]
