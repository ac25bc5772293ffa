"""Evaluating a bundle: figures that agree with training's, and pages that stand alone."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, tune

from audio_models import FILLERS, MODELS
from audio_models.scoring import token_log_probabilities
from data_pipelines.midi import write_midi
from data_pipelines.tokenizers import TOKENIZERS
from studio import html
from studio.cli import run
from studio.count import count_bundle
from studio.errors import NothingUsable
from studio.evaluate import Plan, check_bundle, compared, evaluate
from studio.evaluation_card import evaluation_card, far_from_real
from studio.floors import measure_floors
from studio.gather import gather
from studio.held_out import (
    Music,
    Piece,
    folder_music,
    held_out_figures,
    music_named,
    nats_of_pieces,
    own_music,
)

MELODY = TOKENIZERS["melody"]()


@pytest.fixture(scope="module")
def counted(folder_of_tunes, tmp_path_factory):
    """A bundle of an n-gram, counted from the folder of tunes: (its folder, itself)."""
    path = tmp_path_factory.mktemp("bundles") / "scales.bundle"
    dataset = gather(folder_of_tunes)
    bundle = count_bundle(
        dataset,
        "melody-ngram",
        path,
        sources=["the folder of tunes"],
        command=f"etude train '{folder_of_tunes}' --recipe melody-ngram",
        floors=measure_floors(dataset),
    )
    return path, bundle


@pytest.fixture(scope="module")
def told(counted):
    return evaluate(counted[1], "scales", plan=Plan(pieces=3, bars=4))


def untrained(kind, vocabulary=MELODY, **sizes):
    from audio_models.bundle import Bundle

    known = {**MODELS, **FILLERS}[kind]
    architecture = known(vocab_size=vocabulary.vocab_size, **sizes)
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.1, weight.shape).astype(np.float32)
        for name, weight in architecture.weights().items()
    }
    return Bundle(architecture, weights, vocabulary.spec(), {})


def test_a_model_of_voices_costs_what_it_costs_one_by_one():
    chorale = TOKENIZERS["chorale"]()
    sizes = {"embedding_dim": 4, "hidden_dim": 8, "num_layers": 1, "chain_dim": 8}
    bundle = untrained("voices", chorale, **sizes)
    voices = [tune(np.arange(n) + low) for n, low in ((16, 70), (12, 60), (8, 50))]
    pieces = [chorale.encode(score) for score in voices]
    alone = [
        -token_log_probabilities(bundle.architecture, bundle.weights, ids).sum()
        for ids in pieces
    ]
    assert nats_of_pieces(bundle, pieces, chorale) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("lstm", {"embedding_dim": 4, "hidden_dim": 8, "num_layers": 1}),
        (
            "transformer",
            {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "context_length": 256},
        ),
    ],
)
def test_a_piece_costs_what_its_tokens_cost_one_by_one(kind, sizes):
    bundle = untrained(kind, **sizes)
    rng = np.random.default_rng(1)
    pieces = [MELODY.encode(tune(rng.integers(50, 80, n))) for n in (40, 3, 17, 1, 90)]
    alone = [
        -token_log_probabilities(bundle.architecture, bundle.weights, ids).sum()
        for ids in pieces
    ]
    assert nats_of_pieces(bundle, pieces, MELODY) == pytest.approx(alone, rel=1e-5)


def test_the_models_figure_is_the_one_that_was_reported_when_it_was_made(counted, told):
    figures = told["held_out"]["figures"]
    test = counted[1].facts["test"]
    assert figures["model"]["nats_per_note"] == pytest.approx(test["model"], rel=1e-5)
    for floor in ("unigram", "copy"):
        assert figures[floor]["nats_per_note"] == pytest.approx(test[floor], rel=1e-12)
    assert told["held_out"]["told_in_training"] == test["model"]


def test_the_floors_are_counted_on_train_and_weighed_on_held_out(counted):
    bundle = counted[1]
    heard = MELODY.encode(tune([60, 60, 60, 62]))
    ids = MELODY.encode(tune([60, 64]))
    music = Music([Piece(ids, "a", 2.0)], [], [Piece(heard, "b", 1.0)], {})
    figures = held_out_figures(bundle, music)
    # Witten-Bell of order 0 over what follows BOS, by hand.
    seen = heard[1:].tolist()
    kinds = len(set(seen))
    size = MELODY.vocab_size
    nats = -sum(
        math.log((seen.count(t) + kinds / size) / (len(seen) + kinds))
        for t in ids[1:].tolist()
    )
    unigram = figures["figures"]["unigram"]
    assert unigram["nats_per_note"] == pytest.approx(nats / 2)
    assert unigram["bits_per_second"] == pytest.approx(nats / math.log(2) / 2.0)
    assert (figures["notes"], figures["tokens"]) == (2, len(ids) - 1)


def test_without_music_to_count_there_are_no_floors(counted):
    ids = MELODY.encode(tune([60, 64]))
    figures = held_out_figures(counted[1], Music([Piece(ids, "a", 0.0)], [], []))
    assert set(figures["figures"]) == {"model"}
    assert figures["figures"]["model"]["bits_per_second"] is None


def test_own_music_is_split_as_it_was(counted, folder_of_tunes):
    dataset = gather(folder_of_tunes)
    music = own_music(counted[1], "scales")
    for pieces, split in ((music.train, "train"), (music.held_out, "test")):
        assert [p.ids.tolist() for p in pieces] == [
            ids.tolist() for ids in dataset.pieces(split)
        ]
    assert not {p.name for p in music.train} & {p.name for p in music.held_out}


def with_facts(bundle, **facts):
    return SimpleNamespace(
        vocabulary=bundle.vocabulary,
        architecture=bundle.architecture,
        weights=bundle.weights,
        facts={**bundle.facts, **facts},
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"command": None}, "does not say what it learnt from"),
        ({"command": "etude train /no/such/place"}, "no such folder here"),
        ({"command": "etude train --corpus nothing"}, "no corpus called 'nothing'"),
        ({"pieces": {"train": 3}}, "is not what it was (3 train then"),
        ({"pieces": "many"}, "is not what it was (unknown then"),
    ],
)
def test_own_music_that_is_not_what_it_was_is_refused(counted, facts, sentence):
    with pytest.raises(NothingUsable, match=re.escape(sentence)):
        own_music(with_facts(counted[1], **facts), "scales")


def test_what_was_trained_on_is_left_out_of_a_folder(
    counted, folder_of_tunes, tmp_path
):
    bundle = counted[1]
    names = {piece.name for piece in own_music(bundle, "scales").train}
    known, unknown = (
        [p for p in sorted(folder_of_tunes.iterdir()) if (p.name in names) == is_known]
        for is_known in (True, False)
    )
    for path in (*known[:3], *unknown[:2]):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    music = folder_music(bundle, "scales", tmp_path)
    assert sorted(p.name for p in music.held_out) == [p.name for p in unknown[:2]]
    assert music.told["kin"].startswith("3 of 5 pieces")
    for path in unknown[:2]:
        (tmp_path / path.name).unlink()
    with pytest.raises(NothingUsable, match="every piece of it was trained on"):
        folder_music(bundle, "scales", tmp_path)


def test_a_folder_says_that_kinship_is_not_known_where_it_is_not(
    counted, folder_of_tunes
):
    away = with_facts(counted[1], command="etude train /no/such/place")
    music = folder_music(away, "scales", folder_of_tunes)
    assert music.told["kin"] == "its kinship to the training music is not known"
    assert music.train == [] and music.counted
    counted_names = {piece.name for piece in music.counted}
    assert music.held_out and not counted_names & {p.name for p in music.held_out}


def test_the_command_names_the_music():
    command = "etude train --corpus a --recipe x --corpus b --output o"
    assert music_named({"command": command}) == (None, ["a", "b"])
    folder, corpora = music_named({"command": "etude train 'my songs' --output o"})
    assert (folder.name, corpora) == ("my songs", [])
    for facts in ({}, {"command": 3}, {"command": "etude train 'open"}):
        assert music_named(facts) == (None, [])


@pytest.mark.parametrize(
    ("kind", "tokenizer", "sentence"),
    [
        ("lstm", TOKENIZERS["text"](), "writes text"),
        ("lstm", TOKENIZERS["wave"](), "writes sound"),
        ("bilstm", MELODY, "fills gaps"),
    ],
)
def test_what_is_not_measured_is_said(kind, tokenizer, sentence):
    sizes = {"embedding_dim": 4, "hidden_dim": 8, "num_layers": 1}
    with pytest.raises(NothingUsable, match=sentence):
        check_bundle(untrained(kind, tokenizer, **sizes), "it")


@pytest.mark.parametrize(
    "wish", [{"pieces": 1}, {"pieces": 1001}, {"bars": 0}, {"seed": -1}]
)
def test_a_plan_out_of_range_is_refused(wish):
    with pytest.raises(ValueError, match=r"must be in .*Received"):
        Plan(**wish)


def test_music_like_real_music_overlaps_as_real_music_does():
    rng = np.random.default_rng(0)
    drawn = [tune(rng.integers(55, 75, 64)) for _ in range(36)]
    plan = Plan(pieces=12, bars=8)
    rows, histograms = compared(drawn[:12], drawn[12:], plan)
    for row in (*rows.values(), *histograms.values()):
        if row["overlap"] is not None:
            # So far apart may twelve pieces lie by chance.
            assert row["overlap"] >= row["real_halves"]["overlap"] - 0.25, row["words"]
    slow = [tune(score.notes["pitch"], duration=960) for score in drawn[:12]]
    rows, histograms = compared(slow, drawn[12:], plan)
    assert histograms["durations"]["overlap"] == 0
    assert histograms["pitch_classes"]["overlap"] > 0.7
    assert rows["notes_a_bar"]["overlap"] < 0.05


def test_real_pieces_are_heard_as_far_as_composed_ones_go():
    # Four bars of one rhythm, then four of another: in the first four all is alike.
    long = tune([60, 62] * 16)
    rows, _ = compared([long] * 4, [tune([60, 62] * 64)] * 4, Plan(pieces=4, bars=4))
    assert rows["groove"]["real"]["mean"] == 1.0
    assert rows["notes"]["real"]["mean"] == 128  # lengths are those of whole pieces
    assert rows["notes"]["generated"]["mean"] == 32


def test_other_seeds_compose_other_music_and_weigh_the_same(counted, told):
    json.dumps(told, allow_nan=False)
    assert told["generated"]["seeds"] == [1, 2, 3]
    other = evaluate(counted[1], "scales", plan=Plan(pieces=2, bars=2, seed=7))
    assert other["generated"]["seeds"] == [7, 8]
    assert other["held_out"] == told["held_out"]


class Page(HTMLParser):
    """What a page holds: its elements, its text, what is still open."""

    EMPTY = ("meta", "img", "br", "line", "rect", "polygon", "polyline", "path")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def check_page(text):
    """What holds for every page: whole, in a language, nothing from elsewhere."""
    page = Page(text)
    assert page.open == []
    assert page.of("html")[0]["lang"] == "en"
    assert len(page.of("title")) == len(page.of("h1")) == len(page.of("main")) == 1
    assert not re.search(r"https?://|//\w+\.|@import|url\(", text)
    for plot in page.of("svg"):
        assert plot["role"] == "img" and plot["aria-label"]
    assert all(picture["alt"] for picture in page.of("img"))
    assert all(sound["aria-label"] for sound in page.of("audio"))
    assert "prefers-color-scheme: dark" in text
    assert not re.search(
        r"\b(nan|None|inf)\b", re.sub(r"<style>.*</style>", "", text, flags=re.S)
    )
    return page


def test_the_card_stands_alone_and_shows_every_measure(told):
    text = evaluation_card(told)
    page = check_page(text)
    assert len(page.of("svg")) >= 10
    for row in (*told["measures"].values(), *told["histograms"].values()):
        assert html.escape(row["words"]) in text
    assert f"{told['held_out']['figures']['model']['nats_per_note']:.4f}" in text


def test_the_card_tells_what_was_not_measured(counted, folder_of_tunes, tmp_path):
    write_midi(tmp_path / "one.mid", tune([60, 62, 64, 65] * 8))
    away = with_facts(counted[1], command="etude train /no/such/place")
    away.model_name = "ngram"
    told = evaluate(away, "<b>&", tmp_path, plan=Plan(pieces=2, bars=2))
    text = evaluation_card(told)
    check_page(text)
    assert "Not measured: its training music is not at hand." in text
    assert "kinship to the training music is not known" in text
    assert "<b>&" not in text and "&lt;b&gt;&amp;" in text


def test_what_is_far_from_real_is_named_worst_first():
    def row(words, ours, base):
        return {"words": words, "overlap": ours, "real_halves": {"overlap": base}}

    rows = {"a": row("near", 0.7, 0.8), "b": row("far", 0.5, 0.8)}
    rows |= {"c": row("farther", 0.1, 0.9), "d": row("unknown", None, None)}
    told = {"measures": rows, "histograms": {}}
    assert [words for words, _, _ in far_from_real(told)] == ["farther", "far"]


def test_the_parts_of_a_page_escape_what_they_are_given():
    wild = "<script>alert('x')</script> \"&\" \udcff"
    parts = [
        html.table([wild], [[wild, wild]], caption=wild, mark=(0,), text_columns=(1,)),
        html.figure("", wild),
        html.card(wild, ""),
        html.big_figures([(wild, wild)]),
        html.colour_key([("--first", wild)]),
        html.picture(b"\x89PNG", wild),
        html.player("a.wav", wild),
    ]
    text = html.page(wild, "".join(parts))
    check_page(text)
    assert "<script" not in text
    text.encode()  # a page can always be written


def test_the_command_loads_no_tensorflow_and_repeats_its_bytes(counted, tmp_path):
    path = counted[0]
    words = ["evaluate", str(path), "--pieces", "2", "--bars", "2", "-o"]
    script = (
        "import sys; from studio.cli import run; status = run(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules; "
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nats per note" in done.stdout and "Copied from" in done.stdout
    assert run([*words, str(tmp_path / "b")]) == 0
    for name in ("evaluation.json", "evaluation.html"):
        first, second = (tmp_path / side / name for side in "ab")
        assert first.read_bytes() == second.read_bytes()
    check_page((tmp_path / "a" / "evaluation.html").read_text())


def test_json_is_one_line_of_json(counted, tmp_path, capsys):
    words = ["evaluate", str(counted[0]), "--pieces", "2", "--bars", "2", "--json"]
    assert run([*words, "-o", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["held_out"]["figures"]) == {"model", "ngram", "unigram", "copy"}
    assert told["files"] == [
        str(tmp_path / "evaluation.json"), str(tmp_path / "evaluation.html")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["evaluate"], 2),
        (["evaluate", "no-such-bundle"], 2),
        (["evaluate", "FOLDER"], 3),
        (["evaluate", "BUNDLE", "no-such-folder"], 2),
        (["evaluate", "BUNDLE", "EMPTY"], 3),
        (["evaluate", "BUNDLE", "--pieces", "0"], 2),
        (["evaluate", "BUNDLE", "-o", "FILE"], 2),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    counted, folder_of_tunes, tmp_path, capsys, words, status
):
    file = tmp_path / "file"
    file.write_text("no music")
    (tmp_path / "empty").mkdir()
    names = {"BUNDLE": counted[0], "FOLDER": folder_of_tunes}
    names |= {"EMPTY": tmp_path / "empty", "FILE": file}
    output = [] if "-o" in words else ["-o", str(tmp_path / "out")]
    assert run([str(names.get(word, word)) for word in words] + output) == status
    said = capsys.readouterr().err
    assert said.startswith("etude: ") and said.count("\n") == 1
    assert not list(tmp_path.rglob("evaluation.*"))


def test_ctrl_c_leaves_no_half_report(counted, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("studio.evaluate.compared", interrupted)
    words = ["evaluate", str(counted[0]), "--pieces", "2", "--bars", "1"]
    assert run([*words, "-o", str(tmp_path)]) == 130
    said = capsys.readouterr().err
    assert said == "etude: interrupted; no report was written.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_trained_networks_figure_is_the_one_that_training_reported(
    folder_of_tunes, tmp_path, capsys
):
    path = tmp_path / "small.bundle"
    words = ["--size", "tiny", "--epochs", 1, "--minutes", 0.05, "--seed", 3]
    arguments = ["train", folder_of_tunes, "-o", path, *words]
    assert run([str(word) for word in arguments]) == 0, capsys.readouterr().err
    from studio.models import open_model

    bundle = open_model(str(path))
    figures = held_out_figures(bundle, own_music(bundle, "small"))["figures"]
    test = bundle.facts["test"]
    assert figures["model"]["nats_per_note"] == pytest.approx(test["model"], rel=1e-5)
    assert figures["copy"]["nats_per_note"] == pytest.approx(test["copy"], rel=1e-12)
