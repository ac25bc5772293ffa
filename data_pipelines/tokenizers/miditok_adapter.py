"""MidiTok's tokenizers under this kit's contract, byte-pair encoding included.

    bos  Bar_None TimeSig_4/4 Position_0 Program_0 Pitch_60 Velocity_79 Duration_1.0.8  eos

The words are MidiTok's own. Added is what the rest of the kit relies on: ids that begin
with PAD, BOS, EOS, UNK; a grammar as a table; streams that always decode; a spec from which
another process builds the same ids; the cost, measured.

Reference:
    Fradet, Briot, Chhel, El Fallah Seghrouchni and Gutowski, 2021, MidiTok: A Python
    Package for MIDI File Tokenization, https://arxiv.org/abs/2310.17202; for the byte-pair
    encoding, Fradet, Gutowski, Chhel and Briot, 2023, Byte Pair Encoding for Symbolic
    Music, https://arxiv.org/abs/2301.11975. We depart from MidiTok in six points: all
    tracks are one stream, always, by program, the notes of a step from low to high; all
    128 pitches have a word, unless `params` say otherwise; its special tokens have no id; its graph of word types is tightened, so that
    an instrument is named before it plays, drums strike drum words alone and a piece ends
    in EOS after a whole note; what this grammar forbids is passed over in decoding.
"""

import hashlib
from collections import Counter

import numpy as np

from data_pipelines.midi import from_symusic
from data_pipelines.score import Score, notes_array
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.tokenizers.miditok_words import (
    CHUNK_START,
    LARGEST_VOCAB,
    LONGEST_COMPOUND,
    OF_DRUMS,
    ONSETS,
    RELEASES,
    as_json,
    automaton,
    build,
    byte_pairs,
    changed_word,
    cost,
    in_order,
    learnt,
    most_words,
    to_symusic,
)
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    PAD,
    UNK,
    EventRange,
    Vocabulary,
    ids_before_end,
)


