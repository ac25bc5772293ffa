"""A real server of the page, in a process of its own, whose network is denied."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time

from conftest import ROOT

# Read by every Python that the server starts, itself too: whoever reaches for an
# address that is not this machine's own fails, and is written down.
WATCH = """
import os, sys
HERE = ("127.", "::1", "localhost", "0.0.0.0")
def _watch(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
    elif event == "socket.getaddrinfo":
        host = str(arguments[0] or "")
    else:
        return
    if host and not host.startswith(HERE):
        with open(os.environ["ETUDE_TEST_REACHED"], "a") as told:
            told.write(f"{event} {host}\\n")
        raise OSError(101, "Network is unreachable")
sys.addaudithook(_watch)
"""


class Server:
    """`etude studio` on a free port. Args: folder, where it works."""

    def __init__(self, folder, *more):
        self.folder, self.more = folder, more
        folder.mkdir(parents=True, exist_ok=True)
        self.work = folder / "work"
        self.reached = folder / "reached.txt"
        (folder / "sitecustomize.py").write_text(WATCH)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.log = open(self.folder / "log.txt", "ab")  # noqa: SIM115  (until stop)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "studio.cli", "studio", "--folder", str(self.work),
             "--port", str(self.port), "--no-browser", *self.more],
            stdout=self.log, stderr=self.log, cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
                "ETUDE_TEST_REACHED": str(self.reached),
            },
        )  # fmt: skip
        end = time.monotonic() + 180
        while True:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, "the page never answered"
            try:
                if self.ask("GET", "/").status == 200:
                    return
            except OSError:
                time.sleep(0.3)

    def ask(self, method, path, body=None, headers=None):
        """The response to one request, its body read into ``data``."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.putrequest(method, path, skip_host="Host" in (headers or {}))
            for name, value in (headers or {}).items():
                link.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                link.putheader("Content-Length", str(len(body)))
            link.endheaders()
            if body:
                link.send(body)
            response = link.getresponse()
            response.data = response.read()
            return response
        finally:
            link.close()

    def said(self):
        return (self.folder / "log.txt").read_text(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ctrl-C, as a person ends it; gives the exit status."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.log.close()
