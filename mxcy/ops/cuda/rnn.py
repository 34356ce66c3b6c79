"""Recurrent layers: products over whole sequences, and for each step one product and one kernel for the cells.

Both directions of a layer go through their steps together, so that a step's product is a batch of two. Where weights of
two directions are to lie one after the other for that, they are copied once for each layer. The running states lie in
the outputs for the final ones: the cells write them there, and the next product reads them.
"""
import functools
import struct

import numpy as np

from mxcy.dtype import CODES, NUMPY
from mxcy.gpu.recipe import COUNTER, SEED, TRAIN, launch
from mxcy.ops import _rnn as kernels
from mxcy.ops.cuda.product import Matrix, multiply
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule
from mxcy.ops.rnn import GATES

__all__ = []

TILE = 256                          # elements that a tile of random numbers has, as in philox.h
BLOCKS = 512                        # that keep a device busy with sums of columns


class Layers:
    """Sizes of a call, and where the pieces of its tensors begin; as in mxcy/ops/_rnn.pyx.

    The output ``reserve`` holds for each layer the gates of all its directions, then the LSTM's cells or the GRU's part
    of h in n; then the outputs of all layers but the last; then, with dropout, the factors they were multiplied by.
    """

    def __init__(self, kernel, data, parameters, reserve, out, params, scratch):
        for array in (data, parameters):
            c_type(array, kernel, [name for name, code in CODES.items() if code in kernel.dtypes])
        self.params, self.dtype, self.itemsize = params, data.dtype, NUMPY[data.dtype].itemsize
        self.mode, self.p, self.count = params["mode"], params["p"], params["num_layers"]
        self.steps, self.batch, self.features = data.shape
        self.rows, self.hidden = self.steps * self.batch, params["state_size"]
        self.projects = params["projection_size"] is not None
        self.units = params["projection_size"] or self.hidden
        self.gates, self.directions = GATES[self.mode] * self.hidden, 2 if params["bidirectional"] else 1
        self.width = self.directions * self.units               # of a layer's output
        self.drops = self.p > 0 and self.count > 1
        self.parameters, self.reserve, self.out = parameters, reserve, out
        self.scratch = scratch
        self.partial = functools.cache(scratch)                 # products follow each other: they share their parts

    def at(self, place, count):
        """So many elements behind an array or a pointer."""
        return getattr(place, "pointer", place) + count * self.itemsize

    def new(self, count):
        """Scratch for so many elements."""
        return self.scratch(count * self.itemsize)

    # -- parameters ----------------------------------------------------------------------------------------------------

    def inputs(self, layer):
        """Features of a layer's input."""
        return self.width if layer else self.features

    def weights_size(self, layer):
        """Of one direction, without biases."""
        projection = self.units * self.hidden if self.projects else 0
        return self.gates * (self.inputs(layer) + self.units) + projection

    def weights(self, array, layer, direction):
        """Where the weights of x, of h and of the projection are, among parameters or their gradients."""
        first = self.directions * sum(map(self.weights_size, range(layer))) + direction * self.weights_size(layer)
        of_h = first + self.gates * self.inputs(layer)
        return [self.at(array, i) for i in (first, of_h, of_h + self.gates * self.units)]

    def biases(self, array, layer):
        """Where those of a layer begin: for each direction those of x, those of h."""
        weights = self.directions * sum(map(self.weights_size, range(self.count)))
        return self.at(array, weights + layer * self.directions * 2 * self.gates)

    def stacked(self, layer, which, size, place):
        """Weights of all directions one after the other, in ``place`` if there are two: where, and the launches."""
        each = [self.weights(self.parameters, layer, d)[which] for d in range(self.directions)]
        if self.directions == 1:
            return each[0], []
        return place, [copy(self.at(place, d * size), each[d], size * self.itemsize) for d in range(self.directions)]

    # -- what is kept --------------------------------------------------------------------------------------------------

    def kept(self, layer):
        """Where the gates of a layer are, and what else its cells keep."""
        extra = self.hidden if self.mode in ("lstm", "gru") else 0
        first = layer * self.directions * self.rows * (self.gates + extra)
        return self.at(self.reserve, first), self.at(self.reserve, first + self.directions * self.rows * self.gates)

    def outputs(self, layer):
        """Where the output of a layer is; without a layer of that number, where those in the reserve end."""
        if layer == self.count - 1:
            return self.out.pointer
        return self.at(self.kept(self.count)[0], layer * self.rows * self.width)

    def factors(self, layer):
        """Where the factors of the dropout behind a layer are."""
        return self.at(self.kept(self.count)[0], (self.count - 1 + layer) * self.rows * self.width)

    def states(self, array, layer, size):
        """Where the states of a layer are in an array of those of all layers."""
        return self.at(array, layer * self.directions * self.batch * size)

    # -- launches ------------------------------------------------------------------------------------------------------

    def packed(self):
        """The struct Layer of rnn.cuh."""
        low, high = self.params["lstm_state_clip_min"] or 0., self.params["lstm_state_clip_max"] or 0.
        return struct.pack("5qi4x2d" if self.dtype == "float64" else "5qi2f4x", self.steps, self.batch, self.hidden,
                           self.units, self.directions, self.params["lstm_state_clip_nan"], low, high)

    def source(self, header, macro):
        """A source text for this kind of cell."""
        clip = "false" if self.params["lstm_state_clip_min"] is None else "true"
        mode = self.mode.removeprefix("rnn_").upper()
        return f'#include "mxcy/gpu/kernels/{header}.cuh"\n{macro}({mode}, {clip}, {C_TYPES[self.dtype]})\n'

    def places(self, size, rows):
        """Grid and block for ``rows`` of ``size`` elements in each direction."""
        threads = min(-(-size // 32) * 32, 128)
        return (-(-size // threads), max(min(rows, 65535), 1), self.directions), threads

    def multiply(self, c, a, b, m, n, k, batch=1):
        """A product of matrices of this dtype."""
        return multiply(self.partial, self.dtype, c, a, b, m, n, k, batch=batch)

    def lengths(self, given):
        """Where the lengths of samples are as 64-bit integers within the steps (0: there are none), and the launch."""
        if not self.params["use_sequence_length"]:
            return 0, []
        place = self.scratch(8 * self.batch)
        kind = c_type(given, kernels.rnn)
        source = f'#include "mxcy/gpu/kernels/rnn.cuh"\nMXCY_RNN_LENGTHS({kind})\n'
        return place, [launch(source, "lengths", grid(self.batch), THREADS, place, given, self.steps, self.batch)]


def copy(to, what, nbytes):
    source = '#include "mxcy/gpu/kernels/copy.cuh"\n'
    return launch(source, "copy", grid(-(-nbytes // 16)), THREADS, to, what, nbytes)


@rule(kernels.rnn)
def _(ins, outs, scratch, kernel, params):
    data, parameters, state = ins[:3]
    out, *finals, reserve = outs
    s = Layers(kernel, data, parameters, reserve, out, params, scratch)
    lstm = s.mode == "lstm"
    length, launches = s.lengths(ins[-1])
    launches.append(copy(finals[0], state, state.nbytes))
    if lstm:
        launches.append(copy(finals[1], ins[3], ins[3].nbytes))
    source, packed = s.source("rnn", "MXCY_RNN"), s.packed()
    part = s.new(s.directions * s.batch * s.gates)
    v_place, p_place = (s.new(2 * n) if s.directions > 1 else 0 for n in (s.gates * s.units, s.units * s.hidden))
    wide, projected = (s.new(s.directions * s.batch * n) if s.projects else 0 for n in (s.hidden, s.units))
    dropped = s.new(s.rows * s.width) if s.drops else 0
    x = data.pointer
    for layer in range(s.count):
        if layer and s.drops:
            launches.append(drop(s, source, layer - 1, x, dropped))
            x = dropped
        k, (gates, extra) = s.inputs(layer), s.kept(layer)
        for d in range(s.directions):
            launches += s.multiply(s.at(gates, d * s.rows * s.gates), Matrix(x, k),
                                   Matrix(s.weights(parameters, layer, d)[0], k, True), s.rows, s.gates, k)
        h = s.states(finals[0], layer, s.units)
        c = s.states(finals[1], layer, s.hidden) if lstm else 0
        v, stacking = s.stacked(layer, 1, s.gates * s.units, v_place)
        launches += stacking
        recurrent = s.multiply(part, Matrix(h, s.units), Matrix(v, s.units, True), s.batch, s.gates, s.units,
                               s.directions)
        projection = []
        if s.projects:
            p, stacking = s.stacked(layer, 2, s.units * s.hidden, p_place)
            launches += stacking
            projection = s.multiply(projected, Matrix(wide, s.hidden), Matrix(p, s.hidden, True), s.batch, s.units,
                                    s.hidden, s.directions)
        x = s.outputs(layer)
        bias = s.biases(parameters, layer)
        for step in range(s.steps):
            launches += recurrent
            launches.append(launch(source, "cell", *s.places(s.hidden, s.batch), packed, step, length, bias, part,
                                   gates, extra, wide or h, c, 0 if s.projects else x))
            launches += projection
            if s.projects:
                launches.append(launch(source, "place", *s.places(s.units, s.batch), packed, step, length, projected, h,
                                       x))
    return launches


def drop(s, source, layer, x, dropped):
    """Dropout of the output of a layer, and the factors that gradients need."""
    n = s.rows * s.width
    keep = 1 / (1 - s.p) if s.p < 1 else 0.
    threshold = np.uint32(min(s.p * 2. ** 32 + .5, 2. ** 32 - 1))
    return launch(source, "drop", grid(-(-n // TILE) * TILE // 4), THREADS, dropped, s.factors(layer), x, n, SEED,
                  COUNTER, layer * -(-n // TILE), np.float64(keep), threshold, TRAIN)


@rule(kernels.rnn_backward)
def _(ins, outs, scratch, kernel, params):
    lstm = params["mode"] == "lstm"
    g_out, g_state, *g_cell = ins[:3 if lstm else 2]
    data, parameters, state, *more = ins[3 if lstm else 2:-2]
    out, reserve = ins[-2:]
    s = Layers(kernel, data, parameters, reserve, out, params, scratch)
    length, launches = s.lengths(ins[-3])
    launches += [copy(to, what, to.nbytes) for to, what in zip(outs[2:], (g_state, *g_cell))]
    source, packed = s.source("rnn_backward", "MXCY_RNN_BACKWARD"), s.packed()
    D, two = s.directions, s.mode == "gru"
    g_x = s.new(s.rows * D * s.gates)
    g_h = s.new(s.rows * D * s.gates) if two else g_x
    now, part = s.new(D * s.batch * s.gates), s.new(D * s.batch * s.units)
    g_units, arrived, wide = (s.new(D * n) if s.projects else 0
                              for n in (s.rows * s.units, s.batch * s.units, s.batch * s.hidden))
    states = s.new(s.rows * D * (max(s.units, s.hidden) if s.projects else s.units))
    most = s.gates * max(map(s.inputs, range(s.count)))
    w_place, v_place, p_place = (s.new(2 * n) if D > 1 else 0
                                 for n in (most, s.gates * s.units, s.units * s.hidden))
    dropped = s.new(s.rows * s.width) if s.drops else 0
    between = [s.new(s.rows * s.width) if s.count > 1 else 0 for _ in range(2)]
    given = g_out.pointer                                       # the gradient of this layer's output
    for layer in reversed(range(s.count)):
        k, (gates, extra), own = s.inputs(layer), s.kept(layer), s.outputs(layer)
        factors = s.factors(layer) if s.drops and layer < s.count - 1 else 0
        h0 = s.states(state, layer, s.units)
        c0 = s.states(more[0], layer, s.hidden) if lstm else 0
        running = s.states(outs[2], layer, s.units)
        cells = s.states(outs[3], layer, s.hidden) if lstm else 0
        v, stacking = s.stacked(layer, 1, s.gates * s.units, v_place)
        launches += stacking
        recurrent = s.multiply(part, Matrix(now, s.gates), Matrix(v, s.units), s.batch, s.units, s.gates, D)
        if s.projects:
            p, stacking = s.stacked(layer, 2, s.units * s.hidden, p_place)
            launches += stacking
            projection = s.multiply(wide, Matrix(arrived, s.units), Matrix(p, s.hidden), s.batch, s.hidden, s.units, D)
        for step in range(s.steps + 1):
            arrive = launch(source, "arrive", *s.places(s.units, s.batch), packed, step, length, given, factors, part,
                            running, g_units, arrived)
            if step == s.steps:
                launches.append(arrive)
                break
            if s.projects:
                launches += [arrive, *projection]
            launches.append(launch(source, "cell_gradient", *s.places(s.hidden, s.batch), packed, step, length, gates,
                                   extra, c0 if lstm else h0, own, given, factors, part, wide, running, cells, g_x, g_h,
                                   now))
            launches += recurrent
        x = s.outputs(layer - 1) if layer else data.pointer
        if layer and s.drops:
            launches.append(launch(source, "scale", grid(s.rows * s.width), THREADS, dropped, x, s.factors(layer - 1),
                                   s.rows * s.width))
            x = dropped
        grads = [s.weights(outs[1], layer, d) for d in range(D)]
        for d in range(D):
            launches += s.multiply(grads[d][0], Matrix(s.at(g_x, d * s.gates), D * s.gates, True), Matrix(x, k),
                                   s.gates, k, s.rows)
        launches.append(launch(source, "states", *s.places(s.units, s.rows), packed, length, h0, own, states))
        for d in range(D):
            launches += s.multiply(grads[d][1], Matrix(s.at(g_h, d * s.gates), D * s.gates, True),
                                   Matrix(s.at(states, d * s.units), s.width), s.gates, s.units, s.rows)
        if s.projects:
            launches.append(launch(source, "unprojected", *s.places(s.hidden, s.rows), packed, length, gates, extra,
                                   states))
            for d in range(D):
                launches += s.multiply(grads[d][2], Matrix(s.at(g_units, d * s.units), s.width, True),
                                       Matrix(s.at(states, d * s.hidden), D * s.hidden), s.units, s.hidden, s.rows)
        launches += bias_gradient(s, source, s.biases(outs[1], layer), g_x, g_h)
        w, stacking = s.stacked(layer, 0, s.gates * k, w_place)
        given = between[layer % 2] if layer else outs[0].pointer
        launches += stacking
        launches += s.multiply(given, Matrix(g_x, D * s.gates), Matrix(w, k), s.rows, k, D * s.gates)
    return launches


def bias_gradient(s, source, to, g_x, g_h):
    """Sums over all steps of all samples, in two turns."""
    columns = s.directions * s.gates
    across = -(-columns // 32)
    slices = max(min(s.rows // 64, BLOCKS // across), 1)
    depth = -(-s.rows // slices)
    nbytes = slices * columns * max(s.itemsize, 4)
    sums = s.partial(2 * nbytes)
    places = [sums, sums + nbytes] if g_h != g_x else [sums] * 2
    return [*(launch(source, "columns", (across, slices), 256, place, g, s.rows, columns, depth)
              for place, g in dict(zip(places, (g_x, g_h))).items()),
            launch(source, "biases", grid(columns), THREADS, to, *places, slices, s.gates, columns)]
