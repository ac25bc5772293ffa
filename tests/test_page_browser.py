"""The page as people use it: a real browser, real files, each of the four jobs."""

import contextlib
import io
import json
import shutil
import time
import zipfile

import numpy as np
import pytest
from conftest import etude, tune
from page_stock import Server

from data_pipelines.midi import read_midi, write_midi

pytest.importorskip("gradio", reason="no Gradio here: make studio")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="no Playwright here: make test installs it"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt install chromium"),
]
QUIET = [  # what a browser tells its maker of its own accord
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
LONG = 150_000  # ms: these machines are shared


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("browser"))
    yield server
    server.stop()
    assert not server.reached.exists(), server.reached.read_text()
    assert "Traceback" not in server.said(), server.said()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(server, browser):
    """A function that opens the page as another visitor; at the end nothing may have
    left this machine, and the console must be clean."""
    told, asked, contexts = [], [], []

    def visit(**how):
        context = browser.new_context(accept_downloads=True, **how)
        context.set_default_timeout(LONG)
        page = context.new_page()
        page.on(
            "console",
            lambda m: told.append(m.text) if m.type == "error" else None,
        )
        page.on("pageerror", lambda error: told.append(str(error)))
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        page.goto(server.address)
        page.get_by_role("button", name="Compose", exact=True).wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    outside = [
        url
        for url in asked
        if not url.startswith((server.address, "data:", "blob:", "about:"))
    ]
    assert outside == []
    assert told == []


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A folder with a tune, one of eight bars, and one file that is no music."""
    folder = tmp_path_factory.mktemp("pieces")
    line = [60, 62, 64, 65, 67, 65, 64, 62] * 4
    write_midi(folder / "air.mid", tune(line, duration=480))
    (folder / "broken.mid").write_bytes(b"no music at all")
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Fourteen tunes and a shopping list, as a zip."""
    path = tmp_path_factory.mktemp("zip") / "my tunes.zip"
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(14):
            steps = np.random.default_rng(number).integers(0, 8, 64)
            line = [scale[step] for step in steps]
            one = path.with_suffix(".mid")
            write_midi(one, tune(line))
            packed.write(one, f"tunes/{number}.mid")
        packed.writestr("tunes/shopping.mid", "bread, milk, rosin")
    return path


def compose(page, *, seed, bars=4, takes=1, model=None):
    if model:
        choose(page, "Model", model)
    page.get_by_label("number input for Bars", exact=True).fill(str(bars))
    page.get_by_label("Seed").first.fill(str(seed))
    page.get_by_label(str(takes), exact=True).check()
    page.get_by_role("button", name="Compose", exact=True).click()


def choose(page, label, words):
    """Choose of a list as one does with the keyboard."""
    box = page.get_by_label(label, exact=True).first
    box.click()
    box.fill(words)
    box.press("Enter")
    assert words in box.input_value()


def is_done(page, tab):
    page.locator(f"#{tab}-status .done").wait_for()


def downloaded(page, link):
    with page.expect_download() as got:
        link.click()
    return got.value


def test_compose_see_hear_keep_and_carry_away(visit, tmp_path):
    page = visit()
    compose(page, seed=5, takes=2)
    is_done(page, "compose")
    takes = page.locator("#compose-stage .take")
    takes.nth(1).wait_for()
    one = takes.first
    notes = one.locator(".roll rect.n0").count()
    found = downloaded(page, one.get_by_role("link", name="MIDI"))
    assert found.suggested_filename == "folk--seed-5.mid"
    found.save_as(tmp_path / "a.mid")
    score = read_midi(tmp_path / "a.mid")
    assert len(score) == notes > 4
    for name, head in (("WAV", b"RIFF"), ("MusicXML", b"<?xml"), ("Page", b"<!DOCT")):
        found = downloaded(page, one.get_by_role("link", name=name))
        found.save_as(tmp_path / "file")
        assert (tmp_path / "file").read_bytes().startswith(head), name
    # the command line gives the same notes for the same wishes
    done = etude("compose", "--seed", 5, "--bars", 4, "-o", tmp_path / "b.mid")
    assert done.returncode == 0
    assert (tmp_path / "b.mid").read_bytes() == (tmp_path / "a.mid").read_bytes()
    # the sheet music
    one.get_by_text("The score").click()
    sheet = one.locator("img.score")
    page.wait_for_function(
        "e => e.complete && e.naturalWidth > 0", arg=sheet.element_handle()
    )
    # heard: the heads move, and a second sound stops the first
    sounds = page.locator("#compose-stage audio")
    for number in (0, 1):
        sounds.nth(number).evaluate("sound => sound.play()")
        page.wait_for_function(
            "s => s.currentTime > 0.2", arg=sounds.nth(number).element_handle()
        )
    assert [sounds.nth(n).evaluate("s => s.paused") for n in (0, 1)] == [True, False]
    sounds.nth(1).evaluate("s => s.pause()")
    heads = takes.nth(1).locator(".head")
    places = [float(heads.nth(n).get_attribute("x1")) for n in (0, 1)]
    assert places[0] > 34 and places[1] > 0
    # kept, also after a reload
    sounds.first.evaluate("s => { s.currentTime = 0; s.play(); }")
    one.get_by_role("button", name="☆ Keep").click()
    one.get_by_role("button", name="★ Kept").wait_for()
    time.sleep(2)  # some ticks: what is heard goes on
    assert not sounds.first.evaluate("s => s.paused")
    page.reload()
    page.get_by_text("Made before").click()
    shelf = page.locator("#shelf")
    shelf.get_by_role("button", name="★ Kept").first.wait_for()
    rows = shelf.locator("li.card")
    count = rows.count()
    shelf.get_by_role("button", name="Remove folk, seed 6").click()
    rows.nth(count - 1).wait_for(state="detached")
    page.reload()
    page.get_by_text("Made before").click()
    rows.first.wait_for()
    assert rows.count() == count - 1


