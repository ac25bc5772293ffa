"""Goals G19 to G23 of the page, by real requests to a real server."""

import re
import socket
import time

import pytest
from conftest import etude, tune
from page_stock import Server

from data_pipelines.midi import midi_bytes
from studio.page.guard import Guard

pytest.importorskip("gradio", reason="no Gradio here: make studio")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "secret.txt").write_text("the secret")
    server = Server(folder)
    take = server.work / "takes" / "20260101-000000-aaaaaa"
    take.mkdir()
    (take / "take.json").write_text('{"title": "<script>alert(1)</script>"}')
    (take / "piece.mid").write_bytes(midi_bytes(tune([60, 62, 64])))
    yield server
    server.stop()


def test_g19_it_binds_this_machine_alone(server):
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split()[1] for line in table if f":{server.port:04X} " in line]
    listening = {
        row.split(":")[0] for row in rows if row.endswith(f"{server.port:04X}")
    }
    print(f"G19: bound to {listening}")
    assert listening == {"0100007F"}


def test_g19_another_address_is_warned_of(tmp_path):
    done = etude("studio", "--host", "256.1.1.1", "--folder", tmp_path / "w")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    server = Server(tmp_path / "open", "--host", "0.0.0.0")
    try:
        assert "0.0.0.0 can be reached from other machines" in server.said()
    finally:
        server.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:7860"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Origin": "http://[::1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_g19_a_foreign_host_or_origin_is_refused(server, method, headers):
    path = "/" if method == "GET" else "/takes/20260101-000000-aaaaaa/keep"
    told = server.ask(
        method, path, body=b"" if method == "POST" else None, headers=headers
    )
    assert told.status in (400, 403, 421)
    about = server.work / "takes" / "20260101-000000-aaaaaa" / "take.json"
    assert "is_kept" not in about.read_text()


CLIMBS = [
    "..", "%2e%2e", "%252e%252e", ".%2e", "%2e.", "..%2f", "..%5c", "..\\", "....//..",
    "%c0%ae%c0%ae", "..;", "%2e%2e%2f%2e%2e",
]  # fmt: skip
ROOTS = [
    "/files/takes/{}/secret.txt",
    "/files/takes/20260101-000000-aaaaaa/{}/secret.txt",
    "/files/{}/takes/secret.txt",
    "/gradio_api/file={}/secret.txt",
    "/models/{}.zip",
]
PLAIN = [
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=secret.txt",
    "/gradio_api/file=//etc/passwd", "/file=/etc/passwd", "//etc/passwd",
    "/gradio_api/proxy=http://127.0.0.1/", "/monitoring", "/docs", "/openapi.json",
    "/files/uploads/x/secret.txt", "/files/takes/20260101-000000-aaaaaa/take.json",
    "/files/takes/%00/secret.txt", "/files/takes/x/y\x7f", "/static/../../secret.txt",
    "/assets/..%2f..%2fsecret.txt",
]  # fmt: skip


def hostile():
    return [root.format(climb) for root in ROOTS for climb in CLIMBS] + PLAIN


def test_g20_no_byte_from_outside_the_folder(server):
    asked = hostile()
    assert len(asked) >= 60
    statuses = {}
    for path in asked:
        with socket.create_connection(("127.0.0.1", server.port), 20) as link:
            link.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                "Connection: close\r\n\r\n".encode("latin-1")
            )
            data = b""
            while block := link.recv(65536):
                data += block
        status = int(data.split(b" ", 2)[1])
        statuses[status] = statuses.get(status, 0) + 1
        assert b"the secret" not in data and b"root:" not in data, path
        assert status in (400, 403, 404, 405, 421, 422), (path, status)
    print(f"G20: {len(asked)} requests, answered {statuses}")


def test_g20_names_come_back_escaped(server):
    pytest.importorskip("gradio")
    from studio.page import cards
    from studio.page.shelf import Shelf

    shown = cards.shelf_list(Shelf(server.work).takes())
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_g21_an_upload_is_counted_as_it_comes():
    import asyncio

    seen = []

    async def app(scope, receive, send):
        while (message := await receive()).get("more_body"):
            seen.append(len(message["body"]))

    guard = Guard(app, {"h:1"}, upload_bytes=1000)
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():  # it never says how long it is, and never ends
        return {"type": "http.request", "body": bytes(300), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload",
             "headers": [(b"host", b"h:1")]}  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == 413
    assert sum(seen) == 900
    print("G21: stopped after 900 of 1,000 bytes, at the fourth block of 300")


