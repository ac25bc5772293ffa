"""Several takes: each what its seed gives, ordered by a law, on a page that stands alone."""

import base64
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from conftest import tune
from test_surprise import bundle_of

from audio_models.bundle import Bundle, save_bundle
from audio_models.counted import count
from data_pipelines.midi import midi_bytes, write_midi
from data_pipelines.render import Rendering
from data_pipelines.score import Score, Tempo, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS
from studio import takes_page as pages
from studio.cli import run
from studio.compose import Wish, compose
from studio.diagnose import Fault
from studio.takes import (
    MEASURES,
    Take,
    compose_takes,
    corpus_measures,
    measures_of,
    ranked,
    training_in,
    typical_of,
)

FACTS = {"metres": {"4/4": 1}, "held_out": {"is_held_out": True, "model": 2.0}}


class Page(HTMLParser):
    """What is in a page: elements with their attributes, and the text."""

    VOID = ("meta", "rect", "line", "br")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == [], "an element is never closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag, word=None):
        return [
            given
            for name, given in self.elements
            if name == tag and (not word or word in given.get("class", "").split())
        ]


def silence(seconds=1.0, rate=44_100):
    return Rendering(
        np.zeros((int(seconds * rate), 2), np.float32), rate, "synth", None
    )


def notes_drawn(page):
    return [r for r in page.all("rect") if r["class"].split()[-1] in pages.SHAPES]


def take(seed, nats=2.0, oddness=0.0, distance=0.0, faults=0):
    found = (Fault("loop", 1, "It loops."),) * faults
    return Take(seed, None, nats, {}, found, oddness, distance)


def test_each_take_is_what_its_seed_alone_gives():
    bundle = bundle_of("melody", FACTS)
    takes = compose_takes(bundle, Wish(bars=2, seed=5), 3)
    assert [t.seed for t in takes] == [5, 6, 7]
    for made in takes:
        alone = compose(bundle, Wish(bars=2, seed=made.seed))
        assert midi_bytes(alone.score) == midi_bytes(made.piece.score)
    with pytest.raises(ValueError, match=r"`count` must be in 1\.\.64. Received: 0"):
        compose_takes(bundle, Wish(), 0)


def test_the_best_is_not_the_likeliest_but_the_one_nearest_to_real_music():
    dull = take(1, nats=0.2, oddness=3.6)
    near = take(2, nats=2.1, oddness=0.2, distance=0.5)
    wild = take(3, nats=4.0, oddness=4.0)
    looping = take(4, nats=2.0, faults=1)
    assert ranked([dull, looping, wild, near]) == [near, dull, wild, looping]
    assert ranked([take(9), take(8)]) == [take(8), take(9)]


def test_what_is_typical_is_the_mean_and_the_deviation_of_the_corpus():
    # Two bars of 4/4: eight eighths a bar, and four quarters a bar; ranges 4 and 8.
    scores = [tune([60, 64] * 8), tune([60, 68] * 4, duration=480)]
    told = corpus_measures(scores, [1.0, 3.0])
    assert told["notes_a_bar"] == {
        "mean": 6.0,
        "deviation": pytest.approx(8**0.5, 1e-4),
    }
    assert told["pitch_range"] == {
        "mean": 6.0,
        "deviation": pytest.approx(8**0.5, 1e-4),
    }
    assert told["nats_per_note"]["mean"] == 2.0
    assert set(told) <= {*MEASURES, "nats_per_note"}
    assert typical_of({"measures": told})["pitch_range"][0] == 6.0
    json.dumps(told)


def test_an_older_bundle_is_measured_by_what_its_facts_know():
    facts = {**FACTS, "repeated_bars": {"data": 0.25}}
    assert typical_of(facts) == {
        "nats_per_note": (2.0, 0.44),
        "repeated_bar_share": (0.25, 0.2),
    }
    assert typical_of({}) == {}
    assert typical_of({"held_out": {"is_held_out": False, "model": 1.0}}) == {}


def test_an_empty_score_has_measures_that_say_nothing():
    empty = Score(notes_array([], [], []), 480)
    assert all(np.isnan(value) for value in measures_of(empty).values())


