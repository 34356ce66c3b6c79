"""Networks in float32 as networks in mixed precision, with the casts in their graphs."""
from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.dtype import NAMES
from mxcy.gluon import HybridBlock, SymbolBlock
from mxcy.graph.amp import insert_casts
from mxcy.module import BucketingModule
from mxcy.ops.precision import Precision
from mxcy.symbol.symbol import Symbol, var

__all__ = ["convert_bucketing_module", "convert_hybrid_block", "convert_model", "convert_symbol"]


def convert_symbol(sym, target_dtype="float16", target_dtype_ops=None, fp32_ops=None, conditional_fp32_ops=None,
                   excluded_sym_names=None, data_names=None, cast_optional_params=False):
    """A float32 symbol with casts, so that it computes in mixed precision.

    Parameters
    ----------
    sym : Symbol
    target_dtype : {'float16', 'bfloat16'}
    target_dtype_ops, fp32_ops, conditional_fp32_ops : list, optional
        Operators that compute in ``target_dtype``, and in float32; see `init`.
    excluded_sym_names : list of str, optional
        Names of nodes that go on computing in float32.
    data_names : list of str, optional
        The variables that are data; they stay float32.
    cast_optional_params : bool
        Let variables that are only used in ``target_dtype`` have it, rather than cast them at every call. Name the
        data then.

    Returns
    -------
    Symbol
        ``save(..., remove_amp_cast=False)`` writes it with its casts.
    """
    if not isinstance(sym, Symbol):
        raise MXNetTypeError(f"convert_symbol: sym is {type(sym).__name__}; expected a Symbol")
    precision = Precision(target_dtype, target_dtype_ops, fp32_ops, conditional_fp32_ops)
    graph = sym.graph
    excluded = _known_names(excluded_sym_names, _operators(sym), "excluded_sym_names")
    data = _known_names(data_names, [node.name for node in graph.variables], "data_names")
    return Symbol(insert_casts(graph, precision, dict.fromkeys(data, "float32"), excluded, cast_optional_params).heads)


def convert_model(sym, arg_params, aux_params, target_dtype="float16", target_dtype_ops=None, fp32_ops=None,
                  conditional_fp32_ops=None, excluded_sym_names=None, cast_optional_params=False):
    """A float32 model, such as `model.load_checkpoint` gives, as one in mixed precision.

    Parameters
    ----------
    sym : Symbol
    arg_params, aux_params : dict of str to NDArray
    target_dtype : {'float16', 'bfloat16'}
    target_dtype_ops, fp32_ops, conditional_fp32_ops : list, optional
        Operators that compute in ``target_dtype``, and in float32; see `init`.
    excluded_sym_names : list of str, optional
        Names of nodes that go on computing in float32.
    cast_optional_params : bool
        Convert the parameters that are only used in ``target_dtype``, rather than cast them at every call.

    Returns
    -------
    sym : Symbol
    arg_params, aux_params : dict of str to NDArray
    """
    for what, given in (("arg_params", arg_params), ("aux_params", aux_params)):
        if not isinstance(given, dict):
            raise MXNetTypeError(f"convert_model: {what} is {type(given).__name__}; expected a dict of arrays by name")
    data = [name for name in sym.list_inputs() if name not in arg_params and name not in aux_params]
    converted = convert_symbol(sym, target_dtype, target_dtype_ops, fp32_ops, conditional_fp32_ops, excluded_sym_names,
                               data, cast_optional_params)
    wanted = _dtypes(converted)
    return converted, _converted(arg_params, wanted), _converted(aux_params, wanted)


