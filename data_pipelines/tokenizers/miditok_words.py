"""What MidiTok's words mean: settings, grammar, byte pairs, costs, for its adapter."""

import inspect
import json

import numpy as np

from data_pipelines.midi import SUSTAIN
from data_pipelines.score import FASTEST_QPM, LAST_TICK, SLOWEST_QPM
from data_pipelines.tokenizers.cost import Cost

KINDS = ("REMI", "TSD", "MIDILike", "Structured")
OTHER_KINDS = {
    **dict.fromkeys(("CPWord", "Octuple", "MuMIDI"), "its ids have several dimensions"),
    **dict.fromkeys(("PerTok", "MMM"), "MidiTok has no grammar of its streams"),
    "BEAT": "it tells a pitch by the one before, so that a word alone has none",
}
DEFAULTS = {"use_programs": True, "pitch_range": [0, 127]}
MORE_SETTINGS = {"add_trailing_bars", "use_bar_end_tokens", "max_bar_embedding"}
SETS = ("programs", "use_note_duration_programs", "control_change_numbers")
LARGEST_NUMBER = 8192  # in `params`: the widest pitch bend
MOST_BEATS, MOST_STEPS_PER_BEAT = 64, 96  # of one duration
LARGEST_VOCAB = 2**16
LONGEST_COMPOUND = 1024  # words in one id
CHUNK_START = "▁"  # what MidiTok's byte-pair encoding puts before each bar or beat

ONSETS = {"Pitch", "PitchDrum", "NoteOn", "DrumOn"}
RELEASES = {"NoteOff", "DrumOff"}
OF_DRUMS = {"PitchDrum", "DrumOn", "DrumOff"}
OF_A_TRACK = ONSETS | RELEASES | {"PitchBend", "ControlChange"}


def build(kind, params):
    """MidiTok's tokenizer, if it gives one stream of words with a meaning each."""
    if kind not in KINDS:
        why = OTHER_KINDS.get(kind, "MidiTok has none of that name")
        raise ValueError(
            f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r} ({why})."
        )
    try:
        import miditok
    except ImportError:
        raise ValueError(
            "The tokenizer 'miditok' needs miditok: pip install miditok==3.1.0"
        ) from None
    try:
        settings = read_settings(params or {}, miditok.TokenizerConfig)
        built = getattr(miditok, kind)(miditok.TokenizerConfig(**settings))
        config = built.config
        slowest, fastest = config.tempo_range
        (low, high), (low_drum, high_drum) = (
            config.pitch_range,
            config.drums_pitch_range,
        )
    except (LookupError, TypeError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"MidiTok cannot be set up so: {error!r}") from None
    rules = {
        "`use_programs` and `one_token_stream_for_programs` must be true: else each track "
        "is a stream of its own": built.one_token_stream,
        "`use_pitch_intervals` must be false: a word alone would have no pitch": (
            not config.use_pitch_intervals
        ),
        "`max_bar_embedding` must be null: MidiTok 3.1.0 does not decode numbered bars": (
            config.additional_params.get("max_bar_embedding") is None
        ),
        "`drums_pitch_range` must lie in `pitch_range`: MidiTok 3.1.0 does not decode the "
        "drums outside it": low <= low_drum <= high_drum <= high,
        "`programs` must be some of -1..127": (
            config.programs and config.programs <= set(range(-1, 128))
        ),
        f"`default_note_duration` must lie in 0..{MOST_BEATS} beats": (
            0 <= config.default_note_duration <= MOST_BEATS
        ),
        f"`tempo_range` must lie in {SLOWEST_QPM:g}..{FASTEST_QPM:g}": (
            SLOWEST_QPM <= slowest <= fastest <= FASTEST_QPM
        ),
        "a bar must have 1 to 255 beats": all(
            1 <= beats <= 255 for beats, _ in built.time_signatures
        ),
        "a quarter must have at most 32,767 steps": built.time_division <= 32767,
    }
    for rule, is_kept in rules.items():
        if not is_kept:
            raise ValueError(f"In MidiTok's settings, {rule}.")
    return built


