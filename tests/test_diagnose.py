"""What is wrong is named with its cause; what is well is left alone."""

import numpy as np
import pytest
from conftest import tune

from audio_models.training import Plan
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.vocabulary import BOS, EOS
from studio.curves import EventFile, draw_loss_curve
from studio.diagnose import COPIED_NOTES, faults, longest_loop, of_piece, of_training
from studio.floors import Floors
from studio.originality import Training

TOKENIZER = MelodyTokenizer()
FLOORS = Floors(copy=4.0, unigram=4.5, ngram=3.0, ngram_kind="order 3, as written")
PITCH = TOKENIZER.vocabulary.ids("pitch")[0]
HOLD = TOKENIZER.hold


def history(*rows):
    return [
        {"epoch": n, "step": 10 * n, "seconds": n, "loss": loss, "held_out": held_out}
        for n, (loss, held_out) in enumerate(rows, 1)
    ]


def test_a_run_that_goes_well_needs_no_words():
    rows = history((3.0, 3.1), (2.0, 2.2), (1.9, 2.15), (1.85, 2.16))
    assert of_training(rows, FLOORS, Plan()) == []
    assert of_training([], FLOORS, Plan()) == []


def test_overfitting_is_named_only_where_the_training_loss_fell():
    over = history((2.5, 2.6), (2.0, 2.4), (1.0, 3.0))
    assert "from 2.400 to 3.000" in of_training(over, FLOORS, Plan())[0]
    blown_up = history((2.5, 2.6), (2.0, 2.4), (2.5, 2.9))
    assert not any("Overfitting" in s for s in of_training(blown_up, FLOORS, Plan()))


def test_a_run_above_its_floors_is_told_which():
    assert "less than how often" in of_training(history((5, 5.0)), FLOORS, Plan())[0]
    assert "n-gram" in of_training(history((3.5, 3.6)), FLOORS, Plan())[0]


def ids_of(pitches):
    return np.r_[BOS, 4, np.ravel([[PITCH + p, HOLD] for p in pitches]), EOS]


def test_silence_one_note_and_loops_are_told_apart():
    rng = np.random.default_rng(0)
    assert "silent" in of_piece([BOS, 4, HOLD, EOS], TOKENIZER)[0]
    assert "C4" in of_piece(ids_of([60] * 20 + [62]), TOKENIZER)[0]
    motif = [60, 62, 64, 65, 67]
    assert "10 tokens, 6 times" in of_piece(ids_of(motif * 6), TOKENIZER)[0]
    assert of_piece(ids_of(rng.integers(50, 80, 100)), TOKENIZER) == []


def test_a_loop_is_found_where_it_begins_and_counted():
    rng = np.random.default_rng(1)
    pattern = rng.integers(0, 50, 9)
    ids = np.r_[rng.integers(50, 99, 13), np.tile(pattern, 5), rng.integers(50, 99, 20)]
    assert longest_loop(ids) == (13, 9, 5)
    assert longest_loop(np.r_[np.tile(pattern, 3), [7]]) is None
    assert longest_loop([]) is None


KINDS = ("melody", "chorale", "performance", "remi")
WALK = np.random.default_rng(5).integers(57, 80, 64)  # eight bars of 4/4 in eighths


