"""The pool of host memory, through arrays."""
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy import storage



@pytest.fixture(autouse=True)
def fresh():
    gc.collect()
    mx.nd.waitall()
    storage.empty_cache()


@pytest.mark.parametrize("nbytes", [1, 64, 1000, 4 << 20, 64 << 20])
def test_memory_is_counted_and_used_again(nbytes):
    before = storage.memory()
    array = mx.nd.empty((nbytes,), dtype="uint8")
    held = storage.memory()["in_use"] - before["in_use"]
    assert nbytes <= held <= max(64, nbytes * 1.25)
    del array
    assert storage.memory()["in_use"] == before["in_use"]
    cached = storage.memory()["cached"]
    assert cached >= held
    array = mx.nd.empty((nbytes,), dtype="uint8")
    assert array.size == nbytes and storage.memory()["cached"] == cached - held
    assert storage.memory()["peak"] >= held


def test_empty_cache():
    mx.nd.empty((10 << 20,), dtype="uint8")
    assert storage.memory()["cached"] >= 10 << 20
    storage.empty_cache()
    assert storage.memory()["cached"] == 0


def test_varying_shapes_do_not_pile_up():
    rng = np.random.default_rng(0)
    for size in rng.integers(2 << 20, 40 << 20, 300):
        mx.nd.empty((int(size),), dtype="uint8")
        held = storage.memory()
        assert held["in_use"] + held["cached"] <= 1.25 * held["peak"] + (2 << 20)


@pytest.mark.parametrize("shape", [(2**62,), (2**40, 2**20), (2**31, 2**31), (2**63 - 1,)])
def test_impossible_requests_are_refused(shape):
    with pytest.raises(mx.MXNetError):
        mx.nd.empty(shape, dtype="uint8")


def test_out_of_memory_says_what_is_held():
    kept = mx.nd.empty((3 << 20,), dtype="uint8")
    with pytest.raises(mx.MXNetError, match=r"1,125,899,906,842,624 bytes were asked for; [\d,]+ are in use"):
        mx.nd.empty((2**50,), dtype="uint8")
    assert storage.memory()["cached"] == 0              # tried to help
    assert kept.size == 3 << 20


def test_threads_share_it():
    before = storage.memory()["in_use"]

    def work(seed):
        rng = np.random.default_rng(seed)
        kept = []
        for size in 2.0 ** rng.uniform(0, 23, 2000):
            kept.append(mx.nd.empty((int(size),), dtype="uint8"))
            if len(kept) > 20:
                del kept[rng.integers(20)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.memory()["in_use"] == before


def in_new_process(source, status=0, **environment):
    source = "import mxcy as mx; from mxcy import storage\n" + source
    done = subprocess.run([sys.executable, "-c", source], env=dict(os.environ, **environment), text=True,
                          capture_output=True)
    assert (done.returncode == 0) == (status == 0), done.stderr
    return done.stdout + done.stderr


def test_limit():
    source = """
arrays = [mx.nd.empty((8 << 20,), dtype="uint8") for _ in range(8)]
del arrays
print(storage.memory()["cached"] >> 20)
"""
    assert int(in_new_process(source, MXCY_POOL_LIMIT="20M")) <= 20
    assert int(in_new_process(source, MXCY_POOL_LIMIT="1G")) == 64
    assert "expected a number of bytes" in in_new_process(source, status=1, MXCY_POOL_LIMIT="much")


def test_the_queue_does_not_run_away_with_memory():
    source = """
x = mx.nd.ones((1 << 20,))
for _ in range(400):                            # 1600 MiB
    y = x + 1
y.wait_to_read()
print(storage.memory()["peak"] >> 20)
"""
    assert int(in_new_process(source)) < 400


def test_memory_runs_out_and_comes_back():
    source = """
import resource
mx.nd.ones((600, 600)).wait_to_read()
with open("/proc/self/statm") as file:
    held = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (600 << 20),) * 2)
cached = [mx.nd.empty((32 << 20,), dtype="uint8") for _ in range(8)]
del cached                                      # 256 MiB that the pool must give back for what follows
kept = [mx.nd.empty((48 << 20,), dtype="uint8") for _ in range(8)]
try:
    while True:
        kept.append(mx.nd.empty((64 << 20,), dtype="uint8"))
except mx.MXNetError as error:
    print(str(error)[:47])
del kept
print(mx.nd.ones((48 << 20,), dtype="uint8")[-1].asscalar())
"""
    assert in_new_process(source).splitlines() == ["out of memory: 67,108,864 bytes were asked for;", "1"]
