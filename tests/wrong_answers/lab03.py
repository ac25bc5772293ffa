"""Lab 03: what people write before it is right."""

import numpy as np


def product_first(next_distribution, ids):
    """The logarithm of the product: of a long tune that is log 0."""
    chances = [next_distribution(ids[:t])[ids[t]] for t in range(len(ids))]
    return np.log(np.prod(chances))


def past_with_itself(next_distribution, ids):
    """The token that is to be told stands in the past already."""
    return sum(np.log(next_distribution(ids[: t + 1])[ids[t]]) for t in range(len(ids)))


def first_left_out(next_distribution, ids):
    """The first token is not told."""
    return sum(np.log(next_distribution(ids[:t])[ids[t]]) for t in range(1, len(ids)))


def only_the_last(next_distribution, ids):
    """A past of one token: a bigram, whatever the model could do."""
    return sum(
        np.log(next_distribution(ids[max(0, t - 1) : t])[ids[t]])
        for t in range(len(ids))
    )


def mean_of_logs(next_distribution, ids):
    """The mean, and not the sum."""
    logs = [np.log(next_distribution(ids[:t])[ids[t]]) for t in range(len(ids))]
    return np.mean(logs) if logs else 0.0


def counts_not_shares(pitches):
    """Counts that are not divided by the number of notes."""
    return np.bincount(np.asarray(pitches) % 12, minlength=12)


def short_bag(pitches):
    """Without minlength: as long as the highest class."""
    return np.bincount(np.asarray(pitches) % 12) / len(pitches)


