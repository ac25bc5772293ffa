"""Sizes to start from: each model as tiny, small and base.

Counted with 400 token ids: tiny has under 0.2 million weights and learns in minutes
on a laptop, small about 1 million, base about 5 million.
"""

PRESETS = {
    "lstm": {
        "tiny": {"embedding_dim": 32, "hidden_dim": 96, "num_layers": 2},
        "small": {"embedding_dim": 64, "hidden_dim": 256, "num_layers": 2},
        "base": {"embedding_dim": 256, "hidden_dim": 576, "num_layers": 2},
    },
    "gru": {
        "tiny": {"embedding_dim": 32, "hidden_dim": 112, "num_layers": 2},
        "small": {"embedding_dim": 64, "hidden_dim": 296, "num_layers": 2},
        "base": {"embedding_dim": 256, "hidden_dim": 672, "num_layers": 2},
    },
    "rnn": {
        "tiny": {"embedding_dim": 32, "hidden_dim": 128, "num_layers": 2},
        "small": {"embedding_dim": 64, "hidden_dim": 512, "num_layers": 2},
        "base": {"embedding_dim": 128, "hidden_dim": 960, "num_layers": 3},
    },
    "nnlm": {
        "tiny": {"embedding_dim": 32, "hidden_dim": 192, "window": 8},
        "small": {"embedding_dim": 64, "hidden_dim": 640, "window": 16},
        "base": {"embedding_dim": 128, "hidden_dim": 1408, "window": 24},
    },
    "transformer": {
        "tiny": {
            "hidden_dim": 64,
            "num_layers": 3,
            "num_heads": 4,
            "context_length": 256,
        },
        "small": {
            "hidden_dim": 128,
            "num_layers": 5,
            "num_heads": 4,
            "context_length": 512,
        },
        "base": {
            "hidden_dim": 256,
            "num_layers": 6,
            "num_heads": 8,
            "context_length": 1024,
        },
    },
    "voices": {
        "tiny": {
            "embedding_dim": 16,
            "hidden_dim": 48,
            "num_layers": 2,
            "chain_dim": 48,
        },
        "small": {
            "embedding_dim": 48,
            "hidden_dim": 168,
            "num_layers": 2,
            "chain_dim": 128,
        },
        "base": {
            "embedding_dim": 64,
            "hidden_dim": 440,
            "num_layers": 2,
            "chain_dim": 352,
        },
    },
    "anticipation": {
        "tiny": {
            "embedding_dim": 16,
            "hidden_dim": 40,
            "num_layers": 2,
            "chain_dim": 48,
            "ahead_dim": 24,
        },
        "small": {
            "embedding_dim": 32,
            "hidden_dim": 152,
            "num_layers": 2,
            "chain_dim": 96,
            "ahead_dim": 72,
        },
        "base": {
            "embedding_dim": 64,
            "hidden_dim": 384,
            "num_layers": 2,
            "chain_dim": 288,
            "ahead_dim": 208,
        },
    },
    "frames": {
        "tiny": {"embedding_dim": 8, "hidden_dim": 64, "sample_dim": 48},
        "small": {"embedding_dim": 8, "hidden_dim": 248, "sample_dim": 128},
        "base": {"embedding_dim": 16, "hidden_dim": 720, "sample_dim": 160},
    },
    "dilated": {
        "tiny": {"hidden_dim": 24, "num_layers": 20, "skip_dim": 64},
        "small": {"hidden_dim": 72, "num_layers": 20, "skip_dim": 216},
        "base": {"hidden_dim": 136, "num_layers": 30, "skip_dim": 464},
    },
    "state-space": {
        "tiny": {"hidden_dim": 64, "num_layers": 2, "skip_dim": 96},
        "small": {"hidden_dim": 168, "num_layers": 4, "skip_dim": 256},
        "base": {"hidden_dim": 336, "num_layers": 6, "skip_dim": 384},
    },
}
DROPOUT = {"tiny": 0.0, "small": 0.1, "base": 0.2}


def preset(model, size):
    """The sizes of a model, all but its vocabulary.

    Args:
        model: str, a name in `audio_models.MODELS`.
        size: "tiny", "small" or "base".

    Returns:
        dict of an architecture's arguments, ``dropout`` included, the caller's own.

    Raises:
        ValueError: if either name is not known.

    Example:
    >>> preset("lstm", "small")["hidden_dim"]
    256
    """
    if model not in PRESETS:
        raise ValueError(
            f"`model` must be one of {', '.join(PRESETS)}. Received: {model!r}"
        )
    if size not in PRESETS[model]:
        raise ValueError(
            f"`size` must be one of {', '.join(PRESETS[model])}. Received: {size!r}"
        )
    return {**PRESETS[model][size], "dropout": DROPOUT[size]}
