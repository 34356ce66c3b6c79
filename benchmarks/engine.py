"""What the engine costs: taking and giving back variables inline, pushing, waiting; and what two workers gain."""
import time

from mxcy.engine import _testing as engine

COUNT = 200_000


class Inline:
    """Nanoseconds to take two variables to read and one to write, and give them back: what a small operation pays."""

    unit = "ns"

    def track_take_and_give_back(self):
        numbers = [engine.Number() for _ in range(3)]
        return min(engine.time_inline(*numbers, COUNT) for _ in range(5)) / COUNT * 1e9


class Push:
    """Nanoseconds for an empty task: to push it, and until it has ended; processor time of all threads together."""

    params, param_names, unit = [1, 16, 256], ["variables"], "ns"

    def track_push(self, variables):
        return self.best(variables)[0]

    def track_push_and_end(self, variables):
        return self.best(variables)[1]

    def track_processor_time(self, variables):
        return self.best(variables)[2]

    def best(self, variables):
        numbers = [engine.Number() for _ in range(variables)]
        rows = []
        for _ in range(5):
            start = time.process_time()
            pushed, ended = engine.time_push(numbers, COUNT)
            rows.append((pushed, ended, time.process_time() - start))
        return [min(column) / COUNT * 1e9 for column in zip(*rows, strict=True)]


class Latency:
    """Microseconds that a push and a wait take beyond the task itself."""

    params, param_names, unit = ([0, 100, 1000], [False, True]), ["microseconds", "lane"], "us"

    def track_push_and_wait(self, microseconds, lane):
        number, times = engine.Number(), []
        for _ in range(200):
            start = time.perf_counter()
            engine.push([], [number], microseconds=microseconds, busy=True, lane=lane)
            number.wait()
            times.append(time.perf_counter() - start)
        return sorted(times)[len(times) // 2] * 1e6 - microseconds


class Speedup:
    """How many times faster tasks of 50 us run than in turn, on as many variables; on 1 they are a chain."""

    params, param_names, unit = [1, 2, 16], ["variables"], "x"

    def track_speedup(self, variables):
        numbers = [engine.Number() for _ in range(variables)]
        best = 0
        for _ in range(5):
            start = time.perf_counter()
            for i in range(2000):
                engine.push([], [numbers[i % variables]], microseconds=50, busy=True)
            engine.wait_for_all()
            best = max(best, 2000 * 50e-6 / (time.perf_counter() - start))
        return best


if __name__ == "__main__":
    print(f"inline, 3 variables: {Inline().track_take_and_give_back():.0f} ns")
    for variables in Push.params:
        print(f"push to {variables} variables: %.0f ns; to the end %.0f ns; processor time %.0f ns"
              % tuple(Push().best(variables)))
    for microseconds in Latency.params[0]:
        for lane in Latency.params[1]:
            beyond = Latency().track_push_and_wait(microseconds, lane)
            print(f"push and wait, {microseconds} us{' in the lane' if lane else ''}: {beyond:.1f} us beyond the task")
    for variables in Speedup.params:
        print(f"{engine.state()['threads']} workers, tasks of 50 us on {variables} variables: "
              f"{Speedup().track_speedup(variables):.2f} x")
