"""Mixed precision: the dtype that each operator wants for its inputs.

This is the one place that says so. Eager calls, plans and `contrib.amp.convert_symbol` ask `Precision.conversions`.
"""
import warnings

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.dtype import dtype_name
from mxcy.ops.cast import FLOATS
from mxcy.ops.operator import REGISTRY, lookup

__all__ = ["CONDITIONAL", "LOSS_OUTPUTS", "WIDEST", "Precision", "is_float32", "takes_one_dtype"]

#: Products: they accumulate in float32 anyway, and are what is fast in 16 bits.
LOW = frozenset("Convolution Deconvolution FullyConnected RNN batch_dot dot".split())

#: What overflows or loses digits in 16 bits: exponentials, poles and powers; sums of many items; norms; losses;
#: positions, which come in the dtype of the data; code of the user's own.
FLOAT32 = frozenset("""
    exp expm1 log log10 log1p log2 sinh cosh tan arcsin arccos arctanh erfinv gamma gammaln _polygamma
    reciprocal rsqrt rcbrt square _rdiv_scalar _power _power_scalar _rpower_scalar broadcast_power
    _hypot _hypot_scalar broadcast_hypot
    sum mean prod nansum nanprod norm moments multi_sum_sq _cumsum _np_cumsum
    softmax log_softmax softmin SoftmaxActivation InstanceNorm LayerNorm GroupNorm L2Normalization LRN
    SoftmaxOutput LinearRegressionOutput LogisticRegressionOutput MAERegressionOutput SVMOutput
    MakeLoss make_loss smooth_l1 softmax_cross_entropy
    argmax argmin argmax_channel argsort topk Custom""".split())
#: The beginnings of the names of more such operators: densities, decompositions.
FLOAT32_PREFIXES = ("_random_pdf_", "_linalg_")

#: (operator, parameter, values with which it wants float32).
CONDITIONAL = (("Activation", "act_type", ["softrelu"]), ("LeakyReLU", "act_type", ["elu", "selu"]))

#: Operators whose gradient starts in them, so that a scaled loss does not scale it.
LOSS_OUTPUTS = ("SoftmaxOutput", "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput")

#: Inputs that are lengths or conditions and stay as they are.
KEPT = {"RNN": ("sequence_length",), "where": ("condition",)}

WIDEST = "widest"


def is_float32(op):
    """Whether an operator computes in float32 by default."""
    return op.name in FLOAT32 or op.name.startswith(FLOAT32_PREFIXES)


def takes_one_dtype(op):
    """Whether an operator has several inputs that must have one dtype.

    Those with a rule for dtypes take inputs of different ones; those made of others, or with graphs of their own, are
    what is in them.
    """
    return op.name == "where" or ((op.variadic or len(op.inputs) > 1)
                                  and not {"infer_type", "compose", "run"} & op.rules.keys())


