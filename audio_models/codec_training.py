"""How a codec learns: sound in, the same sound out, through a few integers a frame.

It begins, before any step, at a linear codec that works: the axes in which the frames of
sounds differ most, and clusters along them. From there it lowers the difference of the
waveforms and of spectra at three resolutions, and how far frames lie from their codes.
The codebooks are not learnt by gradients: they follow the frames they stand for, and a
code that nobody chooses moves to where it is needed.
"""

import itertools
import math
import time
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from audio_models import numpy_ops
from audio_models.architecture import check_weights
from audio_models.codec import codebook_name
from audio_models.codec_loss import FRAMES, SpectrumLoss, heard_through
from audio_models.network import first_values

COMMITMENT = 0.25
CLUSTER_STEPS = 12
CLUSTER_FRAMES = 16_384
LAST_RESTART = 0.9  # of the run: a code that moves late finds no time to settle
LOOKS = 4  # batches of held-out sounds


@dataclass(frozen=True)
class CodecPlan:
    """How a codec's training goes.

    It ends at `steps` or `minutes`, whichever comes first; bounded by the clock, it is
    not the same twice.

    Args:
        steps: int.
        minutes: float or None.
        batch_size: int, crops a step. window: int, samples of a crop.
        learning_rate: float, the peak; it climbs over the first 3%, then falls along a
            cosine to a twentieth.
        follow: float, share of a code's past that it keeps a step.
        restart: int, steps between two looks for codes that nobody chooses.
        dead: float: a code chosen less than so many times as often as if all were
            chosen alike begins anew at a frame of the batch.
        softest_db: float, at most 0: each crop is made quieter by up to so much.
        checks: int, looks at the held-out sounds.
        seed: int.
    """

    steps: int = 1000
    minutes: float | None = None
    batch_size: int = 16
    window: int = 8000
    learning_rate: float = 1e-3
    follow: float = 0.97
    restart: int = 20
    dead: float = 0.05
    softest_db: float = -12.0
    checks: int = 8
    seed: int = 0