def test_g21_what_says_it_is_too_long_is_refused_before_a_byte(server):
    told = server.ask(
        "POST", "/gradio_api/upload", headers={"Content-Length": str(2**40)}
    )
    assert told.status == 413
    told = server.ask("POST", "/gradio_api/run/predict",
                      headers={"Content-Length": str(2**30)})  # fmt: skip
    assert told.status == 413


def test_g21_what_is_sent_without_a_length_is_cut_off_by_the_page_itself(tmp_path):
    import asyncio

    import httpx

    from studio.page.app import build_app

    app, desk = build_app(tmp_path / "w", {"h:1"})
    app.upload_bytes = 100_000

    async def blocks():  # of a form that never ends
        yield (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mid"'
            b"\r\n\r\n"
        )
        for _ in range(200):
            yield bytes(10_000)

    async def send(**how):
        link = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://h:1"
        )
        async with link:
            return await link.post("/gradio_api/upload", **how)

    try:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        told = asyncio.run(send(content=blocks(), headers=kind))
        assert told.status_code in (400, 413)
        kept = [path for path in (tmp_path / "w").rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in kept) <= 100_000
        fine = asyncio.run(send(files={"files": ("a.mid", bytes(5000))}))
        assert fine.status_code == 200
        print(f"G21: 2 MB without a length, allowed 0.1: status {told.status_code}")
    finally:
        desk.jobs.close()


def test_g24_whoever_reaches_out_is_stopped_and_written_down(server):
    """What every server of these tests runs under is no toothless watch."""
    import os
    import subprocess
    import sys

    told = server.folder / "told.txt"
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(server.folder),
             "ETUDE_TEST_REACHED": str(told)},
    )  # fmt: skip
    assert "Network is unreachable" in done.stderr
    assert "192.0.2.1" in told.read_text()
    assert not server.reached.exists(), server.reached.read_text()
    print("G24: the page was served with every other address denied; it asked for none")


def test_g22_twenty_at_once_one_runs_and_a_cap_says_busy(tmp_path):
    """Twenty presses at the same moment, each by a visitor of its own."""
    from gradio_client import Client

    server = Server(tmp_path)
    try:
        clients = [Client(server.address, verbose=False) for _ in range(20)]
        wish = ["folk", "", "", 4, 0.9, "1", 1, "", "", "", "", ""]
        asked = [client.submit(*wish, api_name="/compose") for client in clients]
        for one in asked:
            one.result(timeout=120)
        takes = server.work / "takes"
        most = 0
        end = time.monotonic() + 240
        while time.monotonic() < end:
            whole = list(takes.glob("*/take.json"))
            most = max(most, len(list(takes.iterdir())) - len(whole))
            if len(whole) == 9:
                break
            time.sleep(0.2)
        time.sleep(2)
        whole = list(takes.glob("*/take.json"))
        print(
            f"G22: 20 asked, {len(whole)} made (1 ran, 8 waited), {20 - len(whole)} busy"
        )
        assert len(whole) == 9
        notes = {(path.parent / "piece.mid").read_bytes() for path in whole}
        assert len(notes) == 1  # same seed, same music
    finally:
        server.stop()


def test_g23_after_a_kill_what_was_made_is_still_listed(tmp_path):
    from gradio_client import Client

    server = Server(tmp_path)
    try:
        client = Client(server.address, verbose=False)
        client.predict(
            "folk", "", "", 4, 0.9, "1", 1, "", "", "", "", "", api_name="/compose"
        )
        end = time.monotonic() + 120
        while not list((server.work / "takes").glob("*/take.json")):
            assert time.monotonic() < end
            time.sleep(0.2)
        half = server.work / "takes" / "20990101-000000-half00"
        half.mkdir()
        (half / "piece.mid").write_bytes(b"MThd")
        server.kill()
        server.start()
        from studio.page.shelf import Shelf

        (take,) = Shelf(server.work).takes()
        told = server.ask("GET", f"/files/takes/{take.id}/piece.mid")
        assert told.status == 200
        assert told.data[:4] == b"MThd"
        print(f"G23: {take.id} is listed after SIGKILL; what was half made is not")
    finally:
        server.stop()


def test_ctrl_c_ends_the_page_and_its_jobs(tmp_path):
    from gradio_client import Client

    server = Server(tmp_path)
    client = Client(server.address, verbose=False)
    client.predict(
        "pop-piano", "", "", 64, 0.9, "1", 1, "", "", "", "", "", api_name="/compose"
    )
    time.sleep(3)
    server.stop()
    time.sleep(0.5)
    import subprocess

    left = subprocess.run(
        ["pgrep", "-f", str(server.work)], capture_output=True, text=True
    )
    assert left.stdout == ""
    assert not server.reached.exists(), server.reached.read_text()
    assert not re.search("Traceback", server.said()), server.said()