def test_a_wish_that_cannot_be_is_told_as_on_the_command_line(visit):
    page = visit()
    page.get_by_text("More wishes").click()
    page.get_by_label("Range of the top voice").fill("C4:E4")
    compose(page, seed=5)
    told = page.locator("#compose-status .failed p")
    told.wait_for()
    done = etude("compose", "--range", "C4:E4", "--seed", 5)
    assert told.inner_text() == done.stderr.strip().removeprefix("etude: ")
    page.get_by_label("Seed").first.fill("a lot")
    page.get_by_role("button", name="Compose", exact=True).click()
    page.get_by_text(
        "`seed` must be a whole number from 0. Received: 'a lot'"
    ).wait_for()


def test_a_piece_goes_on_and_what_was_given_is_grey(visit, pieces, tmp_path):
    page = visit()
    page.get_by_role("tab", name="Edit").click()
    page.locator("#edit-file input[type=file]").set_input_files(pieces / "air.mid")
    page.locator("#edit-stage h2", has_text="air.mid").wait_for()
    page.get_by_label("number input for Bars to add").fill("2")
    page.get_by_role("button", name="Go", exact=True).click()
    is_done(page, "edit")
    take = page.locator("#edit-stage .take")
    take.wait_for()
    assert take.locator("rect.given").count() == 32
    assert take.locator("rect.n0:not(.given)").count() > 0
    downloaded(page, take.get_by_role("link", name="MIDI")).save_as(tmp_path / "c.mid")
    before, after = (
        read_midi(pieces / "air.mid").notes,
        read_midi(tmp_path / "c.mid").notes,
    )
    assert after[:32].tolist() == before.tolist()


def test_bars_are_written_anew_and_a_melody_is_harmonised(visit, pieces):
    page = visit()
    page.get_by_role("tab", name="Edit").click()
    page.locator("#edit-file input[type=file]").set_input_files(pieces / "air.mid")
    page.locator("#edit-stage h2", has_text="air.mid").wait_for()
    page.get_by_label("Write some bars anew").check()
    page.get_by_label("From bar").fill("3")
    page.get_by_label("To bar").fill("4")
    page.get_by_role("button", name="Go", exact=True).click()
    page.locator("#edit-stage h2", has_text="bars 3:4 anew").wait_for()
    take = page.locator("#edit-stage .take")
    assert take.locator("rect.given").count() >= 24  # two bars of four notes gave way
    page.get_by_label("Harmonise it").check()
    page.get_by_role("button", name="Go", exact=True).click()
    page.locator("#edit-stage h2", has_text="harmonised").wait_for()
    assert take.locator("rect.given").count() == 32
    assert {take.locator(f"rect.n{voice}").count() > 0 for voice in range(4)} == {True}


def test_a_broken_file_is_named_in_the_command_lines_words(visit, pieces):
    page = visit()
    page.get_by_role("tab", name="Listen").click()
    page.locator("#listen-file input[type=file]").set_input_files(pieces / "broken.mid")
    told = page.locator("#listen-stage [role=alert] p")
    told.wait_for()
    done = etude("listen", pieces / "broken.mid")
    sentence = done.stderr.strip().removeprefix("etude: ")
    assert told.inner_text() == sentence.replace(
        str(pieces / "broken.mid"), "broken.mid"
    )


