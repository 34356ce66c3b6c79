"""Gluon: networks as Python objects."""
from mxcy.gluon import contrib, data, loss, model_zoo, nn, rnn, utils
from mxcy.gluon.block import *
from mxcy.gluon.hybrid_block import *
from mxcy.gluon.parameter import *
from mxcy.gluon.parameter_dict import *
from mxcy.gluon.symbol_block import *
from mxcy.gluon.trainer import *
