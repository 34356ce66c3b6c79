"""RecordIO: files of records one after another, as MXNet keeps its image sets in, and the records of images."""
import io
import os
import struct
from collections import namedtuple

import numpy as np

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError

__all__ = ["IRHeader", "MXIndexedRecordIO", "MXRecordIO", "pack", "pack_img", "unpack", "unpack_img"]

MAGIC = struct.pack("<I", 0xCED7230A)
#: A frame's length has 29 bits; the three above say whether it is a whole record or the first, middle or last part.
LENGTH = (1 << 29) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)


class MXRecordIO:
    """A file of records, read or written in order.

    Parameters
    ----------
    uri : str or path-like
        The file.
    flag : str
        ``"r"`` to read, ``"w"`` to write.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "x.rec")
    >>> record = MXRecordIO(path, "w"); record.write(b"one"); record.write(b"two"); record.close()
    >>> record = MXRecordIO(path, "r"); record.read(), record.read(), record.read()
    (b'one', b'two', None)
    """

    def __init__(self, uri, flag):
        if flag not in ("r", "w"):
            raise MXNetValueError(f"MXRecordIO: flag is {flag!r}; expected 'r' or 'w'")
        self.uri, self.flag, self.writable, self.is_open = os.fspath(uri), flag, flag == "w", False
        self.open()

    def open(self):
        """Open the file; one to be written becomes empty."""
        try:
            self.file = open(self.uri, self.flag + "b")
        except OSError as error:
            raise MXNetError(f"MXRecordIO: cannot open {self.uri}: {error.strerror}") from error
        self.size = None if self.writable else os.fstat(self.file.fileno()).st_size
        self.pid, self.is_open = os.getpid(), True

    def close(self):
        """Close the file."""
        if self.is_open:
            self.file.close()
            self.is_open = False

    def reset(self):
        """Close and open the file again: reading starts at the front, and a file to be written becomes empty."""
        self.close()
        self.open()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __del__(self):
        if getattr(self, "is_open", False):
            self.close()

    def __getstate__(self):
        if self.writable:
            raise MXNetTypeError("MXRecordIO: a file that is being written cannot be pickled")
        return {**self.__dict__, "file": None, "position": self.tell() if self.is_open else None}

    def __setstate__(self, state):
        position = state.pop("position")
        self.__dict__.update(state)
        if position is not None:
            self.open()
            self.file.seek(position)

    def tell(self):
        """Where in the file the next record is read or written.

        Returns
        -------
        int
            Bytes from the front.
        """
        return self.file.tell()

    def write(self, buf):
        """Append a record.

        Parameters
        ----------
        buf : bytes-like
            Its contents.
        """
        if not self.writable:
            raise MXNetTypeError(f"MXRecordIO: {self.uri} is open for reading; open it with flag 'w' to write")
        parts = split(bytes(buf))
        for i, part in enumerate(parts):
            if len(part) > LENGTH:
                raise MXNetValueError(f"MXRecordIO: a record of {len(part)} bytes is too long; at most {LENGTH} fit")
            kind = WHOLE if len(parts) == 1 else FIRST if i == 0 else LAST if i == len(parts) - 1 else MIDDLE
            self.file.write(MAGIC + struct.pack("<I", kind << 29 | len(part)) + part + bytes(-len(part) % 4))

    def read(self):
        """Read the next record.

        Returns
        -------
        bytes or None
            None at the end of the file.
        """
        if self.writable:
            raise MXNetTypeError(f"MXRecordIO: {self.uri} is open for writing; open it with flag 'r' to read")
        if self.pid != os.getpid():             # after a fork the position is the parent's too: use a file of our own
            position = self.tell()
            self.open()
            self.file.seek(position)
        parts, kind = [], None
        while kind not in (WHOLE, LAST):
            at = self.tell()
            head = self.file.read(8)
            if not head and not parts:
                return None
            if len(head) < 8 or head[:4] != MAGIC:
                self._fail(at, "here a record should begin" if len(head) == 8 else "the file ends within a record")
            word, = struct.unpack("<I", head[4:])
            kind, length = word >> 29, word & LENGTH
            if kind not in ((MIDDLE, LAST) if parts else (WHOLE, FIRST)):
                self._fail(at, f"part {kind} of a record stands where {'a next' if parts else 'a first'} part should")
            if length > self.size - at - 8:
                self._fail(at, f"a record of {length} bytes does not fit into the file")
            parts.append(self.file.read(length))
            self.file.seek(-length % 4, os.SEEK_CUR)
        return MAGIC.join(parts)

    def _fail(self, at, what):
        raise MXNetValueError(f"{self.uri}: byte {at}: {what}; the file is damaged or no RecordIO file")


def split(data):
    """The pieces between occurrences of the magic number at multiples of four: it may only stand before frames."""
    pieces, begin, at = [], 0, data.find(MAGIC)
    while at >= 0:
        if at % 4 == 0:
            pieces.append(data[begin:at])
            begin = at + 4
            at = data.find(MAGIC, begin)
        else:
            at = data.find(MAGIC, at + 1)
    return [*pieces, data[begin:]]