def test_any_file_becomes_sound_by_the_engine_of_choice(visit, pieces):
    page = visit()
    page.get_by_role("tab", name="Listen").click()
    page.locator("#listen-file input[type=file]").set_input_files(pieces / "air.mid")
    page.locator("#listen-stage h2", has_text="air.mid").wait_for()
    page.get_by_role("radio", name="synth · the kit's own").check()
    page.get_by_role("button", name="Make sound").click()
    page.locator("#listen-stage h2", has_text="air, by synth").wait_for()
    label = page.locator("#listen-stage .wave").get_attribute("aria-label")
    peak = float(label.rpartition(" ")[2])
    assert 0.05 < peak <= 1


def test_a_folder_is_reported_trained_stopped_and_goes_on(visit, archive, server):
    page = visit()
    page.get_by_role("tab", name="Train").click()
    page.locator("#train-files input[type=file]").set_input_files(archive)
    stage = page.locator("#train-stage")
    stage.get_by_text("14 pieces").wait_for()
    assert "not music" in stage.inner_text()
    assert "shopping.mid" in stage.inner_text()
    page.get_by_label("Name", exact=True).fill("../mine")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text("A model's name has 1 to 40 letters").wait_for()
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_label("Minutes").fill("60")
    page.get_by_role("button", name="Train", exact=True).click()
    stage.locator(".plot").wait_for()  # once the first figures are there
    page.locator("#train-status progress").wait_for()
    assert "nats a token" in page.locator("#train-status").inner_text()
    page.reload()  # it goes on, and is shown again
    page.get_by_role("tab", name="Train").click()
    page.locator("#train-status .running").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#train-status .cancelled").wait_for()
    stage.get_by_text("What it learnt is kept").wait_for()
    run = server.work / "models" / "mine.bundle.run"
    history = json.loads((run / "run.json").read_text())
    assert history["floors"]["ngram"] > 0
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_role("button", name="Go on").click()
    page.locator("#train-status .running").wait_for()
    page.locator("#train-status progress").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#train-status .cancelled").wait_for()


def test_a_trained_model_is_saved_composes_and_is_put_to_the_blind_test(
    visit, archive, tmp_path
):
    page = visit()
    page.get_by_role("tab", name="Train").click()
    page.locator("#train-files input[type=file]").set_input_files(archive)
    page.locator("#train-stage").get_by_text("14 pieces").wait_for()
    choose(page, "What to train", "melody-ngram")
    page.get_by_label("Name", exact=True).fill("counted")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text("counted is ready").wait_for()
    found = downloaded(page, page.get_by_role("link", name="The bundle"))
    found.save_as(tmp_path / "b.zip")
    names = zipfile.ZipFile(io.BytesIO((tmp_path / "b.zip").read_bytes())).namelist()
    assert "counted.bundle/bundle.json" in names
    page.reload()
    page.get_by_role("button", name="Compose", exact=True).wait_for()
    compose(page, seed=1, model="counted")
    page.locator("#compose-stage h2", has_text="counted, seed 1").wait_for()
    page.get_by_role("tab", name="Learn").click()
    page.get_by_label("Model", exact=True).last.click()
    page.get_by_label("Model", exact=True).last.fill("counted")
    page.get_by_label("Model", exact=True).last.press("Enter")
    page.get_by_label("number input for Excerpts, half of them real").fill("4")
    page.get_by_label("number input for Bars of each").fill("2")
    page.get_by_role("button", name="Test me").click()
    test = page.frame_locator("iframe.blind")
    trials = test.locator(".trial")
    trials.nth(3).wait_for()
    tell = test.get_by_role("button", name="Tell me my score")
    assert tell.is_disabled()
    for number in range(4):
        trials.nth(number).get_by_label("Real", exact=True).check()
    tell.click()
    score = test.locator("#score").inner_text()
    assert "2 of 4 right, 50% (95% interval 15% to 85%)" in score
    assert "Chance, 50%, lies within the interval" in score
    assert test.locator(".truth.right").count() == 2


def test_work_is_cancelled_and_leaves_nothing(visit, server):
    page = visit()
    before = set((server.work / "takes").iterdir())
    compose(page, seed=1, bars=64, model="pop-piano")
    page.locator("#compose-status .running").wait_for()
    page.get_by_role("button", name="Cancel").first.click()
    page.locator("#compose-status .cancelled").wait_for()
    assert set((server.work / "takes").iterdir()) == before


