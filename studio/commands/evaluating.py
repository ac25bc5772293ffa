"""`etude evaluate`."""

import json
from pathlib import Path

from studio.commands.making import DEFAULT_FOLDER
from studio.errors import Interrupted, WrongUsage
from studio.outputs import check_folder

REPORT, CARD = "evaluation.json", "evaluation.html"


def evaluate(*, bundle, folder, output, plan, as_json):
    """`etude evaluate`."""
    from data_pipelines.files import write_whole
    from studio.evaluate import Plan
    from studio.evaluate import evaluate as evaluate_bundle
    from studio.evaluation_card import evaluation_card
    from studio.models import open_notes_model
    from studio.progress import progress_bar

    plan = Plan(**plan)
    model = open_notes_model(str(bundle))
    name = Path(bundle).resolve().name.removesuffix(".bundle")
    output = output or DEFAULT_FOLDER / f"{name}-evaluation"
    if output.exists() and not output.is_dir():
        raise WrongUsage(f"{output} is a file; name a folder for the report.")
    check_folder(output)
    try:
        told = evaluate_bundle(
            model,
            name,
            folder,
            plan=plan,
            say=(lambda line: None)
            if as_json
            else lambda line: print(line, flush=True),
            on_progress=lambda what: progress_bar(what, quiet=as_json),
        )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; no report was written.") from None
    report = json.dumps(told, indent=1, allow_nan=False, ensure_ascii=True)
    write_whole(output / REPORT, (report + "\n").encode())
    write_whole(output / CARD, evaluation_card(told).encode())
    files = [str(output / REPORT), str(output / CARD)]
    if as_json:
        print(json.dumps(_short(told) | {"files": files}, allow_nan=False))
        return
    _print(told)
    for file in files:
        print(f"  {file}")


def _short(told):
    """What `--json` prints: the report without what each single piece was worth."""
    rows = {**told["measures"], **told["histograms"]}
    held_out = {k: v for k, v in told["held_out"].items() if k != "piece_nats_per_note"}
    copies = told["originality"] and {
        kind: {
            side: {name: value for name, value in row.items() if name != "runs"}
            for side, row in told["originality"][kind].items()
        }
        for kind in ("intervals", "with_rhythm")
    }
    return {
        "bundle": told["bundle"],
        "held_out": held_out,
        "generated": told["generated"],
        "overlap": {
            name: {"overlap": row["overlap"], "real": row["real_halves"]["overlap"]}
            for name, row in rows.items()
        },
        "originality": copies,
    }


def _print(told):
    held_out = told["held_out"]
    print(f"Held out: {held_out['of']}; {held_out['pieces']:,} pieces.")
    print(f"  ({held_out['kin']})")
    if "training" in held_out:
        print(f"  ({held_out['training'].rstrip('.')})")
    print(f"{'':34}{'nats per note':>14}{'bits per second':>17}")
    for name, row in sorted(
        held_out["figures"].items(), key=lambda item: item[1]["nats_per_note"]
    ):
        words = f"n-gram, {held_out['ngram_kind']}" if name == "ngram" else name
        bits = row["bits_per_second"]
        told_bits = "-" if bits is None else f"{bits:.2f}"
        print(f"  {words:32}{row['nats_per_note']:14.4f}{told_bits:>17}")
    pieces = told["generated"]["pieces"]
    print(f"{pieces} composed pieces beside {told['real_pieces']} real ones:")
    print(f"{'':34}{'composed':>10}{'real':>8}{'overlap':>9}{'real with real':>16}")
    for row in (*told["measures"].values(), *told["histograms"].values()):
        means = [
            _number(row[side]["mean"]) if isinstance(row[side], dict) else ""
            for side in ("generated", "real")
        ]
        base = row["real_halves"]["overlap"]
        print(
            f"  {row['words']:32}{means[0]:>10}{means[1]:>8}"
            f"{_number(row['overlap']):>9}{_number(base):>16}"
        )
    _print_copies(told["originality"])


def _print_copies(copies):
    if not copies:
        print("Originality: not measured, its training music is not at hand.")
        return
    print("Copied from the training music, in whatever key:")
    for kind, words in (("intervals", "intervals"), ("with_rhythm", "and rhythm")):
        for side, name in (("generated", "composed"), ("real", "real, held out")):
            row = copies[kind][side]
            share = "-" if row["share"] is None else f"{row['share']:.2%}"
            print(
                f"  {words + ', ' + name:30}{share:>8} of runs of 16; longest "
                f"{row['longest_run']} notes, median {_number(row['median_run'])}"
            )
    best = max(copies["intervals"]["generated"]["runs"], key=lambda run: run["notes"])
    if best["notes"]:
        print(
            f"  the longest: {best['notes']} notes of {best['title']}, in {best['piece']}"
        )


def _number(value):
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
