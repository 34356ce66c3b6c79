"""The profiler: the trace's form and nesting, totals, what users mark, and that nothing is recorded when it is off."""
import json
import os
import subprocess
import sys
import threading

import pytest

import mxcy as mx
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.ops.operator import lookup
from mxcy.plan._cached import CachedOp


@pytest.fixture
def trace(tmp_path):
    """A function that runs something under the profiler and returns the trace's lines."""
    def run(function, **options):
        path = tmp_path / "trace.json"
        mx.profiler.dumps(reset=True)
        mx.profiler.set_config(**{"filename": str(path), "profile_all": True, **options})
        mx.profiler.set_state("run")
        try:
            function()
            mx.nd.waitall()
        finally:
            mx.profiler.set_state("stop")
        mx.profiler.dump()
        assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]
        return json.loads(path.read_text())["traceEvents"]
    yield run
    mx.profiler.set_config(filename="profile.json", profile_all=False, profile_memory=False, continuous_dump=False)
    mx.profiler.dumps(reset=True)


def spans(lines, **wanted):
    return [line for line in lines if line["ph"] == "X" and all(line[key] == value for key, value in wanted.items())]


def within(inner, outer):
    return (inner["tid"] == outer["tid"] and outer["ts"] <= inner["ts"]
            and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"] + .002)


def network():
    def node(op, name, inputs, **attrs):
        return Entry(Node(lookup(op), name, inputs, attrs), 0)
    x, w = (Entry(Node(None, name), 0) for name in "xw")
    dense = node("FullyConnected", "dense", [x, w], num_hidden="64", no_bias="True")
    return CachedOp(Graph([node("softmax", "probabilities", [dense])]), ["x", "w"])


def test_operators_are_events_with_fields(trace):
    small, large = mx.nd.ones((3,)), mx.nd.ones((700, 700))

    def work():
        mx.nd.exp(small)
        mx.nd.dot(large, large).wait_to_read()
    lines = trace(work)
    exp, = spans(lines, name="exp", cat="operator")
    dot, = spans(lines, name="dot", cat="operator")
    assert "queued_us" not in exp["args"] and dot["args"]["queued_us"] >= 0
    assert exp["args"]["bytes"] == 12 and dot["args"]["bytes"] == 700 * 700 * 4
    assert exp["pid"] == dot["pid"] == os.getpid() and dot["dur"] > exp["dur"] > 0
    assert exp["tid"] == threading.get_native_id()
    named = {line["tid"]: line["args"]["name"] for line in lines if line["name"] == "thread_name"}
    assert exp["tid"] in named and dot["tid"] in named
    assert spans(lines, cat="wait")
    memory = [line["args"]["bytes in use"] for line in lines if line["ph"] == "C" and line["name"] == "memory"]
    assert max(memory) >= 2 * 700 * 700 * 4


def test_steps_of_a_plan_lie_within_its_phases(trace):
    net = network()
    x, w = mx.nd.ones((8, 32)), mx.nd.ones((64, 32))
    w.attach_grad()

    def work():
        with mx.autograd.record():
            out = net(x, w)
        out.backward()
        net(x, w)
    lines = trace(work)
    forward, backward = spans(lines, name="forward", cat="plan"), spans(lines, name="backward", cat="plan")
    assert len(forward) == 2 and len(backward) == 1
    for name, phases in (("dense", forward), ("probabilities", forward), ("dense_backward", backward)):
        steps = spans(lines, name=name, cat="step")
        assert len(steps) == len(phases)
        assert all(any(within(step, phase) for phase in phases) for step in steps)
    assert not spans(lines, name="FullyConnected")      # it was no call of its own


def test_options_choose(trace):
    net = network()
    x, w = mx.nd.ones((8, 32)), mx.nd.ones((64, 32))

    def work():
        net(x, w)
        mx.nd.exp(x)
    lines = trace(work, profile_all=False, profile_symbolic=True)
    assert {line["cat"] for line in spans(lines)} == {"plan", "step"}
    lines = trace(work, profile_all=False, profile_symbolic=False, profile_imperative=True)
    assert {line["cat"] for line in spans(lines)} == {"operator"}
    mx.profiler.set_config(profile_imperative=False)


def test_nothing_is_recorded_when_it_is_off_or_paused(trace):
    x = mx.nd.ones((3,))

    def work():
        mx.nd.exp(x)
        mx.profiler.pause()
        mx.nd.log(x)
        mx.profiler.Marker(mx.profiler.Domain("d"), "unseen").mark()
        mx.profiler.resume()
        mx.nd.sin(x)
    lines = trace(work)
    mx.nd.cos(x)
    assert {line["name"] for line in spans(lines)} == {"exp", "sin"}
    assert "cos" not in mx.profiler.dumps() and "unseen" not in str(lines)
    mx.profiler.resume()                                # not running: stays off
    mx.nd.tan(x)
    assert "tan" not in mx.profiler.dumps()


def test_marks_of_the_user_enclose_operators(trace):
    domain = mx.profiler.Domain("training")
    x = mx.nd.ones((3,))

    def work():
        with domain.new_frame("step"):
            task = domain.new_task("forward pass")
            task.start()
            mx.nd.exp(x)
            task.stop()
        event = mx.profiler.Event("afterwards")
        event.start()
        event.stop()
        counter = domain.new_counter("images", 5)
        counter += 3
        counter -= 1
        domain.new_marker("epoch").mark("thread")
    lines = trace(work)
    step, = spans(lines, name="step", cat="training")
    task, = spans(lines, name="forward pass")
    exp, = spans(lines, name="exp")
    assert within(task, step) and within(exp, task)
    assert spans(lines, name="afterwards", cat="event")
    assert [line["args"]["images"] for line in lines if line["name"] == "images"] == [5, 8, 7]
    assert [line["s"] for line in lines if line["ph"] == "i"] == ["t"]
    assert str(domain) == "training" and str(step) and str(domain.new_task("t")) == "t"
    with pytest.raises(MXNetError, match="had not been started"):
        domain.new_task("t").stop()


def test_totals(trace):
    x = mx.nd.ones((3,))

    def work():
        for _ in range(5):
            mx.nd.exp(x)
        mx.nd.sin(x)
    trace(work)
    table = mx.profiler.dumps(sort_by="count")
    assert table.index("exp") < table.index("sin") and "operator" in table
    found = json.loads(mx.profiler.dumps(format="json", sort_by="count", ascending=True))["Time"]["operator"]
    assert list(found) == ["sin", "exp"]
    assert found["exp"]["Count"] == 5 and found["exp"]["Min"] <= found["exp"]["Avg"] <= found["exp"]["Max"]
    assert found["exp"]["Total"] == pytest.approx(5 * found["exp"]["Avg"])
    mx.profiler.dumps(reset=True)
    assert "exp" not in mx.profiler.dumps()


def test_the_oldest_events_go_and_are_counted(trace, tmp_path):
    x = mx.nd.ones((3,))

    def work():
        for _ in range((1 << 16) + 100):
            mx.nd.exp(x)
    lines = trace(work)
    assert len(spans(lines, name="exp")) in range((1 << 16) - 1, (1 << 16) + 1)
    assert json.loads((tmp_path / "trace.json").read_text())["otherData"]["dropped events"] >= 100


def test_threads_record_at_once(trace):
    def work():
        threads = [threading.Thread(target=lambda: [mx.nd.exp(mx.nd.ones((3,))) for _ in range(500)])
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    exps = spans(trace(work), name="exp")
    assert len(exps) == 2000 and len({line["tid"] for line in exps}) == 4


@pytest.mark.parametrize("call, error, words", [
    (lambda p: p.set_config(profile_al=True), MXNetTypeError, "profile_all"),
    (lambda p: p.set_state("go"), MXNetValueError, "'run' or 'stop'"),
    (lambda p: p.dumps(format="xml"), MXNetValueError, "table, json"),
    (lambda p: p.dumps(sort_by="name"), MXNetValueError, "total, avg"),
])
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call(mx.profiler)


def test_it_starts_with_the_process(tmp_path):
    code = "import mxcy as mx; mx.nd.exp(mx.nd.ones((3,)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path,
                   env={**os.environ, "MXNET_PROFILER_AUTOSTART": "1", "PYTHONPATH": os.getcwd()})
    lines = json.loads((tmp_path / "profile.json").read_text())["traceEvents"]
    assert spans(lines, name="exp")


def test_a_trace_while_it_runs(trace, tmp_path):
    x = mx.nd.ones((3,))

    def work():
        mx.nd.exp(x)
        for _ in range(200):
            if (tmp_path / "trace.json").exists():
                break
            threading.Event().wait(.01)
        assert "exp" in (tmp_path / "trace.json").read_text()
    trace(work, continuous_dump=True, dump_period=.02)
