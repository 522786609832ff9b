"""Tests of `dynaopt.replay_surge`: each measure by itself, in a case that only it can save."""

from types import SimpleNamespace
from typing import Any

import pytest
from replay_builders import Group, ListStream, Request, Route, engine_of_group, llama, make_schedule, own_routes

from dynaopt.instance_engine import MAX_LEAP
from dynaopt.instance_state import PROMPT_TOKENS, RESERVED, SEQUENCES, STARTED, WAITING, make_fleet, make_slots
from dynaopt.phase_model import iteration
from dynaopt.replay import replay
from dynaopt.replay_state import RESTEERED, SQUASHED, make_tally
from dynaopt.replay_surge import _take_away

# Far more than an instance's share at once goes to the first: what is planned is not what is tested here.
FIRST_TAKES_ALL = {"burst_requests": 100.0}
COLUMNS = [SEQUENCES, RESERVED, STARTED, WAITING, PROMPT_TOKENS]
NOTHING = {"clocks_up": False, "resteers": False, "squashes": False}


def _totals(groups: list[Group], routes: list[Route], requests: list[Request], **options: Any) -> dict[str, float]:
    result = replay(make_schedule([(groups, routes)]), ListStream(requests), llama(), **options)
    assert result.num_lost == 0
    return result.summary()


class TestClockUp:
    """The highest clock until no prompt is left."""

    SLOW: Group = ("MS", 8, 800, 1, 1.0)

    def test_only_the_highest_clock_is_in_time(self) -> None:
        """Tests three prompts of 1,000 at once at 800 MHz."""
        requests = [(1.0, 1000, 1)] * 3
        saved = _totals([self.SLOW], own_routes([self.SLOW]), requests, **{**NOTHING, "clocks_up": True})
        late = _totals([self.SLOW], own_routes([self.SLOW]), requests, **NOTHING)
        assert (saved["num_clock_ups"], saved["ttft_attainment"]) == (1, 1.0)
        assert (late["num_clock_ups"], late["ttft_attainment"]) == (0, pytest.approx(2 / 3))

    def test_power_is_that_of_the_clock_and_only_as_long_as_it_lasts(self) -> None:
        """Tests that a request long after the surge takes what it takes at 800 MHz, and idling too."""
        surge = [(1.0, 1000, 1)] * 3
        routes = own_routes([self.SLOW])
        both = _totals([self.SLOW], routes, [*surge, (50.0, 1000, 1)])
        alone = _totals([self.SLOW], routes, surge)
        engine = engine_of_group(self.SLOW)
        assert engine.token_budget < 1000
        first = iteration(engine.coefficients, engine.token_budget, engine.token_budget / 2, 0.0, 0.0)
        rest = 1000.0 - engine.token_budget
        second = iteration(engine.coefficients, rest, engine.token_budget + rest / 2, 0.0, 0.0)
        expected_j = first[0] * first[1] + second[0] * second[1]
        assert both["serving_energy_j"] - alone["serving_energy_j"] == pytest.approx(expected_j, rel=1e-9)
        assert both["num_clock_ups"] == 1

    def test_at_the_highest_clock_there_is_nothing_to_raise(self) -> None:
        """Tests ten prompts at 1,980 MHz."""
        fast: Group = ("MS", 8, 1980, 1, 1.0)
        assert _totals([fast], own_routes([fast]), [(1.0, 1000, 1)] * 10)["num_clock_ups"] == 0


def test_waiting_requests_are_resteered() -> None:
    """Tests four M prompts, then four S ones with earlier deadlines that overtake them, then one that is late.

    It finds the queue in trouble: one of the M ones goes to the idle instance, and with it all nine are in time.
    """
    groups: list[Group] = [("MS", 4, 1980, 1, 8.0), ("MS", 4, 1980, 1, 0.01)]
    routes = [("MS", "MS", 8.0), ("SS", "MS", 2.0)]
    requests = [(1.0, 950, 1)] * 4 + [(1.01, 250, 1)] * 4 + [(1.02, 950, 1)]
    saved = _totals(groups, routes, requests, **FIRST_TAKES_ALL, **{**NOTHING, "resteers": True})
    late = _totals(groups, routes, requests, **FIRST_TAKES_ALL, **NOTHING)
    assert (saved["num_resteered"], saved["ttft_attainment"]) == (1, 1.0)
    assert (late["num_resteered"], late["ttft_attainment"]) == (0, pytest.approx(8 / 9))


