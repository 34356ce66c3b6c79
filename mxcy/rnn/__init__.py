"""mx.rnn: recurrent cells of symbols, for `mx.mod`; batches of sentences by length; checkpoints of cells."""
from mxcy.rnn.cell import *
from mxcy.rnn.cells import *
from mxcy.rnn.checkpoint import *
from mxcy.rnn.containers import *
from mxcy.rnn.fused import *
from mxcy.rnn.modifiers import *
from mxcy.rnn.sentences import *
