"""The grammar of REMI: bars and positions ascend, and a note is whole."""

import numpy as np

from data_pipelines.tokenizers.bars import MOST_EMPTY_BARS, STEPS_IN_BAR
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.vocabulary import EOS, PAD


def remi_grammar(vocabulary):
    """Which token of `remi` may follow which.

    Positions ascend within a bar and stay in its metre; after a position stands a note,
    after a bar too, `MOST_EMPTY_BARS` bars later at most; EOS stands after a note. The
    order of the notes of one place is free; a program may be named before each.

    Args:
        vocabulary: the `Vocabulary` of `RemiTokenizer`.

    Returns:
        `Grammar` of some 2,800 states: 9 MB.
    """
    of = {r.kind: np.array(vocabulary.ids(r.kind)) for r in vocabulary.ranges}
    strikes = np.concatenate([of["pitch"], of["drum"]])
    lengths = sorted(set(STEPS_IN_BAR.tolist()))
    # States: a first bar is due; its metre; the end; for each length of bar, six phases
    # at each position, and after n empty bars, with a metre named there or not.
    opening, first, end = range(3)
    sizes = [6 * length + 2 * (MOST_EMPTY_BARS + 1) for length in lengths]
    starts = np.cumsum([3, *sizes]).tolist()
    base = dict(zip(lengths, starts[:-1], strict=True))
    allowed = np.zeros((starts[-1], vocabulary.vocab_size), dtype=bool)
    following = np.zeros((starts[-1], vocabulary.vocab_size), dtype=np.int32)

    def arrow(states, ids, to):
        states = np.atleast_1d(states)[:, None]
        allowed[states, ids] = True
        following[states, ids] = to

    def after_bar(length, empty, is_named=False):
        return base[length] + 6 * length + 2 * empty + is_named

    arrow(opening, of["bar"], first)
    arrow(end, PAD, end)
    for metre, length in zip(of["metre"], STEPS_IN_BAR.tolist(), strict=True):
        arrow(first, metre, after_bar(length, 0, True))
        if metre == of["metre"][0]:  # "none named" can only be said at the beginning
            continue
        for before in lengths:
            for empty in range(MOST_EMPTY_BARS + 1):
                arrow(after_bar(before, empty), metre, after_bar(length, empty, True))
    for length in lengths:
        phases = base[length] + np.arange(6 * length).reshape(6, length)
        placed, paced, programmed, struck, sized, ended = phases
        for states in (placed, paced, ended):
            arrow(states, of["program"], programmed[:, None])
            arrow(states, strikes, struck[:, None])
        arrow(placed, of["tempo"], paced[:, None])
        arrow(programmed, of["pitch"], struck[:, None])
        arrow(struck, of["velocity"], sized[:, None])
        arrow(sized, of["duration"], ended[:, None])
        arrow(ended, EOS, end)
        arrow(ended, of["bar"], after_bar(length, 0))
        for position in range(length):
            arrow(ended[:position], of["position"][position], placed[position])
        for empty in range(MOST_EMPTY_BARS + 1):
            states = [after_bar(length, empty, named) for named in (False, True)]
            arrow(states, of["position"][:length], placed)
            if empty < MOST_EMPTY_BARS:
                arrow(states, of["bar"], after_bar(length, empty + 1))
    return Grammar(allowed, following, opening)
