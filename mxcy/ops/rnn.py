"""Recurrent layers: `RNN`, all steps of all layers in one call, and the vector that holds its parameters."""
from mxcy.base import MXNetError, MXNetValueError
from mxcy.ops import _rnn as kernel
from mxcy.ops import _shape
from mxcy.ops.joining import split_back
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}
CLIP = Param(float, None, doc="Bound of the LSTM's cells; goes with the other one.")

rnn = Operator(
    "RNN", "data parameters state state_cell? sequence_length?",
    """Recurrent layers on sequences: all steps of all layers and directions.

    ``data`` is (T, N, features). With H = ``state_size``, R = ``projection_size`` or else H, D directions and L layers,
    ``out`` is (T, N, D R), ``state`` (L D, N, R) and, of an LSTM, ``state_cell`` (L D, N, H). A step from h to h' is

    - ``rnn_relu``, ``rnn_tanh``: h' = f(Wx + Vh), f being relu or tanh,
    - ``lstm`` [1]_: i, f, o = sigmoid(Wx + Vh), g = tanh(Wx + Vh), c' = f c + i g, h' = o tanh(c'); a projection P [2]_
      makes that h' = P (o tanh(c')),
    - ``gru`` [3]_: r, z = sigmoid(Wx + Vh), n = tanh(Wx + r Vh), h' = (1 - z) n + z h,

    where each W x and V h has its own rows of the weights and its own bias. ``parameters`` joins all weights, layer by
    layer and in it direction by direction: W (G H, features), V (G H, R), P (R, H), with the G gates in the order given
    above (i, f, g, o; r, z, n); then all biases, in the same order: of W (G H,), of V (G H,).

    Notes
    -----
    Of samples that are shorter than T the outputs after the end are zeros, the final states are those at their ends,
    and the backward direction begins there.

    References
    ----------
    .. [1] Hochreiter, Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
    .. [2] Sak, Senior, Beaufays, "Long Short-Term Memory Based Recurrent Neural Network Architectures for Large
       Vocabulary Speech Recognition", arXiv:1402.1128, 2014.
    .. [3] Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
       arXiv:1406.1078, 2014.""",
    outputs="out state_output statecell_output reserve", visible=1, random=True,
    state_size=Param(int, min=1, doc="Size of the state of each layer."),
    num_layers=Param(int, min=1, max=4096, doc="Number of layers; each feeds the next."),
    bidirectional=Param(bool, False, doc="Whether each layer also runs from the end to the beginning; both outputs "
                                         "are joined."),
    mode=Param(str, choices=tuple(GATES), doc="The kind of cell."),
    p=Param(float, 0., min=0, max=1, doc="Probability of an output of any layer but the last to be dropped, in "
                                         "training."),
    state_outputs=Param(bool, False, doc="Also return the final states."),
    projection_size=Param(int, None, min=1, doc="Size of the LSTM's projection."),
    lstm_state_clip_min=CLIP, lstm_state_clip_max=CLIP,
    lstm_state_clip_nan=Param(bool, False, doc="Whether clipping makes a NaN the lower bound."),
    use_sequence_length=Param(bool, False, doc="Whether ``sequence_length`` is given, of shape (N,)."))


@rnn.check
def rnn_check(mode, projection_size, lstm_state_clip_min, lstm_state_clip_max):
    if projection_size is not None and mode != "lstm":
        raise MXNetValueError(f"RNN: projection_size={projection_size} is for mode 'lstm', not {mode!r}")
    if (lstm_state_clip_min is None) != (lstm_state_clip_max is None):
        raise MXNetValueError("RNN: lstm_state_clip_min and lstm_state_clip_max go together; give both or none")
    if lstm_state_clip_min is not None and not lstm_state_clip_min <= lstm_state_clip_max:
        raise MXNetValueError(f"RNN: lstm_state_clip_min={lstm_state_clip_min} is above "
                              f"lstm_state_clip_max={lstm_state_clip_max}")


@rnn.inputs_given
def rnn_inputs(mode, use_sequence_length):
    return ("data parameters state" + (" state_cell" if mode == "lstm" else "")
            + (" sequence_length" if use_sequence_length else ""))


@rnn.outputs_given
def rnn_outputs(mode, state_outputs):
    return 4, 1 if not state_outputs else 3 if mode == "lstm" else 2


