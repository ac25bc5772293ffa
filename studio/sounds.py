"""New sound from a bundle, sample after sample or, in the codes of a codec, frame after
frame: what `compose` is for scores.

A model of short sounds ends each of them by itself. Longer music is filled with one
after another, of the class that was asked for or of any.
"""

import io
from dataclasses import dataclass, replace

import numpy as np

from audio_models.numpy_ops import log_softmax
from audio_models.player import Player, generate
from audio_models.request import MOST_NEW_TOKENS, Request
from data_pipelines.audio import Waveform, resample, write_audio
from data_pipelines.files import write_whole
from data_pipelines.float_wav import float_wav
from data_pipelines.tokenizers.wave import WaveTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD
from studio.codec import tokenizer_in
from studio.wish import check_ranges

LONGEST_SECONDS = 240
SHORTEST_SECONDS = 0.01
USUAL_SECONDS = 2.0  # at most, where no length is asked for
HEARD_SECONDS = 1  # of a sound, to tell its class by
LAST_SECONDS = 2  # of what is given, that the model goes on from
MOST_NAMED = 12  # classes in a sentence
MOST_FLAC_CHANNELS = 8
MOST_SOUNDS = 512  # in one piece, so that sounds of one sample cannot go on for ever


@dataclass(frozen=True)
class SoundWish:
    """What a person asks of a model of sounds. None leaves it to the model.

    Args:
        seconds: float, how long exactly; None is one sound, ended by the model, of
            `USUAL_SECONDS` at most.
        label: str, the class of sound, as the model's data name it.
        seed: int. temperature, top_k, top_p, min_p: as for
            `audio_models.request.Request`.
    """

    seconds: float | None = None
    label: str | None = None
    seed: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True)
class Sounding:
    """A new sound and how it came about.

    ``bits_per_sample`` is what the model itself gave to the samples that it drew,
    ``labels`` the class of each sound in a row, "" where the model knows none.
    """

    waveform: Waveform
    labels: tuple[str, ...]
    bits_per_sample: float


