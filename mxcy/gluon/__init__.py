"""Gluon: networks as Python objects."""
from mxcy.gluon import contrib, data, loss, model_zoo, nn, rnn, utils
from mxcy.gluon.block import *
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.parameter import *
from mxcy.gluon.parameter_dict import ParameterDict
from mxcy.gluon.symbol_block import SymbolBlock
from mxcy.gluon.trainer import *
from mxcy.gluon import block, parameter
from mxcy.nd import NDArray
from mxcy.symbol.symbol import Symbol

#: What blocks are called with.
tensor_types = (NDArray, Symbol)
# programs written for MXNet import these from there
block.HybridBlock, block.SymbolBlock, parameter.ParameterDict = HybridBlock, SymbolBlock, ParameterDict
