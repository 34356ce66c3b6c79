"""mxcy: the Apache MXNet 1.x Python API on a new, small, fast core.

>>> import mxcy as mx
>>> (mx.nd.ones((2, 3)) * 2).sum().item()
12.0
"""
import importlib
import os

try:
    from mxcy import autograd, nd
except ImportError as error:
    if any(name.endswith(".so") for name in os.listdir(os.path.join(__path__[0], "engine"))):
        raise
    raise ImportError(f"mxcy is imported from its sources in {os.path.dirname(__path__[0])}, where it is not compiled. "
                      "Run 'pip install -e .' there, or start Python in another folder to use an installed "
                      "mxcy.") from error
from mxcy._version import __version__
from mxcy.base import MXNetError
from mxcy.context import Context, cpu, cpu_pinned, current_context, gpu, num_gpus
from mxcy import ndarray            # after nd, which fills it

#: Parts that are imported when first used, by the names they go by: modules, and names in modules.
_LAZY = {
    "AttrScope": "attribute.AttrScope",
    "attribute": "attribute",
    "callback": "callback",
    "contrib": "contrib",
    "datasets": "datasets",
    "engine": "engine",
    "executor": "executor",
    "gluon": "gluon",
    "init": "initializer",
    "initializer": "initializer",
    "io": "io",
    "is_np_array": "util.is_np_array",
    "is_np_shape": "util.is_np_shape",
    "kv": "kvstore",
    "kvstore": "kvstore",
    "lr_scheduler": "lr_scheduler",
    "metric": "metric",
    "mod": "module",
    "model": "model",
    "module": "module",
    "mon": "monitor",
    "monitor": "monitor",
    "name": "name",
    "np_array": "util.np_array",
    "np_shape": "util.np_shape",
    "optimizer": "optimizer",
    "profiler": "profiler",
    "random": "random",
    "recordio": "recordio",
    "registry": "registry",
    "rnd": "random",
    "rnn": "rnn",
    "rtc": "rtc",
    "runtime": "runtime",
    "set_np_shape": "util.set_np_shape",
    "sym": "sym",
    "symbol": "sym",
    "test_utils": "test_utils",
    "testing": "testing",
    "use_np_shape": "util.use_np_shape",
    "util": "util",
    "visualization": "visualization",
    "viz": "visualization",
}


if os.environ.get("MXNET_PROFILER_AUTOSTART", "0") not in ("", "0"):
    from mxcy import profiler           # records from here on, and writes the trace at exit


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"mxcy has no {name!r} in this version")
    module, _, inside = _LAZY[name].partition(".")
    found = importlib.import_module(f"mxcy.{module}")
    found = globals()[name] = getattr(found, inside) if inside else found
    return found


def __dir__():
    return sorted({*globals(), *_LAZY})