def read_settings(params, config_type):
    """The arguments of a `TokenizerConfig`, from JSON, their sizes bounded."""
    settings = {**DEFAULTS, **params}
    settings |= settings.pop("additional_params", {})
    settings.setdefault("drums_pitch_range", settings["pitch_range"])
    known = inspect.signature(config_type).parameters
    for name, value in settings.items():
        if name not in known and name not in MORE_SETTINGS:
            raise ValueError(f"MidiTok has no setting called {name!r}.")
        usual = known[name].default if name in known else None
        if usual is not None and form(value) != form(usual):
            raise ValueError(
                f"`{name}` must be a {form(usual)}, as {usual!r} is. Received: {value!r}"
            )
    for name in {"beat_res", "beat_res_rest"} & settings.keys():
        settings[name] = {
            tuple(map(int, span.split("_"))) if isinstance(span, str) else span: steps
            for span, steps in settings[name].items()
        }
        for (low, high), steps in settings[name].items():
            if not (
                0 <= low < high <= MOST_BEATS and 1 <= steps <= MOST_STEPS_PER_BEAT
            ):
                raise ValueError(
                    f"`{name}` must lie in 0..{MOST_BEATS} beats, in 1..{MOST_STEPS_PER_BEAT} "
                    f"steps each. Received: {low}..{high}, {steps}"
                )
    if metres := settings.get("time_signature_range"):
        settings["time_signature_range"] = {int(k): v for k, v in metres.items()}
    if chords := settings.get("chord_maps"):
        settings["chord_maps"] = {name: tuple(chord) for name, chord in chords.items()}
    for number in numbers(settings):
        if not abs(number) <= LARGEST_NUMBER:
            raise ValueError(
                f"A number in MidiTok's settings is at most {LARGEST_NUMBER}. "
                f"Received: {number}"
            )
    return settings


def form(value):
    forms = {dict: "map", list: "list", tuple: "list", set: "list", float: "number"}
    return {**forms, int: "number"}.get(type(value), type(value).__name__)


def numbers(value):
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value


def as_json(config):
    """All settings of a `TokenizerConfig`, as JSON keeps them."""
    settings = config.to_dict(serialize=True)
    settings.update((name, sorted(settings[name])) for name in SETS)
    return json.loads(json.dumps(settings))


def automaton(built, kinds, values):
    """The grammar of single words: MidiTok's graph of their types, tightened.

    A state is the type of the last word; who plays, None before an instrument is named,
    else whether its notes have lengths and whether it is the drums; and how far a note has
    come: awaited 0, struck 1, whole 2.

    Args:
        kinds, values: sequences of str, the two halves of each word.

    Returns:
        int32 array (states, words), the state after a word, -1 where it is forbidden; and
        a bool array (states,), where a piece may end.
    """
    config, graph, on_off = built.config, built.tokens_types_graph, built._note_on_off
    if "Bar" in kinds:
        first = {"Bar", "Rest"}
    elif type(built).__name__ == "Structured":
        first = {"TimeShift"}
    else:
        first = graph["TimeShift"] | {"TimeShift", "Rest", "Tempo", "TimeSig", "KeySig"}
        first = first - RELEASES - {"PedalOff"}
    unsaid = {"Program", "Position", "TimeShift", "Rest", "Chord"}
    if not config.additional_params.get("add_trailing_bars"):
        unsaid.add("Bar")
    if config.sustain_pedal_duration:
        unsaid.add("Pedal")
    # What MidiTok writes after an event, though its graph lacks it: of another track, or
    # less than a step later.
    missing = {"Pedal", "PedalOff"}
    if type(built).__name__ in ("TSD", "MIDILike"):
        missing |= graph["TimeShift"]
    if config.program_changes:
        missing |= {"Program", *RELEASES}
    said_on = {"Velocity"} if config.use_velocities else ONSETS
    in_parts = ONSETS | {"Velocity", "Pedal", "Chord"}

    def last_of_note(has_lengths):
        if not has_lengths:
            return said_on
        return RELEASES if on_off else {"Duration"}

    def is_said(kind, last_kinds):
        return kind not in unsaid | ((ONSETS | {"Velocity"}) - last_kinds)

    def after(state, kind, named):
        last, player, note = state
        has_lengths, is_drums = player or (True, False)
        options = graph[last] if last else first
        if not has_lengths and last in said_on and "Duration" in options:
            options = graph["Duration"]
        if last and is_said(last, last_of_note(has_lengths and not on_off)):
            options = options | missing
        elif last in in_parts:  # where the graph has control changes, as everywhere
            options = options - {"ControlChange"}
        if last == "ControlChange":
            options = options - {"Velocity", "Duration"}
        is_drum = kind in OF_DRUMS
        plays = kind in ONSETS | RELEASES
        if (
            kind not in options
            or (kind in OF_A_TRACK and player is None)
            or (kind in RELEASES and not has_lengths)
            or (plays and config.use_pitchdrum_tokens and is_drum != is_drums)
        ):
            return None
        note = max(note, int(kind in ONSETS))
        if note and kind in last_of_note(has_lengths):
            note = 2
        return kind, named or player, note

    classes = [
        (kind, (int(value) in config.use_note_duration_programs, value == "-1"))
        if kind == "Program"
        else (kind, None)
        for kind, value in zip(kinds, values, strict=True)
    ]
    every = sorted(set(classes), key=str)
    queue = [(None, None, 0)]
    number, rows = {queue[0]: 0}, []
    for state in queue:
        row = [after(state, kind, named) for kind, named in every]
        for to in row:
            if to is not None and to not in number:
                number[to] = len(number)
                queue.append(to)
        rows.append([-1 if to is None else number[to] for to in row])
    may_end = [
        note == 2 and is_said(last, last_of_note(player[0]))
        for last, player, note in queue
    ]
    columns = [every.index(each) for each in classes]
    return np.array(rows, dtype=np.int32)[:, columns], np.array(may_end)


