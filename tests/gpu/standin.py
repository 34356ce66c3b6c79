"""The stand-in driver by ctypes: for its own tests, and to inject faults and count calls in tests of what uses it."""
import ctypes
import struct
import threading

import numpy as np
import pytest

#: Results that tests name.
INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED = 1, 2, 3
NO_DEVICE, INVALID_DEVICE, INVALID_IMAGE, INVALID_CONTEXT = 100, 101, 200, 201
INVALID_HANDLE, NOT_FOUND, NOT_READY = 400, 500, 600
ILLEGAL_ADDRESS, LAUNCH_FAILED, NOT_PERMITTED, NOT_SUPPORTED = 700, 719, 800, 801
CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED, CAPTURE_MERGE, CAPTURE_UNMATCHED = 900, 901, 902, 903
CAPTURE_UNJOINED, CAPTURE_ISOLATION, CAPTURE_IMPLICIT, CAPTURED_EVENT, CAPTURE_WRONG_THREAD = 904, 905, 906, 907, 908

NON_BLOCKING = 1                # a stream
GLOBAL, THREAD_LOCAL, RELAXED = 0, 1, 2

HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
N = 1000                        # elements of what most tests compute with


class CudaError(Exception):
    """A function of the driver returned something else than 0."""

    def __init__(self, function, code, text):
        super().__init__(f"{function} returned {code}: {text}")
        self.code = code


def fails(code, match=None):
    """The block raises CudaError with that code and text."""
    return pytest.raises(CudaError, match=match, check=lambda error: error.code == code)


def array(address, n=N):
    """Packed parameters of a kernel: an array and its length."""
    return struct.pack("Pq", address, n)


class Driver:
    """A library with the driver's functions and those of the stand-in."""

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        self.library.standin_last_error.restype = ctypes.c_char_p
        self.library.standin_calls.restype = ctypes.c_long
        self.library.standin_bytes_in_use.restype = ctypes.c_size_t
        self.kept = []          # what the driver calls back

    def __call__(self, function, *arguments):
        """Call a function; integers may be of any size, as handles and addresses are."""
        given = [ctypes.c_uint64(x & (1 << 64) - 1) if isinstance(x, int) else x for x in arguments]
        code = getattr(self.library, function)(*given)
        if code:
            raise CudaError(function, code, self.last_error())

    def out(self, function, *arguments):
        """What a function writes to where its first argument points."""
        result = ctypes.c_uint64()
        self(function, ctypes.byref(result), *arguments)
        return result.value

    def out_last(self, function, *arguments):
        """What a function writes to where its last argument points."""
        result = ctypes.c_uint64()
        self(function, *arguments, ctypes.byref(result))
        return result.value

    def last_error(self):
        return self.library.standin_last_error().decode()

    def fail(self, function, after, error):
        """Let the ``after``-th next call of a function return an error."""
        self.library.standin_fail(function.encode(), after, error)

    def calls(self, function):
        return self.library.standin_calls(function.encode())

    def bytes_in_use(self, device=0):
        return self.library.standin_bytes_in_use(device)

    # What nearly every test needs.

    def start(self, device=0):
        """Make the device's primary context current and return it."""
        self("cuInit", 0)
        context = self.out("cuDevicePrimaryCtxRetain", device)
        self("cuCtxSetCurrent", context)
        return context

    def malloc(self, nbytes):
        return self.out("cuMemAlloc_v2", nbytes)

    def stream(self, flags=NON_BLOCKING):
        return self.out("cuStreamCreate", flags)

    def event(self):
        return self.out("cuEventCreate", 0)

    def upload(self, address, array):
        self("cuMemcpyHtoD_v2", address, array.ctypes.data_as(ctypes.c_void_p), array.nbytes)

    def download(self, array, address):
        self("cuMemcpyDtoH_v2", array.ctypes.data_as(ctypes.c_void_p), address, array.nbytes)
        return array

    def filled(self, value, n=N):
        """Device memory that holds a number n times."""
        address = self.malloc(4 * n)
        self.upload(address, np.full(n, value, np.float32))
        return address

    def contents(self, address, n=N):
        return self.download(np.empty(n, np.float32), address)

    def function(self, module, name):
        return self.out("cuModuleGetFunction", module, name.encode())

    def launch(self, function, parameters, stream=0, grid=(1, 1, 1), block=(32, 1, 1), shared=0):
        """Launch a kernel with its packed parameters."""
        size = ctypes.c_size_t(len(parameters))
        buffer = ctypes.create_string_buffer(parameters, len(parameters))
        extra = (ctypes.c_void_p * 5)(1, ctypes.addressof(buffer), 2, ctypes.addressof(size), None)
        self("cuLaunchKernel", function, *grid, *block, shared, stream, None, extra)

    def host_function(self, stream, function):
        """Let a stream call a Python function without arguments."""
        self.kept.append(HOST_FUNCTION(lambda data: function()))
        self("cuLaunchHostFunc", stream, self.kept[-1], None)

    def hold(self, stream):
        """Keep a stream from going on, until ``set`` of what is returned is called."""
        gate = threading.Event()
        self.host_function(stream, gate.wait)
        return gate
