"""Iterators over batches of data."""
from mxcy.io.data import *
from mxcy.io.mnist import *
from mxcy.io.ndarray_iter import *
from mxcy.io.wrappers import *
