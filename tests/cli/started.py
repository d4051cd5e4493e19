"""Programs that have been started before they are asked for.

LibTorch takes half a second to load, more than most tests of the programs; thousands of starts were a third of them.
tests/tools/started_before.cpp, preloaded, holds a program where main() begins, and each call is a fork from there: the
same binary, arguments, folder, environment and streams. What is about the process itself (signals, limits, memory,
variables that libraries read when they are loaded) starts a process as everyone does, by subprocess.
"""

import array
import os
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

PRELOADED = os.environ.get("AETOOLS_STARTED_BEFORE")  # the library; without it each call is a start
# Read while a library is loaded, or by the loader itself. Not KMP_, of an OpenMP that LibTorch is not linked with here:
# scikit-learn sets two of these in the tests' own process, after which nothing would be a fork any more.
READ_AT_LOADING = ("LD_", "OMP_", "GOMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "MALLOC_", "GLIBC_", "TORCH_",
                   "PYTORCH_", "ATEN_", "CUDA_", "GDAL_", "OPENCV_")  # fmt: skip


def read_at_loading(environment):
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_LOADING)}


class Program:
    """One program, held at main()."""

    def __init__(self, path):
        self.environment = read_at_loading(os.environ)
        self.lock = threading.Lock()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            self.process = subprocess.Popen(
                [path], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd="/",
                env={**os.environ, "LD_PRELOAD": PRELOADED, "AETOOLS_TEST_SOCKET": str(theirs.fileno())})  # fmt: skip

    def begin(self, words, cwd, environment, streams):
        """The process's number."""
        parts = [os.fspath(cwd), str(len(words)), *words, *(f"{name}={value}" for name, value in environment.items())]
        packet = b"".join(os.fsencode(part) + b"\0" for part in parts)
        self.socket.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))])
        return self.answer()

    def answer(self):
        packet = self.socket.recv(4)
        assert len(packet) == 4, f"{self.process.args[0]}, held at main(), has ended"
        return struct.unpack("i", packet)[0]


AT_MOST = 4  # of one program: as many as threads of a test call it at a time
held = {}  # by path
of_all = threading.Lock()


def take(path, environment):
    """One that no other thread has, locked; None where there is none."""
    if not PRELOADED or not links_torch(path):
        return None
    with of_all:
        programs = held.setdefault(path, [])
        for program in programs:
            if program.lock.acquire(blocking=False):
                break
        else:
            if len(programs) == AT_MOST:
                return None
            program = Program(path)
            program.lock.acquire()
            programs.append(program)
    if program.environment == read_at_loading(environment):
        return program
    program.lock.release()
    return None


def run(command, *, input=None, cwd=None, env=None, timeout):
    """As subprocess.run(command, input=input, capture_output=True, ...) with no standard input where input is None."""
    environment = os.environ if env is None else env
    command = [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in command]
    path = os.path.realpath(command[0])
    program = take(path, environment)
    if program is None:
        standard_input = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(command, capture_output=True, cwd=cwd, env=env, timeout=timeout, **standard_input)
    try:
        return run_held(program, command, input, cwd or os.getcwd(), environment, timeout)
    except BaseException as error:
        if not isinstance(error, subprocess.TimeoutExpired):  # an answer may be unread
            with of_all:
                held[path].remove(program)
            program.socket.close()
        raise
    finally:
        program.lock.release()


def links_torch(path):
    """Whether it takes long to load; the others are started as they are."""
    from support import PROGRAMS, WITHOUT_LIBTORCH

    return Path(path).name in set(PROGRAMS) - set(WITHOUT_LIBTORCH) and os.access(path, os.X_OK)


def run_held(program, command, given, cwd, environment, timeout):
    output, error = os.pipe(), os.pipe()
    entrance = (os.open(os.devnull, os.O_RDONLY), None) if given is None else os.pipe()
    process = program.begin(command, cwd, environment, [entrance[0], output[1], error[1]])
    for descriptor in (entrance[0], output[1], error[1]):
        os.close(descriptor)
    said = {}

    def drain(name, descriptor):
        with open(descriptor, "rb") as stream:
            said[name] = stream.read()

    def feed():
        try:
            with open(entrance[1], "wb") as stream:
                stream.write(given)
        except BrokenPipeError:
            pass

    threads = [threading.Thread(target=drain, args=("output", output[0])),
               threading.Thread(target=drain, args=("error", error[0]))]  # fmt: skip
    if given is not None:
        threads.append(threading.Thread(target=feed))
    for thread in threads:
        thread.start()
    program.socket.settimeout(timeout)
    late = False
    try:
        status = program.answer()
    except TimeoutError:
        late = True
        os.kill(process, signal.SIGKILL)
        program.socket.settimeout(None)
        status = program.answer()
    program.socket.settimeout(None)
    for thread in threads:
        thread.join()
    if late:
        raise subprocess.TimeoutExpired(command, timeout, said["output"], said["error"])
    return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), said["output"], said["error"])
