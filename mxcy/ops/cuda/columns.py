"""Convolution with channels first and one group, as products of matrices: what positions see is written out as columns.

A batch goes in chunks, so that the columns stay within bounds. Windows of one element need none.
"""
import struct
from math import prod

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import launch
from mxcy.ops.cuda.product import Matrix, multiply
from mxcy.ops.cuda.rules import THREADS, grid
from mxcy.ops.cuda.strided import divisor, index_type

__all__ = ["add_bias", "backward", "forward", "suits", "weights"]

MOST = 256 << 20                    # bytes of columns


def suits(g):
    """Whether a `Geometry` is one for products."""
    return g.first and g.groups == 1 and min(g.batch, g.channels, g.filters, *g.data, *g.out, *g.kernel) > 0


class Convolution:
    """A `Geometry` with what its products need."""

    def __init__(self, g, kind, array):
        self.g, self.kind, self.dtype, self.itemsize = g, kind, array.dtype, NUMPY[array.dtype].itemsize
        self.positions, self.places = prod(g.out), prod(g.data)
        self.rows = g.channels * prod(g.kernel)
        self.bare = prod(g.kernel) == 1 and set(g.stride) == {1} and set(g.pad) == {0}
        size = self.rows * self.positions * self.itemsize
        self.chunk = max(min(MOST // size, g.batch), 1)

    def chunks(self, whole=False):
        """(first image, number of images)"""
        step = self.g.batch if whole else self.chunk
        return [(first, min(step, self.g.batch - first)) for first in range(0, self.g.batch, step)]

    def launch(self, name, n, *arguments):
        return launch_kernel(self.kind, name, n, *arguments)

    def window(self, image_step, row_step):
        """The struct Window of columns.cuh."""
        g = self.g
        extents = (*g.data, *g.out, *g.kernel, self.places, self.positions, prod(g.kernel), g.channels, self.rows)
        return b"".join(map(divisor, extents)) + struct.pack("11q", *g.stride, *g.dilate, *g.pad, image_step, row_step)

    def columns(self, out, data, count, image_step, row_step):
        """Write out the columns of so many images."""
        return self.launch("columns", count * self.rows * self.positions, out, data, self.window(image_step, row_step))


def launch_kernel(kind, name, n, *arguments):
    """One of the kernels of columns.cuh, for n elements of a type."""
    source = f'#include "mxcy/gpu/kernels/columns.cuh"\nMXCY_COLUMNS({kind}, {index_type(n)})\n'
    return launch(source, name, grid(n), THREADS, *arguments, n)


def add_bias(kind, out, bias, channels, places):
    """Add to each channel, of which so many places are neighbours in memory, its bias."""
    return launch_kernel(kind, "add_channels", out.size, out, bias, divisor(places), divisor(channels))


def forward(g, kind, data, weight, bias, out, scratch, device):
    """``out`` from ``data``: each image is the product of the weights and its columns."""
    c = Convolution(g, kind, out)
    space = 0 if c.bare else scratch(c.chunk * c.rows * c.positions * c.itemsize)
    items = []
    for first, count in c.chunks(c.bare):
        source = data.pointer + first * g.channels * c.places * c.itemsize
        if not c.bare:
            items.append(c.columns(space, source, count, c.rows * c.positions, c.positions))
        items += multiply(scratch, device, c.dtype, out.pointer + first * g.filters * c.positions * c.itemsize,
                          Matrix(weight.pointer, c.rows), Matrix(source if c.bare else space, c.positions), g.filters,
                          c.positions, c.rows, batch=count, shared=True)
    return [*items, add_bias(kind, out, bias, g.filters, c.positions)] if bias else items


def backward(g, kind, data, weight, bias, out, scratch, device):
    """The larger side, ``out``, from the smaller one, ``data``: a gradient, or a deconvolution."""
    c = Convolution(g, kind, out)
    space = 0 if c.bare else scratch(c.chunk * c.rows * c.positions * c.itemsize)
    items = []
    for first, count in c.chunks(c.bare):
        target = out.pointer + first * g.channels * c.places * c.itemsize
        items += multiply(scratch, device, c.dtype, target if c.bare else space, Matrix(weight.pointer, c.rows, True),
                          Matrix(data.pointer + first * g.filters * c.positions * c.itemsize, c.positions), c.rows,
                          c.positions, g.filters, batch=count, shared=True)
        if not c.bare:
            items.append(c.launch("images", count * g.channels * c.places, target, space, bias,
                                  c.window(c.rows * c.positions, c.positions)))
    return [*items, add_bias(kind, out, bias, g.channels, c.places)] if bias and c.bare else items


def weights(g, kind, data, grad, weight, scratch, device):
    """The gradient of the weights, one product for all images of a chunk: both factors are laid out image by image."""
    c = Convolution(g, kind, weight)
    flat = Convolution(Flat(g), kind, weight)
    space, other = (scratch(c.chunk * rows * c.positions * c.itemsize) for rows in (c.rows, g.filters))
    items = []
    for first, count in c.chunks():
        wide = count * c.positions
        items += [c.columns(space, data.pointer + first * g.channels * c.places * c.itemsize, count, c.positions, wide),
                  flat.columns(other, grad.pointer + first * g.filters * c.positions * c.itemsize, count, c.positions,
                               wide),
                  *multiply(scratch, device, c.dtype, weight.pointer, Matrix(other, wide), Matrix(space, wide, True),
                            g.filters, c.rows, wide, add=first > 0)]
    return items


class Flat:
    """The geometry of positions that see themselves: their columns are a transposition of images and channels."""

    def __init__(self, g):
        self.batch, self.channels, self.data, self.out = g.batch, g.filters, g.out, g.out
        self.kernel = self.stride = self.dilate = (1, 1, 1)
        self.pad = (0, 0, 0)