def convert_bucketing_module(bucketing_mod, target_dtype="float16", target_dtype_ops=None, fp32_ops=None,
                             conditional_fp32_ops=None, excluded_sym_names=None, cast_optional_params=False):
    """A float32 BucketingModule as one that computes in mixed precision, in all its buckets.

    Parameters
    ----------
    bucketing_mod : BucketingModule
        Bound, with parameters.
    target_dtype : {'float16', 'bfloat16'}
    target_dtype_ops, fp32_ops, conditional_fp32_ops : list, optional
        Operators that compute in ``target_dtype``, and in float32; see `init`.
    excluded_sym_names : list of str, optional
        Names of nodes of the default bucket that go on computing in float32, there and in other buckets.
    cast_optional_params : bool
        Convert the parameters that the default bucket only uses in ``target_dtype``, rather than cast them at every
        call.

    Returns
    -------
    BucketingModule
        Not bound yet, with the parameters.
    """
    if not isinstance(bucketing_mod, BucketingModule):
        raise MXNetTypeError(f"convert_bucketing_module: bucketing_mod is {type(bucketing_mod).__name__}; expected a "
                             "BucketingModule")
    arg_params, aux_params = bucketing_mod.get_params()
    default = bucketing_mod._symbol_of(bucketing_mod._default_bucket_key)[0]
    excluded = _known_names(excluded_sym_names, _operators(default), "excluded_sym_names")

    lists = target_dtype, target_dtype_ops, fp32_ops, conditional_fp32_ops
    converted, arg_params, aux_params = convert_model(default, arg_params, aux_params, *lists, excluded,
                                                      cast_optional_params)
    low = _dtypes(converted)

    def convert(symbol):
        names, inputs = _operators(symbol), symbol.list_inputs()
        converted = convert_symbol(symbol, *lists, [name for name in excluded if name in names],
                                   [name for name in inputs if name not in low], cast_optional_params)
        for name in low.keys() - _dtypes(converted).keys():
            if name in inputs:
                raise MXNetValueError(f"convert_bucketing_module: a bucket uses {name} in float32, which the default "
                                      f"bucket uses in {low[name]} only; pass cast_optional_params=False")
        return converted

    return bucketing_mod._like(convert, arg_params, aux_params)


def convert_hybrid_block(block, target_dtype="float16", target_dtype_ops=None, fp32_ops=None, conditional_fp32_ops=None,
                         excluded_sym_names=None, ctx=None, cast_optional_params=False):
    """A float32 block as one that computes in mixed precision, for prediction.

    Parameters
    ----------
    block : HybridBlock
        Hybridized, and called at least once.
    target_dtype : {'float16', 'bfloat16'}
    target_dtype_ops, fp32_ops, conditional_fp32_ops : list, optional
        Operators that compute in ``target_dtype``, and in float32; see `init`.
    excluded_sym_names : list of str, optional
        Names of nodes that go on computing in float32.
    ctx : Context or list of Context, optional
        Where the parameters of the result live; by default where those of the block do.
    cast_optional_params : bool
        Convert the parameters that are only used in ``target_dtype``, rather than cast them once beforehand.

    Returns
    -------
    SymbolBlock
    """
    if not isinstance(block, HybridBlock):
        raise MXNetTypeError(f"convert_hybrid_block: block is {type(block).__name__}; expected a HybridBlock")
    trace = block._last_trace("convert_hybrid_block")
    converted = convert_symbol(trace.symbol, target_dtype, target_dtype_ops, fp32_ops, conditional_fp32_ops,
                               excluded_sym_names, [name for name in trace.names if name in trace.symbol.list_inputs()],
                               cast_optional_params)
    made = SymbolBlock(converted, [var(name) for name in trace.names])
    wanted = _dtypes(converted)
    values = _converted({name: param._reduce() for name, param in trace.params.items()} | trace.constants, wanted)
    for name, param in made.collect_params().items():
        param.cast(values[name].dtype)
    if ctx is None and trace.params:
        ctx = next(iter(trace.params.values())).list_ctx()
    made.collect_params().load_dict(values, ctx)
    return made


def _converted(params, dtypes):
    """The arrays by name, in the dtypes that are given."""
    return {name: array.astype(dtypes.get(name, array.dtype), copy=False) for name, array in params.items()}


def _operators(symbol):
    """Names of the nodes that compute."""
    return [node.name for node in symbol.graph.nodes if node.op is not None]


def _known_names(names, known, what):
    """The names, each of which must be there."""
    names = [] if names is None else list(names)
    for name in names:
        if name not in known:
            raise MXNetValueError(f"{what}: the symbol has no {name!r}.{nearest(name, known)}")
    return names


def _dtypes(symbol):
    """The dtypes that variables say they have."""
    return {name: NAMES[int(attributes["__dtype__"])] for name, attributes in symbol.attr_dict().items()
            if attributes.get("__dtype__", "-1") != "-1" and name in symbol.list_inputs()}
