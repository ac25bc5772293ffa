"""How music and sounds are heard: the parts of a score, a sound's rate and classes."""

import shlex

from data_pipelines.encode import classes_in
from data_pipelines.guard import walk_names
from data_pipelines.parts import with_parts_apart
from data_pipelines.shards import is_dataset
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.tokenizers.codec import CodecTokenizer
from studio.codec import open_codec
from studio.errors import WrongUsage
from studio.recipes import RECIPES
from studio.sources import classes_of

NUMBERS = ("sample_rate", "bits")
NO_CLASSES = "no_classes"


def tokenizer_of(recipe, folder, corpus_names, hearing):
    """The tokenizer of a recipe, for the material that it is to learn from.

    Args:
        recipe: `recipes.Recipe`.
        folder: Path or None. corpus_names: names of corpora.
        hearing: dict of what was asked for: ``sample_rate`` in Hz, ``bits``, 8 or 16,
            ``no_classes``, True to hear folders and names as nothing. Without that, the
            classes are those that the folder shows (`encode.classes_in`).

    Returns:
        a tokenizer; for a recipe of notes its name, as `gather.gather` takes it.

    Raises:
        WrongUsage: if a setting lies outside its range, or the recipe knows none.
        NothingUsable: if the recipe reads sounds in codes, and the codec is damaged.
    """
    kind = TOKENIZERS[recipe.tokenizer]
    if kind.takes != "wave":
        for name in hearing:
            of_sounds = [
                n for n, r in RECIPES.items() if TOKENIZERS[r.tokenizer].takes == "wave"
            ]
            raise WrongUsage(
                f"--{name.replace('_', '-')} means nothing to a recipe of notes; recipes "
                f"of sounds are {', '.join(of_sounds)}."
            )
        return recipe.tokenizer
    if folder is not None and is_dataset(folder):
        if hearing:
            raise WrongUsage(f"{folder} was prepared; how it is heard is settled.")
        return recipe.tokenizer
    classes = ()
    if not hearing.get(NO_CLASSES):
        if folder is not None:
            classes = classes_in(walk_names(folder)) if folder.is_dir() else ()
        else:
            classes = tuple(c for name in corpus_names for c in classes_of(name))
    settings = recipe.settings | {n: hearing[n] for n in NUMBERS if n in hearing}
    try:
        if kind is CodecTokenizer:
            for name in settings:
                raise WrongUsage(
                    f"--{name.replace('_', '-')} means nothing to a recipe of codes: "
                    "its codec has a rate and codes of its own."
                )
            return kind(open_codec().codec, classes)
        return kind(**settings, classes=classes)
    except ValueError as error:
        raise WrongUsage(str(error)) from None


def parts_as_heard(bundle, score):
    """A score with its tracks as the music of a bundle was read.

    The bar lines of a person's file are believed, also by a model whose own music had
    to have them found.
    """
    if bundle.facts.get("reading", {}).get("parts") == "apart":
        return with_parts_apart(score)
    return score


def heard_then(run):
    """What a run's command asked for, as `tokenizer_of` takes it."""
    words = shlex.split(run["command"])
    found = {
        name: int(words[words.index(f"--{name.replace('_', '-')}") + 1])
        for name in NUMBERS
        if f"--{name.replace('_', '-')}" in words
    }
    return found | ({NO_CLASSES: True} if "--no-classes" in words else {})
