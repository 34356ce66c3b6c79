"""NDArray files: what ``nd.save`` and ``nd.load`` of MXNet write and read, all forms since 2015.

A file is a list magic, a reserved word, the number of arrays, a record for each, the number of names, and the names.
A record is a magic that tells its version, a shape, a context (ignored: the device it was saved from), a dtype number
and the elements in C order. Everything is little-endian. Sizes are checked against the bytes that are left before
anything is allocated; elements go straight between the file and the array.
"""
import math
import os
import struct

from mxcy.base import MXNetError, MXNetNotImplementedError, MXNetTypeError, MXNetValueError
from mxcy.context import cpu
from mxcy.dtype import CODES, NAMES, NUMPY
from mxcy.ndarray._memory import numpy_view
from mxcy.ndarray._ndarray import NDArray, new

__all__ = ["array_from_record", "load", "load_frombuffer", "record_of", "save"]

LIST_MAGIC = 0x112
MAX_NDIM = 32
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
STORAGE = {0: "default", 1: "row_sparse", 2: "csr"}


# -- writing -----------------------------------------------------------------------------------------------------------

def save(fname, data):
    """Write arrays to a file.

    Parameters
    ----------
    fname : str or path-like
        The file. It is replaced in one step after everything was written, so a failure leaves an old file as it was.
    data : NDArray, list of NDArray, or dict of str to NDArray
        What to write. Waits for the arrays.
    """
    if isinstance(data, NDArray):
        data = [data]
    if isinstance(data, dict):
        names, arrays = list(data), list(data.values())
    elif isinstance(data, list):
        names, arrays = [], data
    else:
        raise MXNetValueError(f"save: data is {type(data).__name__}; expected an NDArray, a list of them, or a dict of "
                              "names and NDArrays")
    for item, kind in (*((a, NDArray) for a in arrays), *((n, str) for n in names)):
        if not isinstance(item, kind):
            raise MXNetTypeError(f"save: {item!r} of type {type(item).__name__} stands where a {kind.__name__} should")
    with replacing(fname) as file:
        write_list(file, arrays, names)


def write_list(file, arrays, names=()):
    """Write arrays, with names or without, to an open binary file."""
    file.write(struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays)))
    for array in arrays:
        for part in record_parts(array):
            file.write(part)
    file.write(struct.pack("<Q", len(names)))
    for name in names:
        text = name.encode()
        file.write(struct.pack("<Q", len(text)) + text)


class replacing:
    """Context manager: a new file that takes the place of ``path`` when everything was written to it."""

    def __init__(self, path):
        try:
            self.path = os.path.realpath(os.fsdecode(path))     # a link stays one
        except TypeError:
            raise MXNetTypeError(f"save: fname is {path!r}; expected a path") from None
        # Beside the target, as a file can only take the place of another on the same file system.
        folder, name = os.path.split(self.path)
        self.temporary = os.path.join(folder, f".{name}.{os.getpid()}-{os.urandom(4).hex()}")

    def __enter__(self):
        try:
            self.file = open(self.temporary, "xb")
        except OSError as error:
            raise MXNetError(f"save: cannot write {self.path}: {error.strerror}") from error
        return self.file

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self.file.flush()
                os.fsync(self.file.fileno())
                if os.path.exists(self.path):
                    os.chmod(self.temporary, os.stat(self.path).st_mode & 0o7777)
                os.replace(self.temporary, self.path)
        finally:
            self.file.close()
            if os.path.exists(self.temporary):
                os.unlink(self.temporary)


def record_parts(array):
    """The record of an array: its head as bytes, and its elements as a view of its memory."""
    shape = array.shape
    # MXNet with its default (not NumPy) shapes knows no arrays without axes: there V3 stands for one.
    head = struct.pack(f"<IiI{len(shape)}q", V2 if shape else V3, 0, len(shape), *shape)
    yield head + struct.pack("<iii", 1, 0, CODES[array.dtype_name])
    array.wait_to_read()
    values = array.asnumpy() if array.context.device_type == "gpu" else numpy_view(array)
    yield values.reshape(-1).view("uint8").data


def record_of(array):
    """The bytes of one array's record: what pickles of NDArrays hold."""
    return b"".join(record_parts(array))


# -- reading -----------------------------------------------------------------------------------------------------------

def load(fname):
    """Read a file that `save`, or MXNet of any version, wrote.

    Parameters
    ----------
    fname : str or path-like
        The file.

    Returns
    -------
    list of NDArray, or dict of str to NDArray
        As they were saved; a file of one array gives a list of one.

    Raises
    ------
    MXNetError
        If there is no such file, or it is damaged: the message names the byte where that shows.
    """
    try:
        path = os.fspath(fname)
    except TypeError:
        raise MXNetTypeError(f"load: fname is {fname!r}; expected a path") from None
    try:
        with open(path, "rb") as file:
            return read_list(Reader(file, os.fstat(file.fileno()).st_size, path))
    except OSError as error:
        raise MXNetError(f"load: cannot read {path}: {error.strerror}") from error