class MXIndexedRecordIO(MXRecordIO):
    """A file of records with an index, for reading in any order.

    Parameters
    ----------
    idx_path : str or path-like
        The index: a line of key, tab and position for each record.
    uri : str or path-like
        The file.
    flag : str
        ``"r"`` to read, ``"w"`` to write.
    key_type : type
        Of the keys.

    Attributes
    ----------
    keys : list
        In the order of the index.
    idx : dict
        Positions by key.
    """

    def __init__(self, idx_path, uri, flag, key_type=int):
        self.idx_path, self.key_type = os.fspath(idx_path), key_type
        self.idx, self.keys = {}, []
        super().__init__(uri, flag)

    def open(self):
        super().open()
        if self.writable:
            self.idx, self.keys = {}, []
            return
        try:
            with open(self.idx_path) as file:
                lines = [line.rstrip("\n").split("\t") for line in file]
            self.idx = {self.key_type(key): int(position) for key, position in lines}
        except OSError as error:
            raise MXNetError(f"MXIndexedRecordIO: cannot open {self.idx_path}: {error.strerror}") from error
        except ValueError as error:
            raise MXNetValueError(f"MXIndexedRecordIO: {self.idx_path} is no index of lines 'key, tab, position': "
                                  f"{error}") from error
        self.keys = list(self.idx)

    def close(self):
        if self.is_open and self.writable:
            with open(self.idx_path, "w") as file:
                file.writelines(f"{key}\t{self.idx[key]}\n" for key in self.keys)
        super().close()

    def seek(self, idx):
        """Make a record the next one to be read.

        Parameters
        ----------
        idx : key_type
            Its key.
        """
        try:
            self.file.seek(self.idx[idx])
        except KeyError:
            raise MXNetValueError(f"MXIndexedRecordIO: {self.idx_path} has no key {idx!r}") from None

    def read_idx(self, idx):
        """Read a record.

        Parameters
        ----------
        idx : key_type
            Its key.

        Returns
        -------
        bytes
        """
        self.seek(idx)
        return self.read()

    def write_idx(self, idx, buf):
        """Append a record under a key.

        Parameters
        ----------
        idx : key_type
            The key.
        buf : bytes-like
            Its contents.
        """
        key = self.key_type(idx)
        if key not in self.idx:
            self.keys.append(key)
        self.idx[key] = self.tell()
        self.write(buf)


# -- records of images -------------------------------------------------------------------------------------------------

IRHeader = namedtuple("HEADER", ["flag", "label", "id", "id2"])
IRHeader.__doc__ = """What stands before the content of a record.

Parameters
----------
flag : int
    The number of labels; 0 says that ``label`` is the only one, a number.
label : float or numpy.ndarray
    One number or several.
id, id2 : int
    Numbers that tell the record.
"""
_HEADER = struct.Struct("<IfQQ")


def pack(header, s):
    """Put a header before the content of a record.

    Parameters
    ----------
    header : IRHeader
        ``label`` is a number or an array of numbers.
    s : bytes
        The content.

    Returns
    -------
    bytes
    """
    flag, label, number, number2 = header
    labels = b""
    if np.ndim(label):
        labels = np.asarray(label, "<f4")
        flag, label, labels = labels.size, 0, labels.tobytes()
    else:
        flag = 0
    return _HEADER.pack(flag, label, number, number2) + labels + s


def unpack(s):
    """Part a record into header and content.

    Parameters
    ----------
    s : bytes
        What `pack` made.

    Returns
    -------
    header : IRHeader
        Several labels are a NumPy array.
    s : bytes
        The content.
    """
    if len(s) < _HEADER.size:
        raise MXNetValueError(f"unpack: a record of {len(s)} bytes has no header, which takes {_HEADER.size}")
    header = IRHeader(*_HEADER.unpack_from(s))
    end = _HEADER.size + 4 * header.flag
    if len(s) < end:
        raise MXNetValueError(f"unpack: the header says {header.flag} labels, but the record has {len(s)} bytes")
    if header.flag:
        header = header._replace(label=np.frombuffer(s, "<f4", header.flag, _HEADER.size).copy())
    return header, s[end:]


def pack_img(header, img, quality=95, img_fmt=".jpg"):
    """Encode an image and put a header before it.

    Parameters
    ----------
    header : IRHeader
        As for `pack`.
    img : numpy.ndarray
        uint8, (H, W) or (H, W, 3) in the order blue, green, red.
    quality : int
        1 to 100 for JPEG, 0 to 9 (the compression) for PNG.
    img_fmt : str
        ``".jpg"`` or ``".png"``.

    Returns
    -------
    bytes
    """
    from PIL import Image                       # only those who make image records need it
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(img_fmt.lower())
    if kind is None:
        raise MXNetValueError(f"pack_img: img_fmt is {img_fmt!r}; expected '.jpg' or '.png'")
    file = io.BytesIO()
    picture = Image.fromarray(img if img.ndim == 2 else np.ascontiguousarray(img[:, :, ::-1]))
    picture.save(file, kind, **({"quality": quality} if kind == "JPEG" else {"compress_level": quality}))
    return pack(header, file.getvalue())


def unpack_img(s, iscolor=-1):
    """Part a record into header and image.

    Parameters
    ----------
    s : bytes
        What `pack_img` made.
    iscolor : int
        1: three channels; 0: one; -1: as the image has.

    Returns
    -------
    header : IRHeader
        As from `unpack`.
    img : numpy.ndarray
        uint8, (H, W), or (H, W, 3) in the order blue, green, red.
    """
    from PIL import Image                       # only those who read image records need it
    header, data = unpack(s)
    picture = Image.open(io.BytesIO(data))
    gray = picture.mode in ("L", "1", "I;16") if iscolor == -1 else not iscolor
    img = np.asarray(picture.convert("L" if gray else "RGB"))
    return header, img if gray else np.ascontiguousarray(img[:, :, ::-1])
