"""The page put together: tabs over one desk, files by address, and the guard before it."""

import os
import shutil
from pathlib import Path

from studio.page import cards, look
from studio.page.desk import Desk
from studio.page.guard import Guard
from studio.page.jobs import Jobs
from studio.page.parts import html, owned, owner_of
from studio.page.shelf import Shelf

TICK_SECONDS = 0.7
SHELF_LENGTH = 30
KINDS = {
    ".mid": "audio/midi",
    ".wav": "audio/wav",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".musicxml": "application/vnd.recordare.musicxml+xml",
}


def build_app(folder, hosts, **jobs):
    """The ASGI application of a page.

    Args:
        folder: Path, the work folder. hosts: set of str, the names with port that it
            answers to. jobs: arguments of `Jobs`.

    Returns:
        (application, `Desk`). Close ``desk.jobs`` at the end.
    """
    shelf = Shelf(folder)
    _prepare_gradio(shelf.folder)
    import gradio as gr
    from fastapi import FastAPI

    desk = Desk(shelf, Jobs(shelf.folder, **jobs))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_files(app, desk)
    app = gr.mount_gradio_app(
        app,
        _blocks(gr, desk),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=True,
        ssr_mode=False,
        theme=look.theme(),
        head=look.head(),
        max_file_size="512mb",
    )
    return Guard(app, hosts), desk


def _prepare_gradio(folder):
    """What Gradio reads from the environment when it is imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    shutil.rmtree(folder / "uploads", ignore_errors=True)  # what came was taken in
    (folder / "uploads").mkdir(exist_ok=True)


def _blocks(gr, desk):
    from studio.page import compose_tab, edit_tab, learn_tab, listen_tab, train_tab

    tabs = {
        "Compose": compose_tab.build,
        "Edit": edit_tab.build,
        "Train": train_tab.build,
        "Listen": listen_tab.build,
        "Learn": learn_tab.build,
    }
    with gr.Blocks(title="Etude", analytics_enabled=False) as blocks:
        seen = gr.State({})
        html(
            gr,
            '<div class="masthead"><h1>Etude</h1><p>Music from networks, on this '
            "machine alone.</p></div>",
        )
        views = {}
        with gr.Tabs():
            for name, build in tabs.items():
                with gr.Tab(name, id=name.lower()):
                    views |= build(gr, desk)
        with gr.Accordion("Made before", open=False):
            shelf = html(gr, "", elem_id="shelf")
        views["shelf"] = (shelf, lambda owner: shelf_of(desk))
        _keep_true(gr, blocks, desk, seen, views)
    return blocks


def shelf_of(desk):
    """Everything that was made, favourites first."""
    takes = desk.shelf.takes()
    takes.sort(key=lambda take: not take.is_kept)
    if not takes:
        return cards.nothing("Nothing yet", "What you make is kept here.")
    return cards.shelf_list(takes[:SHELF_LENGTH])


def _keep_true(gr, blocks, desk, seen, views):
    """What is shown follows what is: at every tick, and only where it changed."""
    names = list(views)

    def tick(owner, known):
        updates, told = [], dict(known)
        for name in names:
            value = views[name][1](owner)
            told_of = cards.without_stars(value) if isinstance(value, str) else value
            if value is None or known.get(name) == told_of:
                updates.append(gr.skip())
            else:
                told[name] = told_of
                updates.append(value)
        return [*updates, told]

    def arrive(request: gr.Request):
        owner = owner_of(request)
        desk.jobs.arrive(owner, request.session_hash)
        return tick(owner, {})

    def leave(request: gr.Request):
        desk.jobs.leave(request.session_hash)

    outputs = [*(views[name][0] for name in names), seen]
    timer = gr.Timer(TICK_SECONDS)
    quiet = {"show_progress": "hidden", "concurrency_limit": None, "queue": False}
    timer.tick(owned(gr, tick), seen, outputs, api_visibility="private", **quiet)
    blocks.load(arrive, None, outputs, api_visibility="private", **quiet)
    blocks.unload(leave)


def _add_files(app, desk):
    """The addresses of what was made: ``/files/ROOM/NAME/FILE``."""
    from fastapi import HTTPException
    from fastapi.responses import FileResponse, Response

    @app.get("/files/takes/{name}/score.svg")
    def score(name: str):
        source = desk.shelf.file("takes", name, "piece.musicxml")
        if source is None:
            raise HTTPException(404)
        return Response(_engraved(source), media_type=KINDS[".svg"])

    @app.get("/files/{room}/{name}/{file}")
    def file(room: str, name: str, file: str, download: str | None = None):
        path = desk.shelf.file(room, name, file)
        if path is None or path.suffix not in KINDS:
            raise HTTPException(404)
        told = {"filename": _file_name(desk, room, name, path)}
        return FileResponse(
            path,
            media_type=KINDS[path.suffix],
            **(told if download is not None else {}),
        )

    @app.get("/models/{name}.zip")
    def model(name: str):
        if f"{name}.bundle" not in desk.shelf.models():
            raise HTTPException(404)
        return Response(
            _zipped(desk.shelf.folder / "models" / f"{name}.bundle"),
            media_type="application/zip",
            headers={"content-disposition": f'attachment; filename="{name}.zip"'},
        )

    @app.post("/takes/{name}/keep")
    def keep(name: str):
        take = desk.shelf.take(name)
        if take is None:
            raise HTTPException(404)
        desk.shelf.set_kept(name, not take.is_kept)
        return {"is_kept": not take.is_kept}

    @app.post("/takes/{name}/remove")
    def remove(name: str):
        desk.shelf.remove(name)
        return {"is_there": desk.shelf.take(name) is not None}


def _file_name(desk, room, name, path):
    """What a download is called: after its piece, not ``piece``."""
    take = desk.shelf.take(name) if room == "takes" else None
    title = take.about.get("title", name) if take else name
    stem = "".join(c if c.isalnum() else "-" for c in str(title)).strip("-")
    return f"{stem or name}{path.suffix}"


def _zipped(folder):
    """A bundle in one file: bytes."""
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{folder.name}/{path.name}")
    return packed.getvalue()


def _engraved(source):
    """The sheet music of a take, made once and kept beside it."""
    from data_pipelines.files import write_whole
    from studio.engraving import engrave
    from studio.errors import EtudeError

    kept = source.with_name("score.svg")
    if not kept.exists():
        try:
            write_whole(kept, engrave(source).encode())
        except (EtudeError, ValueError) as error:
            return _said_in_svg(str(error))
    return kept.read_text(encoding="utf-8")


def _said_in_svg(sentence):
    from studio.html import escape

    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 60"><text x="10" '
        f'y="34" font-family="sans-serif" font-size="16">{escape(sentence)}</text></svg>'
    )


def serve(folder, host, port, *, on_ready=None):
    """Serve the page until Ctrl-C.

    Args:
        folder: Path. host: str. port: int, free. on_ready: callable, called before the
            first request is answered.
    """
    import uvicorn

    names = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", host)}
    app, desk = build_app(Path(folder), names)
    if on_ready:
        on_ready()
    try:
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="critical",
            timeout_graceful_shutdown=2,
            access_log=False,
        )
    finally:
        desk.jobs.close()