def test_what_an_n_gram_copies_of_its_own_music_is_named():
    rng = np.random.default_rng(3)
    melody = TOKENIZERS["melody"]()
    music = [melody.encode(tune(rng.integers(57, 80, 160)))] * 9
    bundle = Bundle(*count(music, melody.vocab_size, order=16), melody.spec(), FACTS)
    training = training_in(bundle)
    assert training.copied(melody.decode(music[0])).notes == 160
    wish = Wish(bars=8, seed=1, temperature=0.2)
    (made,) = compose_takes(bundle, wish, 1, training=training)
    assert [fault.kind for fault in made.faults] == ["copying"]
    assert training_in(bundle_of("melody")) is None


def test_a_roll_holds_each_note_at_its_place_and_a_playhead_that_follows_the_tempo():
    score = tune([60, 72, 64, 67])  # half a bar of eighths, one bar of 4/4
    slower = replace(score, tempos=(Tempo(0, 120.0), Tempo(480, 60.0)))
    page = Page(pages.roll_svg(slower, "a tune"))
    (roll,) = page.all("div", "roll")
    knots = json.loads(roll["data-knots"])
    left, wide = pages.LEFT, pages.LEAST_WIDTH  # 4 beats: the least width
    # A quarter at 120 takes half a second, the other three at 60 one each.
    assert knots == [[0.0, left], [0.5, left + wide / 4], [3.5, left + wide]]
    drawn = notes_drawn(page)
    assert [float(r["x"]) for r in drawn] == [left + n * wide / 8 for n in range(4)]
    heights = [float(r["y"]) for r in drawn]
    assert heights[1] < heights[3] < heights[2] < heights[0]
    assert len(page.all("line", "head")) == 1
    assert "4 notes" in roll["aria-label"]


def test_voices_differ_in_colour_and_in_shape_and_are_named():
    notes = notes_array([0, 0, 0, 0], 480, [72, 67, 60, 48], 80, [0, 1, 2, 3])
    tracks = tuple(Track(n) for n in ("Soprano", "Alto", "<b>Tenor</b>", "Bass"))
    card = Page(pages.takes_page("t", [shown(Score(notes, 480, tracks))]))
    drawn = notes_drawn(card)
    classes = {r["class"] for r in drawn}
    assert len(classes) == 4
    assert (
        len({c.split()[0] for c in classes})
        == len({c.split()[1] for c in classes})
        == 4
    )
    assert len(drawn) == 8  # four notes, four samples in the legend
    assert "<b>Tenor</b>" in card.text
    assert card.all("b") == []


def shown(score, heading="one"):
    (sound,) = pages.page_sounds([silence()])
    return {"score": score, "sound": sound, "heading": heading}


def test_the_page_stands_alone_and_its_sound_is_the_piece():
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100) * 0.5
    rendering = Rendering(np.stack([tone, tone], 1).astype("f4"), 44_100, "synth", None)
    (sound,) = pages.page_sounds([rendering])
    score = tune([60, 64, 67])
    takes = [
        {"score": score, "sound": sound, "heading": "1. Seed 3", "facts": "in C",
         "warnings": ["It loops."], "command": "etude compose --seed 3"},
        {"score": Score(notes_array([], [], []), 480), "sound": sound, "heading": "2"},
    ]  # fmt: skip
    html = pages.takes_page("Takes & more", takes)
    page = Page(html)
    assert dict(page.elements)["html"]["lang"] == "en"
    assert "Takes & more" in page.text
    assert "etude compose --seed 3" in page.text
    assert "It loops." in page.text
    for _, given in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert given.get(name, "data:").startswith(("data:", "#"))
    assert "http://" not in html
    assert "https://" not in html
    audio = page.all("audio")
    assert len(audio) == 2
    assert all(a["aria-label"] for a in audio)
    data = base64.b64decode(audio[0]["src"].removeprefix("data:audio/flac;base64,"))
    samples, rate = soundfile.read(io.BytesIO(data))
    assert (rate, samples.shape) == (22_050, (22_050,))
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() == 440  # bins of 1 Hz
    assert "other.pause()" in page.text


