"""Whatever the schedule, results are those of running the tasks in the order of the pushes."""
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedules import check, check_threads, random_step, reference

from mxcy.engine import _testing as engine

RUN = "import runpy, sys; runpy.run_module('schedules', run_name='__main__')"


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 12), st.integers(1, 80))
def test_random_schedules(rng, n_vars, n_steps):
    numbers = [engine.Number(i) for i in range(n_vars)]
    steps = [random_step(rng, n_vars) for _ in range(n_steps)]
    for reads, updates, writes, options in steps:
        part = [[numbers[i] for i in some] for some in (reads, updates, writes)]
        engine.push(part[0], part[2], updates=part[1], **options)
    assert [number.wait() for number in numbers] == reference(range(n_vars), steps)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("n_vars", [3, 3000])
def test_any_number_of_workers(script, workers, n_vars):
    assert script(RUN, workers, n_vars, 4000, 1, workers=workers).strip() == "ok"


def test_the_serial_engine(script):
    assert script(RUN, 0, 50, 4000, 1, serial=True).strip() == "ok"


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_push_to_shared_variables(script, workers, serial):
    assert script(RUN, workers, 7, 3000, 3, workers=workers, serial=serial).strip() == "ok"


def test_here():
    check(random.randrange(2**30), 20, 3000)
    check_threads(random.randrange(2**30), 2, 20, 2000)


def test_urgent_tasks_go_first(script):
    source = """
        import time
        from mxcy.engine import _testing as engine
        gate, order = engine.Number(), []
        engine.push([], [gate], microseconds=200000)
        for priority in (0, 3, -2, 7, 3, 0):
            engine.push([gate], [engine.Number()], priority=priority, call=lambda _, p=priority: order.append(p))
        time.sleep(0.4)                         # a thread that waits would help
        print(order)
    """
    assert script(source, workers=1).strip() == "[7, 3, 3, 0, 0, -2]"


def test_threads_of_a_task(script):
    source = """
        from mxcy.engine import _testing as engine
        seen = []
        for lane in (False, True, False, True):
            x = engine.Number()
            engine.push([], [x], lane=lane, call=lambda n, lane=lane: seen.append((lane, n)))
            x.wait()
        print(sorted(seen))
    """
    assert script(source, workers=2).strip() == "[(False, 1), (False, 1), (True, 2), (True, 2)]"
