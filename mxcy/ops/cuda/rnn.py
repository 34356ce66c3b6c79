"""Recurrent layers: products over whole sequences, and for each step one product and one kernel for the cells.

Both directions of a layer go through their steps together, so that a step's product is a batch of two. For that the
weights of two directions are to lie one after the other: they are copied once for each layer. The running states lie in
the outputs for the final ones: the cells write them there, and the next product reads them.
"""
import functools
import struct

import numpy as np

from mxcy.dtype import CODES, NUMPY
from mxcy.gpu.recipe import RANDOM, TRAIN, launch
from mxcy.ops import _rnn as kernels
from mxcy.ops.cuda.elementwise import copy
from mxcy.ops.cuda.product import Matrix, multiply
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import copy_strided
from mxcy.ops.rnn import GATES

__all__ = []

X, H, PROJECTION = range(3)         # the weights of one direction, in this order
TILE = 256                          # elements that a tile of random numbers has, as in philox.h
BLOCKS = 512                        # that keep a device busy with sums of columns


class Layers:
    """Sizes of a call, and where the pieces of its tensors begin; as in mxcy/ops/_rnn.pyx.

    The output ``reserve`` holds for each layer the gates of all its directions, then the LSTM's cells or the GRU's part
    of h in n; then the outputs of all layers but the last; then, with dropout, the factors they were multiplied by.
    """

    def __init__(self, kernel, data, parameters, out, reserve, params, scratch, device):
        c_type(data, kernel, [name for name, code in CODES.items() if code in kernel.dtypes])
        self.params, self.dtype, self.itemsize = params, data.dtype, NUMPY[data.dtype].itemsize
        self.parameters, self.out, self.reserve = parameters, out, reserve
        self.scratch, self.device = scratch, device
        self.mode, self.count = params["mode"], params["num_layers"]
        self.steps, self.batch, self.features = data.shape
        self.rows, self.hidden = self.steps * self.batch, params["state_size"]
        self.projects = params["projection_size"] is not None
        self.units = params["projection_size"] or self.hidden
        self.gates, self.directions = GATES[self.mode] * self.hidden, 2 if params["bidirectional"] else 1
        self.width = self.directions * self.units               # of a layer's output
        self.drops = params["p"] > 0 and self.count > 1
        self.parts = functools.cache(scratch)                   # products follow each other, so they share their sums
        # Pieces of scratch by name and number of elements; what one layer is done with the next one takes.
        self.buffer = functools.cache(lambda name, count: scratch(count * self.itemsize))

    def at(self, place, count):
        """So many elements behind an array or a pointer."""
        return getattr(place, "pointer", place) + count * self.itemsize

    # -- parameters ----------------------------------------------------------------------------------------------------

    def inputs(self, layer):
        """Features of a layer's input."""
        return self.width if layer else self.features

    def weight_shapes(self, layer):
        """Of x, of h and of the projection."""
        return ((self.gates, self.inputs(layer)), (self.gates, self.units),
                (self.units, self.hidden) if self.projects else (0, 0))

    def weights_size(self, layer):
        """Of one direction, without biases."""
        return sum(m * n for m, n in self.weight_shapes(layer))

    def weight(self, array, layer, direction, which):
        """Where a weight is, among parameters or their gradients."""
        before = self.directions * sum(map(self.weights_size, range(layer))) + direction * self.weights_size(layer)
        return self.at(array, before + sum(m * n for m, n in self.weight_shapes(layer)[:which]))

    def biases(self, array, layer):
        """Where those of a layer begin: for each direction those of x, those of h."""
        return self.at(self.weight(array, self.count, 0, X), layer * self.directions * 2 * self.gates)

    def stacked(self, layer, which):
        """A weight of all directions, one after the other: where, and the launches that bring it there."""
        m, n = self.weight_shapes(layer)[which]
        first, shape = self.weight(self.parameters, layer, 0, which), (self.directions, m * n)
        if self.directions == 1:
            return first, []
        place = self.buffer(f"weight {which}", 2 * m * n)
        return place, copy_strided(place, [m * n, 1], first, [self.weights_size(layer), 1], shape, self.itemsize)

    # -- what is kept --------------------------------------------------------------------------------------------------

    def kept(self, layer):
        """Where the gates of a layer are, and what else its cells keep."""
        extra = self.hidden if self.mode in ("lstm", "gru") else 0
        first = layer * self.directions * self.rows * (self.gates + extra)
        return self.at(self.reserve, first), self.at(self.reserve, first + self.directions * self.rows * self.gates)

    def outputs(self, layer):
        """Where the output of a layer is."""
        if layer == self.count - 1:
            return self.out.pointer
        return self.at(self.kept(self.count)[0], layer * self.rows * self.width)

    def factors(self, layer):
        """Where the factors of the dropout behind a layer are; 0: it has none."""
        if not self.drops or layer == self.count - 1:
            return 0
        return self.at(self.kept(self.count)[0], (self.count - 1 + layer) * self.rows * self.width)

    def states(self, array, layer, size):
        """Where the states of a layer are in an array of those of all layers."""
        return self.at(array, layer * self.directions * self.batch * size)

    # -- launches ------------------------------------------------------------------------------------------------------

    def launch(self, backward, name, size, rows, *arguments):
        """A kernel for ``rows`` of ``size`` elements in each direction; its first argument is the struct Layer."""
        clip_nan, low, high = (self.params[f"lstm_state_clip_{key}"] or 0 for key in ("nan", "min", "max"))
        packed = struct.pack("6q2d", self.steps, self.batch, self.hidden, self.units, self.directions, clip_nan, low,
                             high)
        threads = min(-(-size // 32) * 32, 128)
        return launch(self.source(backward), name, (-(-size // threads), max(min(rows, 65535), 1), self.directions),
                      threads, packed, *arguments)

    def source(self, backward):
        """The text with the kernels for this kind of cell."""
        header, macro = ("rnn_backward", "MXCY_RNN_BACKWARD") if backward else ("rnn", "MXCY_RNN")
        clip = "false" if self.params["lstm_state_clip_min"] is None else "true"
        mode = self.mode.removeprefix("rnn_").upper()
        return f'#include "mxcy/gpu/kernels/{header}.cuh"\n{macro}({mode}, {clip}, {C_TYPES[self.dtype]})\n'

    def multiply(self, c, a, b, m, n, k, batch=1):
        """A product of matrices of this dtype."""
        return multiply(self.parts, self.device, self.dtype, c, a, b, m, n, k, batch=batch)

    def lengths(self, given):
        """Where the lengths of samples are as 64-bit integers within the steps (0: there are none), and the launch."""
        if not self.params["use_sequence_length"]:
            return 0, []
        place = self.scratch(8 * self.batch)
        source = f'#include "mxcy/gpu/kernels/rnn.cuh"\nMXCY_RNN_LENGTHS({c_type(given, kernels.rnn)})\n'
        return place, [launch(source, "lengths", grid(self.batch), THREADS, place, given, self.steps, self.batch)]


# -- forward -----------------------------------------------------------------------------------------------------------


@rule(kernels.rnn)
def forward(ins, outs, scratch, device, kernel, params):
    data, parameters, *initial = ins
    out, *finals, reserve = outs
    s = Layers(kernel, data, parameters, out, reserve, params, scratch, device)
    length, launches = s.lengths(ins[-1])
    launches += copy(initial[:2 if s.mode == "lstm" else 1], finals)
    x = data.pointer
    for layer in range(s.count):
        k, (gates, _) = s.inputs(layer), s.kept(layer)
        for d in range(s.directions):
            launches += s.multiply(s.at(gates, d * s.rows * s.gates), Matrix(x, k),
                                   Matrix(s.weight(parameters, layer, d, X), k, True), s.rows, s.gates, k)
        launches += steps_forward(s, layer, length, finals)
        x = s.outputs(layer)
        if s.factors(layer):
            dropped = s.buffer("dropped", s.rows * s.width)
            launches.append(drop(s, layer, x, dropped))
            x = dropped
    return launches


def steps_forward(s, layer, length, finals):
    """From the products of the inputs to the output of a layer."""
    gates, extra = s.kept(layer)
    h, c = s.states(finals[0], layer, s.units), s.states(finals[1], layer, s.hidden) if s.mode == "lstm" else 0
    part = s.buffer("part", s.directions * s.batch * s.gates)
    v, launches = s.stacked(layer, H)
    recurrent = s.multiply(part, Matrix(h, s.units), Matrix(v, s.units, True), s.batch, s.gates, s.units, s.directions)
    out, bias, wide = s.outputs(layer), s.biases(s.parameters, layer), 0
    if s.projects:
        wide, projected = (s.buffer(f"projection {i}", s.directions * s.batch * n)
                           for i, n in enumerate((s.hidden, s.units)))
        p, stacking = s.stacked(layer, PROJECTION)
        launches += stacking
        projection = s.multiply(projected, Matrix(wide, s.hidden), Matrix(p, s.hidden, True), s.batch, s.units,
                                s.hidden, s.directions)
    for step in range(s.steps):
        launches += recurrent
        launches.append(s.launch(False, "cell", s.hidden, s.batch, step, length, bias, part, gates, extra, wide or h, c,
                                 0 if wide else out))
        if wide:
            launches += projection
            launches.append(s.launch(False, "place", s.units, s.batch, step, length, projected, h, out))
    return launches


def drop(s, layer, x, dropped):
    """Dropout of the output of a layer, and the factors that gradients need."""
    n, p = s.rows * s.width, s.params["p"]
    tiles = -(-n // TILE)
    threshold = np.uint32(min(p * 2. ** 32 + .5, 2. ** 32 - 1))
    return launch(s.source(False), "drop", grid(tiles * TILE // 4), THREADS, dropped, s.factors(layer), x, n,
                  RANDOM, layer * tiles, np.float64(1 / (1 - p) if p < 1 else 0), threshold, TRAIN)


# -- backward ----------------------------------------------------------------------------------------------------------


@rule(kernels.rnn_backward)
def backward(ins, outs, scratch, device, kernel, params):
    states = 2 if params["mode"] == "lstm" else 1
    g_out, *g_states = ins[:1 + states]
    data, parameters, *initial = ins[1 + states:-2]
    s = Layers(kernel, data, parameters, *ins[-2:], params, scratch, device)
    length, launches = s.lengths(ins[-3])
    launches += copy(g_states, outs[2:])
    given = g_out.pointer                                       # the gradient of this layer's output
    for layer in reversed(range(s.count)):
        k, n = s.inputs(layer), s.directions * s.gates
        launches += steps_backward(s, layer, length, given, initial, outs[2:])
        launches += weight_gradients(s, layer, length, data, initial[0], outs[1])
        given = s.buffer(f"given {layer % 2}", s.rows * k) if layer else outs[0].pointer
        w, stacking = s.stacked(layer, X)
        launches += stacking
        launches += s.multiply(given, Matrix(s.buffer("g_x", s.rows * n), n), Matrix(w, k), s.rows, k, n)
    return launches


def steps_backward(s, layer, length, given, initial, states):
    """From the gradient of a layer's output to those of its gates before the activations and of its first states."""
    lstm, n = s.mode == "lstm", s.directions * s.batch
    gates, extra = s.kept(layer)
    sizes = s.units, s.hidden                                   # of h and of c
    first = s.states(initial[lstm], layer, sizes[lstm])
    running, *cells = (s.states(array, layer, size) for array, size in zip(states, sizes))
    g_x = s.buffer("g_x", s.rows * s.directions * s.gates)
    g_h = s.buffer("g_h", s.rows * s.directions * s.gates) if s.mode == "gru" else 0
    now, part = s.buffer("now", n * s.gates), s.buffer("part", n * s.units)
    g_units = arrived = wide = 0
    v, launches = s.stacked(layer, H)
    recurrent = s.multiply(part, Matrix(now, s.gates), Matrix(v, s.units), s.batch, s.units, s.gates, s.directions)
    if s.projects:
        g_units = s.buffer("g_units", s.rows * s.width)
        arrived, wide = s.buffer("projection 0", n * s.units), s.buffer("projection 1", n * s.hidden)
        p, stacking = s.stacked(layer, PROJECTION)
        launches += stacking
        projection = s.multiply(wide, Matrix(arrived, s.units), Matrix(p, s.hidden), s.batch, s.hidden, s.units,
                                s.directions)

    def arrive(step):
        return s.launch(True, "arrive", s.units, s.batch, step, length, given, s.factors(layer), part, running, g_units,
                        arrived)

    for step in range(s.steps):
        if wide:
            launches += [arrive(step), *projection]
        launches.append(s.launch(True, "cell_gradient", s.hidden, s.batch, step, length, gates, extra, first,
                                 s.outputs(layer), given, s.factors(layer), part, wide, running, *(cells or [0]), g_x,
                                 g_h, now))
        launches += recurrent
    return [*launches, arrive(s.steps)]


def weight_gradients(s, layer, length, data, initial, grads):
    """Products over all steps of all samples, and sums for the biases."""
    n, k, out = s.directions * s.gates, s.inputs(layer), s.outputs(layer)
    g_x = s.buffer("g_x", s.rows * n)
    g_h = s.buffer("g_h", s.rows * n) if s.mode == "gru" else g_x
    launches, x = [], s.outputs(layer - 1) if layer else data.pointer
    if layer and s.drops:
        dropped = s.buffer("dropped", s.rows * s.width)
        launches.append(launch(s.source(True), "scale", grid(s.rows * s.width), THREADS, dropped, x,
                               s.factors(layer - 1), s.rows * s.width))
        x = dropped
    states = s.buffer("states", s.rows * s.width)
    launches.append(s.launch(True, "states", s.units, s.rows, length, s.states(initial, layer, s.units), out, states))
    if s.projects:
        taken = s.buffer("taken", s.rows * s.directions * s.hidden)
        launches.append(s.launch(True, "unprojected", s.hidden, s.rows, length, *s.kept(layer), taken))
        g_units = s.buffer("g_units", s.rows * s.width)
    for d in range(s.directions):
        of_x, of_h, of_projection = (s.weight(grads, layer, d, which) for which in (X, H, PROJECTION))
        launches += s.multiply(of_x, Matrix(s.at(g_x, d * s.gates), n, True), Matrix(x, k), s.gates, k, s.rows)
        launches += s.multiply(of_h, Matrix(s.at(g_h, d * s.gates), n, True),
                               Matrix(s.at(states, d * s.units), s.width), s.gates, s.units, s.rows)
        if s.projects:
            launches += s.multiply(of_projection, Matrix(s.at(g_units, d * s.units), s.width, True),
                                   Matrix(s.at(taken, d * s.hidden), s.directions * s.hidden), s.units, s.hidden,
                                   s.rows)
    return launches + bias_gradients(s, s.biases(grads, layer), dict.fromkeys((g_x, g_h)))


def bias_gradients(s, to, gradients):
    """Sums over all steps of all samples, of x and of h or of both at once, in two turns."""
    columns = s.directions * s.gates
    across = -(-columns // 32)
    slices = max(min(s.rows // 64, BLOCKS // across), 1)
    sums = [s.buffer(f"sums {i}", slices * columns * max(1, 4 // s.itemsize)) for i in range(len(gradients))]
    return [*(launch(s.source(True), "columns", (across, slices), 256, place, g, s.rows, columns, -(-s.rows // slices))
              for place, g in zip(sums, gradients)),
            launch(s.source(True), "biases", grid(columns), THREADS, to, sums[0], sums[-1], slices, s.gates, columns)]
