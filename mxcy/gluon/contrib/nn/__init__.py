"""Layers that put blocks side by side or move pixels."""
from mxcy.gluon.contrib.nn.basic_layers import *
