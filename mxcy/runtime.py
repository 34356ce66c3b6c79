"""What this build of mxcy has, and the memory that it uses."""
from typing import NamedTuple

from mxcy.base import MXNetValueError, nearest
from mxcy.ops import LEVEL, _onednn
from mxcy.storage import empty_cache, memory

__all__ = ["Feature", "Features", "empty_cache", "feature_list", "memory"]


class Feature(NamedTuple):
    """A part of the library that a build may have or lack."""

    name: str
    enabled: bool

    def __repr__(self):
        return f"{'✔' if self.enabled else '✖'} {self.name}"


def feature_list():
    """The parts that MXNet builds may have, each with whether this build has it.

    Returns
    -------
    list of Feature
        In MXNet's order, under its names; ``MKLDNN`` is oneDNN.
    """
    level = int(LEVEL[1:]) if LEVEL[1:].isdigit() else 0        # x86-64-v1 to v4
    sse = {"CPU_SSE": 1, "CPU_SSE2": 1, "CPU_SSE3": 2, "CPU_SSE4_1": 2, "CPU_SSE4_2": 2, "CPU_AVX": 3, "CPU_AVX2": 3,
           "SSE": 1, "F16C": 3}
    has = {"OPENMP": True, "LAPACK": True, "MKLDNN": _onednn.available(), "CXX14": True, "INT64_TENSOR_SIZE": True,
           **{name: level >= least for name, least in sse.items()}}
    return [Feature(name, has.get(name, False)) for name in _NAMES]


_NAMES = """CUDA CUDNN NCCL CUDA_RTC TENSORRT CPU_SSE CPU_SSE2 CPU_SSE3 CPU_SSE4_1 CPU_SSE4_2 CPU_SSE4A CPU_AVX CPU_AVX2
            OPENMP SSE F16C JEMALLOC BLAS_OPEN BLAS_ATLAS BLAS_MKL BLAS_APPLE LAPACK MKLDNN OPENCV CAFFE PROFILER
            DIST_KVSTORE CXX14 INT64_TENSOR_SIZE SIGNAL_HANDLER DEBUG TVM_OP""".split()


class Features(dict):
    """The features of this build by name.

    Examples
    --------
    >>> mx.runtime.Features().is_enabled("INT64_TENSOR_SIZE")
    True
    """

    def __init__(self):
        super().__init__((feature.name, feature) for feature in feature_list())

    def __repr__(self):
        return str(list(self.values()))

    def is_enabled(self, feature_name):
        """Whether this build has a feature.

        Parameters
        ----------
        feature_name : str
            In any case.

        Returns
        -------
        bool
        """
        name = feature_name.upper()
        if name not in self:
            raise MXNetValueError(f"there is no feature {feature_name!r}.{nearest(name, self)} Known are "
                                  f"{', '.join(self)}.")
        return self[name].enabled
