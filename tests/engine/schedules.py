"""Random schedules, and what they must compute: run as a program by the tests, with any number of workers."""
import random
import sys
import threading

from mxcy.engine import _testing as engine

MULTIPLIER, MASK = 6364136223846793005, 2**64 - 1


def random_step(rng, n_vars):
    """(reads, updates, writes, keyword arguments of push) over distinct variables."""
    chosen = rng.sample(range(n_vars), rng.randint(1, min(6, n_vars)))
    first, second = sorted(rng.randint(0, len(chosen)) for _ in range(2))
    options = dict(priority=rng.choice([0, 0, 0, 5, -3, rng.randint(-9, 9)]), lane=rng.random() < 0.1,
                   microseconds=rng.choice([0] * 30 + [1, 20, 200]), busy=rng.random() < 0.5)
    return chosen[:first], chosen[first:second], chosen[second:], options


def reference(values, steps):
    """The same in plain Python, in order."""
    values = list(values)
    for reads, updates, writes, _ in steps:
        total = 1
        for i in (*reads, *updates):
            total = (total * MULTIPLIER + values[i]) & MASK
        for k, i in enumerate((*updates, *writes)):
            values[i] = (total + k) & MASK
    return values


def run(numbers, steps, rng):
    """Push all steps, some inline where possible, with a wait here and there."""
    for reads, updates, writes, options in steps:
        group = [[numbers[i] for i in part] for part in (reads, updates, writes)]
        if rng.random() > 0.3 or engine.now_or_never(group[0], group[2], updates=group[1]) != 1:
            engine.push(group[0], group[2], updates=group[1], **options)
        if rng.random() < 0.01:
            rng.choice(numbers).wait()
        if rng.random() < 0.002:
            rng.choice(numbers).wait_idle()


def check(seed, n_vars, n_steps):
    """One thread: the result is that of the order of the pushes."""
    rng = random.Random(seed)
    numbers = [engine.Number(i) for i in range(n_vars)]
    steps = [random_step(rng, n_vars) for _ in range(n_steps)]
    run(numbers, steps, rng)
    assert [number.wait() for number in numbers] == reference(range(n_vars), steps)
    for number, written in zip(numbers, range(n_vars), strict=True):
        assert number.version == sum(written in (*u, *w) for _, u, w, _ in steps)
    engine.wait_for_all()
    assert engine.state()["overlaps"] == 0


def check_threads(seed, n_threads, n_vars, n_steps):
    """Several threads push to shared variables: everything ends, nobody meets who should not, nothing is lost."""
    numbers = [engine.Number(i) for i in range(n_vars)]
    steps = [[random_step(random.Random(f"{seed} {t} {i}"), n_vars) for i in range(n_steps)] for t in range(n_threads)]
    threads = [threading.Thread(target=run, args=(numbers, steps[t], random.Random(t))) for t in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.wait_for_all()
    assert engine.state()["overlaps"] == 0
    for i, number in enumerate(numbers):
        number.wait_idle()
        assert number.version == sum(i in (*u, *w) for part in steps for _, u, w, _ in part)


if __name__ == "__main__":
    seed, n_vars, n_steps, n_threads = map(int, sys.argv[1:])
    if n_threads == 1:
        check(seed, n_vars, n_steps)
    else:
        check_threads(seed, n_threads, n_vars, n_steps)
    print("ok")
