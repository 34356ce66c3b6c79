"""Contexts: names, equality, scopes."""
import pickle
import threading

import pytest

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError


def test_names():
    assert str(mx.cpu()) == "cpu(0)" and repr(mx.gpu(1)) == "gpu(1)" and str(mx.cpu_pinned()) == "cpu_pinned(0)"
    assert mx.Context("cpu(2)") == mx.Context("cpu", 2) == mx.Context(mx.cpu(2)) == mx.cpu(2)
    assert mx.Context("cpu_shared").device_typeid == 5


def test_equality_and_pickle():
    assert mx.cpu() != mx.gpu() and mx.cpu() != mx.cpu(1) and mx.cpu() != "cpu(0)"
    assert len({mx.cpu(0), mx.cpu(), mx.Context("cpu")}) == 1
    assert pickle.loads(pickle.dumps(mx.gpu(3))) == mx.gpu(3)


@pytest.mark.parametrize(("wrong", "error"), [("cup", ValueError), ("cpu[0]", ValueError), (3, TypeError),
                                              (None, TypeError)])
def test_wrong_names(wrong, error):
    with pytest.raises(error):
        mx.Context(wrong)
    with pytest.raises(MXNetError, match="cpu"):
        mx.Context(wrong)


def test_scopes_nest_and_belong_to_a_thread():
    seen = []
    with mx.cpu(1) as outer:
        assert mx.current_context() is outer and nd.empty(1).context == mx.cpu(1)
        with mx.cpu(2):
            assert mx.current_context() == mx.cpu(2)
        with pytest.raises(KeyError), mx.cpu(3):
            raise KeyError
        assert mx.current_context() is outer
        thread = threading.Thread(target=lambda: seen.append(mx.current_context()))
        thread.start()
        thread.join()
    assert seen == [mx.cpu(0)] == [mx.current_context()]


@pytest.mark.skipif(mx.num_gpus() > 0, reason="there is a GPU, or a stand-in for one")
def test_without_a_gpu():
    for use in (lambda: nd.array([1], ctx=mx.gpu()), lambda: nd.empty(1, ctx="gpu(0)"), mx.context.gpu_memory_info,
                lambda: nd.array([1]).as_in_context(mx.gpu(0)), mx.gpu().empty_cache):
        with pytest.raises(MXNetError, match="no GPU"):
            use()


def test_arrays_carry_their_context():
    x = nd.array([1, 2], ctx=mx.cpu(1))
    assert x.context == x.ctx == mx.cpu(1)
    assert x[0:1].context == mx.cpu(1)