class Precision:
    """The rule of mixed precision.

    Products compute in the 16-bit dtype, what needs the range or the digits in float32, and operators whose inputs must
    have one dtype in the widest that they are given. Other operators compute in what they get. Integers and float64
    are left alone, and so is an input that the operator changes.

    Parameters
    ----------
    dtype : dtype
        float16 or bfloat16.
    low, float32 : sequence of str, optional
        Operators that compute in ``dtype``, or in float32, instead of the default ones.
    conditional : sequence of (str, str, list of str), optional
        Operator, parameter, and the values with which it computes in float32; instead of the default ones.

    Attributes
    ----------
    scales_loss : bool
        Whether a trainer scales losses, which those that start a gradient of their own do not notice: they warn.
    """

    def __init__(self, dtype, low=None, float32=None, conditional=None):
        try:
            self.dtype = dtype_name(dtype)
        except MXNetTypeError:
            self.dtype = None
        if self.dtype not in ("float16", "bfloat16"):
            raise MXNetValueError(f"target_dtype is {dtype!r}; expected 'float16' or 'bfloat16'")
        self.scales_loss = False
        default32 = {op.name for op in REGISTRY.values() if is_float32(op)}
        given = {what: canonical(what, names) for what, names in
                 (("target_dtype_ops", low), ("fp32_ops", float32),
                  ("conditional_fp32_ops", conditional and [name for name, *_ in conditions(conditional)]))}
        seen = {}
        for what, names in given.items():
            for name in names or ():
                if seen.setdefault(name, what) != what:
                    raise MXNetValueError(f"{name} is in {seen[name]} and in {what}; an operator can be in one of them")
        # An operator in a list that was given is in none of the default ones.
        self.low = LOW - seen.keys() if low is None else given["target_dtype_ops"]
        self.float32 = default32 - seen.keys() if float32 is None else given["fp32_ops"]
        self.conditional = {}
        for name, key, values in CONDITIONAL if conditional is None else conditional:
            if conditional is not None or name not in seen:
                self.conditional.setdefault(lookup(name).name, []).append((key, [str(value) for value in values]))

    def __eq__(self, other):
        return isinstance(other, Precision) and \
            (self.dtype, self.low, self.float32, self.conditional) == \
            (other.dtype, other.low, other.float32, other.conditional)

    __hash__ = object.__hash__

    def wanted(self, op, params):
        """The dtype of the inputs of an operator with these parsed parameters, "widest", or None for any."""
        if any(str(params[key]) in values for key, values in self.conditional.get(op.name, ())):
            return "float32"
        return self.by_default(op)

    def by_default(self, op):
        """The same, of an operator whose parameters do not matter."""
        if op.name in self.low:
            return self.dtype
        if op.name in self.float32:
            return "float32"
        return WIDEST if takes_one_dtype(op) else None

    def conversions(self, op, params, dtypes, out=None):
        """What to convert the inputs of a call to.

        Parameters
        ----------
        op : Operator
        params : dict
            Parsed.
        dtypes : sequence of str
            Of the inputs.
        out : str, optional
            The dtype of an array that the result is written to: then that decides.

        Returns
        -------
        tuple of str or None
            For each input its dtype, None if it stays; or None if all stay.
        """
        if self.scales_loss and op.name in LOSS_OUTPUTS:
            warnings.warn(f"{op.name} starts a gradient of its own, which amp.scale_loss() does not scale but the "
                          "Trainer's step divides: use a loss of gluon.loss instead", stacklevel=3)
        floats = [dtype for dtype in dtypes if dtype in FLOATS]
        if not floats or "float64" in floats:
            return None
        dtype = self.wanted(op, params)
        if dtype is None:
            return None
        names = op.input_names(params, len(dtypes))
        changed, kept = op.changed_inputs(params, names), KEPT.get(op.name, ())
        floats = [given if given in FLOATS and i not in changed and name not in kept else None
                  for i, (given, name) in enumerate(zip(dtypes, names))]
        if out is not None:
            if out not in FLOATS:
                return None
            dtype = out
        elif dtype == WIDEST:
            dtype = max(filter(None, floats), key=FLOATS.index, default=None)
        found = tuple(dtype if given not in (None, dtype) else None for given in floats)
        return found if any(found) else None


def canonical(what, names):
    """The registered names of operators in a list that was given; None if none was."""
    if names is None:
        return None
    if isinstance(names, str):
        raise MXNetTypeError(f"{what} is {names!r}; expected a list of names of operators")
    return {lookup(name).name for name in names}


def conditions(given):
    """Checked: (operator, parameter, values) each."""
    for item in given:
        if not isinstance(item, (tuple, list)) or len(item) != 3 or not isinstance(item[2], (tuple, list)):
            raise MXNetTypeError(f"conditional_fp32_ops holds {item!r}; expected (operator, parameter, list of values)")
        op = lookup(item[0])
        if item[1] not in op.params:
            raise MXNetValueError(f"conditional_fp32_ops: {op.name} has no parameter {item[1]!r}; it has "
                                  f"{', '.join(op.params) or 'none'}")
    return given