def test_two_visitors_at_once_have_each_their_own_and_the_second_waits(visit):
    first, second = visit(), visit()
    compose(first, seed=1, bars=64, model="pop-piano")
    first.locator("#compose-status .running").wait_for()
    compose(second, seed=7)
    second.get_by_text("Composing: waiting, one job before it.").wait_for()
    assert first.locator("#compose-stage .take").count() == 0
    first.get_by_role("button", name="Cancel").first.click()
    second.locator("#compose-stage h2", has_text="folk, seed 7").wait_for()
    first.locator("#compose-status .cancelled").wait_for()
    assert first.locator("#compose-stage .take").count() == 0


def test_a_closed_tab_gives_its_place_to_the_next(visit):
    first, second = visit(), visit()
    compose(first, seed=1, bars=64, model="pop-piano")
    first.locator("#compose-status .running").wait_for()
    compose(second, seed=7)
    second.get_by_text("Composing: waiting, one job before it.").wait_for()
    began = time.monotonic()
    first.close()
    second.locator("#compose-status .running").wait_for()
    print(f"G22: a closed tab's job was ended after {time.monotonic() - began:.0f} s")
    is_done(second, "compose")


def test_a_reload_during_a_job_shows_it_and_its_end(visit):
    page = visit()
    compose(page, seed=8, bars=16, takes=2)
    page.locator("#compose-status .running").wait_for()
    page.reload()
    page.locator("#compose-stage h2", has_text="folk, seed 9").wait_for()
    assert page.locator("#compose-stage .take").count() == 2


def test_the_labs_are_listed_with_their_state(visit):
    page = visit()
    page.get_by_role("tab", name="Learn").click()
    page.get_by_role("button", name="Show the labs").click()
    page.locator("#labs li").nth(11).wait_for()
    assert page.locator("#labs li", has_text="not begun").count() == 12


def test_the_keyboard_alone_composes(visit):
    page = visit()
    page.keyboard.press("Tab")
    pressed = 0
    name = "() => (document.activeElement.textContent || '').trim()"
    while page.evaluate(name) != "Compose" or page.evaluate(
        "() => document.activeElement.getAttribute('role')"
    ):
        page.keyboard.press("Tab")
        pressed += 1
        assert pressed < 60, "the button is never reached"
    page.keyboard.press("Enter")
    page.locator("#compose-status .status").wait_for()
    is_done(page, "compose")


UNNAMED = """() => [...document.querySelectorAll('input, button, select, textarea, audio, a, [tabindex="0"]')]
  .filter((e) => e.offsetParent && !e.closest('[aria-hidden=true]'))
  .filter((e) => !(e.labels && e.labels.length) && !e.getAttribute('aria-label')
    && !e.getAttribute('aria-labelledby') && !(e.textContent || '').trim()
    && !e.title && !e.closest('label'))
  .map((e) => e.outerHTML.slice(0, 160))"""


@pytest.mark.parametrize("tab", ["Compose", "Edit", "Train", "Listen", "Learn"])
def test_every_control_has_a_name(visit, tab):
    page = visit()
    page.get_by_role("tab", name=tab).click()
    time.sleep(1)
    assert page.evaluate(UNNAMED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1700])
def test_it_fits_from_phone_to_wide_in_light_and_dark(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(n) for n in paper[4:-1].split(",")[:3]) / 3 > 128
    assert light == (scheme == "light")


def test_a_page_of_one_piece_opens_from_disk_and_its_head_follows(browser, tmp_path):
    page_file = tmp_path / "take.html"
    done = etude("compose", "--seed", 5, "--bars", 4, "-o", page_file)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(browser.new_context(offline=True)) as context:
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda m: told.append(m.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        sound = page.locator("audio").first
        sound.evaluate("s => s.play()")
        page.wait_for_function("s => s.currentTime > 0.3", arg=sound.element_handle())
        head = page.locator(".roll .head").first
        assert float(head.get_attribute("x1")) > 34
        page.locator(".roll svg").first.click(position={"x": 300, "y": 40})
        page.wait_for_function("s => s.currentTime > 1", arg=sound.element_handle())
        assert page.get_by_text("nats").first.is_visible()  # its measures
        assert page.get_by_text("About the model").is_visible()  # its card
        assert told == []
        assert [u for u in asked if not u.startswith(("file:", "data:", "blob:"))] == []
