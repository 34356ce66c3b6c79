"""Products of matrices: square, by a vector, in batches, and the fully connected layer."""
import numpy as np

from mxcy import autograd, nd


def random(*shape):
    return nd.array(np.random.default_rng(0).normal(size=shape).astype(np.float32))


class Dot:
    params, param_names = ([128, 512, 2048], ["float32", "float64"], [False, True]), ("size", "dtype", "transpose_b")

    def setup(self, size, dtype, transpose_b):
        self.lhs, self.rhs = (random(size, size).astype(dtype) for _ in range(2))

    def time_dot(self, size, dtype, transpose_b):
        nd.dot(self.lhs, self.rhs, transpose_b=transpose_b).wait_to_read()


class MatrixVector:
    def setup(self):
        self.matrix, self.vector = random(4096, 4096), random(4096)

    def time_dot(self):
        nd.dot(self.matrix, self.vector).wait_to_read()


class BatchDot:
    """The two products of attention: (batch * heads, length, size of a head)."""

    params, param_names = [[(64, 128, 64), (96, 512, 64)]], ["shape"]

    def setup(self, shape):
        batch, length, size = shape
        self.query, self.key, self.value = (random(*shape) for _ in range(3))
        self.weight = random(batch, length, length)
        for x in (self.query, self.key):
            x.attach_grad()

    def time_query_key(self, shape):
        nd.batch_dot(self.query, self.key, transpose_b=True).wait_to_read()

    def time_weight_value(self, shape):
        nd.batch_dot(self.weight, self.value).wait_to_read()

    def time_query_key_with_gradients(self, shape):
        with autograd.record():
            out = nd.batch_dot(self.query, self.key, transpose_b=True)
        out.backward()
        nd.waitall()


class FullyConnected:
    params, param_names = [[1, 16, 128]], ["batch"]

    def setup(self, batch):
        self.args = random(batch, 4096), random(4096, 4096), random(4096)
        for x in self.args:
            x.attach_grad()

    def time_forward(self, batch):
        nd.FullyConnected(*self.args, num_hidden=4096).wait_to_read()

    def time_forward_and_backward(self, batch):
        with autograd.record():
            out = nd.FullyConnected(*self.args, num_hidden=4096)
        out.backward()
        nd.waitall()