def test_started_prompt_is_squashed() -> None:
    """Tests a prompt of 8,000 tokens that M prompts keep overtaking, until it would be late: begun anew elsewhere."""
    groups: list[Group] = [("LS", 4, 1980, 1, 2.0), ("LS", 4, 1980, 2, 0.01)]
    routes = [("LS", "LS", 2.0), ("MS", "LS", 2.0)]
    requests = [(1.0, 8000, 1)] + [(1.05 + 0.1 * n, 1000, 1) for n in range(7)] + [(1.76, 1000, 1)] * 9
    saved = _totals(groups, routes, requests, **FIRST_TAKES_ALL, **{**NOTHING, "squashes": True})
    late = _totals(groups, routes, requests, **FIRST_TAKES_ALL, **NOTHING)
    assert (saved["num_squashed"], saved["ttft_attainment"]) == (1, 1.0)
    assert (late["num_squashed"], late["ttft_attainment"]) == (0, pytest.approx(16 / 17))
    assert saved["serving_energy_j"] > late["serving_energy_j"]


@pytest.mark.parametrize(
    ("slot", "event", "expected", "left_tokens"),
    [(1, SQUASHED, [1, 600, 1, 1, 700], 400), (2, RESTEERED, [2, 1100, 2, 0, 700], 300)],
)
def test_what_is_taken_away_leaves_nothing_behind(slot: int, event: int, expected: list[int], left_tokens: int) -> None:
    """Tests three requests on an instance, of which one is squashed or another re-steered.

    Slots 0 and 1 have begun: 500 + 100 and 400 + 100 tokens of the cache, 400 and 300 of their prompts left. Slot 2
    waits, with 300. That is 2 sequences, 1,100 tokens of the cache, 2 begun, 1 waiting and 1,000 prompt tokens.
    Without slot 1: 1, 600, 1, 1 and 700, and its 400 begin anew. Without slot 2: 2, 1,100, 2, 0 and 700.
    """
    slots = make_slots(3)
    slots.input_tokens[:], slots.output_tokens[:], slots.left_tokens[:] = [500, 400, 300], 100, [400, 300, 300]
    fleet = make_fleet(1, 9, 4, 4, 100)
    fleet.counts[0, COLUMNS] = [2, 1100, 2, 1, 1000]
    fleet.started[0, :2], fleet.waiting[0, 0] = [0, 1], 2
    world = SimpleNamespace(fleet=fleet, slots=slots, tally=make_tally(1))
    _take_away.py_func(world, 0, slot, slot == 1)
    assert fleet.counts[0, COLUMNS].tolist() == expected
    assert slots.left_tokens[slot] == left_tokens
    assert world.tally.events[event] == 1


def test_late_request_makes_no_others_late() -> None:
    """Tests a surge of 40 prompts and one prompt each 0.2 s after it: queued by their deadlines, most of them are late.

    With a later deadline for those that are late anyway, at least twice as many are in time, and the surge is served
    all the same.
    """
    group: Group = ("MS", 4, 1980, 1, 8.0)
    requests = [(1.0, 1000, 1)] * 40 + [(1.2 + 0.2 * n, 1000, 1) for n in range(20)]
    yielding = _totals([group], own_routes([group]), requests)
    stubborn = _totals([group], own_routes([group]), requests, late_bound_factor=1.0)
    assert yielding["ttft_attainment"] > 2 * stubborn["ttft_attainment"]


def test_surge_beyond_all_room_is_served_in_the_end() -> None:
    """Tests 6,000 requests at once on one instance: more than there are slots and places in its queue at first."""
    group: Group = ("MS", 8, 1980, 1, 1.0)
    totals = _totals([group], own_routes([group]), [(1.0, 300, 2)] * 6000)
    assert totals["num_requests"] == 6000
    assert totals["ttft_attainment"] < 0.1


def test_leaps_are_no_longer_than_the_simulators() -> None:
    """Tests 500 gaps of an instance that decodes alone, in leaps: all are counted, at a decode step each."""
    group: Group = ("MS", 8, 1980, 1, 1.0)
    result = replay(make_schedule([([group], own_routes([group]))]), ListStream([(1.0, 300, 501)]), llama())
    assert MAX_LEAP < 500
    assert result.classes.iloc[-1]["gaps_within"] == 1.0
    assert result.classes.iloc[-1]["tpot_p50_s"] == pytest.approx(0.0172, rel=0.1)
