"""FusedRNNCell: recurrent layers by one operator, and how it keeps their weights."""
from mxcy import initializer, nd, sym
from mxcy.base import MXNetValueError
from mxcy.gluon.rnn.sequence import merge_steps, split_steps
from mxcy.rnn.cell import BaseRNNCell, take
from mxcy.rnn.cells import GRUCell, LSTMCell, RNNCell
from mxcy.rnn.containers import BidirectionalCell, SequentialRNNCell
from mxcy.rnn.modifiers import DropoutCell

__all__ = ["FusedRNNCell"]

GATES = {"rnn_relu": ("",), "rnn_tanh": ("",), "lstm": ("_i", "_f", "_c", "_o"), "gru": ("_r", "_z", "_o")}


class FusedRNNCell(BaseRNNCell):
    """Recurrent layers, all steps in one operator. Its variable ``<prefix>parameters`` holds all weights and biases.

    Parameters
    ----------
    num_hidden : int
    num_layers : int
    mode : {'rnn_relu', 'rnn_tanh', 'lstm', 'gru'}
    bidirectional : bool
    dropout : float
        Share of the outputs of every layer but the last that is dropped in training.
    get_next_state : bool
        Whether `unroll` returns the states after the last step.
    forget_bias : float
        What the biases of an LSTM's forget gates begin with.
    prefix : str, optional
        By default the mode and an underscore.
    params : RNNParams, optional
    """

    def __init__(self, num_hidden, num_layers=1, mode="lstm", bidirectional=False, dropout=0., get_next_state=False,
                 forget_bias=1.0, prefix=None, params=None):
        if mode not in GATES:
            raise MXNetValueError(f"FusedRNNCell: mode is {mode!r}; expected one of {', '.join(GATES)}")
        super().__init__(prefix=f"{mode}_" if prefix is None else prefix, params=params)
        self._num_hidden, self._num_layers, self._mode = num_hidden, num_layers, mode
        self._bidirectional, self._dropout, self._get_next_state = bidirectional, dropout, get_next_state
        self._sides = "lr" if bidirectional else "l"
        self._forget_bias = forget_bias
        self._parameter = self._params.get("parameters", init=initializer.FusedRNN(
            None, num_hidden, num_layers, mode, bidirectional, forget_bias))

    @property
    def state_info(self):
        shape = (len(self._sides) * self._num_layers, 0, self._num_hidden)
        return [{"shape": shape, "__layout__": "LNC"}] * (2 if self._mode == "lstm" else 1)

    @property
    def _gate_names(self):
        return GATES[self._mode]

    def __call__(self, inputs, states):
        """Not possible: see `unroll` and `unfuse`."""
        raise NotImplementedError("a FusedRNNCell cannot do single steps; use unroll, or the cells of unfuse()")

    def unroll(self, length, inputs, begin_state=None, layout="NTC", merge_outputs=None):
        self.reset()
        states = self.begin_state() if begin_state is None else begin_state
        inputs = merge_steps(inputs, layout)
        if layout == "NTC":
            inputs = sym.swapaxes(inputs, dim1=0, dim2=1)
        elif layout != "TNC":
            raise MXNetValueError(f"FusedRNNCell: layout is {layout!r}; expected 'NTC' or 'TNC'")
        more = {"state_cell": states[1]} if self._mode == "lstm" else {}
        result = sym.RNN(data=inputs, parameters=self._parameter, state=states[0], **more, state_size=self._num_hidden,
                         num_layers=self._num_layers, bidirectional=self._bidirectional, p=self._dropout,
                         state_outputs=self._get_next_state, mode=self._mode, name=f"{self._prefix}rnn")
        outputs, states = (result[0], list(result)[1:]) if self._get_next_state else (result, [])
        if layout == "NTC":
            outputs = sym.swapaxes(outputs, dim1=0, dim2=1)
        return split_steps(length, outputs, layout) if merge_outputs is False else outputs, states

    # -- weights -------------------------------------------------------------------------------------------------------

    def _parts(self, num_input):
        """(name, shape) of the pieces of the vector, in order."""
        h = self._num_hidden
        for part in ("weight", "bias"):
            for layer in range(self._num_layers):
                for side in self._sides:
                    for group in ("i2h", "h2h"):
                        columns = h if group == "h2h" else len(self._sides) * h if layer else num_input
                        for gate in self._gate_names:
                            yield (f"{self._prefix}{side}{layer}_{group}{gate}_{part}",
                                   (h, columns) if part == "weight" else (h,))

    def unpack_weights(self, args):
        args = dict(args)
        vector = take(args, f"{self._prefix}parameters")
        rows = len(self._sides) * len(self._gate_names) * self._num_hidden
        above = (self._num_layers - 1) * (self._num_hidden * (1 + len(self._sides)) + 2) + self._num_hidden + 2
        at = 0
        for name, shape in self._parts(vector.size // rows - above):
            size = shape[0] * shape[1] if len(shape) == 2 else shape[0]
            args[name] = vector[at:at + size].reshape(shape).copy()
            at += size
        if at != vector.size:
            raise MXNetValueError(f"{self._prefix}parameters has {vector.size} numbers, which do not fit this cell")
        return args

    def pack_weights(self, args):
        args = dict(args)
        first = f"{self._prefix}l0_i2h{self._gate_names[0]}_weight"
        if first not in args:
            raise MXNetValueError(f"parameter {first!r} is missing; there are {', '.join(sorted(args)) or 'none'}")
        pieces = [take(args, name).reshape(-1) for name, _ in self._parts(args[first].shape[1])]
        args[f"{self._prefix}parameters"] = nd.concat(*pieces, dim=0)
        return args

    def unfuse(self):
        """The same layers as a `SequentialRNNCell`; weights go over by `unpack_weights` and its `pack_weights`.

        Returns
        -------
        SequentialRNNCell
        """
        stack = SequentialRNNCell()
        for layer in range(self._num_layers):
            cells = [self._cell(f"{self._prefix}{side}{layer}_") for side in self._sides]
            stack.add(BidirectionalCell(*cells, output_prefix=f"{self._prefix}bi_l{layer}_") if self._bidirectional
                      else cells[0])
            if self._dropout > 0 and layer < self._num_layers - 1:
                stack.add(DropoutCell(self._dropout, prefix=f"{self._prefix}_dropout{layer}_"))
        return stack

    def _cell(self, prefix):
        if self._mode == "lstm":
            return LSTMCell(self._num_hidden, prefix=prefix, forget_bias=self._forget_bias)
        if self._mode == "gru":
            return GRUCell(self._num_hidden, prefix=prefix)
        return RNNCell(self._num_hidden, activation=self._mode.removeprefix("rnn_"), prefix=prefix)
