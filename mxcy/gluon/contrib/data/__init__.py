"""Samplers."""
from mxcy.gluon.data.sampler import IntervalSampler
