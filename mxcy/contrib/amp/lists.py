"""What mixed precision does with each operator, as lists."""
from mxcy.ops.operator import REGISTRY, call_rule
from mxcy.ops.precision import LOSS_OUTPUTS, WIDEST, Precision

__all__ = ["list_conditional_fp32_ops", "list_fp16_fp32_ops", "list_fp16_ops", "list_fp32_ops",
           "list_loss_output_functions", "list_lp16_fp32_ops", "list_lp16_ops", "list_lp16_use_fp32_params",
           "list_widest_type_cast"]

#: Operators that only gradients and plans are made of.
_MADE_BY_PASSES = ("_backward_", "_batch_norm_relu", "_convolution_sum", "_custom_", "_fused_", "_prepare_")
#: Operators that want float32 weights for 16-bit data.
_WIDE_WEIGHTS = ("BatchNorm", "_contrib_SyncBatchNorm")


def list_lp16_ops(target_dtype="float16"):
    """Operators that compute in ``target_dtype``, "float16" or "bfloat16"."""
    return sorted(Precision(target_dtype).low)


def list_fp32_ops(target_dtype="float16"):
    """Operators that compute in float32."""
    return sorted(Precision(target_dtype).float32)


def list_widest_type_cast(target_dtype="float16"):
    """Operators that compute in the widest dtype among their inputs."""
    return _that_want(WIDEST, target_dtype)


def list_lp16_fp32_ops(target_dtype="float16"):
    """Operators that compute in the dtypes that they get."""
    return _that_want(None, target_dtype)


def list_conditional_fp32_ops(target_dtype="float16"):
    """Operators that compute in float32 with some values of a parameter: (operator, parameter, values) each."""
    return [(name, key, values) for name, items in Precision(target_dtype).conditional.items() for key, values in items]


def list_lp16_use_fp32_params(target_dtype="float16"):
    """Operators that want some inputs in float32 beside 16-bit data: by operator, its inputs' names, "" for the others.

    Parameters
    ----------
    target_dtype : {'float16', 'bfloat16'}

    Returns
    -------
    dict of str to list of str
    """
    low, wide = Precision(target_dtype).dtype, {}
    for name in _WIDE_WEIGHTS:
        dtypes = call_rule(REGISTRY[name].rules["infer_type"], {"data": low})
        wide[name] = [key if dtypes.get(key) == "float32" else "" for key in REGISTRY[name].inputs]
    return wide


def list_loss_output_functions(target_dtype="float16"):
    """Operators in which the gradient starts."""
    return list(LOSS_OUTPUTS)


list_fp16_ops, list_fp16_fp32_ops = list_lp16_ops, list_lp16_fp32_ops       # what MXNet 1.5 to 1.7 called them


def _that_want(what, target_dtype):
    precision = Precision(target_dtype)
    return sorted({op.name for op in REGISTRY.values() if precision.by_default(op) == what
                   and not op.name.startswith(_MADE_BY_PASSES)})