def kinds(kind, score, **more):
    tokenizer = TOKENIZERS[kind]()
    return [(f.kind, f.bar) for f in faults(tokenizer.encode(score), tokenizer, **more)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_found_in_the_tokens_of_every_tokenizer(kind):
    assert kinds(kind, tune(WALK)) == []
    assert kinds(kind, tune(np.r_[WALK[:6], [60] * 58])) == [("one note", 1)]
    # Two bars of walk, then one bar of eight notes, six times over.
    assert kinds(kind, tune(np.r_[WALK[:16], np.tile(WALK[20:28], 6)])) == [("loop", 3)]
    bars = tune(WALK).notes.copy()
    bars["start"][16:] += 5 * 1920  # bars 3 to 7 are silent: 10 s
    assert kinds(kind, of_notes(bars)) == [("silence", 3)]
    sparse = tune(WALK[:6]).notes.copy()
    sparse["start"] = np.arange(6) * 1920 * 5 // 3
    sparse["duration"] = 1920
    assert ("sparse", 0) in kinds(kind, of_notes(sparse))
    assert kinds(kind, tune(WALK[:16]), bars=16) == [("early end", 2)]
    assert kinds(kind, tune(WALK), bars=8) == []
    high = WALK.copy()
    high[9] = 120  # the second note of the second bar
    assert kinds(kind, tune(high)) == [("range", 2)]


def of_notes(notes):
    from dataclasses import replace

    return replace(tune([60]), notes=notes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_named_in_whatever_key_and_where_it_begins(kind):
    rng = np.random.default_rng(1)
    copied, other = rng.integers(57, 70, 2 * COPIED_NOTES), rng.integers(57, 70, 200)
    training = Training([tune(other), tune(copied)])
    own = rng.integers(57, 70, 16)
    score = tune(np.r_[own, copied[: COPIED_NOTES + 8] + 5])
    found = kinds(kind, score, copied=training.copied(score))
    assert found in ([("copying", 3)], [("copying", 2)])  # one interval may be chance
    short = tune(np.r_[own, copied[:COPIED_NOTES] + 5, own])
    assert training.copied(short).notes in (COPIED_NOTES, COPIED_NOTES + 1)
    apart = tune(np.r_[own, copied[: COPIED_NOTES - 3], own])
    assert kinds(kind, apart, copied=training.copied(apart)) == []


def test_a_fault_is_one_sentence_or_two_with_its_place_and_what_to_do():
    score = tune(np.r_[WALK[:16], np.tile(WALK[20:28], 6)])
    (text,) = of_piece(TOKENIZER.encode(score), TOKENIZER)
    assert text == (
        "It loops: 16 tokens, 6 times in a row from bar 3 on. "
        "Raise --temperature or --top-p."
    )


def test_held_notes_verses_and_interludes_are_no_faults():
    long_notes = tune([60, 62, 64, 65, 67, 69, 71, 72], duration=2 * 1920)
    assert kinds("melody", tune(np.r_[WALK, WALK[:1]])) == []
    assert "loop" not in dict(kinds("melody", long_notes))
    verses = tune(np.tile(np.r_[WALK, WALK[::-1]], 4))  # sixteen bars, four times
    for kind in KINDS:
        assert kinds(kind, verses) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_without_a_note_is_silent(kind):
    tokenizer = TOKENIZERS[kind]()
    (fault,) = faults([BOS, EOS], tokenizer)
    assert (fault.kind, fault.bar) == ("silence", 0)


@pytest.mark.slow
def test_a_hundred_real_tunes_are_left_alone():
    """Tunes that the shipped model never saw, asked also for copies of its training."""
    from test_surprise import fiddle_dataset

    dataset = fiddle_dataset()
    tokenizer = dataset.tokenizer
    training = Training(tokenizer.decode(ids) for ids in dataset.pieces("train"))
    found, tunes = [], list(dataset.pieces("test"))[::3][:100]
    for ids in tunes:
        copied = training.copied(tokenizer.decode(ids))
        found += [f.text for f in faults(ids, tokenizer, copied=copied)][:1]
    print(f"\nfalse alarms in {len(found)} of {len(tunes)} real tunes: {found}", end="")
    assert len(tunes) == 100
    assert len(found) < 2


def test_the_curve_and_the_event_file_are_written(tmp_path):
    from PIL import Image

    draw_loss_curve(tmp_path / "c.png", history((3, 3.2), (2, 2.1)), FLOORS)
    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (770, 440)
        assert len(image.convert("RGB").getcolors(10**6)) > 20
    events = EventFile(tmp_path / "log")
    events.write(3, loss=2.5, held_out=1.5)
    events.close()
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    (path,) = (tmp_path / "log").glob("events.out.tfevents.*")
    read = [
        event_pb2.Event.FromString(r.numpy())
        for r in tf.data.TFRecordDataset(str(path))
    ]
    assert read[0].file_version == "brain.Event:2"
    assert {v.tag: v.simple_value for v in read[1].summary.value} == {
        "loss": 2.5, "held_out": 1.5,
    }  # fmt: skip
