"""Composing with a model that hears ahead, and harmonising: laws that any weights obey."""

from dataclasses import replace

import numpy as np
import pytest

from audio_models.anticipation import BLANK, AnticipationLSTM
from audio_models.bundle import Bundle
from audio_models.network import first_values
from data_pipelines.measures import likely_key
from data_pipelines.midi import read_midi
from data_pipelines.score import PEDAL, Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.voice_leading import RANGES
from studio.compose import compose
from studio.guided import filled
from studio.harmonize import Harmony, harmonize
from studio.wish import Wish, scale_of

VOICES = {"melody": 1, "chorale": 4}
TOKENIZERS = {"melody": MelodyTokenizer(), "chorale": ChoraleTokenizer()}


@pytest.fixture(scope="module", params=VOICES)
def bundle(request):
    return untrained(request.param)


def untrained(name):
    tokenizer = TOKENIZERS[name]
    architecture = AnticipationLSTM(
        vocab_size=tokenizer.vocab_size,
        num_voices=VOICES[name],
        embedding_dim=6,
        hidden_dim=10,
        chain_dim=8,
        ahead_dim=7,
        lookback=name == "melody",
    )
    weights = {
        name: first_values(weight, [0, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    return Bundle(architecture, weights, tokenizer.spec())


def test_a_piece_has_as_many_bars_as_were_asked_for(bundle):
    for metre, bars in (("4/4", 2), ("6/8", 3)):
        wish = Wish(bars=bars, metre=metre, seed=3, takes=2)
        piece = compose(bundle, wish)
        # An upbeat comes before the first bar, so that the piece has one line more.
        assert len(piece.score.bar_ticks()) - 1 in (bars, bars + 1)
        assert piece.bars == bars
        assert TOKENIZERS[bundle.vocabulary["tokenizer"]].grammar.accepts(piece.ids[1:])


def test_the_same_wish_gives_the_same_notes_and_another_seed_others(bundle):
    first, again, other = (
        compose(bundle, Wish(bars=2, metre="3/4", seed=seed, takes=2)).ids.tolist()
        for seed in (5, 5, 6)
    )
    assert first == again != other


def test_key_and_range_are_kept(bundle):
    wish = Wish(bars=3, metre="4/4", key="Eb", pitch_range="C4:C6", seed=1, takes=2)
    piece = compose(bundle, wish)
    pitches = piece.score.notes["pitch"]
    assert scale_of(-3, False)[0][pitches % 12].all()
    top = piece.score.track_notes(0)["pitch"]
    assert top.min() >= 60
    assert top.max() <= 84
    assert piece.key == "Eb major"


def test_four_voices_keep_to_a_choirs_ranges_unless_told_otherwise():
    piece = compose(untrained("chorale"), Wish(bars=3, metre="4/4", seed=2, takes=2))
    for track, name in enumerate(RANGES):
        pitches = piece.score.track_notes(track)["pitch"]
        assert RANGES[name][0] <= pitches.min()
        assert pitches.max() <= RANGES[name][1]


def test_more_notes_come_where_more_are_asked_for(bundle):
    few, many = (
        len(compose(bundle, Wish(bars=4, metre="4/4", density=d, seed=1)).score)
        for d in (1, 8)
    )
    voices = bundle.architecture.num_voices
    assert few < 0.5 * many
    assert 4 * voices * 1 * 0.4 < few < 4 * voices * 1 * 2.5
    assert 4 * voices * 8 * 0.5 < many < 4 * voices * 8 * 1.5


def test_a_length_in_seconds_is_met_within_a_bar(bundle):
    piece = compose(bundle, Wish(seconds=10, metre="4/4", seed=1, takes=1))
    bar = 4 * 60 / piece.qpm
    assert abs(piece.bars * bar - 10) < bar / 2


@pytest.mark.parametrize("name", VOICES)
def test_what_is_given_stays_and_what_is_blank_is_filled(name):
    bundle, tokenizer = untrained(name), TOKENIZERS[name]
    rng = np.random.default_rng(0)
    first = tokenizer.vocabulary.ids("pitch")[0]
    shape = (32, VOICES[name])
    tokens = np.where(
        rng.random(shape) < 0.5, first + 60 + rng.integers(0, 12, shape), tokenizer.hold
    )
    tokens[0] = first + 60
    tokens[8:20] = BLANK
    for take in filled(bundle, tokenizer, "4/4", tokens, Wish(takes=3)):
        body = take.ids[2:-1].reshape(shape)
        given = tokens != BLANK
        np.testing.assert_array_equal(body[given], tokens[given])
        assert (body != BLANK).all()
        assert take.notes == tokenizer.is_note(body[~given]).sum()
        assert take.nats > 0


def test_takes_are_weighed_by_the_network_that_hears_nothing_ahead():
    """Of two notes, p / q of each by hand: told q, untold p, all else given."""
    from audio_models.particles import Sheet, fill
    from audio_models.scoring import token_log_probabilities
    from studio.guided import player_of, reweighed

    bundle, tokenizer = untrained("melody"), TOKENIZERS["melody"]
    first = tokenizer.vocabulary.ids("pitch")[0]
    prefix = np.array([1, tokenizer.metre_id("4/4"), first + 60, tokenizer.hold])
    may = np.zeros((6, tokenizer.vocab_size), dtype=bool)
    may[0, [first + 62, first + 64]] = True
    may[range(1, 6), [tokenizer.hold, first + 65, first + 67, tokenizer.hold, 2]] = True
    state = tokenizer.grammar.state_after(prefix[1:])
    sheet = Sheet(may, tokenizer.grammar, state)
    player = player_of(bundle, prefix, sheet)
    takes = fill(player, prefix, sheet, particles=400, copies=False, seed=1)
    again = reweighed(bundle, prefix, takes, 1)
    whole = np.array(
        [[*prefix, note, *takes.ids[0, 1:]] for note in first + np.r_[62, 64]]
    )
    nats = token_log_probabilities(bundle.architecture, bundle.weights, whole)
    wanted = np.exp(nats.sum(axis=1) - nats.sum(axis=1).max())
    wanted /= wanted.sum()
    is_lower = takes.ids[:, 0] == first + 62
    assert again.shares[is_lower].sum() == pytest.approx(wanted[0], abs=0.06)
    assert takes.ids[again.chosen, 0] in (first + 62, first + 64)


def tune(pitches, quarter=480, channel_track=0, tempo=97.0):
    starts = np.arange(len(pitches)) * quarter + 7  # a little behind the beat
    notes = notes_array(starts, quarter - 31, pitches, 99, channel_track)
    return Score(
        notes,
        ticks_per_quarter=quarter,
        tracks=(Track("Tune", 40),),
        tempos=(Tempo(0, tempo),),
        metres=(Metre(0, 3, 4),),
    )


def test_what_is_continued_ends_on_its_tonic_at_the_bar_line_even_untrained(bundle):
    from studio.carry_on import Onward, carry_on

    score = tune([67, 69, 71, 72, 74, 72, 71, 69, 67])
    done = carry_on(bundle, score, Onward(bars=3, seed=2, takes=3)).score
    np.testing.assert_array_equal(done.notes[: len(score.notes)], score.notes)
    end = done.notes["start"].astype(int) + done.notes["duration"]
    final = done.notes[end == end.max()]
    tonic = scale_of(*likely_key(score))[1]
    assert tonic in final["pitch"] % 12  # of four voices, that of the bass
    assert end.max() == pytest.approx(6 * 3 * 480, abs=480 / 4)  # three bars and three


def test_a_harmonised_melody_is_untouched_and_has_three_voices_below():
    score = tune([67, 69, 71, 72, 74, 72, 71, 69, 67, 66, 67, 67])
    done = harmonize(untrained("chorale"), score, Harmony(seed=4, takes=3))
    assert [track.name for track in done.score.tracks] == [
        "Tune",
        "Alto",
        "Tenor",
        "Bass",
    ]
    melody = done.score.track_notes(0)
    for name in ("start", "duration", "pitch", "velocity"):
        np.testing.assert_array_equal(melody[name], score.notes[name])
    assert done.score.tempos == score.tempos
    assert done.score.metres == score.metres
    assert done.score.ticks_per_quarter == score.ticks_per_quarter
    for track, name in enumerate(RANGES):
        if track:
            pitches = done.score.track_notes(track)["pitch"]
            assert RANGES[name][0] <= pitches.min()
            assert pitches.max() <= RANGES[name][1]
    assert done.leading.faults() * 3 <= done.drawn.faults()


def test_a_melody_of_a_cello_is_harmonised_where_it_lies():
    low = tune([43, 45, 47, 48, 50, 48, 47, 43])
    done = harmonize(untrained("chorale"), low, Harmony(seed=1, takes=1))
    np.testing.assert_array_equal(
        done.score.track_notes(0)["pitch"], low.notes["pitch"]
    )
    assert any("soprano" in sentence for sentence in done.told)
    assert done.score.notes["pitch"].min() >= 0


def test_the_key_of_a_harmony_can_be_chosen():
    score = tune([67, 69, 71, 72, 74, 72, 71, 69])
    done = harmonize(untrained("chorale"), score, Harmony(seed=1, takes=1, key="G"))
    added = done.score.notes[done.score.notes["track"] > 0]["pitch"]
    assert scale_of(1, False)[0][added % 12].all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"track": 5}, "`track` must be in 1..1"),
        ({"takes": 0}, "`takes` must be in 1..64"),
        ({"top_p": 0}, "`top_p` must be in"),
        ({"key": "H"}, "`key` must be"),
    ],
)
def test_a_harmony_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        harmonize(untrained("chorale"), tune([60, 62, 64, 65]), Harmony(**change))