def to_symusic(score, built):
    """A `Score` as MidiTok takes it; MIDI bytes would part overlapping notes anew."""
    import symusic

    out = symusic.Score(score.ticks_per_quarter)
    out.tempos = [symusic.Tempo(t.tick, qpm=t.qpm) for t in score.tempos]
    out.time_signatures = [
        symusic.TimeSignature(m.tick, m.beats, m.beat_unit)
        for m in score.metres
        if (m.beats, m.beat_unit) in built.time_signatures
    ]
    out.key_signatures = [
        symusic.KeySignature(k.tick, k.sharps, int(k.is_minor)) for k in score.keys
    ]
    for index, track in enumerate(score.tracks):
        notes = score.track_notes(index)
        columns = notes["start"], notes["duration"], notes["pitch"], notes["velocity"]
        types = np.int32, np.int32, np.int8, np.int8
        voice = symusic.Track(track.name, track.program, track.is_drum)
        voice.notes = symusic.Note.from_numpy(
            *(column.astype(t) for column, t in zip(columns, types, strict=True))
        )
        pedals = score.pedals[score.pedals["track"] == index].tolist()
        voice.pedals = [symusic.Pedal(start, length) for start, length, _ in pedals]
        voice.controls = [
            symusic.ControlChange(tick, SUSTAIN, value)
            for start, length, _ in pedals
            for tick, value in ((start, 127), (start + length, 0))
        ]
        out.tracks.append(voice)
    return out


def in_order(ready):
    """The same symusic score, on its grid: tracks by program, notes of a step upward."""
    import symusic

    for track in ready.tracks:
        notes = track.notes.numpy()
        keys = [notes[name] for name in ("velocity", "duration", "pitch", "time")]
        order = np.lexsort(keys)
        track.notes = symusic.Note.from_numpy(**{k: v[order] for k, v in notes.items()})
    ready.tracks = sorted(ready.tracks, key=lambda t: (t.is_drum, t.program))
    return ready


def most_words(built):
    """How many words can pass before `Score` has no ticks left for them."""
    config, metres = built.config, built.time_signatures
    ticks_per_beat = built.time_division * 4 // min(unit for _, unit in metres)
    spans = [*config.beat_res, *config.beat_res_rest]
    most_beats = max(*map(max, spans), *(beats for beats, _ in metres))
    return LAST_TICK // (ticks_per_beat * most_beats) - 1


