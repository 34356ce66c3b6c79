"""Layers and samplers beyond the basic ones."""
from mxcy.gluon.contrib import data, nn