def test_flac_is_smaller_than_wav_and_long_takes_are_kept_at_half_the_rate(monkeypatch):
    from data_pipelines.render import render

    rendering = render(tune([60, 64, 67, 72] * 8), engine="synth")
    (sound,) = pages.page_sounds([rendering])
    wav = 2 * len(rendering.waveform) * 22_050 / 44_100
    assert len(sound) < wav
    monkeypatch.setattr(pages, "LARGEST_SOUND", len(sound) - 1)
    (less,) = pages.page_sounds([rendering])
    assert soundfile.info(io.BytesIO(less)).samplerate == 11_025


@pytest.fixture
def saved(tmp_path):
    save_bundle(
        tmp_path / "small.bundle", replace(bundle_of("melody", FACTS), card="#")
    )
    return tmp_path / "small.bundle"


def test_the_command_leaves_each_take_and_a_page(saved, tmp_path, capsys):
    asked = ["compose", "-m", str(saved), "--count", "3", "--rank", "--seed", "7"]
    asked += ["--bars", "2", "--engine", "synth", "-o", str(tmp_path / "out" / "a.mid")]
    assert run([*asked, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert sorted(t["seed"] for t in facts["takes"]) == [7, 8, 9]
    far = [
        (len(t["diagnosis"]), t["oddness"] + t["distance"], t["seed"])
        for t in facts["takes"]
    ]
    assert far == sorted(far)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a-7.mid", "a-8.mid", "a-9.mid", "takes.html"]
    html = (tmp_path / "out" / "takes.html").read_text()
    page = Page(html)
    assert len(page.all("audio")) == 3
    assert "--seed 8" in page.text
    assert "real music" in page.text
    assert run(asked) == 0
    assert (tmp_path / "out" / "takes.html").read_text() == html
    # What a take's command makes is the take.
    again = next(t for t in facts["takes"] if t["seed"] == 8)["command"]
    assert run([*again.split()[1:], "-o", str(tmp_path / "b.mid")]) == 0
    first = (tmp_path / "out" / "a-8.mid").read_bytes()
    assert (tmp_path / "b.mid").read_bytes() == first


def test_any_command_that_writes_a_score_writes_a_page_of_it(tmp_path):
    write_midi(tmp_path / "a.mid", tune([60, 64, 67]))
    page = tmp_path / "a.html"
    asked = ["listen", str(tmp_path / "a.mid"), "-o", str(page), "--engine", "synth"]
    assert run(asked) == 0
    found = Page(page.read_text())
    assert len(found.all("audio")) == 1
    assert len(notes_drawn(found)) == 3


def test_what_is_wrong_with_a_new_piece_is_told_and_is_no_failure(tmp_path, capsys):
    bundle = bundle_of("melody", FACTS)
    tokenizer = TOKENIZERS["melody"]()
    bundle.weights["head.bias"][tokenizer.vocabulary.ids("pitch")[60]] = 60.0
    save_bundle(tmp_path / "dull.bundle", replace(bundle, card="#"))
    asked = ["compose", "-m", str(tmp_path / "dull.bundle"), "--bars", "2"]
    asked += ["-o", str(tmp_path / "a.mid"), "--seed", "1"]
    assert run(asked) == 0
    warned = capsys.readouterr().err
    assert warned.startswith("etude: warning: One note makes up 100% of it")
    assert run([*asked, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [fault["kind"] for fault in facts["diagnosis"]] == ["one note"]
    assert run([*asked, "--json", "--count", "2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert all(take["diagnosis"] for take in facts["takes"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--count", "0"], "`count` must be in 1..64. Received: 0"),
        (["--count", "65"], "`count` must be in 1..64. Received: 65"),
        (["--count", "2", "-o", "a.doc"], "the suffix says the form"),
        (["--count", "2", "--seed", str(2**63 - 1)], "`seed` must be in"),
    ],
)
def test_takes_that_cannot_be_are_told_in_one_line(more, message, saved, capsys):
    assert run(["compose", "-m", str(saved), *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
