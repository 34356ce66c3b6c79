"""KVStore: values that several devices share."""
from mxcy.kvstore.base import *
from mxcy.kvstore.local import *
