"""Every kernel that the operator table's cases launch compiles with NVIDIA's own NVRTC; no GPU is needed for that."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mxcy.base import MXNetError, MXNetNotImplementedError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Launch
from mxcy.ops.cuda.recipes import launches
from mxcy.ops.infer import infer
from mxcy.ops.operator import lookup
from tests.gpu.tools import Nvrtc, real_nvrtc
from tests.ops.cases import CASES

NAMES = {dtype: name for name, dtype in NUMPY.items()}


def sources():
    """Every text that a case's forward call launches kernels of, in each of its dtypes and bfloat16, with the case."""
    found = {}
    for case in CASES:
        operator = lookup(case.operator)
        if "compose" in operator.rules:
            continue
        params = operator.parse({key: value for key, value in case.params.items() if key in operator.params})
        for dtype in (*case.dtypes, *(["bfloat16"] if "float16" in case.dtypes else [])):
            inputs = [(x.shape, NAMES[np.dtype(x.dtype)]) for x in case.sample(dtype, np.random.default_rng(0))]
            names = operator.input_names(params, len(inputs))
            try:
                outputs = infer(operator, params, names, [shape for shape, _ in inputs], [kind for _, kind in inputs])
                items, _ = launches(operator, operator.kernel(params), params, inputs, outputs)
            except (MXNetError, MXNetNotImplementedError):          # a dtype that the operator does not take
                continue
            for item in items:
                if isinstance(item, Launch):
                    found.setdefault(item.source, f"{case} {dtype}")
    return found


@pytest.mark.skipif(real_nvrtc() is None, reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_every_kernel_compiles(architecture):
    nvrtc = Nvrtc(real_nvrtc())
    texts = sources()
    assert len(texts) > 300
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda text: nvrtc.compile(text, architecture), texts)
        wrong = {case: log for (text, case), (code, log) in zip(texts.items(), results) if code is None}
    assert not wrong, "\n\n".join(f"{case}:\n{log}" for case, log in list(wrong.items())[:5])
