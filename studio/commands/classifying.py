"""`etude classify`."""

import json
import shlex
from pathlib import Path

from studio.commands.telling import counted, quiet_tensorflow
from studio.errors import NothingUsable, WrongUsage
from studio.outputs import check_folder, check_outputs

EPOCHS = {"vit": 24, "bilstm": 20}  # where none are asked for
LEARNING_RATES = {"vit": 1.5e-3, "bilstm": 3e-3}
MOST_REFUSED = 5  # files that are named
WIDEST_TABLE = 20  # classes up to which the confusion is printed


def classify(
    *, paths, model, output, kind, split, epochs, minutes, seed, picture, as_json
):
    """`etude classify`: tell, where a classifier is given, else learn one.

    Args:
        paths: list of Path. To tell: files, or folders of them; to learn: one folder.
        model: Path of a classifier, or None to learn one.
        output: Path, where it is written; None: the folder's name and ".classifier".
        kind: str, one of `studio.classify.KINDS`.
        split: str, one of `data_pipelines.features.SPLITS`, or None.
        epochs: int, minutes: float, or None; whichever comes first.
        seed: int. picture: Path of a PNG of the confusion, or None. as_json: bool.
    """
    for path in paths:
        if not path.exists():
            raise WrongUsage(f"No such file or folder: {path}")
    if model is not None:
        learning = {"output": output, "split": split, "picture": picture}
        learning |= {"epochs": epochs, "minutes": minutes}
        for name, value in learning.items():
            if value is not None:
                raise WrongUsage(
                    f"--{name} is for learning a classifier, and --model {model} tells "
                    "by one that has learnt: give one of the two."
                )
        _tell(paths, model, as_json)
    elif len(paths) == 1 and paths[0].is_dir():
        settings = {"kind": kind, "split": split, "epochs": epochs, "seed": seed}
        _learn(paths[0], output, settings | {"minutes": minutes}, picture, as_json)
    else:
        raise WrongUsage(
            f"{paths[0]}: to tell what files are, say by which classifier (--model "
            "my.classifier); to learn one, name one folder of sounds."
        )


def _tell(paths, model, as_json):
    from data_pipelines.guard import walk
    from studio.classify import open_classifier

    classifier = open_classifier(model)
    files = [file for path in paths for file in walk(path)]
    if not files:
        raise NothingUsable(f"{paths[0]}: no file in it.")
    rows, refused = [], []
    for file in files:
        try:
            rows.append((file, classifier.tell(file)))
        except NothingUsable as error:
            refused.append((file, error))
    if not rows:
        raise refused[0][1]
    if as_json:
        found = [
            {"file": str(file), "class": told[0][0], "probabilities": dict(told)}
            for file, told in rows
        ]
        found += [{"file": str(file), "refused": str(why)} for file, why in refused]
        print(json.dumps(found, ensure_ascii=False))
        return
    for _, why in refused:
        print(why)
    for file, told in rows:
        first, *others = [f"{name} {100 * chance:.1f}%" for name, chance in told[:5]]
        print(f"{file}: {first}" + (f"  ({', '.join(others)})" if others else ""))


def _learn(folder, output, settings, picture, as_json):
    from data_pipelines.features import SPLITS
    from studio.classify import KINDS, hear_folder, train_classifier
    from studio.progress import progress_bar

    kind, split, seed = (settings[name] for name in ("kind", "split", "seed"))
    if kind not in KINDS:
        raise WrongUsage(f"No kind is called {kind!r}. Known: {', '.join(KINDS)}.")
    if split is not None and split not in SPLITS:
        raise WrongUsage(f"No split is called {split!r}. Known: {', '.join(SPLITS)}.")
    if seed < 0:
        raise WrongUsage(f"`seed` must be at least 0. Received: {seed}")
    epochs, minutes = settings["epochs"], settings["minutes"]
    epochs = EPOCHS[kind] if epochs is None else epochs
    if not 1 <= epochs <= 10_000:
        raise WrongUsage(f"`epochs` must be in 1..10000. Received: {epochs}")
    if minutes is not None and not 0 < minutes <= 10_000:
        raise WrongUsage(f"`minutes` must be in (0, 10000]. Received: {minutes}")
    if picture is not None:
        check_outputs([picture], (".png",))
    output = output or Path(folder.resolve().name + ".classifier")
    check_folder(output.parent)
    from audio_models.bundle import check_replaceable

    try:
        check_replaceable(output)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    say = (lambda *_: None) if as_json else print
    with progress_bar("Reading", quiet=as_json) as on_progress:
        heard = hear_folder(folder, split=split, seed=seed, on_progress=on_progress)
    _tell_heard(say, heard)
    say("Loading Keras ...")
    quiet_tensorflow()
    plan = plan_for(kind, epochs=epochs, minutes=minutes, seed=seed)

    def watch(progress, event):
        if event == "checked":
            row = progress.history[-1]
            mark = "best so far" if row["held_out"] == progress.best else "no better"
            say(
                f"epoch {row['epoch'] + 1:>3}: loss {row['loss']:.3f}, held-out "
                f"{row['held_out']:.3f} nats a sound ({mark})"
            )

    bundle, verdict = train_classifier(
        heard,
        kind,
        plan,
        output,
        source=f"the folder {folder.resolve().name}",
        command=_command(folder, output, {**settings, "split": heard.split}),
        watch=watch,
    )
    if picture is not None:
        draw_confusion(picture, verdict.confusion, heard.classes)
    if as_json:
        facts = {"classifier": str(output), "classes": heard.classes, **bundle.facts}
        print(json.dumps(facts, ensure_ascii=False))
        return
    tell_verdict(verdict, heard.classes)
    print(f"Wrote {output} (card: {output / 'card.md'})")
    if picture is not None:
        print(f"  {picture}")
    print(f"Ask it: etude classify FILE --model {shlex.quote(str(output))}")