class MidiTokTokenizer:
    """Score <-> token ids of a MidiTok tokenizer.

    Args:
        kind: str, one of `KINDS`.
        params: dict, MidiTok's `TokenizerConfig` as JSON, over `DEFAULTS`. With
            ``"program_changes": true`` an instrument is named where it changes, and not
            before each note; pedals are kept with ``"use_sustain_pedals": true`` alone;
            with ``"use_rests": true`` MidiTok's own way back is not always exact.
        trained: str, the JSON of a byte-pair encoding: what `train` makes, or the entry
            "_model" of a file that MidiTok saved. None is one id for each word.

    Raises:
        ValueError: if MidiTok is not installed, if it has no such kind or settings, or
            if they do not give one stream of words with a meaning each.

    Example:
    >>> tokenizer = MidiTokTokenizer("TSD")
    >>> score = Score(notes_array([0], [480], [60]), 480)
    >>> tokenizer.names(tokenizer.encode(score))
    ['TimeSig_4/4', 'Program_0', 'Pitch_60', 'Velocity_79', 'Duration_1.0.8']
    """

    name = "miditok"
    takes = "score"

    def __init__(self, kind="REMI", params=None, trained=None):
        self.kind = kind
        # Twice, so that what is used is what the spec builds: some kinds turn settings off,
        # and the order of some ids is that of a set.
        self._miditok = build(kind, as_json(build(kind, params).config))
        self.params = as_json(self._miditok.config)
        self.trained = trained
        special = set(self._miditok.special_tokens)
        vocab = sorted(self._miditok.vocab.items(), key=lambda item: item[1])
        self._words = [word for word, _ in vocab if word not in special]
        self._place = {word: place for place, word in enumerate(self._words)}
        self._their_word = np.array([i for word, i in vocab if word not in special])
        self._letters = self._miditok._vocab_base_id_to_byte  # one for each word
        if trained is None:
            self._model = None
            theirs, inside = self._their_word, [[i] for i in range(len(self._words))]
        else:
            vocab, merges = learnt(trained, self._letters.values())
            self._model = byte_pairs(vocab, merges, self._miditok.config)
            theirs, inside = self._compounds(vocab)
        self.vocab_size = UNK + 1 + len(theirs)
        if self.vocab_size > LARGEST_VOCAB:
            raise ValueError(
                f"A vocabulary holds at most {LARGEST_VOCAB:,} ids. "
                f"These settings give {self.vocab_size:,}."
            )
        self.vocabulary = Vocabulary([EventRange("miditok", 0, len(theirs) - 1)])
        self._our_id = np.full(theirs.max() + 1, UNK, dtype=np.int32)
        self._our_id[theirs] = np.arange(UNK + 1, self.vocab_size)

        # The words of all ids end to end; those of id i begin at first[i].
        inside = [[]] * (UNK + 1) + inside
        self._size = np.array([len(own) for own in inside])
        self._first = np.cumsum(self._size) - self._size
        self._flat = np.array([word for own in inside for word in own], dtype=np.int64)
        kinds, values = zip(*(word.split("_") for word in self._words), strict=True)
        self._strikes = np.isin(kinds, list(ONSETS))
        has_pitch = np.isin(kinds, list(ONSETS - OF_DRUMS))
        self._pitch = np.full(len(kinds), -1)
        self._pitch[has_pitch] = np.array(values)[has_pitch].astype(int)
        struck = np.append(0, np.cumsum(self._strikes[self._flat]))
        self._notes_in = struck[self._first + self._size] - struck[self._first]
        following, may_end = automaton(self._miditok, kinds, values)
        self._steps = following.tolist()
        self.grammar = self._grammar(following, may_end)

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec: nothing is read from a file."""
        return cls(spec["kind"], spec["params"], spec["trained"])

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            "kind": self.kind,
            "params": self.params,
            "trained": self.trained,
            "words": hashlib.sha256("\n".join(self._words).encode()).hexdigest(),
        }

    def train(self, scores, vocab_size):
        """The tokenizer of these words with a byte-pair encoding learnt from music.

        Args:
            scores: iterable of `Score`, read once; what cannot be encoded is passed over.
            vocab_size: int, how many ids there shall be at most, PAD to UNK included.

        Returns:
            `MidiTokTokenizer`. Same scores, same ids.

        Raises:
            ValueError: if no score can be encoded, or if `vocab_size` leaves no room for
                a compound, or is over 65,536.
        """
        from tokenizers import trainers

        base = UNK + 1 + len(self._words)
        if not base < vocab_size <= LARGEST_VOCAB:
            raise ValueError(
                f"`vocab_size` must be in {base + 1}..{LARGEST_VOCAB} for this tokenizer "
                f"of {len(self._words)} words. Received: {vocab_size}"
            )
        special = [self._letters[i] for i in self._miditok.special_tokens_ids]
        alphabet = {letter: number for number, letter in self._letters.items()}
        # Not MidiTok's own `train`, which learns the same: it writes to the terminal.
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - UNK - 1 + len(special),
            special_tokens=special,
            initial_alphabet=list(alphabet),
            continuing_subword_prefix="",
            end_of_word_suffix="",
            max_token_length=LONGEST_COMPOUND,
            show_progress=False,
        )
        has_read = False

        def texts():
            nonlocal has_read
            for score in scores:
                try:
                    text = self._text(self._sequence(score))
                except ValueError:
                    continue
                has_read = True
                yield text

        model = byte_pairs(alphabet, [], self._miditok.config)
        model.train_from_iterator(texts(), trainer)
        if not has_read:
            raise ValueError("There is no score that this tokenizer can encode.")
        return type(self)(self.kind, self.params, model.to_str())

    def encode(self, score):
        """The words of a score as token ids, BOS and EOS included.

        Args:
            score: `Score`. Metres that MidiTok has no word for are left out.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if no note of it has a word, or MidiTok cannot take it.
        """
        sequence = self._sequence(score)
        theirs = sequence.ids
        if self._model is not None:
            text = self._text(sequence)
            theirs = self._model.encode(text, is_pretokenized=True).ids
        return np.concatenate([[BOS], self._our_id[theirs], [EOS]]).astype(np.int32)

    def encode_measured(self, score):
        """As `encode`, with the `Cost` of it beside the ids.

        It is measured on what the ids decode to: the n-th note of a key there is the n-th
        of that key here, or the nearest, where some are lost; errors are then a little too
        small. Times are compared in the tempos of `score`: what rounding a tempo costs is
        not in them.
        """
        ids = self.encode(score)
        return ids, cost(score, self.decode(ids))

    def decode(self, ids):
        """The score that some ids stand for. Any ids decode.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, and of the words what
                the grammar forbids; EOS ends it, and what still sounds ends with it.

        Returns:
            `Score` with one track for each instrument, on MidiTok's grid.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        from miditok import TokSequence

        words = self._words_of(ids_before_end(ids, self.vocab_size))
        kept = self._kept(words.tolist())[: most_words(self._miditok)]
        if self._miditok._note_on_off:
            kept = self._released(kept)
        if not kept:
            nothing = notes_array([], [], [])
            return Score(nothing, ticks_per_quarter=self._miditok.time_division)
        theirs = self._their_word[kept].tolist()
        return from_symusic(self._miditok.decode(TokSequence(ids=theirs)), "")

    def names(self, ids):
        """The words in some ids, in order: a list of str such as ``"Pitch_60"``."""
        return [self._words[word] for word in self._words_of(ids)]

    def is_note(self, ids):
        """Which ids strike at least one note; `notes_in` counts them."""
        return self._notes_in[np.asarray(ids)] > 0

    def notes_in(self, ids):
        """How many notes each id strikes: an int array of the shape of `ids`.

        With a byte-pair encoding an id may strike several: the sum of these, not of
        `is_note`, is then the denominator of nats per note.
        """
        return self._notes_in[np.asarray(ids)]

    def pitches(self, ids):
        """The pitches (0..127) that the ids strike, in order, compounds opened.

        Drum words have none. Without them ("use_pitchdrum_tokens" is false) a drum is told
        by the instrument named before it, and counts as a pitch here.
        """
        pitch = self._pitch[self._words_of(ids)]
        return pitch[pitch >= 0]

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The ids of the same music higher, slower or louder, token for token.

        Pitches, keys and roots of chords move; tempos and velocities become the nearest of
        their words. A word stays that has none to become, which no pitch does within
        0..127 where `params` keep all of them. With a byte-pair encoding everything stays;
        where drums have no words of their own, pitches do.
        """
        ids = np.asarray(ids)
        if self._model is not None:
            return ids
        config = self._miditok.config
        if -1 in config.programs and not config.use_pitchdrum_tokens:
            semitones = 0
        changed = [
            self._place.get(
                changed_word(self._miditok, word, semitones, stretch, loudness), own
            )
            for word, own in self._place.items()
        ]
        table = np.append([PAD, BOS, EOS, UNK], np.array(changed) + UNK + 1)
        return table.astype(ids.dtype)[ids]

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def _compounds(self, vocab):
        """MidiTok's ids of a byte-pair encoding, less special ones, and their words."""
        word_of = {self._letters[i]: word for word, i in enumerate(self._their_word)}
        pieces = sorted(
            (i, piece.replace(CHUNK_START, "")) for piece, i in vocab.items()
        )
        kept = [(i, piece) for i, piece in pieces if set(piece) <= word_of.keys()]
        theirs = np.array([i for i, _ in kept])
        return theirs, [[word_of[letter] for letter in piece] for _, piece in kept]

    def _sequence(self, score):
        """MidiTok's own `TokSequence` of a `Score`, one word an id."""
        try:
            ready = self._miditok.preprocess_score(to_symusic(score, self._miditok))
            sequence = self._miditok.encode(in_order(ready), no_preprocess_score=True)
        except (LookupError, NameError, TypeError, ArithmeticError) as error:
            raise ValueError(f"MidiTok cannot encode it: {error!r}") from None
        words = np.searchsorted(self._their_word, sequence.ids)
        if not self._strikes[words].any():
            raise ValueError("no note that these settings have a word for")
        return sequence

    def _text(self, sequence):
        """The letters of a sequence: a list of str, one for each bar or beat."""
        split = self._miditok.config.encode_ids_split
        parts = [sequence]
        if split != "no":
            is_bar = split == "bar"
            parts = sequence.split_per_bars() if is_bar else sequence.split_per_beats()
        return ["".join(map(self._letters.get, part.ids)) for part in parts if part.ids]

    def _words_of(self, ids):
        """The words in some ids, end to end: int64 array."""
        ids = np.asarray(ids, dtype=np.int64)
        size = self._size[ids]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        return self._flat[np.repeat(self._first[ids], size) + within]

    def _kept(self, words):
        """Of a list of words, those that the grammar allows where they then stand."""
        state, kept = 0, []
        for word in words:
            following = self._steps[state][word]
            if following >= 0:
                kept.append(word)
                state = following
        return kept

    def _released(self, kept):
        """Words of MIDILike, and after them what releases the keys still down."""
        if kept and self._strikes[kept[-1]] and self._miditok.config.use_velocities:
            kept = kept[:-1]  # cut before its velocity
        held, program = Counter(), None
        for word in kept:
            kind, key = self._words[word].split("_")
            release = program, f"{kind.replace('On', 'Off')}_{key}"
            if kind == "Program":
                program = word
            elif kind in ONSETS:
                held[release] += 1
            elif kind in RELEASES:
                held[release] = max(0, held[release] - 1)
        ends = [release for release in held.elements() if release[1] in self._place]
        return kept + [w for program, end in ends for w in (program, self._place[end])]

    def _grammar(self, following, may_end):
        """The `Grammar` of ids: a compound may come where its words may, in turn."""
        states = len(following)
        step = np.vstack([following, np.full_like(following[:1], -1)])  # -1 stays -1
        to = np.repeat(np.arange(states)[:, None], self.vocab_size, axis=1)
        for place in range(self._size.max()):
            longer = np.flatnonzero(self._size > place)
            to[:, longer] = step[to[:, longer], self._flat[self._first[longer] + place]]
        to[:, : UNK + 1] = -1
        to[may_end, EOS] = states
        to = np.vstack([to, np.full_like(to[:1], -1)])
        to[states, PAD] = states
        return Grammar(to >= 0, np.maximum(to, 0).astype(np.int32), 0)