def octave_in_place_of_class(pitches):
    """The octave of each note."""
    return np.bincount(np.asarray(pitches) // 12, minlength=12)[:12] / len(pitches)


def set_of_classes(pitches):
    """Whether a class comes, not how often."""
    held = np.isin(np.arange(12), np.asarray(pitches) % 12)
    return held / held.sum()


def followers_by(pieces, context, vocab_size, least=1, backwards=False):
    counts, context = np.zeros(vocab_size, int), list(context)
    k = len(context)
    for piece in pieces:
        for t in range(max(least, k), len(piece)):
            before = list(piece[t - k : t])
            counts[piece[t]] += (before[::-1] if backwards else before) == context
    return counts


def first_follows_nothing(pieces, context, vocab_size):
    """The first token of each piece counts after the empty context."""
    return followers_by(pieces, context, vocab_size, least=0)


def newest_first(pieces, context, vocab_size):
    """The context is read backwards."""
    return followers_by(pieces, context, vocab_size, backwards=True)


def across_pieces(pieces, context, vocab_size):
    """All pieces end to end: a context goes from one into the next."""
    return followers_by([np.concatenate(pieces)], context, vocab_size)


def as_shares(pieces, context, vocab_size):
    """Shares in the place of counts."""
    counts = followers_by(pieces, context, vocab_size)
    return counts / max(1, counts.sum())


def once_each(pieces, context, vocab_size):
    """Whether a token followed, not how often."""
    return np.minimum(1, followers_by(pieces, context, vocab_size))


def no_leaning(counts, shorter):
    """Counts alone: what was never seen is impossible, and 0 / 0 where none was."""
    return counts / counts.sum()


def kinds_of_the_vocabulary(counts, shorter):
    """Room for every token of the vocabulary, not for those that were seen."""
    return (counts + len(counts) * shorter) / (counts.sum() + len(counts))


def not_normalised(counts, shorter):
    """Divided by the counts alone: it sums to more than one."""
    kinds = np.count_nonzero(counts)
    return (counts + kinds * shorter) / max(1, counts.sum())


def add_one(counts, shorter):
    """Laplace: one more for every token, whatever the shorter context says."""
    return (counts + 1) / (counts.sum() + len(counts))


def unseen_is_nan(counts, shorter):
    """0 / 0 after a context that was never seen."""
    kinds = np.count_nonzero(counts)
    return (counts + kinds * shorter) / (counts.sum() + kinds)


def changes_its_input(counts, shorter):
    """The shorter distribution is multiplied in place."""
    kinds, total = np.count_nonzero(counts), counts.sum()
    if not total:
        return shorter
    shorter *= kinds
    return (counts + shorter) / (total + kinds)


def contexts_of(piece, order):
    return [tuple(piece[t - order : t]) for t in range(order, len(piece))]


def of_different_contexts(pieces, held_out, order):
    """Each different context counts once."""
    seen = {c for piece in pieces for c in contexts_of(piece, order)}
    asked = {c for piece in held_out for c in contexts_of(piece, order)}
    return len(asked - seen) / len(asked)


def seen_share(pieces, held_out, order):
    """The share that was seen."""
    seen = {c for piece in pieces for c in contexts_of(piece, order)}
    asked = [c for piece in held_out for c in contexts_of(piece, order)]
    return np.mean([c in seen for c in asked])


def one_longer(pieces, held_out, order):
    """Contexts of one token more."""
    seen = {c for piece in pieces for c in contexts_of(piece, order + 1)}
    asked = [c for piece in held_out for c in contexts_of(piece, order + 1)]
    return np.mean([c not in seen for c in asked])


def mean_of_pieces(pieces, held_out, order):
    """The mean of the pieces' shares: short pieces weigh too much."""
    seen = {c for piece in pieces for c in contexts_of(piece, order)}
    asked = [contexts_of(piece, order) for piece in held_out]
    return np.mean([np.mean([c not in seen for c in own]) for own in asked if own])


def no_tanh(window, embedding, hidden_kernel, d, head_kernel, b):
    """The hidden layer without its tanh: one linear layer in two."""
    return b + (d + embedding[window].reshape(-1) @ hidden_kernel) @ head_kernel


def newest_vector_first(window, embedding, hidden_kernel, d, head_kernel, b):
    """The window is laid out backwards."""
    x = embedding[window[::-1]].reshape(-1)
    return b + np.tanh(d + x @ hidden_kernel) @ head_kernel


def vectors_interleaved(window, embedding, hidden_kernel, d, head_kernel, b):
    """The window is transposed before it is laid out."""
    x = embedding[window].T.reshape(-1)
    return b + np.tanh(d + x @ hidden_kernel) @ head_kernel


def without_output_bias(window, embedding, hidden_kernel, d, head_kernel, b):
    """b is forgotten."""
    return np.tanh(d + embedding[window].reshape(-1) @ hidden_kernel) @ head_kernel


def tanh_outside(window, embedding, hidden_kernel, d, head_kernel, b):
    """d is added after the tanh."""
    x = embedding[window].reshape(-1)
    return b + (d + np.tanh(x @ hidden_kernel)) @ head_kernel


def pairs_by(ids, near):
    n = len(ids)
    return [(ids[t], ids[s]) for t in range(n) for s in range(n) if near(t, s)]


def only_what_follows(ids, window):
    """The tokens after, and not those before."""
    return pairs_by(ids, lambda t, s: 0 < s - t <= window)


def with_itself(ids, window):
    """A token is in its own company."""
    return pairs_by(ids, lambda t, s: abs(s - t) <= window)


def window_too_narrow(ids, window):
    """Off by one: nearer than `window`."""
    return pairs_by(ids, lambda t, s: 0 < abs(s - t) < window)


def equal_tokens_left_out(ids, window):
    """A repeated note is no company, since the tokens are compared and not the places."""
    return [
        pair
        for pair in pairs_by(ids, lambda t, s: 0 < abs(s - t) <= window)
        if pair[0] != pair[1]
    ]


def around_the_end(ids, window):
    """Indices below zero go around to the end."""
    steps = [step for step in range(-window, window + 1) if step]
    return [(ids[t], ids[(t + s) % len(ids)]) for t in range(len(ids)) for s in steps]


def answer_in_question(vectors, a, b, c):
    """The three are not left out."""
    wanted = vectors[b] - vectors[a] + vectors[c]
    return int((vectors @ wanted / np.linalg.norm(vectors, axis=1)).argmax())


def by_product(vectors, a, b, c):
    """By the product: the longest vector wins."""
    score = vectors @ (vectors[b] - vectors[a] + vectors[c])
    score[[a, b, c]] = -np.inf
    return int(score.argmax())


def sign_swapped(vectors, a, b, c):
    """a - b + c."""
    score = vectors @ (vectors[a] - vectors[b] + vectors[c])
    score = score / np.linalg.norm(vectors, axis=1)
    score[[a, b, c]] = -np.inf
    return int(score.argmax())


def the_farthest(vectors, a, b, c):
    """argmin of a similarity."""
    wanted = vectors[b] - vectors[a] + vectors[c]
    score = vectors @ wanted / np.linalg.norm(vectors, axis=1)
    score[[a, b, c]] = np.inf
    return int(score.argmin())


def from_one(text):
    """Ids from 1 on."""
    encoder = {c: n for n, c in enumerate(sorted(set(text)), 1)}
    return encoder, {n: c for c, n in encoder.items()}


def in_order_of_coming(text):
    """In the order in which the characters first come."""
    encoder = {c: n for n, c in enumerate(dict.fromkeys(text))}
    return encoder, {n: c for c, n in encoder.items()}


def last_place(text):
    """The place of each character in the text: ids with gaps."""
    encoder = {c: n for n, c in enumerate(text)}
    return encoder, {n: c for c, n in encoder.items()}


def lower_case(text):
    """Capitals are folded away."""
    encoder = {c: n for n, c in enumerate(sorted(set(text.lower())))}
    return encoder, {n: c for c, n in encoder.items()}


def books_swapped(text):
    """Decoder first."""
    encoder = {c: n for n, c in enumerate(sorted(set(text)))}
    return {n: c for c, n in encoder.items()}, encoder


def last_row_too(read, ids):
    """The last row is compared as well: it may change."""
    before = read(ids)
    changed = ids.copy()
    changed[-1] = (changed[-1] + 1) % before.shape[1]
    return not np.allclose(before, read(changed))


def out_of_the_vocabulary(read, ids):
    """The next id, also after the last of the vocabulary."""
    changed = ids.copy()
    changed[-1] += 1
    return not np.allclose(read(ids)[:-1], read(changed)[:-1])


def first_changed(read, ids):
    """The first token is changed: that is the past."""
    before = read(ids)
    changed = ids.copy()
    changed[0] = (changed[0] + 1) % before.shape[1]
    return not np.allclose(before[1:], read(changed)[1:])


def the_same_array(read, ids):
    """No copy: the ids that were given are changed."""
    before = read(ids)
    ids[-1] = (ids[-1] + 1) % before.shape[1]
    return not np.allclose(before[:-1], read(ids)[:-1])


def only_the_first_row(read, ids):
    """The first row alone: one that looks a token ahead is not found."""
    before = read(ids)
    changed = ids.copy()
    changed[-1] = (changed[-1] + 1) % before.shape[1]
    return not np.allclose(before[0], read(changed)[0])


def the_other_way_round(read, ids):
    """True where nothing is heard."""
    before = read(ids)
    changed = ids.copy()
    changed[-1] = (changed[-1] + 1) % before.shape[1]
    return np.allclose(before[:-1], read(changed)[:-1])


WRONG = {
    "tune_log_probability": [
        product_first,
        past_with_itself,
        first_left_out,
        only_the_last,
        mean_of_logs,
    ],
    "bag_of_pitch_classes": [
        counts_not_shares,
        short_bag,
        octave_in_place_of_class,
        set_of_classes,
    ],
    "followers": [
        first_follows_nothing,
        newest_first,
        across_pieces,
        as_shares,
        once_each,
    ],
    "witten_bell": [
        no_leaning,
        kinds_of_the_vocabulary,
        not_normalised,
        add_one,
        unseen_is_nan,
        changes_its_input,
    ],
    "unseen_share": [of_different_contexts, seen_share, one_longer, mean_of_pieces],
    "nnlm_logits": [
        no_tanh,
        newest_vector_first,
        vectors_interleaved,
        without_output_bias,
        tanh_outside,
    ],
    "skipgram_pairs": [
        only_what_follows,
        with_itself,
        window_too_narrow,
        equal_tokens_left_out,
        around_the_end,
    ],
    "analogy": [answer_in_question, by_product, sign_swapped, the_farthest],
    "code_books": [
        from_one,
        in_order_of_coming,
        last_place,
        lower_case,
        books_swapped,
    ],
    "hears_the_future": [
        last_row_too,
        out_of_the_vocabulary,
        first_changed,
        the_same_array,
        only_the_first_row,
        the_other_way_round,
    ],
}
