"""The table that `Block.summary` prints."""
from math import prod

from mxcy import nd
from mxcy.base import MXNetTypeError
from mxcy.gluon.parameter import DeferredInitializationError

__all__ = ["summarize"]

_ROW = "{:>20}  {:>42} {:>15}"
_WIDTH = 80


def _shapes(arrays):
    """The shape of an array, or a list of them."""
    if isinstance(arrays, nd.NDArray):
        return arrays.shape
    if isinstance(arrays, (list, tuple)):
        return [_shapes(a) for a in arrays]
    raise MXNetTypeError(f"summary: layers must take and return NDArrays or lists of them, got {type(arrays).__name__}")


def _text(shapes):
    shapes = shapes[0] if isinstance(shapes, list) and len(shapes) == 1 else shapes
    return str(shapes).strip("[]") if isinstance(shapes, list) else str(shapes)


def summarize(block, inputs):
    """A table of the layers that run when ``block`` is called with ``inputs``."""
    rows = [("Input", _text(_shapes(list(inputs))), 0)]
    total = trainable = repeated = 0
    seen = {}
    handles = []

    def watch(layer):
        def after(layer, inputs, outputs):
            nonlocal total, trainable, repeated
            size = 0
            for param in layer.params.values():
                count = prod(param.shape)
                size += count
                trainable += 0 if param.grad_req == "null" else count
                if id(param) in seen:
                    repeated += count
                seen[id(param)] = count
            total += size
            rows.append((f"{type(layer).__name__}-{len(rows)}", _text(_shapes(outputs)), size))
        if not layer._children or layer._reg_params:
            handles.append(layer.register_forward_hook(after))

    for param in block.collect_params().values():
        try:
            param.list_data()
        except DeferredInitializationError:
            pass
    block.apply(watch)
    hybrid = []                         # blocks that run as graphs; hooks within those would see nothing
    block.apply(lambda layer: hybrid.append(layer) if getattr(layer, "_active", False) else None)
    try:
        for layer in hybrid:
            layer._active = False
        block(*inputs)
    finally:
        for layer in hybrid:
            layer._active = True
        for handle in handles:
            handle.detach()
    lines = ["-" * _WIDTH, _ROW.format("Layer (type)", "Output Shape", "Param #"), "=" * _WIDTH,
             *(_ROW.format(*row) for row in rows), "=" * _WIDTH,
             "Parameters in forward computation graph, duplicate included",
             f"   Total params: {total}", f"   Trainable params: {trainable}",
             f"   Non-trainable params: {total - trainable}",
             f"Shared params in forward computation graph: {repeated}",
             f"Unique parameters in model: {sum(seen.values())}", "-" * _WIDTH]
    return "\n".join(lines)
