"""RNN, LSTM and GRU: whole sequences through all layers and directions, by the operator ``RNN``."""
from mxcy import nd, sym
from mxcy.base import MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.rnn.cell import _make_state
from mxcy.gluon.rnn.cells import GRUCell, LSTMCell, RNNCell
from mxcy.gluon.rnn.containers import BidirectionalCell, HybridSequentialRNNCell
from mxcy.gluon.rnn.modifiers import DropoutCell
from mxcy.nd import NDArray

__all__ = ["RNN", "LSTM", "GRU"]

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}


class _Layer(HybridBlock):
    """What the three have in common: parameters for each layer and direction, states, the call of the operator."""

    def __init__(self, hidden_size, num_layers, layout, dropout, bidirectional, input_size, i2h_weight_initializer,
                 h2h_weight_initializer, i2h_bias_initializer, h2h_bias_initializer, mode, projection_size=None,
                 h2r_weight_initializer=None, state_clip_min=None, state_clip_max=None, state_clip_nan=False,
                 dtype="float32", use_sequence_length=False, **kwargs):
        super().__init__(**kwargs)
        if layout not in ("TNC", "NTC"):
            raise MXNetValueError(f"{type(self).__name__}: layout is {layout!r}; expected 'TNC' or 'NTC'")
        self._hidden_size, self._projection_size, self._num_layers = hidden_size, projection_size, num_layers
        self._mode, self._layout, self._dropout, self._input_size = mode, layout, dropout, input_size
        self._dir, self._gates, self._dtype = 2 if bidirectional else 1, GATES[mode], dtype
        self._clip = dict(lstm_state_clip_min=state_clip_min, lstm_state_clip_max=state_clip_max,
                          lstm_state_clip_nan=state_clip_nan)
        self._use_sequence_length = use_sequence_length
        self._initializers = dict(
            i2h_weight_initializer=i2h_weight_initializer, h2h_weight_initializer=h2h_weight_initializer,
            i2h_bias_initializer=i2h_bias_initializer, h2h_bias_initializer=h2h_bias_initializer)
        rows, units = self._gates * hidden_size, projection_size or hidden_size
        for layer in range(num_layers):
            features = units * self._dir if layer else input_size
            for name in self._directions(layer):
                self._make(f"{name}_i2h_weight", (rows, features), i2h_weight_initializer)
                self._make(f"{name}_h2h_weight", (rows, units), h2h_weight_initializer)
                if projection_size:
                    self._make(f"{name}_h2r_weight", (projection_size, hidden_size), h2r_weight_initializer)
                self._make(f"{name}_i2h_bias", (rows,), i2h_bias_initializer)
                self._make(f"{name}_h2h_bias", (rows,), h2h_bias_initializer)
        parts = ("i2h_weight", "h2h_weight", *(["h2r_weight"] if projection_size else []))
        self._order = [f"{name}_{part}" for group in (parts, ("i2h_bias", "h2h_bias")) for layer in range(num_layers)
                       for name in self._directions(layer) for part in group]

    def _directions(self, layer):
        return [f"{side}{layer}" for side in "lr"[:self._dir]]

    def _make(self, name, shape, init):
        setattr(self, name, self.params.get(name, shape=shape, init=init, dtype=self._dtype, allow_deferred_init=True))

    def cast(self, dtype):
        super().cast(dtype)
        self._dtype = dtype

    def state_info(self, batch_size=0):
        """Shape, layout and dtype of each state, as a list of dicts."""
        first = self._num_layers * self._dir, batch_size, self._projection_size or self._hidden_size
        sizes = [first, (*first[:2], self._hidden_size)] if self._mode == "lstm" else [first]
        return [{"shape": size, "__layout__": "LNC", "dtype": self._dtype} for size in sizes]

    def begin_state(self, batch_size=0, func=nd.zeros, **kwargs):
        """The states before the first step.

        Parameters
        ----------
        batch_size : int
        func : callable
            Makes a state from a shape: `mx.nd.zeros`, `mx.sym.zeros`, `mx.sym.var`, ...
        **kwargs
            Passed to ``func``.

        Returns
        -------
        list of NDArray or list of Symbol
        """
        return [_make_state(func, f"{self.prefix}h0_{i}", info, kwargs)
                for i, info in enumerate(self.state_info(batch_size))]

    def infer_shape(self, inputs, *args):
        """Complete the shapes of the first layer's weights."""
        if len(inputs.shape) != 3:
            raise MXNetValueError(f"{type(self).__name__}: inputs have shape {inputs.shape}; expected three axes, "
                                  f"{self._layout}")
        for name in self._directions(0):
            getattr(self, f"{name}_i2h_weight").shape = (self._gates * self._hidden_size, inputs.shape[2])

    def __call__(self, inputs, states=None, sequence_length=None):
        """Run the layers over sequences.

        Parameters
        ----------
        inputs : NDArray or Symbol
            (steps, batch, features), or as ``layout`` says.
        states : NDArray, Symbol or list of them, optional
            The states before the first step; zeros if not given.
        sequence_length : NDArray or Symbol, optional
            Length of each sample, if the layer was made with ``use_sequence_length=True``.

        Returns
        -------
        output : NDArray or Symbol
            (steps, batch, directions * hidden_size), or as ``layout`` says.
        states : list of NDArray or list of Symbol
            After the last step; not returned if none were given.
        """
        given = states is not None
        if not given:
            if isinstance(inputs, NDArray):
                batch = inputs.shape[self._layout.find("N")] if len(inputs.shape) == 3 else 0
                states = self.begin_state(batch, ctx=inputs.context, dtype=inputs.dtype_name)
            else:
                states = self.begin_state(0, func=sym.zeros)
        if not isinstance(states, (list, tuple)):
            states = [states]
        self._check(inputs, states)
        if self._use_sequence_length:
            output, after = super().__call__(inputs, states, sequence_length)
        else:
            output, after = super().__call__(inputs, states)
        return (output, after) if given else output

    def _check(self, inputs, states):
        if not isinstance(inputs, NDArray):
            return
        if len(inputs.shape) != 3:
            raise MXNetValueError(f"{type(self).__name__}: inputs have shape {inputs.shape}; expected three axes, "
                                  f"{self._layout}")
        wanted = self.state_info(inputs.shape[self._layout.find("N")])
        if [state.shape for state in states] != [info["shape"] for info in wanted]:
            raise MXNetValueError(f"{type(self).__name__}: the states have shapes {[s.shape for s in states]}; inputs "
                                  f"of shape {inputs.shape} need {[info['shape'] for info in wanted]}")

    def hybrid_forward(self, F, inputs, states, sequence_length=None, **params):
        if self._layout == "NTC":
            inputs = F.swapaxes(inputs, dim1=0, dim2=1)
        packed = F._internal._rnn_param_concat(*[F.reshape(params[name], shape=(-1,)) for name in self._order], dim=0)
        more = {"state_cell": states[1]} if self._mode == "lstm" else {}
        if self._use_sequence_length:
            more["sequence_length"] = sequence_length
        output, *after = F.RNN(
            inputs, packed, state=states[0], **more, use_sequence_length=self._use_sequence_length,
            state_size=self._hidden_size, projection_size=self._projection_size, num_layers=self._num_layers,
            bidirectional=self._dir == 2, p=self._dropout, state_outputs=True, mode=self._mode, **self._clip)
        if self._layout == "NTC":
            output = F.swapaxes(output, dim1=0, dim2=1)
        return output, after

    def unfuse(self):
        """The same layers as a `HybridSequentialRNNCell` of cells that share the parameters."""
        if self._projection_size or self._clip["lstm_state_clip_min"] is not None:
            raise MXNetValueError(f"{self.name}: cells have no projection and no clipping, so it cannot be unfused")
        stack = HybridSequentialRNNCell(prefix=self.prefix, params=self.params)
        with stack.name_scope():
            for layer in range(self._num_layers):
                features = self._hidden_size * self._dir if layer else self._input_size
                cells = [self._cell(f"{name}_", features) for name in self._directions(layer)]
                stack.add(BidirectionalCell(*cells) if self._dir == 2 else cells[0])
                if self._dropout > 0 and layer < self._num_layers - 1:
                    stack.add(DropoutCell(self._dropout))
        return stack

    _unfuse = unfuse

    def _cell(self, prefix, features):
        if self._mode in ("lstm", "gru"):
            kind, more = {"lstm": LSTMCell, "gru": GRUCell}[self._mode], {}
        else:
            kind, more = RNNCell, {"activation": self._mode.removeprefix("rnn_")}
        return kind(self._hidden_size, input_size=features, prefix=prefix, **more, **self._initializers)

    def __repr__(self):
        parts = [f"{self.l0_i2h_weight.shape[1] or None} -> {self._hidden_size}", self._layout]
        if self._num_layers != 1:
            parts.append(f"num_layers={self._num_layers}")
        if self._dropout:
            parts.append(f"dropout={self._dropout}")
        if self._dir == 2:
            parts.append("bidirectional")
        return f"{type(self).__name__}({', '.join(parts)})"


