"""Arrays that several Python threads share."""
import threading

import mxcy as mx


def test_in_place_additions_are_not_lost():
    small, large = mx.nd.zeros((8, 8)), mx.nd.zeros((700, 700))     # one is computed inline, the other by tasks

    def work():
        a, b = small, large
        for i in range(200):
            a += 1
            b += 1
            if i % 50 == 0:
                values = b.asnumpy()
                assert values.min() == values.max()                 # not torn by another thread's addition

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (small == 800).asnumpy().all() and (large == 800).asnumpy().all()


def test_a_reader_is_served_before_a_later_writer():
    x = mx.nd.ones((500, 500))
    seen = []
    for i in range(20):
        seen.append((x * 1, i + 1))
        x += 1
    for value, expected in seen:
        assert value[0, 0].asscalar() == value[-1, -1].asscalar() == expected
