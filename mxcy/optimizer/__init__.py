"""Optimizers: how weights follow gradients."""
from mxcy.optimizer.adam import *
from mxcy.optimizer.adaptive import *
from mxcy.optimizer.lamb import *
from mxcy.optimizer.optimizer import *
from mxcy.optimizer.sgd import *
from mxcy.optimizer.updater import *
