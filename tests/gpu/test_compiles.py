"""Every kernel that the operator table's cases launch compiles with NVIDIA's own NVRTC; no GPU is needed for that."""
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mxcy.base import MXNetError, MXNetNotImplementedError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Launch
from mxcy.ops.cuda.random import begin_run
from mxcy.ops.cuda.recipes import launches
from mxcy.ops.infer import infer
from mxcy.ops.operator import lookup
from tests.gpu.tools import CHECKOUT, Nvrtc, real_nvrtc
from tests.ops.cases import CASES

TOGETHER = 16                   # texts in one compilation
NAMES = {dtype: name for name, dtype in NUMPY.items()}


def sources():
    """Every text that a case's forward call launches kernels of, in each of its dtypes and bfloat16; and of plans."""
    found = {begin_run().source}
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
                    found.add(item.source)
    return found


def batches(texts):
    """Texts that include the same headers, joined by the dozen: that compiles much faster."""
    by_headers = {}
    for text in sorted(texts):
        lines = text.splitlines()
        headers = tuple(dict.fromkeys(line for line in lines if line.startswith("#include")))
        by_headers.setdefault(headers, []).append([line for line in lines if line not in headers])
    for headers, bodies in by_headers.items():
        for start in range(0, len(bodies), TOGETHER):
            parts = [*headers]
            for i, body in enumerate(bodies[start:start + TOGETHER]):
                parts += [f"namespace text_{i} {{", *body, "}"]
            yield cpp_names("\n".join(parts) + "\n")


def cpp_names(text):
    """Kernels with names of C++, which namespaces tell apart."""
    text = re.sub(r"#include \"(.*)\"", r"#include <\1>", text)          # not from the working folder, if it has such
    return text.replace('extern "C" __global__', "__global__")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """A folder to include the package's kernels from, with names of C++."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "mxcy/gpu/kernels").mkdir(parents=True)
    for path in (CHECKOUT / "mxcy/gpu/kernels").glob("*.cuh"):
        (folder / "mxcy/gpu/kernels" / path.name).write_text(cpp_names(path.read_text()))
    return folder


@pytest.mark.skipif(real_nvrtc() is None, reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_every_kernel_compiles(architecture, kernels):
    nvrtc = Nvrtc(real_nvrtc())
    texts = sources()
    assert len(texts) > 1000
    # The option stands before those of the same kind that lead to the package itself.
    nvrtc.OPTIONS = [f"-I{kernels}", *nvrtc.OPTIONS]
    with ThreadPoolExecutor() as pool:
        logs = [log for code, log in pool.map(lambda text: nvrtc.compile(text, architecture), batches(texts))
                if code is None]
    assert not logs, "\n\n".join(logs[:5])
