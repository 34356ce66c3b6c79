"""What tests of networks and operators use: comparison, random arrays, gradients by differences, data sets."""
from mxcy.test_utils.arrays import *
from mxcy.test_utils.compare import *
from mxcy.test_utils.data import *
from mxcy.test_utils.gradient import *
from mxcy.test_utils.running import *
from mxcy.test_utils.statistics import *
