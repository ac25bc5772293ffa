"""Masks over a spectrogram: which share of each bin belongs to which part of a mixture."""

from dataclasses import dataclass

from audio_models.architecture import Weight, check_limits
from audio_models.gru import gru_sequence

LIFT = 30.0  # how far what is soft is raised before the logarithm


@dataclass(frozen=True)
class MaskGRU:
    """Gated recurrent units, from the left and from the right, that part a mixture.

    Each frame is squeezed to a few numbers, read in both directions, and spread again to
    a softmax over the parts in each bin: masks sum to one, and the parts to the mixture.

    Args:
        num_bins: int, bins of a spectrum.
        num_stems: int, parts of a mixture.
        squeezed_dim: int, numbers that are kept of a frame.
        hidden_dim: int, width of each direction's state.
        num_layers: int; each layer reads both directions of the one below.
        dropout: float in [0, 1), after each layer, in training.

    Reference:
        Uhlich et al. 2017, Improving music source separation based on deep neural
        networks through data augmentation and network blending; Stöter et al. 2019,
        Open-Unmix. Departures: GRUs, one network for all parts, and a softmax over
        them, where Open-Unmix has a network for each and a Wiener filter after them.
    """

    num_bins: int = 513
    num_stems: int = 3
    squeezed_dim: int = 128
    hidden_dim: int = 128
    num_layers: int = 2
    dropout: float = 0.0

    def __post_init__(self):
        check_limits(self)

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order z, r, n."""
        bins, size = self.num_bins, self.hidden_dim
        named = {
            "bins.scale": Weight((bins,), "ones"),
            "bins.offset": Weight((bins,), "zeros"),
            "squeeze.kernel": Weight((bins, self.squeezed_dim)),
            "squeeze.bias": Weight((self.squeezed_dim,), "zeros"),
        }
        width = self.squeezed_dim
        for layer in range(self.num_layers):
            for side in ("left", "right"):
                name = f"layer{layer}.{side}"
                named[f"{name}.input"] = Weight((width, 3 * size))
                named[f"{name}.recurrent"] = Weight((size, 3 * size), "orthogonal")
                named[f"{name}.bias"] = Weight((3 * size,), "zeros")
                named[f"{name}.recurrent_bias"] = Weight((3 * size,), "zeros")
            width = 2 * size
        wide = width + self.squeezed_dim
        named["spread.kernel"] = Weight((wide, 2 * size))
        named["spread.bias"] = Weight((2 * size,), "zeros")
        named["head.kernel"] = Weight((2 * size, self.num_stems * bins))
        named["head.bias"] = Weight((self.num_stems * bins,), "zeros")
        return named

    def start(self, ops, batch_size):
        """Raise ValueError: there is no state to go on from."""
        raise ValueError(
            "MaskGRU reads a stretch of sound from both ends: it has no step."
        )

    def forward(self, ops, weights, spectrogram, state=None, dropout=None):
        """Read magnitudes; give the masks of the parts.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            spectrogram: float array (B, T, F), magnitudes of a mixture whose mean
                square is about 1.
            state: None.
            dropout: function of an array, applied in training.

        Returns:
            (masks (B, T, F, K) that sum to one over K, None).

        Raises:
            ValueError: if a state is given.
        """
        if state is not None:
            self.start(ops, None)
        size = self.hidden_dim
        x = ops.log(1.0 + LIFT * spectrogram)  # (B, T, F)
        x = x * weights["bins.scale"] + weights["bins.offset"]
        x = ops.matmul(x, weights["squeeze.kernel"]) + weights["squeeze.bias"]
        squeezed = x = ops.tanh(x)  # (B, T, S)
        batch, frames = ops.shape(x)[0], ops.shape(x)[1]
        start = ops.zeros((batch, size), "float32")
        for layer in range(self.num_layers):
            sides = []
            for side in ("left", "right"):
                name = f"layer{layer}.{side}"
                gates = ops.matmul(x, weights[f"{name}.input"])
                gates = ops.transpose(gates + weights[f"{name}.bias"], (1, 0, 2))
                # Tensors, not variables: see `recurrent.Stacked`.
                recurrent = ops.reshape(weights[f"{name}.recurrent"], (size, 3 * size))
                bias = ops.reshape(weights[f"{name}.recurrent_bias"], (3 * size,))
                if side == "right":
                    gates = ops.flip(gates, axis=0)
                y, _ = gru_sequence(ops, gates, recurrent, bias, start)
                sides.append(y if side == "left" else ops.flip(y, axis=0))
            x = ops.transpose(ops.concatenate(sides, axis=-1), (1, 0, 2))  # (B, T, 2D)
            if dropout is not None:
                x = dropout(x)
        x = ops.concatenate([x, squeezed], axis=-1)
        x = ops.relu(ops.matmul(x, weights["spread.kernel"]) + weights["spread.bias"])
        logits = ops.matmul(x, weights["head.kernel"]) + weights["head.bias"]
        parts = (batch, frames, self.num_bins, self.num_stems)
        return ops.softmax(ops.reshape(logits, parts), axis=-1), None


SEPARATORS = {"mask-gru": MaskGRU}


def distortion_db(ops, masks, magnitudes, along, across):
    """How far masked mixtures are from their parts, in dB; the less the better.

        10 log10(sum |M X - S|^2 / sum |S|^2)

    With the part turned by the mixture's phase, S = (along + i across) X / |X|, that
    error is (M |X| - along)^2 + across^2, of which a mask changes the first.

    Args:
        ops: array namespace.
        masks: float array (B, T, F, K).
        magnitudes: float array (B, T, F), of the mixture.
        along, across: float arrays (B, T, F, K), the parts by the mixture's phase.

    Returns:
        float array (B, K).

    Reference:
        Erdogan et al. 2015, Phase-sensitive and recognition-boosted speech separation,
        for `along`; Le Roux et al. 2019, https://arxiv.org/abs/1811.02508, for the
        logarithm of the whole. By Parseval it is the distortion of the sound, up to
        what the inverse transform takes out of a spectrum that is none.
    """
    error = ops.square(masks * magnitudes[..., None] - along) + ops.square(across)
    energy = ops.square(along) + ops.square(across)
    floor = 1e-3  # of a part that is silent in this stretch
    error = ops.sum(error, axis=(1, 2)) + floor
    energy = ops.sum(energy, axis=(1, 2)) + floor
    return ops.log(error / energy) * (10 / 2.302585092994046)


def train_masks(
    architecture, batches, *, steps, check, every=50, learning_rate=2e-3, seed=0
):
    """Train a network of masks; what was best on `check` is kept.

    Adam, its rate falling to nothing by a half cosine; gradients clipped to norm 5.

    Args:
        architecture: `MaskGRU`.
        batches: iterator of (magnitudes (B, T, F), along (B, T, F, K), across), `steps`
            of them at least.
        steps: int.
        check: function of (step, loss, weights): a figure that is to rise.
        every: int, steps between checks.
        learning_rate: float, at the first step.
        seed: int, of the first weights and of dropout.

    Returns:
        (dict of name -> float32 array, best figure).

    Raises:
        ArithmeticError: if the loss is no longer finite.
    """
    import keras
    import numpy as np
    from keras import ops

    from audio_models.network import Network
    from audio_models.objective import DenseAdamW

    network = Network(architecture, seed=seed)
    stems = architecture.num_stems

    def loss(truth, masks):
        magnitudes = ops.sum(
            truth[..., :stems], axis=-1
        )  # the parts sum to the mixture
        parts = truth[..., :stems], truth[..., stems:]
        return ops.mean(distortion_db(ops, masks, magnitudes, *parts))

    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = DenseAdamW(rate, weight_decay=0.0, global_clipnorm=5.0)
    network.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    best, kept, losses = -np.inf, network.named_weights(), []
    for step in range(1, steps + 1):
        magnitudes, along, across = next(batches)
        truth = np.concatenate([along, across], axis=-1)
        network.reset_metrics()  # else the loss is the mean since the beginning
        losses.append(float(network.train_on_batch(magnitudes, truth)))
        if not np.isfinite(losses[-1]):
            raise ArithmeticError(f"The loss is {losses[-1]} at step {step}.")
        if step % every == 0 or step == steps:
            weights = network.named_weights()
            figure = check(step, float(np.mean(losses)), weights)
            losses = []
            if figure > best:
                best, kept = figure, weights
    return kept, best
