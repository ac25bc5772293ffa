"""What the page shows: true to the facts, escaped, and legible in light and dark."""

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from conftest import tune

from data_pipelines.midi import write_midi
from studio.errors import WrongUsage
from studio.html import TOKENS
from studio.page import cards
from studio.page.guard import _is_tricky
from studio.page.jobs import CANCELLED, DONE, FAILED, RUNNING, WAITING, Job
from studio.page.parts import as_options, seed_of
from studio.page.sampler import Sampler
from studio.page.shelf import Shelf
from studio.page.train_tab import progress_line, report_of
from studio.takes_page import notes_given


class Text(HTMLParser):
    """The words of HTML, and its attributes; every element must be closed."""

    VOID = ("img", "line", "rect", "circle", "path", "polyline", "br", "meta", "link")

    def __init__(self, html):
        super().__init__()
        self.words, self.all, self.open = "", [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.all.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data + " "


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "soft", "first", "good", "bad"])
@pytest.mark.parametrize("behind", ["paper", "card", "wash"])
def test_text_stands_out_by_wcags_ratio(scheme, text, behind):
    light, dark = TOKENS.split("@media")
    colours = dict(
        re.findall(r"--(\w+): (#\w{6})", light if scheme == "light" else dark)
    )
    assert contrast(colours[text], colours[behind]) >= 4.5


def test_white_on_black_has_the_ratio_21():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


def job(state, **more):
    one = Job((("a",), ("b",)), "Composing", "compose", **more)
    one.state, one.began = state, time.monotonic() - 3
    one.ended = one.began + 1.25
    return one


def test_a_status_says_the_place_the_step_and_the_end():
    said = lambda *a, **k: " ".join(Text(cards.status(*a, **k)).words.split())  # noqa: E731
    assert said(job(WAITING), 1) == "… Composing: waiting, one job before it."
    assert said(job(WAITING), 3) == "… Composing: waiting, 3 jobs before it."
    assert said(job(DONE), 0) == "✓ Composing: done in 1.2 s."
    running = job(RUNNING)
    running.step = 1
    assert said(running, 0, "half way").endswith("Composing 2 of 2: half way")
    assert cards.status(None, 0) == ""


@pytest.mark.parametrize("state", [WAITING, RUNNING, DONE, FAILED, CANCELLED])
def test_no_state_is_told_by_colour_alone(state):
    mark = cards.MARKS[state]
    assert mark in Text(cards.status(job(state, sentence="why"), 1)).words
    assert len(set(cards.MARKS.values())) == len(cards.MARKS)


def test_what_a_file_is_called_is_never_html(tmp_path):
    shelf = Shelf(tmp_path)
    folder = shelf.new_take()
    write_midi(folder / "piece.mid", tune([60, 62]))
    name = '"><script>alert(1)</script>'
    take = shelf.keep(folder, {"title": name, "warnings": [name], "command": name})
    for shown in (cards.take_card(take), cards.shelf_list([take]), cards.error(name)):
        assert "<script" not in shown
        assert name in Text(shown).words or "alert(1)" in Text(shown).words


def test_a_take_shows_its_notes_its_wave_and_what_it_holds(tmp_path):
    shelf = Shelf(tmp_path)
    folder = shelf.new_take()
    write_midi(folder / "piece.mid", tune([60, 62, 64]))
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(folder / "piece.wav", wave, 16_000)
    take = shelf.keep(folder, {"title": "three notes"})
    shown = Text(cards.take_card(take))
    notes = [a for tag, a in shown.all if tag == "rect" and "n0" in a.get("class", "")]
    assert len(notes) == 3
    labels = [a["aria-label"] for _, a in shown.all if "aria-label" in a]
    assert "Waveform, 1.0 s, peak 0.50" in labels
    links = {a["href"].rpartition("/")[2] for tag, a in shown.all if tag == "a"}
    assert links == {"piece.mid?download", "piece.wav?download"}  # no others are there


def test_a_star_alone_is_no_news_and_anything_else_is(tmp_path):
    shelf = Shelf(tmp_path)
    take = shelf.keep(shelf.new_take(), {"title": "a tune"})
    before = cards.take_card(take)
    shelf.set_kept(take.id, True)
    after = cards.take_card(shelf.take(take.id))
    assert before != after
    assert cards.without_stars(before) == cards.without_stars(after)
    other = cards.take_card(shelf.keep(take.folder, {"title": "another"}))
    assert cards.without_stars(before) != cards.without_stars(other)


def test_what_is_kept_cannot_be_removed_from_the_shelf(tmp_path):
    shelf = Shelf(tmp_path)
    take = shelf.keep(shelf.new_take(), {"title": "a tune"})
    assert f"/takes/{take.id}/remove" in cards.shelf_list([take])
    shelf.set_kept(take.id, True)
    assert "/remove" not in cards.shelf_list(shelf.takes())


def test_notes_that_stood_there_are_known_by_time_and_pitch():
    before = tune([60, 62, 64])
    after = tune([60, 61, 64, 65])
    assert notes_given(after, before).tolist() == [True, False, True, False]
    assert notes_given(after, tune([])).tolist() == [False] * 4


