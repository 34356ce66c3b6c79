"""Modules: a symbol with its parameters, trained and used batch by batch."""
from mxcy.module.base import *
from mxcy.module.bucketing import *
from mxcy.module.module import *
from mxcy.module.python import *
from mxcy.module.sequential import *
