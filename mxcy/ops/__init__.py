"""The operator table: one entry per operator, declared in the topic files, computed in the kernel files beside them."""
import importlib
import os

from mxcy.ops import _kernel

# Kernel modules are built once per instruction set, into a folder each; the best one that this processor runs goes
# on the package's path, so that ``from mxcy.ops import _unary`` finds the right build.
LEVEL = next((level for level in [os.environ.get("MXCY_ISA"), *_kernel.levels()]
              if level and os.path.isdir(os.path.join(os.path.dirname(__file__), level))), None)
if LEVEL is None:
    raise ImportError(f"no kernels for this processor were built; it runs {_kernel.levels()}. Build mxcy here: "
                      "pip install .")
__path__.append(os.path.join(os.path.dirname(__file__), LEVEL))

TOPICS = [
    "activation",
    "batch_norm",
    "binary",
    "broadcasting",
    "cast",
    "convolution",
    "creation",
    "dense",
    "density",
    "dropout",
    "fused",
    "fused_convolution",
    "indexing",
    "joining",
    "losses",
    "matrix",
    "multi",
    "norm",
    "order",
    "padding",
    "pooling",
    "random",
    "ravel",
    "reduce",
    "rnn",
    "scalar",
    "scan",
    "select",
    "sequence",
    "shape",
    "slicing",
    "softmax",
    "unary",
    "update",
]

for topic in TOPICS:
    importlib.import_module(f"mxcy.ops.{topic}")