@rnn.infer_shape
def rnn_shape(data, state_size, num_layers, bidirectional, mode, p, projection_size, use_sequence_length):
    if len(data) != 3:
        raise MXNetValueError(f"RNN: data has shape {data}; expected (steps, batch, features)")
    steps, batch, features = data
    gates, units, directions = GATES[mode] * state_size, projection_size or state_size, 2 if bidirectional else 1
    weights = 0
    for layer in range(num_layers):
        inputs = directions * units if layer else features
        weights += gates * (inputs + units) + (units * state_size if projection_size else 0)
    out = (steps, batch, directions * units)
    state, cell = (num_layers * directions, batch, units), (num_layers * directions, batch, state_size)
    each = gates + (state_size if mode in ("lstm", "gru") else 0)
    between = (num_layers - 1) * directions * units * (2 if p > 0 else 1)
    shapes = dict(parameters=(directions * (weights + num_layers * 2 * gates),), state=state, out=out,
                  state_output=state, statecell_output=(0,),
                  reserve=(steps * batch * (num_layers * directions * each + between),))
    if mode == "lstm":
        shapes.update(state_cell=cell, statecell_output=cell)
    if use_sequence_length:
        shapes.update(sequence_length=(batch,))
    return shapes


@rnn.infer_type
def rnn_type(data, parameters, state, mode):
    dtype = data or parameters or state
    types = dict.fromkeys(("data", "parameters", "state", *rnn.outputs), dtype)
    return dict(types, state_cell=dtype) if mode == "lstm" else types


@rnn.gradient
def rnn_gradient(F, gs, data, parameters, state, state_cell, sequence_length, out, reserve, mode, use_sequence_length,
                 state_size, num_layers, bidirectional, p, projection_size, lstm_state_clip_min, lstm_state_clip_max,
                 lstm_state_clip_nan):
    g, g_state, g_cell = (*gs, None, None)[:3]
    g = F.zeros_like(out) if g is None else g
    g_state = F.zeros_like(state) if g_state is None else g_state
    g_cell = F.zeros_like(state_cell) if g_cell is None and mode == "lstm" else g_cell
    return tuple(F._backward_RNN(
        g, g_state, g_cell, data, parameters, state, state_cell, sequence_length, out, reserve, mode=mode,
        use_sequence_length=use_sequence_length, state_size=state_size, num_layers=num_layers,
        bidirectional=bidirectional, p=p, projection_size=projection_size, lstm_state_clip_min=lstm_state_clip_min,
        lstm_state_clip_max=lstm_state_clip_max, lstm_state_clip_nan=lstm_state_clip_nan))


rnn.cpu = kernel.rnn

rnn_backward = Operator(
    "_backward_RNN", "g g_state g_cell? data parameters state state_cell? sequence_length? out reserve",
    "Gradients of RNN.", outputs="data_grad parameters_grad state_grad cell_grad",
    **{key: param for key, param in rnn.params.items() if key != "state_outputs"})


@rnn_backward.inputs_given
def _(mode, use_sequence_length):
    return f"g g_state{' g_cell' if mode == 'lstm' else ''} {rnn_inputs(mode, use_sequence_length)} out reserve"


@rnn_backward.outputs_given
def _(mode):
    return (4, 4) if mode == "lstm" else (3, 3)


@rnn_backward.infer_shape
def _(data, parameters, state, state_cell, mode):
    return [data, parameters, state, *([state_cell] if mode == "lstm" else [])]


@rnn_backward.infer_type
def _(data, mode):
    return [data] * (4 if mode == "lstm" else 3)


@rnn_backward.gradient
def _(F):
    raise MXNetError("RNN has no second derivative. Use the cells of gluon.rnn, whose gradients are made of operators, "
                     "or leave create_graph out.")


rnn_backward.cpu = kernel.rnn_backward

# -- the vector of parameters ------------------------------------------------------------------------------------------

param_concat = Operator(
    "_rnn_param_concat", "*data", "Join the weights and biases of a recurrent layer, in the order that `RNN` wants.",
    num_args=Param(int, None, min=1, doc="Number of arrays; counted if not given."),
    dim=Param(int, 1, doc="The axis; 0."))


@param_concat.infer_shape
def _(data, dim):
    if dim != 0 or any(len(shape) != 1 for shape in data):
        raise MXNetValueError(f"_rnn_param_concat: the arrays have shapes {data} and dim is {dim}; expected arrays of "
                              f"one axis and dim=0")
    return (sum(shape[0] for shape in data),)


@param_concat.gradient
def _(F, g, data):
    return split_back(F, g, [x.shape[0] for x in data], 0)


param_concat.cpu = _shape.join
