"""Datasets, samplers, and loaders of batches."""
from mxcy.gluon.data import batchify, vision
from mxcy.gluon.data.dataloader import *
from mxcy.gluon.data.dataset import *
from mxcy.gluon.data.sampler import *
