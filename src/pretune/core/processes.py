"""Names of unfinished files and folders that say which process of which machine makes them, so that what a killed one
left can be told from what another one is making now.

Does not: remove what another machine left, over a network file system; nobody here can know whether it is still alive.
"""

import os
import re
import shutil
import socket
from contextlib import suppress
from pathlib import Path


def unique_to_process(prefix: str) -> str:
    """`prefix`, this machine and this process."""
    return f"{prefix}{socket.gethostname()}-{os.getpid()}"


def remove_left_by_dead(folder: Path, prefix: str) -> None:
    """Removes what dead processes of this machine left in a folder under `unique_to_process(prefix)`."""
    named = re.compile(re.escape(f"{prefix}{socket.gethostname()}-") + r"(\d+)")
    for path in folder.iterdir() if folder.is_dir() else ():
        found = named.fullmatch(path.name)
        if found is None or _is_alive(int(found[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return process != os.getpid()
