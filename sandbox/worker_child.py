"""The worker's own process: loads functions by reference and calls them until told to stop.

Run by its path as a script, so it imports nothing of rewardkit. It runs *trusted* callables that
may run away (symbolic maths, users' reward functions), never judged code: frames are pickles in
both directions, and a pickle can execute anything.

Wire: each frame is eight bytes of length and a pickle. Requests are ``("load", key, reference)``
and ``("call", key, pickled (args, kwargs))``; replies are ``("ok", value)`` and
``("error", type name, message, traceback)``.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import io
import os
import pickle
import select
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["LOADING_MAIN", "MAIN_ALIAS", "Frames", "main"]

# The name that multiprocessing gives a script's module in its children: guards and libraries
# already know it.
LOADING_MAIN = "REWARDKIT_WORKER_LOADS_MAIN"
MAIN_ALIAS = "__mp_main__"

_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 16
_F_SETSIG = 10  # Linux; the fcntl module does not export it on every version


class Frames:
    """Length-prefixed messages over a stream socket. Not thread-safe: one user at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def send(self, message: bytes) -> None:
        """Send one message. Raises ``OSError`` if the other side is gone."""
        self._sock.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, wait: Callable[[], None]) -> bytes:
        """The next message; ``wait`` blocks until something can be read (or raises).

        Raises:
            EOFError: the other side is gone.
        """
        head = self._take(_LENGTH.size, wait)
        return self._take(_LENGTH.unpack(head)[0], wait)

    def _take(self, size: int, wait: Callable[[], None]) -> bytes:
        while len(self._buffer) < size:
            wait()
            chunk = self._sock.recv(_CHUNK)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def die_with(lifeline: int) -> None:
    """End this process when the last holder of the lifeline's write end is gone.

    On Linux the kernel itself sends SIGKILL: a thread of Python's could not act while a long
    integer power holds the interpreter's lock. Not ``PR_SET_PDEATHSIG``: that fires when the
    *thread* that started us ends, not the process.
    """
    if sys.platform == "linux":
        import fcntl
        import signal

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
        hung_up = select.poll()
        hung_up.register(lifeline, 0)
        if hung_up.poll(0):  # the caller was gone before the signal was armed
            os._exit(0)
    else:
        threading.Thread(target=_exit_at_eof, args=(lifeline,), daemon=True).start()


