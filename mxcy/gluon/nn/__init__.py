"""Layers."""
from mxcy.gluon.block import Block
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn.activations import *
from mxcy.gluon.nn.basic import *
from mxcy.gluon.nn.containers import *
from mxcy.gluon.nn.convolution import *
from mxcy.gluon.nn.normalization import *
from mxcy.gluon.nn.pooling import *
from mxcy.gluon.symbol_block import SymbolBlock
