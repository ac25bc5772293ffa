"""`etude models`."""

import json


def models(*, as_json):
    """`etude models`."""
    from studio.models import DEFAULT_MODEL, open_model, shipped_models

    rows = []
    for name in shipped_models():
        facts = open_model(name).facts
        rows.append({"name": name, "is_default": name == DEFAULT_MODEL, **facts})
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        held_out, test = row["held_out"], row.get("test", {})
        star = "  (the default)" if row["is_default"] else ""
        counted = f", counted: {row['counted']}" if "counted" in row else ""
        print(
            f"{row['name']}{star}: {row['recipe']}, {row['notes']:,} {held_out.get('unit', 'note')}s{counted}"
        )
        for source in row["sources"]:
            print(f"    {source}")
        figures = test if test else held_out
        print(
            f"    nats per {held_out.get('unit', 'note')}, {'test' if test else 'held out'}: "
            f"{figures['model']:.3f}; n-gram {figures['ngram']:.3f}, "
            f"copy {figures['copy']:.3f}, unigram {figures['unigram']:.3f}"
        )
