"""What the student's code may not do: too much memory, files elsewhere, processes, the network.

This contains accidents, not attacks.
"""

import io
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

FILES = 256
"""That may be open at once."""

PRINTED = 65536
"""Bytes of output that are written down; what comes after is dropped."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# event → positions of its paths, and of the folders (open files) to which they are relative
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.mkfifo": ((0, 2),),
    "shutil.rmtree": ((0, 1),),
}
_PROCESSES = {
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("os.startfile", "pty.spawn", "os.killpg"),
}
_NETWORK = {
    *("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"),
    *("socket.gethostbyname", "socket.gethostbyaddr"),
}


def apply(memory_bytes: int, file_bytes: int, seconds: float, folder: str) -> None:
    """Set all limits for the rest of this process.

    Args:
        memory_bytes: beyond what is held now.
        file_bytes: of any file.
        seconds: of an examination; what is left of this process long after that has lost its parent.
        folder: in which files may be written.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + 4 * seconds) + 60)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, FILES)
    if held := _address_space():
        _limit(resource.RLIMIT_AS, held + memory_bytes)
    sys.dont_write_bytecode = True
    _cap_output()
    os._exit = _exit
    sys.addaudithook(_hook(os.path.realpath(folder)))


def _limit(what: int, value: int) -> None:
    with suppress(ValueError, OSError):  # some systems know a limit and do not let it be set
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, hard))


def _address_space() -> int | None:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def _exit(status: int) -> NoReturn:
    raise SystemExit(f"os._exit({status})")


class _Capped(io.RawIOBase):
    """Writes to a file descriptor, and drops what is too much."""

    left = PRINTED

    def __init__(self, number: int) -> None:
        self._number = number

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def write(self, data: Any, /) -> int:
        part = bytes(data[: _Capped.left])
        _Capped.left -= len(part)
        if part:
            with suppress(OSError):
                os.write(self._number, part)
        return len(data)


def _cap_output() -> None:
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw: Any = _Capped(number)
        setattr(sys, name, io.TextIOWrapper(raw, "utf-8", errors="replace", write_through=True))


def _hook(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if (flags or 0) & _WRITING or set(mode or "") & set("wax+"):
                _require(path, None, folder, "write")
        elif event in _CHANGES:
            for path, base in _changed(event, arguments):
                _require(path, base, folder, "change")
        elif event in _PROCESSES:
            raise PermissionError(f"the doctor does not let examined code start or end processes ({event})")
        elif event in _NETWORK:
            raise PermissionError("the doctor does not let examined code use the network")
        elif event == "os.kill" and arguments[0] != os.getpid():
            raise PermissionError("the doctor does not let examined code end processes")

    return check


def _changed(event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    for path, base in _CHANGES[event]:
        yield arguments[path], arguments[base] if base is not None and base < len(arguments) else None


def _require(path: Any, base: Any, folder: str, what: str) -> None:
    if isinstance(path, int):  # a file that is open already
        return
    text = os.fsdecode(path)
    if isinstance(base, int) and base >= 0:
        text = os.path.join(os.path.realpath(f"/proc/self/fd/{base}"), text)
    # of a link, what is removed is the link and not what it leads to
    real = os.path.join(os.path.realpath(os.path.dirname(text) or "."), os.path.basename(text))
    real = os.path.realpath(real) if what == "write" else real
    if real != os.devnull and not f"{real}{os.sep}".startswith(f"{folder}{os.sep}"):
        raise PermissionError(
            f"the doctor does not let examined code {what} files outside its folder: {text}"
        )