def test_a_model_of_one_voice_does_not_harmonise():
    with pytest.raises(ValueError, match="cannot harmonise"):
        harmonize(untrained("melody"), tune([60, 62, 64, 65]), Harmony())


def test_a_written_and_read_harmony_still_has_the_melody(tmp_path):
    from data_pipelines.midi import write_midi

    score = tune([67, 69, 71, 72, 74, 72, 71, 69])
    done = harmonize(untrained("chorale"), score, Harmony(seed=1, takes=1))
    write_midi(tmp_path / "h.mid", done.score)
    back = read_midi(tmp_path / "h.mid")
    np.testing.assert_array_equal(
        back.track_notes(0)["start"] / back.ticks_per_quarter,
        score.notes["start"] / score.ticks_per_quarter,
    )


def test_added_voices_are_a_little_softer_than_the_melody():
    """Of velocity 25 nine tenths are 22.5; rounded to even, 22."""
    score = tune([67, 69, 71, 72])
    quiet = score.notes.copy()
    quiet["velocity"] = 25
    done = harmonize(
        untrained("chorale"), replace(score, notes=quiet), Harmony(seed=1, takes=1)
    )
    added = done.score.notes[done.score.notes["track"] > 0]
    assert len(added) and set(added["velocity"].tolist()) == {22}


def test_under_a_double_bass_no_voice_sinks_out_of_hearing():
    """The bass of a choir begins at E2, 40: an octave lower is as far as it goes."""
    low = tune([26, 28, 30, 31, 33, 31, 30, 26])
    done = harmonize(untrained("chorale"), low, Harmony(seed=1, takes=1))
    added = done.score.notes[done.score.notes["track"] > 0]["pitch"]
    assert added.min() >= RANGES["Bass"][0] - 12


def test_the_pedal_of_another_track_does_not_blur_the_new_voices():
    score = tune([67, 69, 71, 72])
    chords = notes_array(0, 960, [48, 52, 55], 80, 1)
    pedals = np.zeros(2, dtype=PEDAL)
    pedals["duration"], pedals["track"] = 960, (0, 1)
    score = replace(
        score,
        notes=np.concatenate([score.notes, chords]),
        tracks=(*score.tracks, Track("Piano", 0)),
        pedals=pedals,
    )
    wish = Harmony(seed=1, takes=1, track=0)
    done = harmonize(untrained("chorale"), score, wish)
    assert done.score.pedals["track"].tolist() == [0]  # the melody's own
