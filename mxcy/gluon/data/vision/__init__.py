"""Pictures."""
from mxcy.gluon.data.vision import transforms
from mxcy.gluon.data.vision.datasets import *