def plan_for(kind, *, epochs, minutes=None, seed=0):
    """The `Plan` by which a kind learns from some thousand sounds."""
    from audio_models.training import Plan

    return Plan(
        minutes=minutes,
        epochs=epochs,
        batch_size=32,
        learning_rate=LEARNING_RATES[kind],
        weight_decay=0.05,
        label_smoothing=0.1,
        patience=max(4, epochs // 4),
        seed=seed,
    )


def _tell_heard(say, heard):
    parts = heard.parts.tolist()
    shares = ", ".join(f"{parts.count(p):,} {p}" for p in ("train", "valid", "test"))
    say(
        f"{counted(len(parts), 'sound')} of {len(heard.classes)} classes: {shares} "
        f"(split: {heard.split}). {heard.features.seconds:.2f} s of each at "
        f"{heard.features.sample_rate:,} Hz."
    )
    if heard.refused:
        say(f"{counted(len(heard.refused), 'file')} not used:")
        for name, why in heard.refused[:MOST_REFUSED]:
            say(f"  {name}: {why}")
        if (more := len(heard.refused) - MOST_REFUSED) > 0:
            say(f"  and {more:,} more")


def tell_verdict(verdict, classes):
    """Print a `Verdict`: accuracy beside its floors, each class, who was taken for whom."""
    low, high = verdict.interval
    print(
        f"Test: {100 * verdict.accuracy:.1f}% right, {verdict.right} of {verdict.count} "
        f"(95%: {100 * low:.1f} to {100 * high:.1f}). Majority "
        f"{100 * verdict.majority:.1f}%"
        + (
            ""
            if verdict.centroid is None
            else f", nearest centroid {100 * verdict.centroid:.1f}%"
        )
        + "."
    )
    wide = max(5, *(len(name) for name in classes))
    cell = max(3, len(str(verdict.confusion.max())))
    shown = classes if len(classes) <= WIDEST_TABLE else ()
    heads = "".join(f" {name[:cell]:>{cell}}" for name in shown)
    print(
        f"  {'class':<{wide}} found right count  {'| told as' if shown else ''}{heads}"
    )
    for name, row, (count, recall, precision) in zip(
        classes, verdict.confusion, verdict.by_class(), strict=True
    ):
        found = "    -" if recall is None else f"{100 * recall:4.0f}%"
        right = "    -" if precision is None else f"{100 * precision:4.0f}%"
        cells = "".join(f" {n or '.':>{cell}}" for n in row) if shown else ""
        bar = f"|        {cells}" if shown else ""
        print(f"  {name:<{wide}} {found} {right} {count:>5}  {bar}")


def draw_confusion(path, confusion, classes):
    """Write a PNG: rows are what a sound is, columns what it was told as."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from data_pipelines.files import write_whole

    size = min(16, max(3.5, 0.45 * len(classes) + 1.6))
    figure = Figure(figsize=(size, size), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=90)
    axes.set_yticks(places, classes)
    axes.set_xlabel("told as")
    axes.set_ylabel("is")
    if len(classes) <= WIDEST_TABLE:
        for row in places:
            for column in places:
                if number := confusion[row, column]:
                    colour = "white" if shares[row, column] > 0.5 else "#222222"
                    axes.text(
                        column, row, number, ha="center", va="center", color=colour
                    )
    held = io.BytesIO()
    figure.savefig(held, format="png", metadata={"Software": None})
    write_whole(path, held.getvalue())


def _command(folder, output, settings):
    from studio.commands.telling import command_line

    given = {name: value for name, value in settings.items() if value is not None}
    start = f"etude classify {shlex.quote(str(folder))}"
    return command_line(start, {**given, "output": output})