def load_frombuffer(buf):
    """Read what `save` wrote, from memory.

    Parameters
    ----------
    buf : bytes-like
        The contents of a file.

    Returns
    -------
    list of NDArray, or dict of str to NDArray
        As `load`.
    """
    return read_list(buffer_reader(buf))


def array_from_record(buf):
    """The array of one record, such as pickles of NDArrays hold."""
    return read_array(buffer_reader(buf))


def buffer_reader(buf):
    try:
        view = memoryview(buf).cast("B")
    except TypeError:
        raise MXNetTypeError(f"expected bytes, not {type(buf).__name__}") from None
    return Reader(BufferFile(view), len(view), "the buffer")


class BufferFile:
    """The two methods of a file that `Reader` uses, over bytes, without another copy of them."""

    def __init__(self, view):
        self.view, self.at = view, 0

    def read(self, n):
        self.at += n
        return bytes(self.view[self.at - n:self.at])

    def readinto(self, target):
        n = len(target)
        target[:] = self.view[self.at:self.at + n]
        self.at += n
        return n


class Reader:
    """A file read from front to back; knows where it is and how many bytes are left."""

    def __init__(self, file, size, name):
        self.file, self.size, self.name, self.at = file, size, name, 0

    def fail(self, what, at=None):
        raise MXNetValueError(f"{self.name}: byte {self.at if at is None else at}: {what}")

    def need(self, n, what):
        if n > self.size - self.at:
            self.fail(f"{what} should take {n} bytes, but only {self.size - self.at} are left: the file is cut short "
                      "or damaged")

    def unpack(self, form, what):
        """Numbers by their ``struct`` form."""
        n = struct.calcsize("<" + form)
        self.need(n, what)
        data = self.file.read(n)
        if len(data) != n:
            self.fail(f"{what} could not be read: the file shrank meanwhile")
        self.at += n
        return struct.unpack("<" + form, data)

    def fill(self, view, what):
        """Read into a writable buffer until it is full."""
        done = 0
        while done < len(view):
            n = self.file.readinto(view[done:done + (1 << 30)])
            if not n:
                self.fail(f"{what} could not be read: the file shrank meanwhile")
            done += n
        self.at += done


def read_list(reader):
    magic, _, count = reader.unpack("QQQ", "the head of the file")
    if magic != LIST_MAGIC:
        reader.fail(f"this is not an NDArray file: it begins with {magic:#x}, not {LIST_MAGIC:#x}", at=0)
    if count > reader.size // 4:                # a record has at least four bytes
        reader.fail(f"the file says that it has {count} arrays, too many for its {reader.size} bytes", at=16)
    arrays = [read_array(reader) for _ in range(count)]
    (n_names,) = reader.unpack("Q", "the number of names")
    if n_names not in (0, count):
        reader.fail(f"the file has {count} arrays but {n_names} names", at=reader.at - 8)
    names = [read_name(reader) for _ in range(n_names)]
    return dict(zip(names, arrays)) if names else arrays


def read_name(reader):
    (length,) = reader.unpack("Q", "the length of a name")
    reader.need(length, "a name")
    (text,) = reader.unpack(f"{length}s", "a name")
    try:
        return text.decode()
    except UnicodeDecodeError:
        reader.fail("a name is not UTF-8", at=reader.at - length)


def read_array(reader):
    """One record as an array, None for a record of "no array"."""
    start = reader.at
    (magic,) = reader.unpack("I", "an array")
    if magic not in (V1, V2, V3):
        shape = read_shape(reader, magic, "I", start)           # V0: the number is the rank
    else:
        if magic != V1:
            (storage,) = reader.unpack("i", "a storage type")
            if storage in (1, 2):
                raise MXNetNotImplementedError(f"{reader.name}: byte {start}: this array is {STORAGE[storage]}; sparse "
                                               "arrays cannot be read in this version of mxcy")
            if storage != 0:
                reader.fail(f"the storage type is {storage}; expected 0 (dense), 1 (row_sparse) or 2 (csr)",
                            at=reader.at - 4)
        (rank,) = reader.unpack("i", "a rank")
        shape = read_shape(reader, rank, "q", reader.at - 4)
    if not shape and magic != V3:
        return None
    _, _, code = reader.unpack("iii", "a context and dtype")
    if code not in NAMES:
        reader.fail(f"the dtype number is {code}; expected one of {', '.join(map(str, NAMES))}", at=reader.at - 4)
    name = NAMES[code]
    nbytes = math.prod(shape) * NUMPY[name].itemsize
    reader.need(nbytes, f"the elements of an array of shape {shape} and dtype {name}")
    array = new(shape, name, cpu())
    if nbytes:
        reader.fill(memoryview(numpy_view(array).reshape(-1).view("uint8")), "the elements of an array")
    return array


def read_shape(reader, rank, form, at):
    if not 0 <= rank <= MAX_NDIM:
        reader.fail(f"neither the start of an array nor a rank up to {MAX_NDIM}: {rank:#x}", at=at)
    shape = reader.unpack(f"{rank}{form}", "a shape")
    if any(n < 0 for n in shape):
        reader.fail(f"the shape {shape} has a negative size", at=at)
    return shape
