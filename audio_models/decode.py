"""Steps laid out for a CPU: the logits of `forward`, several times sooner.

An architecture's `forward` says what the model is. Here the same arithmetic stands as
NumPy runs it best for a token at a time; tests hold the two together.
"""

from audio_models.decode_dilated import DilatedDecoder
from audio_models.decode_frames import FramesDecoder
from audio_models.decode_lstm import LSTMDecoder
from audio_models.decode_state_space import StateSpaceDecoder
from audio_models.decode_transformer import TransformerDecoder
from audio_models.dilated import Dilated
from audio_models.frames import Frames
from audio_models.recurrent import LSTM
from audio_models.state_space import StateSpace
from audio_models.transformer import Transformer

DECODERS = {
    Transformer: TransformerDecoder,
    LSTM: LSTMDecoder,
    Frames: FramesDecoder,
    Dilated: DilatedDecoder,
    StateSpace: StateSpaceDecoder,
}


def decoder_of(architecture, weights):
    """What steps faster than `forward` does, or None where there is nothing such.

    Args:
        architecture: one of `audio_models.MODELS` or `COUNTED`, built.
        weights: dict of name -> float32 array.

    Returns:
        an object with ``step(ids, state)`` and ``read(ids, state)``, whose states begin
        with the architecture's `start`, or None.
    """
    decoder = DECODERS.get(type(architecture))
    return decoder and decoder(architecture, weights)
