import threading

import pytest

from mxcy import AttrScope
from mxcy.name import NameManager, Prefix


def test_names_and_prefixes():
    with NameManager():
        assert [NameManager.current.get(None, "fc") for _ in range(2)] == ["fc0", "fc1"]
        with Prefix("net_"):
            assert NameManager.current.get(None, "fc") == "net_fc0" and NameManager.current.get("x", "fc") == "net_x"
        assert NameManager.current.get(None, "fc") == "fc2"


def test_threads_have_their_own():
    names = []
    with Prefix("here_"):
        thread = threading.Thread(target=lambda: names.append(NameManager.current.get(None, "fc")))
        thread.start()
        thread.join()
    assert names == ["fc0"]


def test_attributes():
    with AttrScope(a="1", b="2"), AttrScope(b="3"):
        assert AttrScope.current.get({"c": "4"}) == {"a": "1", "b": "3", "c": "4"}
    assert AttrScope.current.get(None) == {}
    with pytest.raises(TypeError, match="text"):
        AttrScope(lr_mult=1)