def _exit_at_eof(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(0)


def limit_memory(memory_mb: int | None) -> None:
    """Bound private memory, and never leave a core dump."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_mb is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = memory_mb << 20
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        # DATA and not AS: CUDA and threads reserve address space by the gigabyte and never use it.
        resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


class Main:
    """The caller's script, loaded at first need under another name than ``__main__``.

    As multiprocessing's spawn does it: code under ``if __name__ == "__main__"`` does not run.
    """

    def __init__(self, location: tuple[str, str] | None) -> None:
        self._location = location

    def load(self) -> None:
        """Load it and let it stand for ``__main__`` here. Raises whatever the script raises."""
        if self._location is None or MAIN_ALIAS in sys.modules:
            return
        kind, where = self._location
        # A script without the guard runs whole when it is loaded: its calls would start workers,
        # which would load it and start workers, without end. The pool refuses while this stands.
        os.environ[LOADING_MAIN] = where
        try:
            if kind == "module":
                module = importlib.import_module(where)
                sys.modules[MAIN_ALIAS] = module
            else:
                module = load_file(MAIN_ALIAS, where)
        finally:
            del os.environ[LOADING_MAIN]
        sys.modules["__main__"] = module


def load_file(name: str, path: str) -> ModuleType:
    """Load a source file as the module ``name``."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path!r} as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def load_module(name: str, path: str) -> None:
    """Import a module by name, or by file where the caller's import system knew more than ours."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        if not path:
            raise
        _stand_in_parents(name, path)
        load_file(name, path)


def _stand_in_parents(name: str, path: str) -> None:
    """Give a dotted name parents that can be imported: pickle insists on them."""
    folder = os.path.dirname(path)
    for parent in _parents(name):
        if parent not in sys.modules:
            module = ModuleType(parent)
            fits = os.path.basename(folder) == parent.rpartition(".")[2]
            module.__path__ = [folder] if fits else []
            sys.modules[parent] = module
        folder = os.path.dirname(folder)


def _parents(name: str) -> list[str]:
    """``a.b.c`` -> ``a.b``, ``a``."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def resolve(reference: dict[str, Any], main: Main) -> Callable[..., Any]:
    """The callable that a reference means. Raises whatever its import raises."""
    sys.path[:] = reference["sys_path"]
    if reference["uses_main"]:
        main.load()
    for name, path in reference["modules"]:
        load_module(name, path)
    if reference["pickled"] is not None:
        return pickle.loads(reference["pickled"])  # type: ignore[no-any-return]
    found: Any = sys.modules[reference["module"]]
    for part in reference["qualname"].split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


class Arguments(pickle.Unpickler):
    """Reads the arguments of a call, and loads the script if they hold objects of it.

    Only for a class or function that the pickle names, never for a text: an answer that holds the
    word ``__main__`` would else have the caller's script run here.
    """

    def __init__(self, payload: bytes, main: Main) -> None:
        super().__init__(io.BytesIO(payload))
        self._main = main

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name in ("__main__", MAIN_ALIAS):
            self._main.load()
        return super().find_class(module_name, global_name)


class Server:
    """Answers requests one after another."""

    def __init__(self, hello: dict[str, Any]) -> None:
        self._main = Main(hello["main"])
        self._functions: dict[int, Callable[..., Any]] = {}

    def answer(self, request: tuple[str, int, Any]) -> bytes:
        """The reply to one request, pickled; whatever fails becomes an error reply."""
        try:
            verb, key, body = request
            if verb == "load":
                self._functions[key] = resolve(body, self._main)
                return pickle.dumps(("ok", None), pickle.HIGHEST_PROTOCOL)
            return self._call(self._functions[key], body)
        except BaseException as error:  # SystemExit too: a function must not end its worker
            return _failure(error)

    def _call(self, function: Callable[..., Any], payload: bytes) -> bytes:
        args, kwargs = Arguments(payload, self._main).load()
        return pickle.dumps(("ok", function(*args, **kwargs)), pickle.HIGHEST_PROTOCOL)


def _failure(error: BaseException) -> bytes:
    try:
        message = str(error)
    except Exception as broken:
        message = f"<str() of it raised {type(broken).__name__}>"
    text = "".join(traceback.format_exception(error))
    return pickle.dumps(("error", type(error).__name__, message, text))


def main() -> None:
    """Serve until the caller hangs up, dies, or sends nothing for ``idle_s`` seconds."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    die_with(int(sys.argv[2]))
    frames = Frames(sock)
    hello = pickle.loads(frames.receive(lambda: None))
    sys.argv[:] = [""]
    limit_memory(hello["memory_mb"])
    _crash_reports_only()
    server = Server(hello)
    wait = _idle_wait(sock, hello["idle_s"])
    # The caller hung up, or left us idle for so long that our memory serves better elsewhere.
    with contextlib.suppress(EOFError, OSError):
        while True:
            frames.send(server.answer(pickle.loads(frames.receive(wait))))
    os._exit(0)


def _idle_wait(sock: socket.socket, idle_s: float | None) -> Callable[[], None]:
    """Waits for the next bytes; raises ``EOFError`` when none come for ``idle_s`` seconds."""
    readable = select.poll()
    readable.register(sock, select.POLLIN)

    def wait() -> None:
        if not readable.poll(None if idle_s is None else idle_s * 1000):
            raise EOFError

    return wait


def _crash_reports_only() -> None:
    """Keep the log for the interpreter's own crash report; what functions print is dropped."""
    log = os.dup(2)
    faulthandler.enable(file=log)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


if __name__ == "__main__":
    main()