class RNN(_Layer):
    """Layers of plain recurrent units, ``h' = activation(W x + V h)``.

    Parameters
    ----------
    hidden_size : int
        Size of the state of each layer and direction.
    num_layers : int
        Layers; each feeds the next.
    activation : {'relu', 'tanh'}
    layout : {'TNC', 'NTC'}
        Order of time, batch and features.
    dropout : float
        Share of the outputs of every layer but the last that is dropped in training.
    bidirectional : bool
        Whether each layer also runs from the last step to the first.
    i2h_weight_initializer, h2h_weight_initializer : Initializer or str, optional
    i2h_bias_initializer, h2h_bias_initializer : Initializer or str, optional
    input_size : int
        Number of features; 0: learned from the data.
    dtype : str
    **kwargs
        ``use_sequence_length=True``: calls take the length of each sample. ``prefix``, ``params``: as of any block.
    """

    def __init__(self, hidden_size, num_layers=1, activation="relu", layout="TNC", dropout=0, bidirectional=False,
                 i2h_weight_initializer=None, h2h_weight_initializer=None, i2h_bias_initializer="zeros",
                 h2h_bias_initializer="zeros", input_size=0, dtype="float32", **kwargs):
        super().__init__(hidden_size, num_layers, layout, dropout, bidirectional, input_size, i2h_weight_initializer,
                         h2h_weight_initializer, i2h_bias_initializer, h2h_bias_initializer, "rnn_" + activation,
                         dtype=dtype, **kwargs)


