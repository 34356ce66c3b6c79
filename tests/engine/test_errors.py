"""A failure reaches whoever waits for what it spoilt, and nobody else."""
import pytest

from mxcy.base import MXNetError, MXNetIndexError, MXNetTypeError, MXNetValueError
from mxcy.engine import _testing as engine


def forget():
    """Drop what other tests left unseen."""
    try:
        engine.wait_for_all()
    except MXNetError:
        pass


@pytest.mark.parametrize("kind, error", [(0, MXNetValueError), (1, MXNetTypeError), (2, MXNetError),
                                         (3, MXNetIndexError), (4, MXNetError)])
def test_the_wait_raises(kind, error):
    x = engine.Number()
    engine.push([], [x], fails=True, kind=kind)
    with pytest.raises(error, match="failing on purpose") as caught:
        x.wait()
    assert type(caught.value) is error
    with pytest.raises(error):                          # and again: the variable is still spoilt
        x.wait_idle()
    engine.wait_for_all()                               # already seen


def test_the_message_names_the_users_line():
    x = engine.Number()
    engine.push([], [x], fails=True)                    # this line
    with pytest.raises(MXNetError, match=r"queued at .*test_errors\.py:(\d+)") as caught:
        x.wait()
    with open(__file__) as file:
        line = int(str(caught.value).rpartition(":")[2])
        assert file.readlines()[line - 1].endswith("# this line\n")


def test_it_passes_on_to_what_depends_on_it():
    a, b, c, other = (engine.Number(1) for _ in range(4))
    engine.push([], [a], fails=True, microseconds=2000)
    engine.push([a], [b])
    engine.push([], updates=[b], writes=[c])
    engine.push([other], [], microseconds=10)
    engine.push([], [other])
    for number in (c, b, a):
        with pytest.raises(MXNetError, match="failing on purpose"):
            number.wait()
    assert other.wait() == 1
    assert b.value == 1                                 # the tasks did not run


def test_overwriting_clears_it():
    x, y = engine.Number(), engine.Number(5)
    engine.push([], [x], fails=True)
    engine.push([y], [x])
    assert x.wait() == 6364136223846793005 + 5
    forget()


def test_inline():
    x, y = engine.Number(), engine.Number()
    engine.push([], [x], fails=True)
    with pytest.raises(MXNetError):
        x.wait()
    assert engine.now_or_never([x], [y]) == -1
    assert engine.now_or_never([], updates=[x]) == -1
    assert engine.now_or_never([], [y], fails=True) == 1
    with pytest.raises(MXNetError, match="failing inline"):
        y.wait()
    assert engine.now_or_never([], [x]) == 1
    x.wait()


def test_waiting_for_all_tells_what_nobody_saw():
    forget()
    engine.push([], [engine.Number()], fails=True)
    with pytest.raises(MXNetError, match="failing on purpose"):
        engine.wait_for_all()
    engine.wait_for_all()


def test_an_exception_in_python_code():
    x = engine.Number()
    engine.push([], [x], call=lambda _: 1 / 0)
    with pytest.raises(MXNetError, match="ZeroDivisionError"):
        x.wait()