def check_sound_wish(wish, tokenizer):
    """Raise ValueError if a wish lies outside its range, naming it."""
    samples, tokens = _grain(tokenizer)
    tokens_a_second = -(-tokenizer.sample_rate * tokens // samples)
    longest = min(LONGEST_SECONDS, MOST_NEW_TOKENS // tokens_a_second)
    check_ranges(wish, seconds=(SHORTEST_SECONDS, longest))
    _check_label(wish.label, tokenizer)


def _check_label(label, tokenizer):
    classes = tokenizer.classes
    if label is None or label in classes:
        return
    known = "The model knows none."
    if classes:
        known = f"Known: {', '.join(classes[:MOST_NAMED])}"
        more = len(classes) - MOST_NAMED
        known += f" and {more:,} more." if more > 0 else "."
    raise ValueError(f"No class of sound is called {label!r}. {known}")


def compose_sound(bundle, wish):
    """Compose a sound.

    Args:
        bundle: `audio_models.bundle.Bundle` of a model of sounds.
        wish: `SoundWish`.

    Returns:
        `Sounding`, of one channel, at the model's rate. Same bundle, same wish: the
        same samples.

    Raises:
        ValueError: if a wish lies outside its range.
    """
    tokenizer = tokenizer_in(bundle)
    check_sound_wish(wish, tokenizer)
    player = Player(bundle.architecture, bundle.weights)
    rng = np.random.default_rng([wish.seed, 7])
    limit = USUAL_SECONDS if wish.seconds is None else wish.seconds
    wanted = max(1, round(limit * tokenizer.sample_rate))
    parts, labels, worth, made = [], [], [], 0
    while made < wanted and len(parts) < MOST_SOUNDS:
        label = wish.label
        if label is None and tokenizer.classes:
            label = str(rng.choice(tokenizer.classes))
        prompt = _opening(tokenizer, label)
        seed = wish.seed if not parts else int(rng.integers(2**31))
        ids, nats = _drawn(player, tokenizer, wish, prompt, wanted - made, seed)
        part = tokenizer.decode(ids).samples[:, 0]
        parts.append(part)
        labels.append(label or "")
        worth.append(nats)
        made += len(part)
        if wish.seconds is None:
            break
    samples = np.concatenate(parts)[:wanted]
    if wish.seconds is not None:
        samples = np.pad(samples, (0, wanted - len(samples)))
    return Sounding(
        Waveform(samples[:, None], tokenizer.sample_rate),
        tuple(labels),
        float(np.concatenate(worth).mean() / np.log(2)),
    )


def continue_sound(bundle, waveform, wish):
    """Go on with a sound where it ends.

    The model hears the last `LAST_SECONDS` of it mixed to one channel at its own rate,
    which is more than the windows it learnt from; what it adds is brought to the rate
    and the channels of what was given, which stays sample for sample.

    Args:
        bundle: `Bundle` of a model of sounds.
        waveform: `Waveform`.
        wish: `SoundWish`; ``seconds`` is how much is added.

    Returns:
        `Sounding`, the given and the new sound, of the rate and channels of `waveform`.

    Raises:
        ValueError: if a wish lies outside its range, or too little was given to make a
            sample at the model's rate.
    """
    tokenizer = tokenizer_in(bundle)
    check_sound_wish(wish, tokenizer)
    label = wish.label
    if tokenizer.classes and label is None:
        begin = waveform.samples[: HEARD_SECONDS * waveform.sample_rate]
        label = _likeliest_label(bundle, tokenizer, replace(waveform, samples=begin))
    end = waveform.samples[-LAST_SECONDS * waveform.sample_rate :]
    prompt = _heard(tokenizer, replace(waveform, samples=end), label)
    player = Player(bundle.architecture, bundle.weights)
    limit = USUAL_SECONDS if wish.seconds is None else wish.seconds
    wanted = max(1, round(limit * tokenizer.sample_rate))
    again = _regained(tokenizer)
    ids, nats = _drawn(
        player,
        tokenizer,
        wish,
        prompt,
        again + wanted,
        wish.seed,
        least=again + (wanted if wish.seconds is not None else 1),
    )
    if again:  # a frame sounds as those before it let it
        heard = len(tokenizer.codes(prompt)) * again + again
        new = tokenizer.decode(np.concatenate([prompt, ids])).samples[heard:][:wanted]
    else:
        new = tokenizer.decode(ids).samples
    new = Waveform(new, tokenizer.sample_rate)
    new = resample(new, waveform.sample_rate).samples
    new = np.repeat(new, waveform.samples.shape[1], axis=1)
    whole = np.concatenate([waveform.samples, new])
    return Sounding(
        Waveform(whole, waveform.sample_rate),
        (label or "",),
        float(nats.mean() / np.log(2)),
    )


def check_continued(path, waveform):
    """Raise ValueError if a file of that suffix cannot hold a sound as it is."""
    if path.suffix.lower() != ".flac":
        return
    channels = waveform.samples.shape[1]
    if channels > MOST_FLAC_CHANNELS:
        raise ValueError(
            f"{path}: FLAC holds at most {MOST_FLAC_CHANNELS} channels. Received: "
            f"{channels}. Name a .wav."
        )
    if (peak := np.abs(waveform.samples).max(initial=0)) > 1:
        raise ValueError(
            f"{path}: FLAC holds samples in [-1, 1]. Received a peak of {peak:.2f}. "
            "Name a .wav."
        )


def write_continued(path, waveform, given):
    """Write a sound whose first samples are to stay what they are.

    In 16 bits if these hold them; else WAV in 32-bit floats, FLAC in 24 bits, which
    also rounds what was decoded from Ogg.

    Args:
        path: Path ending in .wav or .flac, as `check_continued` lets it be.
        waveform: `Waveform`. given: int, how many samples were there before.
    """
    held = waveform.samples[:given] * np.float32(2**15)
    is_within = held.min(initial=0) >= -(2**15) and held.max(initial=0) < 2**15
    if is_within and (held == np.rint(held)).all():
        write_audio(path, waveform.samples, waveform.sample_rate)
    elif path.suffix.lower() == ".flac":
        import soundfile

        file = io.BytesIO()
        soundfile.write(
            file, waveform.samples, waveform.sample_rate, "PCM_24", format="FLAC"
        )
        write_whole(path, file.getvalue())
    else:
        write_whole(path, float_wav(waveform))


def _opening(tokenizer, label):
    if label is None:
        return np.array([BOS], np.int32)
    return np.asarray(tokenizer.class_prompt(label), dtype=np.int32)


def _grain(tokenizer):
    """(samples, tokens) of the least that a model adds: a sample, or a codec's frame."""
    if codec := getattr(tokenizer, "codec", None):
        return codec.hop, codec.num_quantizers
    return 1, tokenizer.bits // 8


def _regained(tokenizer):
    """How many of the samples that were heard a model tells anew before it goes on."""
    codec = getattr(tokenizer, "codec", None)
    return codec.hop if codec else 0


def _heard(tokenizer, waveform, label):
    """The ids of a sound as it is, neither trimmed nor made louder, without its end.

    Codes are of whole frames that end where the sound does; the last is left out: it
    would tell that nothing laps over it.
    """
    if hop := _regained(tokenizer):
        mono = Waveform(waveform.mono()[:, None], waveform.sample_rate)
        samples = resample(mono, tokenizer.sample_rate).samples
        if 0 < len(samples) < hop:
            samples = np.pad(samples, ((hop - len(samples), 0), (0, 0)))
        whole = samples[len(samples) % hop :]
        sound = Waveform(whole, tokenizer.sample_rate, label=label or "")
        return tokenizer.encode(sound)[: -1 - tokenizer.codec.num_quantizers]
    plain = WaveTokenizer(
        tokenizer.sample_rate, bits=tokenizer.bits, classes=tokenizer.classes
    )
    return plain.encode(replace(waveform, label=label or ""))[:-1]


def _likeliest_label(bundle, tokenizer, waveform):
    """The class under which the model finds the sound least surprising."""
    first = tokenizer.classes[0]
    samples, tokens = _grain(tokenizer)
    most = HEARD_SECONDS * tokenizer.sample_rate // samples * tokens
    heard = _heard(tokenizer, waveform, first)[2:][:most]
    player = Player(bundle.architecture, bundle.weights)
    prompts = np.stack([_opening(tokenizer, label) for label in tokenizer.classes])
    logits, state = player.read(prompts, player.start(len(prompts)))
    worth = np.zeros(len(prompts))
    for token in heard:
        worth += log_softmax(logits)[:, token]
        logits, state = player.step(np.full(len(prompts), token), state)
    return tokenizer.classes[int(worth.argmax())]


def _drawn(player, tokenizer, wish, prompt, most, seed, least=1):
    """(ids without the end, nats a sample in each) of at most so many new samples."""
    samples, tokens = _grain(tokenizer)
    most, least = -(-most // samples), -(-least // samples)
    request = Request(
        prompts=prompt[None],
        max_new_tokens=most * tokens,
        min_new_tokens=min(least, most) * tokens,
        grammar=tokenizer.grammar,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        min_p=wish.min_p,
        seed=seed,
    )
    generated = generate(player, request)
    ids = generated.ids[0]
    is_new = (ids != PAD) & (ids != EOS)
    return ids[is_new], -generated.log_probability[0][is_new] * (tokens / samples)
