"""A neural codec of raw sound: a few small integers a frame, and back to samples.

    samples (N,) -> frames (F, D) -> codes (F, Q) -> frames (F, D) -> samples (F * hop,)

Every layer is a matrix product of a frame with the frames before it, so that the same
lines run in Keras, where it learns, and in plain NumPy, where it plays.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import Weight, check_weights

DILATIONS = (1, 3, 9)  # of the residual units of a stage
TAPS = 3  # frames that a residual unit, and the way in and out of the decoder, looks at
LARGEST = {
    "sample_rate": 384_000,
    "latent_dim": 512,
    "num_quantizers": 32,
    "codebook_size": 4096,
    "num_units": len(DILATIONS),
}
LARGEST_STRIDE, LARGEST_WIDTH, MOST_STAGES = 64, 1024, 8
LOWEST_RATE = 1_000  # Hz
CHUNK = 2**18  # samples that are coded at a time: hours at once would be gigabytes


@dataclass(frozen=True)
class Codec:
    """Causal strided encoder, residual quantisers, causal decoder.

    Args:
        sample_rate: int, in Hz.
        strides: tuple of int, by how much each stage of the encoder slows the frames
            down. Their product is the hop, the samples of one frame of codes.
        widths: tuple of int, numbers a frame after each stage.
        latent_dim: int, numbers a frame that are quantized.
        num_quantizers: int, codes a frame; each refines what those before it left.
        codebook_size: int, values of a code.
        num_units: int in 1..3, residual units a stage, of dilations 1, 3 and 9.

    Reference:
        Zeghidour et al. 2021, SoundStream, https://arxiv.org/abs/2107.03312, sections
        III-A to III-C; residual quantisers there and in Défossez et al. 2022, EnCodec,
        https://arxiv.org/abs/2210.13438. We depart from them: the first stage strides
        at once, where theirs convolves at the full rate; no weight normalization, no
        recurrent layer, no quantizer dropout.
    """

    sample_rate: int = 16_000
    strides: tuple = (4, 4, 4, 2)
    widths: tuple = (24, 48, 96, 160)
    latent_dim: int = 32
    num_quantizers: int = 4
    codebook_size: int = 256
    num_units: int = 2

    def __post_init__(self):
        for name in ("strides", "widths"):  # JSON has lists
            given = getattr(self, name)
            if isinstance(given, list):
                object.__setattr__(self, name, tuple(given))
        _check_row("strides", self.strides, LARGEST_STRIDE)
        _check_row("widths", self.widths, LARGEST_WIDTH)
        if len(self.strides) != len(self.widths):
            raise ValueError(
                "`strides` and `widths` must be of one length. "
                f"Received: {self.strides} and {self.widths}"
            )
        for field in fields(self):
            if field.name not in LARGEST:
                continue
            value = getattr(self, field.name)
            least = LOWEST_RATE if field.name == "sample_rate" else 1
            if type(value) is not int or not least <= value <= LARGEST[field.name]:
                raise ValueError(
                    f"`{field.name}` must be an integer in "
                    f"{least}..{LARGEST[field.name]}. Received: {value!r}"
                )

    @property
    def hop(self):
        """Samples of one frame."""
        return math.prod(self.strides)

    @property
    def frame_rate(self):
        """Frames a second."""
        return self.sample_rate / self.hop

    @property
    def bits_per_second(self):
        """What the codes take, each in as many bits as its codebook needs."""
        return self.frame_rate * self.num_quantizers * math.log2(self.codebook_size)

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        named, before = {}, 1
        for stage, (stride, width) in enumerate(
            zip(self.strides, self.widths, strict=True)
        ):
            _add(named, f"encoder{stage}.down", 2 * stride * before, width)
            self._add_units(named, f"encoder{stage}", width)
            before = width
        _add(named, "encoder.out", before, self.latent_dim)
        size = (self.codebook_size, self.latent_dim)
        for number in range(self.num_quantizers):
            named[codebook_name(number)] = Weight(size, "normal")
        _add(named, "decoder.in", TAPS * self.latent_dim, before)
        for stage in reversed(range(len(self.strides))):
            width, stride = self.widths[stage], self.strides[stage]
            self._add_units(named, f"decoder{stage}", width)
            if stage:
                out = stride * self.widths[stage - 1]
                _add(named, f"decoder{stage}.up", 2 * width, out)
            else:
                _add(named, "decoder.out", TAPS * width, stride)
        return named

    def _add_units(self, named, stage, width):
        for unit in range(self.num_units):
            _add(named, f"{stage}.unit{unit}.dilated", TAPS * width, width)
            _add(named, f"{stage}.unit{unit}.out", width, width)

    def encode(self, ops, weights, samples):
        """Frames of samples, before they are quantized.

        Frame t knows the samples before ``(t + 1) * hop`` and no others.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            samples: float array (B, F * hop), amplitude in [-1, 1].

        Returns:
            float array (B, F, D).
        """
        x = samples[..., None]
        for stage, stride in enumerate(self.strides):
            x = x if stage == 0 else _elu(ops, x)
            x = ops.reshape(
                x, (-1, x.shape[1] // stride, stride * x.shape[2])
            )  # a block of the faster frames becomes one row
            x = _product(ops, weights, f"encoder{stage}.down", _with_past(ops, x, 2))
            x = self._units(ops, weights, f"encoder{stage}", x)
        return _product(ops, weights, "encoder.out", _elu(ops, x))

    def quantize(self, ops, weights, latents):
        """The codes nearest to each frame, one quantizer after another.

        Args:
            latents: float array (B, F, D).

        Returns:
            (codes int array (B, F, Q), residuals: list of Q float arrays (B, F, D), what
            each quantizer was given, chosen: list of Q float arrays (B, F, D), what it
            gave for that; their sum stands for the frame).
        """
        rest, codes, residuals, chosen = latents, [], [], []
        for number in range(self.num_quantizers):
            codebook = weights[codebook_name(number)]  # (K, D)
            # |r - e|^2 without |r|^2, which is the same for all; the nearest is largest.
            score = 2 * ops.matmul(rest, ops.transpose(codebook, (1, 0)))
            score = score - ops.sum(ops.square(codebook), axis=-1)
            code = ops.argmax(score, axis=-1)
            codes.append(code)
            residuals.append(rest)
            chosen.append(ops.take(codebook, code, axis=0))
            rest = rest - chosen[-1]
        return ops.stack(codes, axis=-1), residuals, chosen

    def dequantize(self, ops, weights, codes):
        """The frames that codes stand for: int (B, F, Q) -> float (B, F, D)."""
        return sum(
            ops.take(weights[codebook_name(number)], codes[..., number], axis=0)
            for number in range(self.num_quantizers)
        )

    def decode(self, ops, weights, latents):
        """Samples of frames; those of frame t know the frames up to t and no others.

        Args:
            latents: float array (B, F, D).

        Returns:
            float array (B, F * hop). Nothing holds it within full scale.
        """
        x = _product(ops, weights, "decoder.in", _with_past(ops, latents, TAPS))
        for stage in reversed(range(len(self.strides))):
            x = _elu(ops, self._units(ops, weights, f"decoder{stage}", x))
            if stage:
                x = _product(ops, weights, f"decoder{stage}.up", _with_past(ops, x, 2))
                rows = x.shape[1] * self.strides[stage]
                x = ops.reshape(x, (-1, rows, self.widths[stage - 1]))
        x = _product(ops, weights, "decoder.out", _with_past(ops, x, TAPS))
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2]))

    def _units(self, ops, weights, stage, x):
        for unit in range(self.num_units):
            name, dilation = f"{stage}.unit{unit}", DILATIONS[unit]
            inner = _with_past(ops, _elu(ops, x), TAPS, dilation)
            inner = _elu(ops, _product(ops, weights, f"{name}.dilated", inner))
            x = x + _product(ops, weights, f"{name}.out", inner)
        return x

    @property
    def reach(self):
        """Frames before its own that can change a frame's codes, or its samples."""
        units = sum((TAPS - 1) * d for d in DILATIONS[: self.num_units])
        encoder = decoder = 0.0
        slower = 1
        for stage, stride in enumerate(self.strides):
            slower *= stride
            frames = self.hop // slower  # of this stage in one of codes
            encoder += (1 + units) / frames
            decoder += (units + (1 if stage else TAPS - 1)) / frames
        return math.ceil(max(encoder, decoder + TAPS - 1)) + 1


