"""Real or generated? Alike in all but the notes, and nothing told before it is chosen."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import tune
from test_surprise import bundle_of
from test_takes import Page, silence

from audio_models.bundle import Bundle, save_bundle
from audio_models.classify import wilson_interval
from audio_models.counted import count
from data_pipelines.midi import midi_bytes, write_midi
from data_pipelines.score import Metre
from data_pipelines.tokenizers import TOKENIZERS
from studio.blind_page import blind_page
from studio.blind_test import blind_trials, verdict
from studio.cli import run
from studio.errors import NothingUsable, WrongUsage
from studio.held_out import Piece

MELODY = TOKENIZERS["melody"]()
LONG, SHORT = 12 * 8, 4 * 8  # eighths in twelve and in four bars of 4/4


def airs(how_many, notes=LONG, seed=0, metre=(4, 4)):
    """Tunes by chance in C, all eighths, each a `Piece`."""
    rng = np.random.default_rng(seed)
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72])
    lines = [scale[rng.integers(0, 8, notes)] for _ in range(how_many)]
    return [
        Piece(MELODY.encode(tune(line, metre=metre)), f"air {number}", 0.0)
        for number, line in enumerate(lines)
    ]


@pytest.fixture(scope="module")
def counted():
    """A bundle of an n-gram of twenty airs."""
    ids = [piece.ids for piece in airs(20, seed=9)]
    facts = {"metres": {"4/4": 19, "6/8": 1}, "held_out": {"is_held_out": True}}
    return Bundle(*count(ids, MELODY.vocab_size, order=3), MELODY.spec(), facts)


@pytest.fixture(scope="module")
def trials(counted):
    return blind_trials(counted, airs(6), count=8, bars=4, seed=3)


def sounds_of(trials):
    return [midi_bytes(trial.score) for trial in trials]


def pitches(score):
    return score.notes["pitch"].tolist()


def test_half_are_real_and_begin_as_the_pieces_do_and_none_comes_twice(trials):
    real = {trial.name: trial.score for trial in trials if trial.is_real}
    assert len(trials) == 8
    assert len(real) == 4
    whole = {piece.name: pitches(MELODY.decode(piece.ids)) for piece in airs(6)}
    for name, score in real.items():
        assert pitches(score) == whole[name][: 4 * 8]
    made = {tuple(pitches(trial.score)) for trial in trials if not trial.is_real}
    assert len(made) == 4
    assert not made & {tuple(pitches(score)) for score in real.values()}


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(counted, trials):
    again = blind_trials(counted, airs(6), count=8, bars=4, seed=3)
    assert sounds_of(again) == sounds_of(trials)
    assert [t.is_real for t in again] == [t.is_real for t in trials]
    other = blind_trials(counted, airs(6), count=8, bars=4, seed=4)
    assert sounds_of(other) != sounds_of(trials)


def test_the_order_is_by_chance_and_not_real_and_generated_in_turn(counted):
    orders = {
        tuple(
            t.is_real for t in blind_trials(counted, airs(6), count=4, bars=2, seed=s)
        )
        for s in range(8)
    }
    assert len(orders) > 3
    assert {order[0] for order in orders} == {True, False}


def told(score):
    """All of a score that is not its notes, and could tell its kind."""
    velocities = set(score.notes["velocity"].tolist())
    meta = (score.tempos, str(score.metre), score.tracks, score.keys, score.title)
    return (
        *meta,
        score.ticks_per_quarter,
        score.count_bars(),
        velocities <= {100, 90, 78},
    )


def test_both_kinds_are_alike_in_all_but_their_notes(trials):
    assert len({told(trial.score) for trial in trials}) == 1
    assert told(trials[0].score)[-1]


UP_AND_DOWN = tune(np.r_[60:72, 72:60:-1].repeat(4), program=40, qpm=77.0)


def check_alike(one, other, bars):
    assert {one.is_real, other.is_real} == {True, False}
    for trial in (one, other):
        assert trial.score.tempos == one.score.tempos
        assert str(trial.score.metre) == str(one.score.metre)
        assert len(trial.score.notes)
        assert trial.score.count_bars() <= bars
        assert not trial.score.keys
        assert not trial.score.title


@pytest.mark.parametrize("kind", ["melody", "performance", "chorale"])
def test_both_kinds_are_alike_for_any_tokenizer(kind):
    pieces = [Piece(TOKENIZERS[kind]().encode(UP_AND_DOWN), "a real one", 0.0)]
    made = blind_trials(bundle_of(kind), pieces, count=2, bars=2, seed=1)
    check_alike(*made, bars=2)


def test_the_metre_of_a_generated_piece_is_that_of_the_real_one_beside_it(counted):
    pieces = airs(3, metre=(6, 8))
    made = blind_trials(counted, pieces, count=6, bars=4, seed=0)
    assert {str(trial.score.metre) for trial in made} == {"6/8"}


def test_a_real_piece_that_ends_with_the_excerpt_is_never_used(counted):
    pieces = [*airs(2), *(replace(p, name="short") for p in airs(9, notes=SHORT))]
    made = blind_trials(counted, pieces, count=4, bars=4, seed=0)
    assert {t.name for t in made if t.is_real} == {"air 0", "air 1"}


def test_a_piece_of_two_metres_or_of_one_that_cannot_be_asked_for_is_not_used():
    tokenizer = TOKENIZERS["remi"]()
    changing = (Metre(0, 4, 4), Metre(1920, 3, 4))
    scores = {
        "two": replace(UP_AND_DOWN, metres=changing),
        "five": replace(UP_AND_DOWN, metres=(Metre(0, 5, 4),)),
        "plain": UP_AND_DOWN,
    }
    pieces = [Piece(tokenizer.encode(s), name, 0.0) for name, s in scores.items()]
    for seed in range(3):
        with pytest.raises(NothingUsable, match="only 1 are longer"):
            blind_trials(bundle_of("remi"), pieces, count=4, bars=2, seed=seed)
    made = blind_trials(bundle_of("remi"), pieces, count=2, bars=2, seed=0)
    assert [t.name for t in made if t.is_real] == ["plain"]
    check_alike(*made, bars=2)


@pytest.mark.parametrize(("pieces", "found"), [([], "Of 0 pieces"), (1, "only 1 are")])
def test_too_few_pieces_are_named_with_what_to_ask_for_instead(counted, pieces, found):
    with pytest.raises(NothingUsable, match=found) as told:
        blind_trials(counted, airs(pieces) if pieces else [], count=6, bars=4)
    assert "3 are wanted" in str(told.value)
    assert "--bars" in str(told.value)
    assert "--count" in str(told.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": 0}, r"`count` must be in 2\.\.40\. Received: 0"),
        ({"count": 42}, r"`count` must be in 2\.\.40\. Received: 42"),
        ({"count": 7}, r"`count` must be even, half real\. Received: 7"),
        ({"bars": 1}, r"`bars` must be in 2\.\.32\. Received: 1"),
        ({"bars": 33}, r"`bars` must be in 2\.\.32\. Received: 33"),
    ],
)
def test_numbers_out_of_range_are_named(counted, wrong, message):
    with pytest.raises(WrongUsage, match=message):
        blind_trials(counted, airs(2), **wrong)


@pytest.mark.parametrize(
    ("right", "says"),
    [
        (10, "You can tell them apart"),
        (0, "You took one kind for the other"),
        (5, "does not show that you can tell them apart"),
        (8, "does not show that you can tell them apart"),  # 49% to 94%
        (9, "You can tell them apart"),  # 60% to 98%
    ],
)
def test_the_verdict_says_where_chance_lies(right, says):
    low, high = wilson_interval(right, 10)
    sentence = verdict(right, 10)
    assert says in sentence
    assert sentence.startswith(
        f"{right} of 10 right, {right * 10}% (95% interval {low:.0%} to {high:.0%}). "
    )


def test_ten_of_ten_leaves_the_interval_that_wilson_gives_by_hand():
    # n / (n + z²) = 10 / 13.84
    assert wilson_interval(10, 10)[0] == pytest.approx(10 / (10 + 1.96**2), abs=1e-4)


@pytest.fixture(scope="module")
def named_trials(trials):
    """The trials, the names of the real ones such that markup could break out."""
    return [
        replace(t, name=f'<script>x("{t.name}")</script> ü') if t.is_real else t
        for t in trials
    ]


@pytest.fixture(scope="module")
def html(named_trials):
    return blind_page("Which?", named_trials, [silence()] * len(named_trials))


def key_of(html):
    (hidden,) = re.findall(r'<script type="text/plain" id="key">([^<]*)</script>', html)
    return json.loads(base64.b64decode(hidden))


def test_the_page_tells_nothing_before_all_is_chosen(html, named_trials):
    hidden = re.findall(r'id="key">([^<]*)<', html)[0]
    open_to_read = html.replace(hidden, "")
    for trial in named_trials:
        assert trial.name not in open_to_read
        assert trial.name.removeprefix("composed, ") not in open_to_read
    assert "is_real" not in open_to_read
    assert "composed, seed" not in open_to_read
    assert "air " not in open_to_read
    page = Page(re.sub(r"<input[^>]*>|<br>", "", html))
    cards = page.all("li", "trial")
    assert (
        len({json.dumps(card) for card in cards}) == 1
    )  # no class, no id that differs
    for box in page.all("div", "roll-box"):
        assert "hidden" in box
    for button in page.all("button"):
        assert "disabled" in button


def test_the_key_holds_the_truth_and_a_verdict_for_every_score(html, named_trials):
    key = key_of(html)
    assert key["trials"] == [
        {"real": trial.is_real, "name": trial.name} for trial in named_trials
    ]
    count = len(named_trials)
    assert key["verdicts"] == [verdict(right, count) for right in range(count + 1)]


def test_the_page_asks_the_network_for_nothing(html, named_trials):
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(sources) == len(named_trials)
    assert all(source.startswith("data:audio/flac;base64,") for source in sources)
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)
    assert "default-src 'none'" in html


def test_each_trial_can_be_heard_and_chosen_by_keyboard_and_by_name(html, named_trials):
    count = len(named_trials)
    radios = re.findall(r'<input type="radio" name="(t\d+)" value="(\w+)">', html)
    assert radios == [
        (f"t{number}", value)
        for number in range(1, count + 1)
        for value in ("real", "generated")
    ]
    assert html.count("<legend>") == count
    assert len(set(re.findall(r'aria-label="(Excerpt \d+), to hear"', html))) == count
    assert 'role="status"' in html


@pytest.fixture(scope="module")
def saved(counted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blind")
    save_bundle(folder / "airs.bundle", counted)
    (folder / "music").mkdir()
    for piece in airs(8, seed=5):
        write_midi(folder / "music" / f"{piece.name}.mid", MELODY.decode(piece.ids))
    return folder


def test_the_command_writes_one_page_and_says_how_to_write_it_again(saved, capsys):
    asked = ["blind", str(saved / "airs.bundle"), str(saved / "music")]
    small = ["--count", "2", "--bars", "2", "--engine", "synth"]
    page = saved / "a.html"
    assert run([*asked, *small, "--seed", "1", "-o", str(page)]) == 0
    shown = capsys.readouterr().out
    assert str(page) in shown
    assert not re.search(r"air \d|composed, seed|is_real", shown)
    again = re.search("Again: etude (.*)", shown)[1].split()
    first = page.read_bytes()
    page.unlink()
    assert run(again) == 0
    assert page.read_bytes() == first
    capsys.readouterr()
    other = saved / "b.html"
    assert run([*asked, *small, "--seed", "1", "--json", "-o", str(other)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["page"] == str(other)
    assert sorted(trial["is_real"] for trial in facts["trials"]) == [False, True]
    key = key_of(other.read_text())["trials"]
    assert key == [{"real": t["is_real"], "name": t["name"]} for t in facts["trials"]]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["no-such-model"], 2, "No model is called 'no-such-model'"),
        (["airs.bundle", "no-such-folder"], 2, "No such file or folder"),
        (["airs.bundle"], 3, "its own music is not at hand"),
        (["airs.bundle", "music", "--count", "3"], 2, "`count` must be even"),
        (["airs.bundle", "music", "--bars", "1"], 2, "`bars` must be in 2..32"),
        (["airs.bundle", "music", "--count", "40"], 3, "20 are wanted"),
        (["airs.bundle", "music", "-o", "page.txt"], 2, ".html"),
        (["drum-samples", "music"], 2, "is a model of sounds"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_exit_status(
    saved, capsys, monkeypatch, arguments, status, says
):
    monkeypatch.chdir(saved)
    assert run(["blind", *arguments]) == status
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not list(saved.glob("out/*"))
