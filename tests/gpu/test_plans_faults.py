"""Plans of which something cannot be recorded, or not be replayed, are issued as if recordings were turned off."""
import ctypes

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gpu import _replay
from mxcy.gpu._launch import Prepared
from mxcy.gpu.recipe import LibraryCall
from mxcy.ops import _slice
from tests.gpu import standin

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu"),
              pytest.mark.skipif(not _replay.graphs_wanted(), reason="MXNET_ENABLE_CUDA_GRAPHS=0")]
gpu = mx.gpu(0)
kept = []                       # what recipes hold


@mx.operator.register("test_square_on_gpu")
class SquareProp(mx.operator.CustomOpProp):
    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Square()


class Square(mx.operator.CustomOp):
    """Waits for its input on the host."""

    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], nd.array(in_data[0].asnumpy() ** 2, ctx=in_data[0].context))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], 2 * in_data[0] * out_grad[0])


class Steps(gluon.HybridBlock):
    """Draws numbers, too: those of a run must not change with how it is issued."""

    def hybrid_forward(self, F, x):
        for _ in range(3):
            x = F.transpose(F.Dropout(F.relu(x + .25), p=.5) - x)
        return x


def outputs(ctx, libcuda=None, fault=None, net=None):
    """Six runs; the fault is to come in one of them."""
    net = Steps() if net is None else net
    net.hybridize(static_alloc=True, static_shape=True)
    x, results, counts = nd.array(np.arange(-27, 27).reshape(6, 9), ctx=ctx), [], []
    mx.random.seed(4)
    with autograd.train_mode():
        for run in range(6):
            if fault is not None and run == fault[0]:
                libcuda.fail(*fault[1:])
            results.append(net(x).asnumpy())
            if libcuda is not None:
                counts.append(libcuda.calls("cuGraphLaunch"))
    return np.stack(results), np.diff(counts).tolist()


@pytest.mark.parametrize("fault, replayed", [
    ((1, "cuStreamBeginCapture", 1, standin.INVALID_VALUE), [0, 0, 0, 0, 0]),
    ((1, "cuLaunchKernel", 2, standin.CAPTURE_UNSUPPORTED), [0, 0, 0, 0, 0]),
    ((1, "cuLaunchKernel", 5, standin.OUT_OF_MEMORY), [0, 0, 0, 0, 0]),
    ((1, "cuGraphInstantiateWithFlags", 1, standin.OUT_OF_MEMORY), [0, 0, 0, 0, 0]),
    ((1, "cuGraphLaunch", 1, standin.OUT_OF_MEMORY), [1, 0, 0, 0, 0]),
    ((3, "cuGraphLaunch", 1, standin.OUT_OF_MEMORY), [1, 1, 1, 0, 0]),
], ids=str)
def test_faults_of_recordings(libcuda, fault, replayed):
    expected, _ = outputs(mx.cpu())
    found, counts = outputs(gpu, libcuda, fault)
    np.testing.assert_array_equal(found, expected)
    assert counts == replayed
    found, counts = outputs(gpu, libcuda)
    np.testing.assert_array_equal(found, expected)
    assert counts == [1] * 5, "other plans are recorded all the same"


def test_an_operator_that_waits_for_the_device(libcuda, monkeypatch):
    """No stream may be waited for in a recording: the driver ends that, and the whole plan is issued."""
    codes, rule = [], _slice.reverse.cuda

    @ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4, ctypes.c_size_t)
    def wait(routine, stream, arguments, text, room):
        codes.append(libcuda.library.cuStreamSynchronize(ctypes.c_void_p(stream)))
        ctypes.memmove(text, b"no", 3)
        return codes[-1] != 0

    # The struct Routine: a reference of ours and one for Prepared, what it runs, and what frees it, which is never called.
    routine = (ctypes.c_void_p * 3)(2, ctypes.cast(wait, ctypes.c_void_p), None)
    prepared = Prepared(ctypes.addressof(routine))
    kept.append((routine, wait))

    def waits(ins, outs, axis):
        return [*rule(ins, outs, axis), LibraryCall(prepared, ())]

    class Waits(Steps):
        def hybrid_forward(self, F, x):
            return F.reverse(super().hybrid_forward(F, F.reverse(x, axis=1)), axis=1)

    expected, _ = outputs(mx.cpu(), net=Waits())
    monkeypatch.setattr(_slice.reverse, "cuda", waits)
    found, counts = outputs(gpu, libcuda, net=Waits())
    np.testing.assert_array_equal(found, expected)
    assert counts == [0] * 5 and standin.CAPTURE_UNSUPPORTED in codes and codes[-8:] == [0] * 8


def test_an_error_of_a_kernel_is_told_after_a_recording(libcuda):
    """What goes wrong both in the recording and without it is an error that names the operator."""
    net = Steps()
    net.hybridize()
    x = nd.array(np.ones((6, 9)), ctx=gpu)
    with autograd.train_mode():
        net(x).wait_to_read()
        libcuda.fail("cuStreamBeginCapture", 1, standin.INVALID_VALUE)
        libcuda.fail("cuLaunchKernel", 2, standin.OUT_OF_MEMORY)
        with pytest.raises(mx.MXNetError, match="launching a kernel failed: CUDA_ERROR_OUT_OF_MEMORY"):
            net(x).wait_to_read()
        assert net(x).shape == (9, 6)
    nd.waitall()


def test_operators_in_python():
    """Such graphs run operator by operator on a GPU, in blocks and bound symbols."""
    class Net(Steps):
        def hybrid_forward(self, F, x):
            return F.Custom(super().hybrid_forward(F, x), op_type="test_square_on_gpu") + 1

    x = mx.sym.var("x")
    symbol, results = mx.sym.relu(mx.sym.Custom(x + 1, op_type="test_square_on_gpu")), []
    for ctx in (gpu, mx.cpu()):
        net = Net()
        net.hybridize()
        mx.random.seed(4)
        data = nd.array(np.arange(-27, 27).reshape(6, 9), ctx=ctx)
        executor = symbol.bind(ctx, {"x": data}, {"x": nd.zeros(data.shape, ctx=ctx)})
        data.attach_grad()
        for _ in range(3):
            with autograd.record():
                y = net(data)
            y.backward()
            out = executor.forward(is_train=True)[0]
            executor.backward(nd.ones(data.shape, ctx=ctx))
        results.append([y.asnumpy(), data.grad.asnumpy(), out.asnumpy(), executor.grad_dict["x"].asnumpy()])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)
