"""What is wrong is named with its cause; what is well is left alone."""

import numpy as np

from audio_models.training import Plan
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.vocabulary import BOS, EOS
from studio.curves import EventFile, draw_loss_curve
from studio.diagnose import longest_loop, of_piece, of_training
from studio.floors import Floors

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
    assert "pitch:60" in of_piece(ids_of([60] * 20 + [62]), TOKENIZER)[0]
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
