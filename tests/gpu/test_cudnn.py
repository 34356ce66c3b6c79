"""NVIDIA's own cuDNN plans every convolution of the operator table; no GPU is needed for that.

It takes the properties of a device as a text, and links with the driver, for which the stand-in is enough.
"""
import ctypes
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.gpu.tools import CHECKOUT, build_driver, real_cudnn

#: What the library asks a device, by its own names; those of both have the same values here.
COMMON = dict(cudaDeviceId=0, driverVer=13000, maxGridSize=[2147483647, 65535, 65535], maxBlockSize=[1024, 1024, 64],
              regsPerBlock=65536, warpSize=32, maxSharedMemoryPerBlock=49152, reservedSharedMemoryPerBlock=1024,
              maxRegistersPerSM=65536, pciDeviceId=0, maxCtasPerSM=32, maxThreadsPerBlock=1024, maxThreadsPerSM=2048,
              isTccDriver=0, supportCoopLaunch=1, oversizedSharedMemoryPerBlock=0)
DEVICES = {
    "sm_80": dict(COMMON, deviceName="NVIDIA A100", deviceVer=800, multiProcessorCount=108, smClockRateKHz=1410000,
                  memClockRateKHz=1215000, memoryBusWidth=5120, l2CacheSize=40 << 20,
                  maxSharedMemoryPerBlockOptin=163 << 10, totalGlobalMem=40 << 30),
    "sm_90": dict(COMMON, deviceName="NVIDIA H200", deviceVer=900, multiProcessorCount=132, smClockRateKHz=1980000,
                  memClockRateKHz=3201000, memoryBusWidth=6144, l2CacheSize=60 << 20,
                  maxSharedMemoryPerBlockOptin=227 << 10, totalGlobalMem=140 << 30),
}


def plans(properties):
    """Whether the library plans it, for each case, dtype and direction: ``(what, answer)``."""
    from mxcy.gpu.recipe import LibraryCall
    from mxcy.ops.cuda.recipes import launches
    from mxcy.ops.infer import infer
    from mxcy.ops.operator import lookup
    from tests.ops.cases import CASES

    convolution, deconvolution, weight = map(lookup, ("Convolution", "Deconvolution", "_backward_Convolution_weight"))
    for case in CASES:
        if case.operator not in ("Convolution", "Deconvolution", "_convolution_sum"):
            continue
        operator = lookup(case.operator)
        params = operator.parse({key: value for key, value in case.params.items() if key in operator.params})
        shapes = [x.shape for x in case.sample("float32", np.random.default_rng(0))]
        for dtype in ("float32", "float64", "float16", "bfloat16"):
            names = operator.input_names(params, len(shapes))
            out = infer(operator, params, names, shapes, [dtype] * len(shapes))[0][0]
            if 0 in (*shapes[0], *out):
                continue
            calls = [(operator, params, shapes if case.operator == "_convolution_sum" else shapes[:2], out)]
            if case.operator == "_convolution_sum":         # as plans have it: weights as the user gave them
                swapped = (shapes[1][0], shapes[1][3], *shapes[1][1:3])
                calls.append((operator, operator.parse(dict(params, weight_layout="first")),
                              [shapes[0], swapped, *shapes[2:]], out))
            common = {key: value for key, value in params.items() if key in weight.params}
            large, small = (out, shapes[0]) if operator is deconvolution else (shapes[0], out)
            if not params.get("target_shape"):
                calls.append((weight, weight.parse(common), [large, small], shapes[1]))
            if operator is convolution:
                channels = -1 if (params["layout"] or "").endswith("C") else 1
                back = deconvolution.parse(dict(common, num_filter=shapes[0][channels], no_bias=True))
                calls.append((deconvolution, back, [out, shapes[1]], shapes[0]))
            for called, given, inputs, result in calls:
                items, _ = launches(called, called.kernel(given), given, [(shape, dtype) for shape in inputs],
                                    [(result, dtype)], properties)
                planned = any(isinstance(item, LibraryCall) for item in items)
                yield f"{called.name} {inputs} {dtype} {given}", planned


@pytest.mark.skipif(real_cudnn() is None, reason="cuDNN is not installed: pip install nvidia-cudnn-cu13")
@pytest.mark.parametrize("device", DEVICES)
def test_every_convolution_is_planned(device):
    # In a process of its own: the libraries would stay in this one, where others ask for them by the same names.
    result = subprocess.run([sys.executable, "-m", "tests.gpu.test_cudnn", device], cwd=CHECKOUT, capture_output=True,
                            text=True, env={**os.environ, "MXCY_LIBCUDNN": str(real_cudnn()),
                                                            "MXCY_LIBCUBLAS": ""})
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(result.stdout)
    assert len(found) > 100
    # A target shape can be such that there is one position less than the window would make: no convolution to the library.
    unplanned = [what for what, planned in found if not planned]
    assert all("'target_shape': (" in what and "'target_shape': ()" not in what for what in unplanned), unplanned
    assert sum(planned for _, planned in found) > .95 * len(found)


if __name__ == "__main__":
    ctypes.CDLL(str(build_driver()), ctypes.RTLD_GLOBAL)
    print(json.dumps(list(plans(json.dumps(DEVICES[sys.argv[1]])))))
