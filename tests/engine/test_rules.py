"""The queue rules of one variable, step by step."""
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from mxcy.engine._testing import Rules


def test_readers_share():
    rules = Rules()
    assert rules.ask("r1", write=False)
    assert rules.ask("r2", write=False)
    assert rules.end(write=False) == []
    assert rules.end(write=False) == []


def test_a_writer_is_alone():
    rules = Rules()
    assert rules.ask("w1", write=True)
    assert not rules.ask("r1", write=False)
    assert not rules.ask("w2", write=True)
    assert rules.end(write=True) == ["r1"]
    assert rules.end(write=False) == ["w2"]
    assert rules.end(write=True) == []


def test_a_reader_does_not_overtake_a_waiting_writer():
    rules = Rules()
    assert rules.ask("r1", write=False)
    assert not rules.ask("w1", write=True)
    assert not rules.ask("r2", write=False)
    assert rules.end(write=False) == ["w1"]
    assert rules.end(write=True) == ["r2"]


def test_waiting_readers_begin_together():
    rules = Rules()
    assert rules.ask("w1", write=True)
    for name in ("r1", "r2", "r3"):
        assert not rules.ask(name, write=False)
    assert not rules.ask("w2", write=True)
    assert not rules.ask("r4", write=False)
    assert rules.end(write=True) == ["r1", "r2", "r3"]
    assert [rules.end(write=False) for _ in range(3)] == [[], [], ["w2"]]
    assert rules.end(write=True) == ["r4"]


class Model:
    """The same rules, in the plainest way."""

    def __init__(self):
        self.inside, self.queue = [], deque()

    def admit(self):
        begun = []
        while self.queue:
            name, write = self.queue[0]
            if any(w for _, w in self.inside) or (write and self.inside):
                break
            self.inside.append(self.queue.popleft())
            begun.append(name)
        return begun

    def ask(self, name, write):
        self.queue.append((name, write))
        return self.admit() == [name]

    def end(self):
        self.inside.pop()
        return self.admit()


@given(st.lists(st.sampled_from(["read", "write", "end"]), max_size=60))
def test_any_sequence_agrees_with_the_model(steps):
    rules, model = Rules(), Model()
    for number, step in enumerate(steps):
        if step != "end":
            assert rules.ask(number, step == "write") == model.ask(number, step == "write")
        elif model.inside:
            write = model.inside[-1][1]
            assert rules.end(write) == model.end()