def byte_pairs(vocab, merges, config):
    """A `tokenizers.Tokenizer` of these merges, splitting as MidiTok does."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    affixes = {"continuing_subword_prefix": "", "end_of_word_suffix": ""}
    model = Tokenizer(models.BPE(vocab=vocab, merges=merges, **affixes))
    if config.encode_ids_split != "no":
        model.pre_tokenizer = pre_tokenizers.Metaspace()
    return model


def learnt(trained, letters):
    """(vocab, merges) in the JSON of a byte-pair encoding; the rest is not obeyed."""
    try:
        model = json.loads(trained)["model"]
        vocab = {str(piece): int(i) for piece, i in model["vocab"].items()}
        merges = [
            tuple(pair.split(" ") if isinstance(pair, str) else pair)
            for pair in model["merges"]
        ]
        known = {*letters, CHUNK_START}
        is_sound = (
            model["type"] == "BPE"
            and sorted(vocab.values()) == list(range(len(vocab)))
            and set(letters) <= vocab.keys()
            and all(set(p) <= known and len(p) <= LONGEST_COMPOUND for p in vocab)
            and all({a, b, a + b} <= vocab.keys() for a, b in merges)
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ValueError("`trained` is no byte-pair encoding of these settings' words.")
    return vocab, merges


def changed_word(built, word, semitones, stretch, loudness):
    """The word that says the same of music higher, slower or louder."""
    from miditok.constants import PITCH_CLASSES

    kind, value = word.split("_")
    if kind in (ONSETS | RELEASES) - OF_DRUMS:
        value = int(value) + semitones
    elif kind == "KeySig" and semitones:
        sharps, is_minor = value.split(":")
        # Seven fifths make a semitone; kept in -5..6, as in `Score.transposed`.
        value = f"{(int(sharps) + 7 * semitones + 5) % 12 - 5}:{is_minor}"
    elif kind == "Chord" and ":" in value:
        root, quality = value.split(":")
        root = PITCH_CLASSES[(PITCH_CLASSES.index(root) + semitones) % 12]
        value = f"{root}:{quality}"
    elif kind == "Velocity":
        value = nearest(built.velocities, int(value) * loudness)
    elif kind == "Tempo":
        value = nearest(built.tempos, float(value) / stretch)
    return f"{kind}_{value}"


def nearest(values, value):
    return values[np.argmin(np.abs(values - value))]


def cost(score, back):
    """The `Cost` of having `back` instead of `score`: see `encode_measured`."""
    key, start, end, velocity = by_key(score)
    back_key, back_start, back_end, back_velocity = by_key(back)
    low, high = (np.searchsorted(key, back_key, side) for side in ("left", "right"))
    first, last = (np.searchsorted(back_key, back_key, s) for s in ("left", "right"))
    # One key after another on one line, so that one search finds all the nearest.
    line = 1 + max(start.max(), back_start.max())
    after = np.searchsorted(key * line + start, back_key * line + back_start)
    before, after = (np.clip(i, low, high - 1) for i in (after - 1, after))
    is_before = np.abs(start[before] - back_start) <= np.abs(start[after] - back_start)
    nearest = np.where(is_before, before, after)
    same_rank = low + np.arange(len(back_key)) - first
    mate = np.where(high - low == last - first, same_rank, nearest)

    def distance(quarters, back_quarters):
        ticks = np.stack([quarters, back_quarters]) * score.ticks_per_quarter
        return 1000 * np.abs(np.diff(score.seconds_at(ticks), axis=0))

    onset = distance(start[mate], back_start)
    keys, counts = np.unique(key, return_counts=True)
    kept = np.searchsorted(back_key, keys, "right") - np.searchsorted(back_key, keys)
    return Cost(
        notes=len(key),
        lost=int(np.maximum(counts - kept, 0).sum()),
        onset_error_ms=float(onset.mean()),
        worst_onset_error_ms=float(onset.max()),
        duration_error_ms=float(distance(end[mate], back_end).mean()),
        velocity_error=float(np.abs(back_velocity - velocity[mate]).mean()),
    )


def by_key(score):
    """Key, start and end in quarters, and velocity of each note, sorted by key, time."""
    notes = score.notes
    program = np.array([128 if t.is_drum else t.program for t in score.tracks])
    key = program[notes["track"]] * 128 + notes["pitch"]
    start = notes["start"] / score.ticks_per_quarter
    end = start + notes["duration"] / score.ticks_per_quarter
    order = np.lexsort((end, start, key))
    columns = key, start, end, notes["velocity"].astype(np.int64)
    return tuple(column[order] for column in columns)
