"""From an operator with its parameters and types to a Recipe."""
import functools
import importlib
import pkgutil

from mxcy.base import MXNetNotImplementedError
from mxcy.gpu import _launch
from mxcy.gpu.recipe import WORKSPACE, Array, Pointer
from mxcy.ops.operator import call_rule

__all__ = ["cuda_rule", "launches", "make_recipe"]


@functools.cache
def load_rules():
    """Import the topic files, once: programs that use no GPU never do."""
    package = importlib.import_module("mxcy.ops.cuda")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"mxcy.ops.cuda.{module.name}")


def cuda_rule(kernel):
    """The rule of a Kernel, or None."""
    load_rules()
    if kernel.cuda is None and kernel.functor is not None:
        return importlib.import_module("mxcy.ops.cuda.elementwise").elementwise
    return kernel.cuda


class Workspace:
    """What a rule gets as ``scratch``: hands out pieces of the memory that the launches of a call share."""

    def __init__(self):
        self.nbytes = 0

    def __call__(self, nbytes):
        place = self.nbytes
        self.nbytes += -(-nbytes // 256) * 256
        return Pointer(WORKSPACE, place)


def launches(operator, kernel, params, inputs, outputs, device=None):
    """What to launch for a call.

    Parameters
    ----------
    operator : Operator
    kernel : Kernel
    params : dict
        Parsed parameters.
    inputs, outputs : list of (tuple of int, str)
        Shapes and dtypes.
    device : int, optional
        For which; without one there is nothing that only a library for that device could launch.

    Returns
    -------
    items : list of Launch, Fill and LibraryCall
    workspace : int
        Bytes that they share.

    Raises
    ------
    MXNetNotImplementedError
        If the operator has no rule for GPUs.
    """
    rule = cuda_rule(kernel)
    if rule is None:
        raise MXNetNotImplementedError(f"{operator.name} has no rule for GPUs. Compute it on mx.cpu(): move its inputs "
                                       "there with as_in_context().")
    ins = [Array(i, *kind) for i, kind in enumerate(inputs)]
    outs = [Array(len(ins) + i, *kind) for i, kind in enumerate(outputs)]
    scratch = Workspace()
    values = {**params, "ins": ins, "outs": outs, "kernel": kernel, "params": params, "scratch": scratch,
              "device": device}
    items = call_rule(rule, values) if not outs or any(out.size for out in outs) else []
    return items, scratch.nbytes


def make_recipe(operator, kernel, params, inputs, outputs, device):
    """The `launches` of a call as a Recipe for a device."""
    items, workspace = launches(operator, kernel, params, inputs, outputs, device)
    return _launch.Recipe(items, device, workspace)
