"""`etude studio`."""

import socket
import sys
import threading
import time
import webbrowser
from importlib.util import find_spec

from studio.errors import MachineFailed, WrongUsage
from studio.outputs import check_folder

PORTS_TRIED = 20
NEEDED = "The page needs Gradio, which is not installed here: make studio."
HERE = ("127.0.0.1", "localhost", "::1")


def studio(*, folder, host, port, browser):
    """`etude studio`."""
    if find_spec("gradio") is None:
        raise MachineFailed(NEEDED)
    if port is not None and not 1 <= port <= 65_535:
        raise WrongUsage(f"`port` must be in 1..65535. Received: {port}")
    if folder.exists() and not folder.is_dir():
        raise WrongUsage(f"{folder} is a file; name a folder.")
    check_folder(folder)
    port = _free_port(host, port)
    if host not in HERE:
        print(
            f"etude: warning: {host} can be reached from other machines, and whoever "
            "reaches the page may read and write in its folder and use this machine.",
            file=sys.stderr,
        )
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(
        f"Opening {address} (work is kept in {folder}; Ctrl-C ends it) ...", flush=True
    )

    from studio.page.app import serve

    def ready():
        print(f"The page is at {address}", flush=True)
        if browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()

    serve(folder, host, port, on_ready=ready)


def _open(address):
    time.sleep(1)
    webbrowser.open(address)


def _free_port(host, wanted):
    """The port that was named, or the first free one from 7860.

    Raises:
        MachineFailed: if it is taken.
    """
    tried = [wanted] if wanted else range(7860, 7860 + PORTS_TRIED)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in tried:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((host, port))
            except OSError as error:
                why = error.strerror
                continue
            return port
    raise MachineFailed(f"{host}, port {tried[0]}: {why}. Name another with --port.")