def codebook_name(number):
    """The name of a quantizer's codebook among the weights, from 0."""
    return f"quantizer{number}.codebook"


class CodecPlayer:
    """A codec and its weights in plain NumPy, ready to code sounds of any length.

    Args:
        architecture: `Codec`.
        weights: dict of name -> float32 array.
    """

    def __init__(self, architecture, weights):
        check_weights(architecture, weights)
        self.architecture = architecture
        self.weights = weights

    @property
    def sample_rate(self):
        return self.architecture.sample_rate

    @property
    def hop(self):
        return self.architecture.hop

    @property
    def num_quantizers(self):
        return self.architecture.num_quantizers

    @property
    def codebook_size(self):
        return self.architecture.codebook_size

    @cached_property
    def checksum(self):
        """SHA-256 of sizes and weights: codes of one mean nothing to another."""
        digest = hashlib.sha256(json.dumps(asdict(self.architecture)).encode())
        for name in self.architecture.weights():
            array = np.ascontiguousarray(self.weights[name], dtype="<f4")
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()

    def encode(self, samples):
        """The codes of a sound.

        Args:
            samples: float array (N,), amplitude in [-1, 1]. Zeros fill its last frame.

        Returns:
            int32 array (ceil(N / hop), Q).
        """
        samples = np.asarray(samples, dtype="float32")
        samples = np.pad(samples, (0, -len(samples) % self.hop))
        return self._in_chunks(samples, self.hop, self._encode_part)

    def decode(self, codes):
        """The sound of codes: int array (F, Q) -> float32 array (F * hop,).

        Raises:
            ValueError: if a code lies outside the codebook, or Q is another.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.num_quantizers:
            raise ValueError(
                f"`codes` must be of shape (F, {self.num_quantizers}). "
                f"Received: {codes.shape}"
            )
        if codes.size and not (codes.min() >= 0 and codes.max() < self.codebook_size):
            raise ValueError(
                f"Codes must be in 0..{self.codebook_size - 1}. "
                f"Received: {codes.min()}..{codes.max()}"
            )
        return self._in_chunks(codes, 1, self._decode_part)

    def _encode_part(self, samples, drop):
        latents = self.architecture.encode(numpy_ops, self.weights, samples[None])
        codes = self.architecture.quantize(numpy_ops, self.weights, latents[:, drop:])
        return codes[0][0].astype("int32")  # (F, Q)

    def _decode_part(self, codes, drop):
        latents = self.architecture.dequantize(numpy_ops, self.weights, codes[None])
        samples = self.architecture.decode(numpy_ops, self.weights, latents)[0]
        return samples[drop * self.hop :].astype("float32")

    def _in_chunks(self, rows, rows_a_frame, code_part):
        """A part at a time, each after as many frames as can be heard in it."""
        frames, step = len(rows) // rows_a_frame, max(1, CHUNK // self.hop)
        if not frames:  # one frame tells of what shape none is
            one = np.zeros((rows_a_frame, *rows.shape[1:]), rows.dtype)
            return code_part(one, 0)[:0]
        parts = []
        for start in range(0, frames, step):
            before = min(start, self.architecture.reach)
            part = rows[(start - before) * rows_a_frame :][
                : (before + step) * rows_a_frame
            ]
            parts.append(code_part(part, before))
        return np.concatenate(parts)


def _check_row(name, row, largest):
    if (
        not isinstance(row, tuple)
        or not 1 <= len(row) <= MOST_STAGES
        or not all(type(value) is int and 1 <= value <= largest for value in row)
    ):
        raise ValueError(
            f"`{name}` must be 1 to {MOST_STAGES} integers in 1..{largest}. "
            f"Received: {row!r}"
        )


def _add(named, name, rows, columns):
    named[name] = Weight((rows, columns))
    named[f"{name}_bias"] = Weight((columns,), "zeros")


def _product(ops, weights, name, x):
    return ops.matmul(x, weights[name]) + weights[f"{name}_bias"]


def _with_past(ops, x, taps, dilation=1):
    """Each frame beside those before it, oldest first: (B, T, C) -> (B, T, taps * C).

    Before the first there is silence, zeros: this is the causal convolution's padding.
    """
    length = x.shape[1]
    past = [
        ops.pad(x, ((0, 0), (by, 0), (0, 0)))[:, :length]
        for by in range((taps - 1) * dilation, 0, -dilation)
    ]
    return ops.concatenate([*past, x], axis=-1)


def _elu(ops, x):
    return ops.where(x > 0, x, ops.exp(ops.minimum(x, 0.0)) - 1)