def test_of_two_notes_in_unison_one_was_given():
    line = tune([60, 62])
    notes = np.concatenate([line.notes, line.notes])
    notes["track"] = [1, 1, 0, 0]
    both = replace(line, notes=notes, tracks=line.tracks * 2)
    first_track = both.notes["track"] == 0  # a score puts its notes in order
    assert notes_given(both, line).tolist() == first_track.tolist()


def test_a_plot_puts_the_loss_between_its_floors():
    history = [{"step": 0, "held_out": 4.0}, {"step": 10, "held_out": 2.0}]
    shown = Text(cards.loss_plot(history, {"n-gram": 3.0, "unigram": 5.0}))
    line = next(a["points"] for tag, a in shown.all if tag == "polyline")
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in line.split())
    floors = [float(a["y1"]) for _, a in shown.all if a.get("class") == "floor"]
    assert x0 < x1
    assert floors[1] < y0 < floors[0] < y1  # downwards: 5, 4, 3, 2
    assert "best 2.00" in next(
        a["aria-label"] for _, a in shown.all if "aria-label" in a
    )


def test_floors_that_touch_have_their_words_apart():
    heights = cards._apart([100.0, 101.0, 99.0])
    ordered = sorted(heights)
    assert min(b - a for a, b in pairwise(ordered)) >= 15
    assert np.argsort(heights).tolist() == [2, 0, 1]


def test_a_report_names_each_refused_file(tmp_path):
    report = tmp_path / "r.jsonl"
    rows = [{"path": "a<b>.mid", "status": "refused", "reason": "not music", "detail": "x"},
            {"path": "good.mid", "status": "used", "reason": "", "detail": ""}]  # fmt: skip
    report.write_text("\n".join(map(json.dumps, rows)))
    facts = {"files": 2, "pieces": 1, "used": 1, "reasons": {"not music": 1},
             "report": str(report)}  # fmt: skip
    words = Text(report_of(facts)).words
    assert "a<b>.mid : not music, x" in words
    assert "good.mid" not in words


def test_a_runs_progress_in_words():
    run = {
        "step": 1200,
        "loss": 1.23456,
        "tokens_per_second": 5432.1,
        "seconds_left": 125,
    }
    line = "step 1,200, loss 1.235 nats a token, 5,432 tokens a second, 2:05 left"
    assert progress_line(run) == line


def test_wishes_become_options_and_no_value_is_one():
    wish = {
        "bars": 8.0,
        "key": "",
        "density": None,
        "range": "--engine=evil",
        "tempo": "90",
    }
    assert as_options(wish) == ["--bars=8", "--range=--engine=evil", "--tempo=90"]


@pytest.mark.parametrize("value", ["1.5", "-1", "x", "1e3"])
def test_a_seed_is_a_whole_number(value):
    with pytest.raises(WrongUsage, match="whole number"):
        seed_of(value)


def test_an_empty_seed_is_a_new_one():
    assert seed_of("12") == 12
    assert len({seed_of("") for _ in range(8)}) > 1


@pytest.mark.parametrize(
    "path", [b"/", b"/files/takes/a-b.c/piece.wav", b"/a%20b", b"/%E2%99%AA"]
)
def test_plain_paths_are_let_through(path):
    assert not _is_tricky(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/..",
        b"/a/../b",
        b"/%2e%2e/",
        b"/%252e%252e/",
        b"/a\\b",
        b"//x",
        b"/%00",
        b"/a%0d",
    ],
)
def test_paths_that_climb_are_not(path):
    assert _is_tricky(path)


def test_a_sample_of_a_bundle_that_is_not_there_never_begins(tmp_path):
    shelf = Shelf(tmp_path)
    sampler = Sampler(shelf, shelf.folder / "models" / "mine.bundle")
    sampler.look(job(RUNNING))
    sampler.close()
    assert sampler.take_id is None
    assert shelf.takes() == []


@pytest.mark.slow
def test_a_sample_is_composed_beside_the_run_and_replaces_the_last(tmp_path):
    import shutil

    from studio.models import SHIPPED

    shelf = Shelf(tmp_path)
    output = shelf.folder / "models" / "mine.bundle"
    sampler = Sampler(shelf, output)
    shutil.copytree(SHIPPED / "fiddle", sampler.best)
    one = job(RUNNING)

    def sampled():
        end = time.monotonic() + 90
        last = sampler.take_id
        while sampler.take_id == last:
            sampler.look(one)
            assert time.monotonic() < end
            time.sleep(0.05)
        return sampler.take_id

    first = sampled()
    sampler._began, sampler._seen = -1e9, None  # a minute later, with new weights
    second = sampled()
    assert [take.id for take in shelf.takes()] == [second] != [first]
    assert shelf.take(second).about["title"] == "mine, after 0 min"


def test_without_gradio_the_command_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    from studio.cli import run
    from studio.commands import page

    monkeypatch.setattr(page, "find_spec", lambda name: None)
    assert run(["studio", "--folder", str(tmp_path / "w")]) == 4
    assert capsys.readouterr().err == f"etude: {page.NEEDED}\n"
    assert not (tmp_path / "w").exists()
