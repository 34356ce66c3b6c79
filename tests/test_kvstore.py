import pytest

import mxcy as mx
from mxcy import nd


def ones(value=1.):
    return nd.full((2,), value)


def value(store, key):
    out = nd.zeros((2,))
    store.pull(key, out=out)
    return out.asnumpy().tolist()


@pytest.mark.parametrize("kind", ["local", "device"])
def test_sums_of_what_is_pushed(kind):
    store = mx.kv.create(kind)
    assert (store.type, store.rank, store.num_workers) == (kind, 0, 1)
    store.init(3, ones())
    store.push(3, [ones(2), ones(5)])
    assert value(store, 3) == [7, 7]
    store.init(["a", "b"], [ones(), ones()])
    store.push(["a", "b"], [[ones(3)] * 2, [ones(4)]])
    outs = [ones(), ones()]
    store.pull(["a", "b"], out=outs)
    assert [o.asnumpy().tolist() for o in outs] == [[6, 6], [4, 4]]


def test_pushpull_and_broadcast():
    store, out = mx.kv.create(), [ones(), ones()]
    store.broadcast("w", ones(9), out)
    assert out[1].asnumpy().tolist() == [9, 9]
    grads = [ones(1), ones(2)]
    store.pushpull("w", grads)
    assert grads[0].asnumpy().tolist() == [3, 3]


def test_updates_on_the_store(tmp_path):
    store, path = mx.kv.create(), str(tmp_path / "states")
    store.init(0, ones())
    store.set_optimizer(mx.optimizer.SGD(learning_rate=.5, momentum=.5))
    store.push(0, [ones(1), ones(1)])
    assert value(store, 0) == [0, 0]
    store.save_optimizer_states(path)
    store.push(0, ones(0))
    assert value(store, 0) == [-.5, -.5]
    store.load_optimizer_states(path)
    store.push(0, ones(0))
    assert value(store, 0) == [-1, -1]


def test_own_updater():
    store = mx.kv.create()
    store.init(0, ones())

    def update(key, pushed, stored):
        stored[:] = stored - pushed

    store.set_updater(update)
    store.push(0, ones(3))
    assert value(store, 0) == [-2, -2]


def test_own_kind():
    @mx.kv.KVStoreBase.register
    class Mine(mx.kv.KVStoreBase):
        rank, num_workers = 0, 1

    assert mx.kv.create("mine").type == "mine"


def test_errors():
    store = mx.kv.create()
    store.init(0, ones())
    for call in (lambda: mx.kv.create("locall"), lambda: mx.kv.create(3), lambda: store.push(1, ones()),
                 lambda: store.init(0, ones()),
                 lambda: store.save_optimizer_states("x"), lambda: store.push([0, 0], [ones()])):
        with pytest.raises(mx.MXNetError):
            call()
