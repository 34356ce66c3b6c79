"""Fork, Ctrl-C and exit."""
import pytest

FORK = """
    import os, time
    from mxcy.engine import _testing as engine
    x = engine.Number(3)
    for _ in range(100):
        engine.push([], updates=[x], microseconds=300)
    engine.push([], [engine.Number()], lane=True, microseconds=2000)
    child = os.fork()
    engine.push([], updates=[x])
    value = x.wait()
    engine.wait_for_all()
    os.write(1, f"{'parent' if child else 'child'} {value} {x.version}{os.linesep}".encode())
    if child == 0:
        engine.push([], [x], lane=True)         # threads of its own
        x.wait()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.parametrize("serial", [False, True])
def test_after_fork_both_sides_finish_their_copy(script, serial):
    lines = sorted(line.split() for line in script(FORK, serial=serial).splitlines())
    assert [words[0] for words in lines] == ["child", "parent"]
    assert lines[0][1:] == lines[1][1:] and lines[0][2] == "101"


def test_fork_inside_a_task(script):
    source = """
        import os
        from mxcy.engine import _testing as engine
        x = engine.Number()
        def fork(_):
            child = os.fork()
            if child == 0:
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        engine.push([], [x], call=fork)
        x.wait()
    """
    assert script(source).strip() == "7"


def test_fork_while_other_threads_push(script):
    source = """
        import os, threading
        from mxcy.engine import _testing as engine
        stop = False
        def push():
            x = engine.Number()
            while not stop:
                for _ in range(50):
                    engine.push([], updates=[x])
                x.wait()
        threads = [threading.Thread(target=push) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                y = engine.Number()
                engine.push([], [y])
                y.wait()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop = True
        for thread in threads:
            thread.join()
        print("ok")
    """
    assert script(source, workers=3).strip() == "ok"


@pytest.mark.parametrize("serial", [False, True])
def test_ctrl_c_during_a_long_task(script, serial):
    source = """
        import os, signal, threading, time
        from mxcy.engine import _testing as engine
        x = engine.Number()
        engine.push([], [x], microseconds=200000)
        engine.push([], [x], microseconds=1800000, lane=True)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.perf_counter()
        try:
            while time.perf_counter() - start < 0.3:        # the serial engine is through already
                x.wait()
        except KeyboardInterrupt:
            print("interrupted", time.perf_counter() - start < 1.2)
        x.wait()
        print("done", x.version)
    """
    assert script(source, serial=serial).split() == ["interrupted", "True", "done", "2"]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_exit_finishes_queued_work(script, workers):
    source = """
        from mxcy.engine import _testing as engine
        x = engine.Number()
        for i in range(200):
            engine.push([], updates=[x], microseconds=200)
            engine.push([], [engine.Number()], microseconds=200, lane=i % 5 == 0)
        engine.push([x], [], call=lambda _: print(x.version))
    """
    assert script(source, workers=workers).strip() == "200"


def test_exit_after_ctrl_c_does_not_wait(script):
    source = """
        import os, signal, threading, time
        from mxcy.engine import _testing as engine
        x = engine.Number()
        for _ in range(1000):
            engine.push([], [x], microseconds=100000)
        def interrupt():
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt, daemon=True).start()
    """
    assert "KeyboardInterrupt" in script(source, timeout=10)


def test_exit_tells_of_a_failure_nobody_saw(script):
    source = """
        from mxcy.engine import _testing as engine
        engine.push([], [engine.Number()], fails=True)
    """
    assert "failing on purpose" in script(source)


def test_exit_by_sys_exit_with_a_thread_that_waits(script):
    source = """
        import sys, threading
        from mxcy.engine import _testing as engine
        x = engine.Number()
        engine.push([], [x], microseconds=300000)
        threading.Thread(target=x.wait, daemon=True).start()
        sys.exit(3)
    """
    script(source, status=3)


def test_work_pushed_while_exiting(script):
    source = """
        import atexit
        def late():
            engine.push([], [x])
            print(x.wait())
        atexit.register(late)
        from mxcy.engine import _testing as engine
        x = engine.Number()
        engine.push([], [x])
    """
    assert script(source).strip() == "1"


@pytest.mark.parametrize("serial", [False, True])
def test_fork_after_openmp_and_onednn(script, serial):
    source = """
        import os
        import mxcy as mx
        x = mx.nd.ones((512, 512))
        image, weight = mx.nd.ones((8, 16, 32, 32)), mx.nd.ones((16, 16, 3, 3))
        def compute():
            total = (mx.nd.dot(x, x) + mx.nd.exp(x) * 0).sum()
            for _ in range(20):
                total = total + mx.nd.dot(x, x)[0, 0] * 0
            image_out = mx.nd.Convolution(image, weight, kernel=(3, 3), num_filter=16, no_bias=True)
            return total.asscalar(), image_out.sum().asscalar()
        expected = compute()
        y = mx.nd.dot(x, x)                     # on its way
        child = os.fork()
        assert compute() == expected and y.asnumpy()[0, 0] == 512
        if child == 0:
            os._exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert script(source, serial=serial, timeout=30).strip() == "5"