class LSTM(_Layer):
    """Layers of long short-term memory; see `LSTMCell`.

    Parameters
    ----------
    hidden_size : int
        Size of the state of each layer and direction.
    num_layers : int
        Layers; each feeds the next.
    layout : {'TNC', 'NTC'}
        Order of time, batch and features.
    dropout : float
        Share of the outputs of every layer but the last that is dropped in training.
    bidirectional : bool
        Whether each layer also runs from the last step to the first.
    input_size : int
        Number of features; 0: learned from the data.
    i2h_weight_initializer, h2h_weight_initializer : Initializer or str, optional
    i2h_bias_initializer, h2h_bias_initializer : Initializer or str, optional
    projection_size : int, optional
        Each output is projected to so many units.
    h2r_weight_initializer : Initializer or str, optional
        Of the projection.
    state_clip_min, state_clip_max : float, optional
        Bounds of the cells.
    state_clip_nan : bool
        Whether clipping makes a NaN the lower bound.
    dtype : str
    **kwargs
        ``use_sequence_length=True``: calls take the length of each sample. ``prefix``, ``params``: as of any block.
    """

    def __init__(self, hidden_size, num_layers=1, layout="TNC", dropout=0, bidirectional=False, input_size=0,
                 i2h_weight_initializer=None, h2h_weight_initializer=None, i2h_bias_initializer="zeros",
                 h2h_bias_initializer="zeros", projection_size=None, h2r_weight_initializer=None, state_clip_min=None,
                 state_clip_max=None, state_clip_nan=False, dtype="float32", **kwargs):
        super().__init__(hidden_size, num_layers, layout, dropout, bidirectional, input_size, i2h_weight_initializer,
                         h2h_weight_initializer, i2h_bias_initializer, h2h_bias_initializer, "lstm", projection_size,
                         h2r_weight_initializer, state_clip_min, state_clip_max, state_clip_nan, dtype, **kwargs)


class GRU(_Layer):
    """Layers of gated recurrent units; see `GRUCell`.

    Parameters
    ----------
    hidden_size : int
        Size of the state of each layer and direction.
    num_layers : int
        Layers; each feeds the next.
    layout : {'TNC', 'NTC'}
        Order of time, batch and features.
    dropout : float
        Share of the outputs of every layer but the last that is dropped in training.
    bidirectional : bool
        Whether each layer also runs from the last step to the first.
    input_size : int
        Number of features; 0: learned from the data.
    i2h_weight_initializer, h2h_weight_initializer : Initializer or str, optional
    i2h_bias_initializer, h2h_bias_initializer : Initializer or str, optional
    dtype : str
    **kwargs
        ``use_sequence_length=True``: calls take the length of each sample. ``prefix``, ``params``: as of any block.
    """

    def __init__(self, hidden_size, num_layers=1, layout="TNC", dropout=0, bidirectional=False, input_size=0,
                 i2h_weight_initializer=None, h2h_weight_initializer=None, i2h_bias_initializer="zeros",
                 h2h_bias_initializer="zeros", dtype="float32", **kwargs):
        super().__init__(hidden_size, num_layers, layout, dropout, bidirectional, input_size, i2h_weight_initializer,
                         h2h_weight_initializer, i2h_bias_initializer, h2h_bias_initializer, "gru", dtype=dtype,
                         **kwargs)
