"""Optimizer updates on GPUs: what they change in place, and more weights than one launch takes."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.testing import assert_close
from tests.ops.cases.update import CASES

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_states(case):
    """All arrays afterwards are those of the CPU."""
    given = case.sample(case.dtypes[0], case.rng())
    results = []
    for device in (mx.cpu(), mx.gpu(0)):
        arrays = [nd.array(x, ctx=device, dtype=x.dtype) for x in given]
        results.append([*case.call(arrays), *arrays])
    for here, there in zip(*results, strict=True):
        assert_close(there, here.asnumpy(), here.dtype_name)


def test_many_weights():
    """In place, of two dtypes and of sizes that do and do not fill a block."""
    rng = np.random.default_rng(0)
    sizes = [*range(1, 90), 4096, 5000]
    dtypes = ["float32", "float64"]
    given = [rng.normal(size=size).astype(dtypes[i % 2]) for i, size in enumerate(sizes) for _ in range(3)]
    results = []
    for device in (mx.cpu(), mx.gpu(0)):
        arrays = [nd.array(x, ctx=device, dtype=x.dtype) for x in given]
        nd.multi_sgd_mom_update(*arrays, lrs=[.1 * i for i in range(len(sizes))], wds=[.01] * len(sizes), momentum=.9,
                                num_weights=len(sizes), out=arrays[::3])
        results.append(arrays)
    for here, there in zip(*results, strict=True):
        assert_close(there, here.asnumpy())
    assert not np.array_equal(results[1][-3].asnumpy(), given[-3])
