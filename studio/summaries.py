"""Facts in sentences: what a person reads of a file, a folder, a corpus to train on."""


def print_material(say, material, run_folder):
    """What `etude train` found to learn from. Args: say, a function of a line."""
    corpus = material.corpus
    refused = corpus.refusals()
    say(f"{len(corpus.report)} files or tunes: {len(corpus.pieces)} used.")
    for reason, count in refused.most_common():
        say(f"  {count} refused: {reason}")
    if refused:
        say(f"  (each by name in {run_folder / 'report.jsonl'})")
    reasons = {}
    for cost in material.costs:
        reasons[cost.reason] = reasons.get(cost.reason, 0) + 1
    notes = sum(cost.notes for cost in material.costs)
    lost = sum(cost.lost for cost in material.costs)
    common = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    say("Melody taken from " + "; ".join(f"{why} ({n})" for why, n in common) + ".")
    say(f"{notes:,} notes, {lost:,} lost to chords or the grid of sixteenths.")
    counts = {name: len(pieces) for name, pieces in material.names.items()}
    if material.held_out:
        say(
            f"{counts['train']} pieces to train, {counts['valid']} to stop on, "
            f"{counts['test']} to test."
        )
    else:
        say(
            "Too few tunes to hold any back: the figures below are of the training "
            "music itself."
        )


def print_folder(path, facts):
    """What `etude inspect FOLDER` found; facts as `inspect.corpus_facts` gives them."""
    print(f"{path}: {facts['files']} files")
    print(f"  used      {facts['used']:>7,}")
    if facts["repaired"]:
        print(f"  repaired  {facts['repaired']:>7,}")
    print(f"  refused   {facts['refused']:>7,}")
    for reason, count in facts["reasons"].items():
        print(f"    {reason:<20} {count:>5,}")
    metres = ", ".join(f"{m} ({n})" for m, n in list(facts["metres"].items())[:8])
    print(f"  {facts['notes']:,} notes, {facts['seconds'] / 60:,.0f} minutes")
    print(f"  metres: {metres}")
    melody = facts["melody"]
    print(
        f"  as melodies: {melody['pieces']:,} pieces, {melody['tokens']:,} tokens, "
        f"{melody['notes_lost']:,} notes lost to chords or the grid, "
        f"onsets off by {melody['mean_onset_error_ms']:.2f} ms on average"
    )
    print(f"  each file by name: {facts['report']}")


def print_score(path, facts):
    """What `etude inspect FILE` found; facts as `inspect.score_facts` gives them."""
    print(f"{path}: {facts['notes']:,} notes, {facts['seconds']:.1f} s")
    print(
        f"  {facts['bars']} bars of {facts['metre']}, {facts['qpm']:g} quarters a "
        "minute, "
        + (
            f"probably {facts['key']}, {facts['lowest']} to {facts['highest']}"
            if facts["lowest"]
            else "drums alone"
        )
    )
    for number, track in enumerate(facts["tracks"]):
        voice = "drums" if track["is_drum"] else f"program {track['program']}"
        name = f" {track['name']!r}" if track["name"] else ""
        print(f"  track {number}{name}: {voice}, {track['notes']:,} notes")
    melody = facts["melody"]
    if "refused" in melody:
        print(f"  as a melody: refused, {melody['refused']}")
    else:
        print(
            f"  as a melody: track {melody['track']} ({melody['because']}), "
            f"{melody['tokens']:,} tokens, {melody['notes_lost']} of "
            f"{melody['notes']:,} notes lost to chords or the grid, onsets off by "
            f"{melody['onset_error_ms']:.1f} ms on average"
        )
