"""How unlike two waveforms are: what a codec lowers, and what is told of it."""

import math

import keras
import numpy as np
from keras import ops

FRAMES = (128, 512, 2048)  # samples of a spectrum
QUIETEST = 1e-3  # what is softer in a spectrum is not asked for: of a sine's peak
SOFTEST = 3e-3  # amplitude: where a sound is softer, less is asked for
CLEANEST = 1e-4  # of a sound's power: an error that is softer is not asked to be less
WAVEFORM = 2.0  # what ten times less error in the waveform is worth


class SpectrumLoss(keras.losses.Loss):
    """How unlike two waveforms are, as spectra of three lengths and sample for sample.

    Of the waveform, the logarithm of the error's share of the power: spectra alone know
    no phase. Of each length of spectrum, the difference relative to the sound's own,
    which is 1 for silence in its place, and the mean difference of the logarithms of the
    magnitudes, which hears what is soft.

    Args:
        frames: tuple of int, samples of a spectrum; a quarter lies between two.
        weight: float, what ten times less error in the waveform is worth.

    Reference:
        Yamamoto et al. 2020, Parallel WaveGAN, https://arxiv.org/abs/1910.11480, with
        the waveform added. No discriminator, where SoundStream has one: noise that the
        codes do not tell comes out softer and coarser than it was.
    """

    def __init__(self, frames=FRAMES, weight=WAVEFORM):
        super().__init__(reduction="sum_over_batch_size")
        self.frames, self.weight = frames, weight

    def call(self, y_true, y_pred):
        power = ops.mean(ops.square(y_true), axis=-1) + SOFTEST**2  # (B,)
        off = ops.mean(ops.square(y_true - y_pred), axis=-1) / power
        total = self.weight * (1 + ops.log(off + CLEANEST) / math.log(10))
        for length in self.frames:
            one, other = magnitudes(y_true, length), magnitudes(y_pred, length)
            apart = _root_mean_square(one - other) / (_root_mean_square(one) + QUIETEST)
            ratio = ops.log(one + QUIETEST) - ops.log(other + QUIETEST)
            total = total + apart + ops.mean(ops.abs(ratio), axis=(1, 2))
        return total


def _root_mean_square(spectra):
    # The square root has no slope at nothing.
    return ops.sqrt(ops.mean(ops.square(spectra), axis=(1, 2)) + 1e-10)


def magnitudes(samples, length):
    """Spectra of samples (B, N): float (B, frames, bins), 1 a sine of full scale."""
    real, imaginary = ops.stft(samples, length, length // 4, length)
    power = ops.square(real) + ops.square(imaginary)
    return ops.sqrt(power + 1e-7) * (4 / length)


def heard_through(network, batches):
    """(loss, SI-SDR in dB) of batches of sounds (B, N), each row as much as another."""
    losses, ratios = [], []
    for batch in batches:
        back = np.array(network.predict_on_batch(batch))
        losses.append(float(SpectrumLoss()(batch, back)))
        # As `data_pipelines.spectra.si_sdr`, which this room does not know.
        power = np.square(batch).sum(axis=1)
        gain = (batch * back).sum(axis=1) / np.maximum(power, 1e-12)
        meant = gain[:, None] * batch
        off = np.square(back - meant).sum(axis=1)
        ratio = 10 * np.log10(
            np.maximum(np.square(meant).sum(axis=1), 1e-12) / np.maximum(off, 1e-12)
        )
        ratios.extend(ratio[power > 0].tolist())
    return float(np.mean(losses)), float(np.mean(ratios)) if ratios else 0.0