class CodecNetwork(keras.Model):
    """The Keras model of a `codec.Codec`: samples (B, N) -> samples (B, N).

    Args:
        architecture: `codec.Codec`.
        follow: float, share of a code's past that it keeps a step.
        seed: int, for the first weights.

    Reference:
        The gradient goes past the quantizer as if it were not there, and the codebooks
        are moving averages: van den Oord et al. 2017, https://arxiv.org/abs/1711.00937,
        sections 3.2 and A.1. Here each of a row of residual quantizers has its own.
    """

    def __init__(self, architecture, *, follow=0.97, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.architecture, self.follow = architecture, follow
        size, width = architecture.codebook_size, architecture.latent_dim
        self._named = {}
        for number, (name, weight) in enumerate(architecture.weights().items()):
            variable = self.add_weight(
                name=name.replace(".", "_"),
                shape=weight.shape,
                initializer="zeros",
                trainable=not name.startswith("quantizer"),
            )
            variable.assign(first_values(weight, [seed, number]))
            self._named[name] = variable
        many = (architecture.num_quantizers - 1, size)
        self._counts = self.add_weight(
            name="counts", shape=many, initializer="ones", trainable=False
        )
        self._sums = self.add_weight(
            name="sums", shape=(*many, width), initializer="zeros", trainable=False
        )
        self._quantizes = self.add_weight(
            name="quantizes", shape=(), initializer="ones", trainable=False
        )
        self.built = True

    def call(self, samples, training=False):
        codec, weights = self.architecture, self._named
        levels, latents = codec.encode(ops, weights, samples)  # (B, F), (B, F, D)
        still = ops.stop_gradient(latents)
        codes, residuals, chosen = codec.quantize(ops, weights, still)
        if training:
            self._move_codebooks(levels, codes, residuals)
        # Frames are drawn to what each quantizer, and those before it, made of them.
        far, so_far = 0.0, 0.0
        for part in chosen:
            so_far = so_far + part
            far = far + ops.mean(ops.square(latents - ops.stop_gradient(so_far)))
        self.add_loss(COMMITMENT * self._quantizes * far / len(chosen))
        straight = latents + self._quantizes * ops.stop_gradient(sum(chosen) - latents)
        return codec.decode(ops, weights, levels, straight)

    def _move_codebooks(self, levels, codes, residuals):
        codec, kept = self.architecture, self.follow
        heard = ops.cast(ops.reshape(levels, (-1, 1)) > 0, "float32")  # silence is none
        counts, sums = [], []
        for number, rest in enumerate(residuals):
            flat = ops.reshape(rest, (-1, codec.latent_dim))
            chosen = ops.reshape(codes[..., number], (-1,))
            one_hot = ops.one_hot(chosen, codec.codebook_size, dtype="float32")
            one_hot = heard * one_hot
            counts.append(ops.sum(one_hot, axis=0))
            sums.append(ops.matmul(ops.transpose(one_hot), flat))
        counts = kept * self._counts + (1 - kept) * ops.stack(counts)  # (Q, K)
        sums = kept * self._sums + (1 - kept) * ops.stack(sums)  # (Q, K, D)
        self._counts.assign(counts)
        self._sums.assign(sums)
        for number in range(codec.num_quantizers - 1):
            mean = sums[number] / (counts[number][:, None] + 1e-5)
            self._named[codebook_name(number + 1)].assign(mean)

    def set_quantizing(self, on):
        """Whether frames reach the decoder as their codes, or as they are."""
        self._quantizes.assign(float(on))

    def named_weights(self):
        """Name -> float32 array, the form in which a `CodecPlayer` takes them."""
        return {
            name: np.array(ops.convert_to_numpy(variable))
            for name, variable in self._named.items()
        }

    def load_named_weights(self, weights):
        """Take over the arrays of `named_weights`.

        Raises:
            ValueError: if one is missing, of another shape, or not finite.
        """
        check_weights(self.architecture, weights)
        for name, variable in self._named.items():
            variable.assign(weights[name])

    def begin(self, samples, seed, frames=CLUSTER_FRAMES):
        """Begin with what some samples (B, N) are like: their axes, their clusters.

        The axes are those of the largest variance: the Karhunen-Loeve transform.

        Args:
            samples: float array (B, N). seed: int.
            frames: int, how many the clusters count for. If that is far more than there
                are in a step, the codebooks stand still while the frames move away.
        """
        rng, codec = np.random.default_rng([seed, 1]), self.architecture
        bare = {**self.named_weights(), "analysis": np.eye(codec.hop, dtype="f4")}
        for name in [name for name in bare if name.startswith("encoder.out")]:
            bare[name] = np.zeros((*bare[name].shape[:-1], codec.hop), "float32")
        rest = self._heard_frames(bare, samples)
        rest = rest[rng.permutation(len(rest))[:CLUSTER_FRAMES]]
        _, axes = np.linalg.eigh(rest.T.astype("float64") @ rest)  # smallest first
        axes = axes[:, ::-1][:, : codec.latent_dim].astype("float32")
        self._named["analysis"].assign(axes)
        self._named["synthesis"].assign(axes.T)
        rest = rest @ axes
        counts, sums = [], []
        for number in range(1, codec.num_quantizers):
            means, chosen = clusters(rest, codec.codebook_size, rng)
            self._named[codebook_name(number)].assign(means)
            share = np.bincount(chosen, minlength=len(means)) + 1.0
            share *= frames / share.sum()
            counts.append(share)
            sums.append(means * share[:, None])
            rest = rest - means[chosen]
        self._counts.assign(np.stack(counts))
        self._sums.assign(np.stack(sums))

    def _heard_frames(self, weights, samples):
        levels, latents = self.architecture.encode(numpy_ops, weights, samples)
        heard = latents[levels > 0]
        return heard if len(heard) else latents.reshape(-1, latents.shape[-1])

    def restart_dead(self, samples, dead, rng):
        """Move each code that is hardly chosen to a frame of samples (B, N).

        Returns:
            int, how many were moved.
        """
        counts = np.array(ops.convert_to_numpy(self._counts))
        is_dead = counts < dead * counts.mean(axis=1, keepdims=True)
        if not is_dead.any():
            return 0
        weights, codec = self.named_weights(), self.architecture
        latents = self._heard_frames(weights, samples)[None]
        _, residuals, _ = codec.quantize(numpy_ops, weights, latents)
        sums = np.array(ops.convert_to_numpy(self._sums))
        for number, rest in enumerate(residuals):
            rest = rest.reshape(-1, codec.latent_dim)
            codebook = weights[codebook_name(number + 1)]
            for code in np.flatnonzero(is_dead[number]):
                codebook[code] = rest[rng.integers(len(rest))]
                counts[number, code] = counts[number].mean()
                sums[number, code] = codebook[code] * counts[number, code]
            self._named[codebook_name(number + 1)].assign(codebook)
        self._counts.assign(counts)
        self._sums.assign(sums)
        return int(is_dead.sum())


def clusters(points, size, rng):
    """k-means: float array (N, D) -> (means (size, D), nearest mean of each, int (N,)).

    Where there are fewer points than means, some begin at the same one, a little apart.
    """
    points = np.asarray(points, dtype="float32")
    order = rng.permutation(len(points))
    means = points[np.resize(order, size)]
    if len(points) < size:
        means = means + rng.normal(0, 1e-3, means.shape).astype("float32")
    for _ in range(CLUSTER_STEPS):
        nearest = _nearest(points, means)
        count = np.bincount(nearest, minlength=size)
        sums = np.zeros_like(means)
        np.add.at(sums, nearest, points)
        used = count > 0
        means[used] = sums[used] / count[used, None]
    return means, _nearest(points, means)


def _nearest(points, means):
    return np.argmax(2 * points @ means.T - np.square(means).sum(axis=1), axis=1)


def crops(sounds, plan, hop):
    """Without end, batches of crops: float32 (B, window), drawn by the plan's seed.

    Args:
        sounds: list of float32 arrays (N,); a longer one is met more often.
        plan: `CodecPlan`. hop: int, of which the window has to be a multiple.

    Raises:
        ValueError: if there is no sound, or the window is no multiple.
    """
    if plan.window % hop or plan.window < max(FRAMES):
        raise ValueError(
            f"`window` must be a multiple of {hop} and at least {max(FRAMES)}. "
            f"Received: {plan.window}"
        )
    lengths = np.array([len(sound) for sound in sounds], dtype=float)
    if not lengths.sum():
        raise ValueError("There is no sound to learn from.")
    rng = np.random.default_rng([plan.seed, 2])
    chance = lengths / lengths.sum()
    while True:
        batch = np.zeros((plan.batch_size, plan.window), dtype="float32")
        for row, number in enumerate(
            rng.choice(len(sounds), plan.batch_size, p=chance)
        ):
            sound = sounds[number]
            # From a quarter before its beginning: attacks are what is hard to code.
            at = int(
                rng.integers(-plan.window // 4, max(1, len(sound) - plan.window // 2))
            )
            part = sound[max(0, at) : at + plan.window]
            start = max(0, -at)
            gain = 10 ** (rng.uniform(plan.softest_db, 0) / 20)
            batch[row, start : start + len(part)] = gain * part
        yield batch


def train_codec(architecture, plan, sounds, held_out, *, watch=None):
    """Teach a codec; gives its best weights, by the loss on the held-out sounds.

    The held-out loss is that of the sounds alone, as `SpectrumLoss` hears them through
    the codes. How far frames lie from their codes, which the training minds too, tells
    nothing there: it grows as frames spread, without being heard.

    Args:
        architecture: `codec.Codec`. plan: `CodecPlan`.
        sounds, held_out: lists of float32 arrays (N,), at the codec's rate.
        watch: function of (a row of the history, the best weights so far), at each look.

    Returns:
        (weights: dict of name -> float32 array, history: list of dict of the
        ``step``, the training ``loss`` since the look before, the ``held_out`` loss, and
        the mean ``si_sdr_db`` of the held-out sounds).

    Raises:
        ArithmeticError: if the loss is no longer a number.
    """
    network = CodecNetwork(architecture, follow=plan.follow, seed=plan.seed)
    optimizer = keras.optimizers.Adam(beta_2=0.99, global_clipnorm=1.0)
    network.compile(optimizer, SpectrumLoss(), jit_compile=False)
    batches = crops(sounds, plan, architecture.hop)
    fixed = list(itertools.islice(crops(held_out, plan, architecture.hop), LOOKS))
    rng = np.random.default_rng([plan.seed, 3])
    frames = plan.batch_size * plan.window // architecture.hop
    several = itertools.islice(batches, -(-CLUSTER_FRAMES // frames))
    network.begin(np.concatenate(list(several)), plan.seed, frames)
    limit = plan.minutes * 60 if plan.minutes else math.inf
    best, kept, history, recent = math.inf, None, [], []

    def look(step, recent):
        nonlocal best, kept
        now, ratio = heard_through(network, fixed)
        loss = float(np.mean(recent or [now]))
        row = {"step": step, "loss": loss, "held_out": now, "si_sdr_db": ratio}
        history.append(row)
        if now < best:
            best, kept = now, network.named_weights()
        if watch:
            watch(history[-1], kept)

    look(0, [])  # what axes and clusters do alone
    step, share = 0, 0.0
    while share < 1:
        step += 1
        batch = next(batches)
        if step % plan.restart == 0 and share < LAST_RESTART:
            network.restart_dead(batch, plan.dead, rng)
        optimizer.learning_rate.assign(plan.learning_rate * _rate(share))
        loss = float(network.train_on_batch(batch, batch))
        if not math.isfinite(loss):
            raise ArithmeticError(
                f"Loss {loss} at step {step}: lower the learning rate."
            )
        recent.append(loss)
        if step == 1:  # which compiles: the clock begins behind it
            began = time.monotonic()
        before = share
        share = max(step / plan.steps, (time.monotonic() - began) / limit)
        if share >= 1 or int(share * plan.checks) > int(before * plan.checks):
            look(step, recent)
            recent = []
    if kept is None:
        raise ArithmeticError("The loss on the held-out sounds is not a number.")
    return kept, history


def _rate(share):
    if share < 0.03:
        return 0.1 + 0.9 * share / 0.03
    return 0.525 + 0.475 * math.cos(math.pi * (share - 0.03) / 0.97)
