"""The sorted sequence, the places of a queue and the ladder of heads, against brute force."""

from __future__ import annotations

from bisect import bisect_left, insort
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.acd.ordered import LONG, Ordered
from easycall.acd.places import Block, Places
from easycall.acd.ranking import WIDTH, Ranking, bits


@pytest.mark.parametrize("seed", range(6))
def test_ordered_is_a_sorted_list(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a test
    ordered, oracle = Ordered(), []
    for step in range(6000):
        if oracle and random.random() < (0.2 if step < 3000 else 0.8):
            entry = random.choice(oracle) if random.random() < 0.5 else oracle[0]
            ordered.remove(entry)
            oracle.remove(entry)
        else:
            key = float(step) if random.random() < 0.7 else random.uniform(0, step)
            entry = (key, f"c{step}")
            ordered.add(entry)
            oracle.append(entry)
            oracle.sort()
        assert len(ordered) == len(oracle)
        assert ordered.first == (oracle[0] if oracle else None)
        if oracle and step % 50 == 0:
            assert list(ordered) == oracle
            assert max(map(len, ordered._blocks)) <= LONG
    with pytest.raises(KeyError):
        ordered.remove((0.5, "nobody"))


@pytest.mark.parametrize("seed", range(6))
def test_places_are_counted_as_in_a_sorted_list(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a test
    places, oracle, blocks = Places(), [], {}
    for step in range(6000):
        if oracle and random.random() < (0.2 if step < 3000 else 0.8):
            place = random.choice(oracle) if random.random() < 0.5 else oracle[0]
            places.remove(place, blocks.pop(place))
            oracle.remove(place)
        else:
            key = float(step) if random.random() < 0.7 else random.uniform(0, step)
            place = (key, f"c{step}")
            blocks[place] = places.add(place)
            insort(oracle, place)
        assert len(places) == len(oracle)
        if step % 20 == 0:
            assert places.first == (oracle[0] if oracle else None)
            assert list(places) == oracle
            assert max(map(len, places._blocks)) <= LONG
            if oracle:
                place = random.choice(oracle)
                assert places.before(place) == oracle.index(place)
                assert places.before((place[0] + 0.001, "")) == bisect_left(oracle, (place[0] + 0.001, ""))
    with pytest.raises(KeyError):
        places.remove((0.5, "nobody"), Block())


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5), st.booleans(), st.integers(0, 2**61 - 1)), max_size=250),
)
@settings(max_examples=150, deadline=None)
def test_the_ladder_finds_the_first_of_any_set_of_classes(steps: list[tuple[int, int, bool, int]]) -> None:
    ranking = Ranking()
    oracle: dict[int, list[tuple[float, int]]] = {}
    for number, (bit, key, leaves, mask) in enumerate(steps):
        members = oracle.setdefault(bit, [])
        if leaves and members:
            ranking.of(bit).remove(members.pop(key % len(members)))
        else:
            entry = (float(key), number)
            members.append(entry)
            ranking.of(bit).add(entry)
        with_members = [bit for bit, found in oracle.items() if found and mask >> bit & 1]
        look = ranking.first(mask)
        assert (look and look[0][:-1]) == min((min(oracle[bit]) for bit in with_members), default=None)
        assert look is None or sum(rung[-1] & mask > 0 for rung in look[2]) <= min(len(with_members), WIDTH)
        assert set(bits(ranking.mask)) == {bit for bit, found in oracle.items() if found}
        assert ranking.count(bit) == len(members)
        assert list(ranking.of(bit)) == sorted(members)


def test_many_classes_with_moving_heads_stay_in_few_blocks() -> None:
    random = Random(1)  # noqa: S311 - a test
    ranking = Ranking()
    queues = {bit: [(random.random(), bit, n) for n in range(20)] for bit in range(500)}
    for bit, entries in queues.items():
        entries.sort()
        for entry in entries:
            ranking.of(bit).add(entry)
    for _ in range(9000):
        look = ranking.first(random.getrandbits(500))
        assert look is not None
        assert len(look[2]) <= WIDTH
        entry = look[0][:-1]
        assert entry == queues[entry[1]].pop(0)
        ranking.of(entry[1]).remove(entry)
        assert sum(ranking.ladder.masks) == ranking.mask
        assert [len(block) for block in ranking.ladder.blocks] == [mask.bit_count() for mask in ranking.ladder.masks]
        assert len(ranking.ladder.masks) <= max(ranking.mask.bit_count() // 2, 1)
