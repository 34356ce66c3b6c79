"""Data movement: transposes, joins, slices and repeats of arrays too large for the caches, and of small ones."""
import numpy as np

from mxcy import nd

#: Name: (shapes of the inputs, function). The large ones move 64 MiB.
LARGE = {
    "transpose": ([(4096, 4096)], nd.transpose),
    "transpose_0213": ([(64, 256, 16, 64)], lambda x: nd.transpose(x, axes=(0, 2, 1, 3))),
    "to_channels_last": ([(16, 64, 128, 128)], lambda x: nd.transpose(x, axes=(0, 2, 3, 1))),
    "to_channels_first": ([(16, 128, 128, 64)], lambda x: nd.transpose(x, axes=(0, 3, 1, 2))),
    "images_to_channels_first": ([(85, 256, 256, 3)], lambda x: nd.transpose(x, axes=(0, 3, 1, 2))),
    "concat_axis1": ([(4096, 2048), (4096, 2048)], lambda x, y: nd.concat(x, y, dim=1)),
    "split_axis1": ([(4096, 4096)], lambda x: nd.split(x, num_outputs=4)[0]),
    "slice": ([(4096, 8192)], lambda x: nd.slice(x, begin=(0, 1024), end=(4096, 5120))),
    "slice_step": ([(4096, 8192)], lambda x: nd.slice(x, begin=(0, 0), end=(4096, 8192), step=(1, 2))),
    "tile": ([(1024, 1024)], lambda x: nd.tile(x, reps=(4, 4))),
    "repeat": ([(2048, 2048)], lambda x: nd.repeat(x, repeats=4, axis=1)),
    "flip": ([(4096, 4096)], lambda x: nd.flip(x, axis=1)),
    "pad": ([(16, 64, 126, 126)], lambda x: nd.pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))),
    "broadcast_to": ([(4096, 1)], lambda x: nd.broadcast_to(x, shape=(4096, 4096))),
    "depth_to_space": ([(16, 64, 128, 128)], lambda x: nd.depth_to_space(x, block_size=2)),
}
SMALL = {
    "reshape": ([(2, 2)], lambda x: nd.reshape(x, shape=(4,))),
    "transpose": ([(2, 2)], nd.transpose),
    "concat": ([(2, 2), (2, 2)], nd.concat),
    "slice_axis": ([(2, 2)], lambda x: nd.slice_axis(x, axis=0, begin=0, end=1)),
}


class Movement:
    """Bytes read and written; for each, seconds of one call."""

    table = LARGE
    params, param_names = [list(LARGE)], ["name"]

    def setup(self, name):
        shapes, self.function = self.table[name]
        rng = np.random.default_rng(0)
        self.arrays = [nd.array(rng.normal(size=shape).astype(np.float32)) for shape in shapes]

    def time_call(self, name):
        self.function(*self.arrays).wait_to_read()


class Calls(Movement):
    """What a call of a tiny array costs: all is overhead."""

    table = SMALL
    params = [list(SMALL)]
