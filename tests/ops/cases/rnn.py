"""Cases of recurrent layers, against a step-by-step oracle."""
import numpy as np

from tests.ops.case import Case, const, normal

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(mode, a, b, h, c, clip):
    """(output before the projection, cells) from the products of x and of h, with their biases."""
    if mode == "lstm":
        i, f, g, o = np.split(a + b, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        c = np.clip(c, *clip) if clip else c
        return sigmoid(o) * np.tanh(c), c
    if mode == "gru":
        (ar, az, an), (br, bz, bn) = np.split(a, 3, axis=-1), np.split(b, 3, axis=-1)
        z = sigmoid(az + bz)
        return (1 - z) * np.tanh(an + sigmoid(ar + br) * bn) + z * h, c
    return (np.tanh(a + b) if mode == "rnn_tanh" else np.maximum(a + b, 0)), c


def oracle(data, parameters, state, *more, mode, state_size, num_layers, bidirectional=False, projection_size=None,
           state_outputs=False, use_sequence_length=False, lstm_state_clip_min=None, lstm_state_clip_max=None):
    more = list(more)
    cells = more.pop(0) if mode == "lstm" else np.zeros((len(state), data.shape[1], state_size))
    lengths = more.pop(0).astype(int) if use_sequence_length else [len(data)] * data.shape[1]
    gates, units, at = GATES[mode] * state_size, projection_size or state_size, 0
    clip = None if lstm_state_clip_min is None else (lstm_state_clip_min, lstm_state_clip_max)

    def take(*shape):
        nonlocal at
        at += int(np.prod(shape))
        return parameters[at - int(np.prod(shape)):at].reshape(shape)
    directions = 1 + bidirectional
    runs = range(num_layers * directions)
    weights = [(take(gates, directions * units if i >= directions else data.shape[2]), take(gates, units),
                take(units, state_size) if projection_size else np.eye(units)) for i in runs]
    biases = [(take(gates), take(gates)) for _ in runs]
    assert at == len(parameters)
    x, last, last_cells = data, np.zeros_like(state), np.zeros_like(cells)
    for layer in range(num_layers):
        outs = np.zeros((*x.shape[:2], directions * units))
        for d in range(directions):
            i = layer * directions + d
            for n, length in enumerate(lengths):
                h, c = state[i, n], cells[i, n]
                for t in range(length) if d == 0 else reversed(range(length)):
                    a, b = weights[i][0] @ x[t, n] + biases[i][0], weights[i][1] @ h + biases[i][1]
                    h, c = step(mode, a, b, h, c, clip)
                    h = weights[i][2] @ h
                    outs[t, n, d * units:(d + 1) * units] = h
                last[i, n], last_cells[i, n] = h, c
        x = outs
    return [x, last, last_cells][:3 if mode == "lstm" else 2] if state_outputs else x


def case(mode, layers=1, *, steps=3, batch=2, features=4, hidden=3, slack=8., **params):
    units, directions = params.get("projection_size") or hidden, 1 + params.get("bidirectional", False)
    gates, size = GATES[mode] * hidden, 0
    for layer in range(layers):
        inputs = directions * units if layer else features
        size += directions * (gates * (inputs + units + 2) + (units * hidden if "projection_size" in params else 0))
    inputs = [normal(steps, batch, features), normal(size), normal(layers * directions, batch, units)]
    if mode == "lstm":
        inputs.append(normal(layers * directions, batch, hidden))
    if params.get("use_sequence_length"):
        inputs.append(const(np.resize([steps, 1, 0, 2], batch), "int32"))
    params = {"mode": mode, "state_size": hidden, "num_layers": layers, **params}
    return Case("RNN", inputs, params, oracle, second=False, slack=slack, grad=tuple(range(4 if mode == "lstm" else 3)))


CASES = [
    *[case(mode, state_outputs=True) for mode in GATES],
    *[case(mode, 2, bidirectional=True, state_outputs=True) for mode in ("rnn_tanh", "lstm", "gru")],
    *[case(mode, 2, bidirectional=True, use_sequence_length=True, state_outputs=True, steps=4, batch=5)
      for mode in ("rnn_tanh", "lstm", "gru")],
    case("lstm", 2),
    case("lstm", 2, projection_size=2, bidirectional=True, state_outputs=True),
    case("lstm", projection_size=3),
    case("lstm", lstm_state_clip_min=-.4, lstm_state_clip_max=.5, state_outputs=True),
    case("gru", batch=1, steps=1, features=1),
    Case("_rnn_param_concat", [normal(6), normal(1), normal(4)], {"dim": 0}, lambda *parts, dim: np.concatenate(parts)),
]
