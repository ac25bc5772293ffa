"""One tokenizer a file; here, the whole registry."""

from data_pipelines.tokenizers.melody import MelodyTokenizer

TOKENIZERS = {"melody": MelodyTokenizer}


def tokenizer_from_spec(spec):
    """The tokenizer that wrote `spec`.

    Raises:
        ValueError: if this kit has no tokenizer of that name, or if its ids mean
            something else than the ones in `spec`.
    """
    name = spec.get("tokenizer") if isinstance(spec, dict) else None
    if name not in TOKENIZERS:
        raise ValueError(
            f"No tokenizer is called {name!r}. Known: {', '.join(TOKENIZERS)}."
        )
    tokenizer = TOKENIZERS[name]()
    if tokenizer.spec() != spec:
        raise ValueError(
            f"This is another vocabulary of the tokenizer {name!r}: "
            "its ids would mean other notes here."
        )
    return tokenizer
