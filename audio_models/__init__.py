"""Tokens -> tokens. Knows no file format.

An architecture is a frozen dataclass of about ten integers, with its weights' shapes
and its arithmetic written once over an array namespace. `network.Network` runs it in
Keras, `player.Player` in plain NumPy.
"""

from audio_models.anticipation import AnticipationLSTM
from audio_models.bidirectional import BiLSTM
from audio_models.classify import CLASSIFIERS
from audio_models.counted import CountedNGram
from audio_models.dilated import Dilated
from audio_models.frames import Frames
from audio_models.gru import GRU
from audio_models.nnlm import NNLM
from audio_models.recurrent import LSTM
from audio_models.rnn import RNN
from audio_models.separation import SEPARATORS
from audio_models.seq2seq import TRANSLATORS  # noqa: F401  (read one row, write another)
from audio_models.state_space import StateSpace
from audio_models.transformer import Transformer
from audio_models.voices import VoiceLSTM

MODELS = {
    "lstm": LSTM,
    "gru": GRU,
    "rnn": RNN,
    "nnlm": NNLM,
    "transformer": Transformer,
    "voices": VoiceLSTM,
    "anticipation": AnticipationLSTM,
    "frames": Frames,
    "dilated": Dilated,
    "state-space": StateSpace,
}
FILLERS = {"bilstm": BiLSTM}  # read from both sides: these fill gaps, but cannot go on
COUNTED = {"ngram": CountedNGram}  # played as the networks are, but not trained
LISTENERS = {**CLASSIFIERS, **SEPARATORS}  # these tell of sound, and make none
