"""Recipes: a tokenizer, a model with its sizes, and a training plan, under one name."""

from dataclasses import dataclass, field

from audio_models import COUNTED


@dataclass(frozen=True)
class Recipe:
    """What to build and how to train it.

    ``plan`` holds departures from `Plan`; ``augment`` what `Augmentation` may change
    beside the key; ``settings`` are those of the tokenizer.
    """

    tokenizer: str
    model: str
    sizes: dict
    plan: dict = field(default_factory=dict)
    augment: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    about: str = ""


RECIPES = {
    "melody-lstm": Recipe(
        tokenizer="melody",
        model="lstm",
        sizes={"embedding_dim": 64, "hidden_dim": 256, "num_layers": 2, "dropout": 0.2},
        plan={"batch_size": 8, "window": 256, "learning_rate": 3e-3},
        about="one voice, stacked LSTM: quick to learn, the default",
    ),
    "melody-transformer": Recipe(
        tokenizer="melody",
        model="transformer",
        sizes={
            "hidden_dim": 128,
            "num_layers": 4,
            "num_heads": 4,
            "context_length": 256,
            "dropout": 0.1,
        },
        plan={"batch_size": 8, "window": 256, "learning_rate": 2e-3},
        about="one voice, Transformer: slower to learn, repeats its motifs",
    ),
    "chorale-lstm": Recipe(
        tokenizer="chorale",
        model="lstm",
        sizes={"embedding_dim": 64, "hidden_dim": 256, "num_layers": 2, "dropout": 0.3},
        plan={"batch_size": 8, "window": 512, "learning_rate": 3e-3},
        about="four voices on a grid of sixteenths, stacked LSTM",
    ),
    "chorale-voices": Recipe(
        tokenizer="chorale",
        model="voices",
        sizes={"hidden_dim": 256, "num_layers": 2, "chain_dim": 256, "dropout": 0.3},
        plan={"batch_size": 16, "window": 577, "learning_rate": 3e-3, "patience": 12},
        about="four voices, an LSTM that knows whose turn it is: the best at chorales",
    ),
    "melody-anticipation": Recipe(
        tokenizer="melody",
        model="anticipation",
        sizes={
            "num_voices": 1,
            "embedding_dim": 32,
            "hidden_dim": 256,
            "num_layers": 2,
            "chain_dim": 256,
            "ahead_dim": 128,
            "lookback": True,
            "dropout": 0.2,
        },
        plan={"batch_size": 8, "window": 577, "learning_rate": 3e-3, "patience": 8},
        about="one voice, an LSTM that knows where it is and what is to come: fills gaps",
    ),
    "chorale-anticipation": Recipe(
        tokenizer="chorale",
        model="anticipation",
        sizes={
            "embedding_dim": 48,
            "hidden_dim": 256,
            "num_layers": 2,
            "chain_dim": 256,
            "ahead_dim": 192,
            "dropout": 0.3,
        },
        plan={"batch_size": 8, "window": 1153, "learning_rate": 3e-3, "patience": 12},
        about="four voices, the same: harmonises a melody, fills bars and parts",
    ),
    "melody-ngram": Recipe(
        tokenizer="melody",
        model="ngram",
        sizes={"order": 16},  # the longest that is tried
        about="one voice, counted in seconds: the floor, and what it sounds like",
    ),
    "chorale-ngram": Recipe(
        tokenizer="chorale",
        model="ngram",
        sizes={"order": 32},
        about="four voices, counted in seconds: the floor, and what it sounds like",
    ),
    "performance-lstm": Recipe(
        tokenizer="performance",
        model="lstm",
        sizes={
            "embedding_dim": 128,
            "hidden_dim": 384,
            "num_layers": 2,
            "dropout": 0.1,
        },
        plan={"batch_size": 8, "window": 512, "learning_rate": 2e-3, "max_shift": 3},
        augment={  # the stretches are those of Oore et al. 2018
            "stretches": (0.95, 0.975, 1.0, 1.025, 1.05),
            "loudnesses": (0.9, 1.0, 1.1),
        },
        about="piano as it was played, loudness and pedal included, stacked LSTM",
    ),
    "remi-transformer": Recipe(
        tokenizer="remi",
        model="transformer",
        sizes={
            "hidden_dim": 192,
            "num_layers": 5,
            "num_heads": 6,
            "context_length": 512,
            "dropout": 0.1,
        },
        plan={"batch_size": 8, "window": 512, "learning_rate": 1.5e-3, "max_shift": 5},
        about="several instruments and drums, Transformer: wants many minutes",
    ),
    "wave-lstm": Recipe(
        tokenizer="wave",
        model="frames",
        sizes={"hidden_dim": 192, "num_layers": 1, "sample_dim": 128},
        plan={
            "batch_size": 16,
            "window": 2049,
            "learning_rate": 2e-3,
            "max_shift": 0,
        },
        settings={"sample_rate": 16_000, "trim": 50.0, "loudness": -3.0},
        about="sound, an LSTM over frames and a network for each sample",
    ),
    "wave-conv": Recipe(
        tokenizer="wave",
        model="dilated",
        sizes={"hidden_dim": 48, "num_layers": 20, "skip_dim": 128},
        plan={
            "batch_size": 8,
            "window": 4096,
            "learning_rate": 2e-3,
            "max_shift": 0,
        },
        settings={"sample_rate": 16_000, "trim": 50.0, "loudness": -3.0},
        about="sound, dilated convolutions (WaveNet): cheaper to learn than to play",
    ),
    "codec-transformer": Recipe(
        tokenizer="codec",
        model="transformer",
        sizes={
            "hidden_dim": 192,
            "num_layers": 4,
            "num_heads": 6,
            "context_length": 512,
            "dropout": 0.1,
        },
        plan={
            "batch_size": 8,
            "window": 512,  # 64 frames of eight codes: 0.64 s
            "learning_rate": 1.5e-3,
            "max_shift": 0,
        },
        about="sound in the codes of the shipped codec, Transformer: wants many minutes",
    ),
    "wave-ssm": Recipe(
        tokenizer="wave",
        model="state-space",
        sizes={"hidden_dim": 96, "num_layers": 2, "skip_dim": 128},
        plan={
            "batch_size": 8,
            "window": 2048,
            "learning_rate": 4e-3,
            "max_shift": 0,
        },
        settings={"sample_rate": 16_000, "trim": 50.0, "loudness": -3.0},
        about="sound, damped resonators (state space): learns most in few minutes",
    ),
    "drums": Recipe(
        tokenizer="remi",
        model="lstm",
        sizes={"embedding_dim": 32, "hidden_dim": 104, "num_layers": 2, "dropout": 0.0},
        plan={"batch_size": 8, "window": 256, "learning_rate": 6e-3, "max_shift": 0},
        about="drums alone, stacked LSTM of 1 MB: for --corpus drum-patterns",
    ),
}
DEFAULT_RECIPE = "melody-lstm"


def is_counted(name):
    """Whether a recipe, known or not, is one of a model that is not trained."""
    return name in RECIPES and RECIPES[name].model in COUNTED
