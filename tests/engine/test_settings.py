"""What the environment and the program set."""
import os
import sys

import pytest

import mxcy as mx

STATE = "from mxcy.engine import _testing; print(_testing.state())"


def test_number_of_threads(script):
    assert "'threads': 3" in script(STATE, workers=3, OMP_NUM_THREADS="3")
    assert "'threads': 2" in script(STATE, workers="", OMP_NUM_THREADS="2,1")
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    assert f"'threads': {usable}" in script(STATE, workers="")
    assert f"'threads': {usable}" in script(STATE, workers="many")


def test_threadpoolctl(script):
    source = """
        import threadpoolctl
        from mxcy.engine import _testing
        with threadpoolctl.threadpool_limits(1):
            print(_testing.state()["threads"], end=" ")
        print(_testing.state()["threads"])
    """
    assert script(source, workers=2, OMP_NUM_THREADS="2").split() == ["1", "2"]


def test_engine_type(script):
    assert "'serial': True" in script(STATE, MXCY_ENGINE_TYPE="NaiveEngine")
    assert "'serial': False" in script(STATE, MXCY_ENGINE_TYPE="ThreadedEnginePerDevice")
    assert "'serial': True" in script(STATE, MXCY_ENGINE_TYPE="", MXNET_ENGINE_TYPE="NaiveEngine")
    assert "there is no such engine" in script(STATE, MXCY_ENGINE_TYPE="Quick", status=1)


def test_the_serial_engine_raises_at_the_call(script):
    source = """
        import mxcy as mx
        x = mx.nd.ones((400, 400))
        try:
            mx.nd.take(x, mx.nd.array([1e6] * 200000), mode="raise")
            print("later")
        except mx.MXNetError:
            print("at once")
    """
    assert script(source, serial=True).strip() == "at once"


def test_bulk_size():
    before = mx.engine.set_bulk_size(7)
    with mx.engine.bulk(3):
        assert mx.engine.set_bulk_size(3) == 3
    assert mx.engine.set_bulk_size(before) == 7


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_tasks_run_than_there_are_threads(script, workers):
    source = """
        import threading, time
        from mxcy.engine import _testing as engine
        inside, most, lock = 0, 0, threading.Lock()
        def count(_):
            global inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.005)
            with lock:
                inside -= 1
        for _ in range(20):
            engine.push([], [engine.Number()], call=count)
        engine.wait_for_all()
        print(most)
    """
    assert int(script(source, workers=workers)) <= workers


def test_a_waiting_thread_leaves_long_tasks_to_workers(script):
    source = """
        import threading
        from mxcy.engine import _testing as engine
        seen = []
        for microseconds in (60_000, 70_000):               # see LONG
            for lane in (False, True):
                x = engine.Number()
                engine.push([], [x], microseconds=microseconds, lane=lane,
                            call=lambda _: seen.append(threading.get_ident()))
                x.wait()
        print(threading.get_ident() in seen)
    """
    assert script(source).strip() == "False"
