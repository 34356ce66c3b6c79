"""SymbolBlock: a symbol as a block; networks from files."""
import os

from mxcy import sym
from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.dtype import dtype_name
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.parameter_dict import ParameterDict
from mxcy.gluon.structure import flatten, regroup
from mxcy.gluon.trace import Trace, single
from mxcy.nd import NDArray
from mxcy.symbol.symbol import Symbol

__all__ = ["SymbolBlock"]


class SymbolBlock(HybridBlock):
    """A symbol as a block: its variables other than the inputs become parameters.

    Parameters
    ----------
    outputs : Symbol or nested list of Symbol
        What the block gives.
    inputs : Symbol or nested list of Symbol
        Variables, the arguments of a call.
    params : ParameterDict, optional
        Parameters to share.

    Examples
    --------
    >>> x = mx.sym.var("data")
    >>> net = gluon.SymbolBlock(mx.sym.FullyConnected(x, num_hidden=3, name="dense"), x)
    >>> net.initialize()
    >>> net(nd.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, outputs, inputs, params=None):
        super().__init__(prefix="")
        self._params = ParameterDict("", params)
        variables, results = [], []
        flatten(inputs, Symbol, variables, "the inputs of a SymbolBlock")
        outputs = outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs
        self._out_form = flatten(single(outputs), Symbol, results, "the outputs of a SymbolBlock")
        for variable in variables:
            if not variable.heads[0].node.is_variable:
                raise MXNetValueError(f"SymbolBlock: the input {variable.name!r} is the result of an operator; inputs "
                                      "must be variables")
        self._names = [variable.name for variable in variables]
        self._symbol = results[0] if len(results) == 1 else sym.Group(results)
        dtypes, _, aux_dtypes = self._symbol.infer_type()
        for names, types, settings in (
                (self._symbol.list_arguments(), dtypes, {}),
                (self._symbol.list_auxiliary_states(), aux_dtypes, {"grad_req": "null"})):
            for name, dtype in zip(names, types):
                if name not in self._names:
                    self.params.get(name, allow_deferred_init=True, dtype=dtype, **settings)
        common = len(os.path.commonprefix(list(self.params.keys())))
        self._reg_params = {name[common:]: param for name, param in self.params.items()}

    @staticmethod
    def imports(symbol_file, input_names, param_file=None, ctx=None, allow_missing=False, ignore_extra=False):
        """Read a network that `HybridBlock.export` or ``Module.save_checkpoint`` wrote, here or in MXNet.

        Parameters
        ----------
        symbol_file : str
            Of the graph, ``<name>-symbol.json``.
        input_names : str or list of str
            Which variables are arguments.
        param_file : str, optional
            Of the values, ``<name>-0000.params``.
        ctx : Context or list of Context, optional
            Devices for the parameters.
        allow_missing, ignore_extra : bool
            Whether the file may lack parameters, or have others.

        Returns
        -------
        SymbolBlock
        """
        names = [input_names] if isinstance(input_names, str) else list(input_names)
        symbol = sym.load(symbol_file)
        block = SymbolBlock(symbol, [sym.var(name) for name in names])
        missing = [name for name in names if name not in symbol.list_inputs()]
        if missing:
            raise MXNetValueError(f"{symbol_file}: {missing[0]!r} is not among the variables of the graph."
                                  f"{nearest(missing[0], symbol.list_inputs())}")
        if param_file is not None:
            block.collect_params().load(param_file, ctx, allow_missing, ignore_extra, cast_dtype=True,
                                        dtype_source="saved")
        return block

    def __repr__(self):
        return (f"{type(self).__name__}(\n{self._symbol!r} : {len(self._names)} -> "
                f"{len(self._symbol.list_outputs())}\n)")

    def forward(self, *args):
        """Run the graph on arrays, or compose it with symbols."""
        values = []
        form = flatten(args, (NDArray, Symbol), values, "the arguments of a SymbolBlock")
        if len(values) != len(self._names):
            raise MXNetTypeError(f"this SymbolBlock takes {len(self._names)} arguments ({', '.join(self._names)}); got "
                                 f"{len(values)}")
        if all(isinstance(value, NDArray) for value in values):
            return self._compiled_for(form, values)(values)
        composed = self._symbol(**dict(zip(self._names, values)))
        return regroup(self._out_form, iter(composed))

    def _trace(self, form, arrays):
        trace = Trace(self, arrays, self._names)
        trace.keep(self._symbol, self._out_form)
        return trace

    def reset_ctx(self, ctx):
        """Move all parameters to other devices."""
        self.collect_params().reset_ctx(ctx)

    def cast(self, dtype):
        super().cast(dtype)
        if dtype_name(dtype) not in ("float16", "bfloat16"):
            return
        params = self.params
        for name in list(params.keys()):                    # statistics of 16-bit data are kept in float32
            stem = next((name.removesuffix(end) for end in ("running_var", "moving_var") if name.endswith(end)), None)
            own = [] if stem is None else [stem + part for part in (name[len(stem):].replace("var", "mean"), "gamma",
                                                                    "beta")]
            if own and all(other in params for other in own):
                for other in (name, *own):
                    params[other].cast("float32")
