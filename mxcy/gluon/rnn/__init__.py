"""Recurrent layers, which run all steps in one operator, and recurrent cells, which do one step at a time."""
from mxcy.gluon.rnn.cell import *
from mxcy.gluon.rnn.cells import *
from mxcy.gluon.rnn.containers import *
from mxcy.gluon.rnn.layers import *
from mxcy.gluon.rnn.modifiers import *
