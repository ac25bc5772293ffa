"""Facts in sentences: what a person reads of a file, a folder, a corpus to train on."""

from studio.floors import UNITS


def print_dataset(say, dataset, report):
    """What was found to learn from. Args: say, a function of a line."""
    manifest = dataset.manifest
    found, cost, kin = manifest["found"], manifest["cost"], manifest["kin"]
    pieces = sum(split["pieces"] for split in dataset.counts.values())
    say(f"{found['files']:,} files or tunes: {pieces:,} pieces used.")
    if found["repaired"]:
        say(f"  {found['repaired']:,} used in part")
    for reason, count in found["reasons"].items():
        say(f"  {count:,} refused: {reason}")
    if found["reasons"] or found["repaired"]:
        say(f"  (each by name in {report})")
    if sources := list(manifest["music"]["melody_from"].items())[:3]:
        say("Melody taken from " + "; ".join(f"{w} ({n:,})" for w, n in sources) + ".")
    say(cost_line(dataset.tokenizer, cost))
    if kin["with_variants"]:
        is_ours = manifest["settings"]["split"] == "tune"
        say(
            f"{kin['with_variants']:,} tunes stand in several pieces "
            f"({kin['pieces_in_them']:,}); "
            + (
                "each tune is in one split."
                if is_ours
                else "the split is the files' own: etude inspect --leaks tells."
            )
        )
    counts = {name: split["pieces"] for name, split in dataset.counts.items()}
    if counts["valid"]:
        say(
            f"{counts['train']:,} pieces to train, {counts['valid']:,} to stop on, "
            f"{counts['test']:,} to test."
        )
    else:
        say(
            "Too few tunes to hold any back: the figures below are of the training "
            "music itself."
        )


def cost_line(tokenizer, cost):
    """What tokenizing lost, in one line; cost as `Cost.to_json` gives it."""
    unit = getattr(tokenizer, "cost_unit", UNITS[tokenizer.takes])
    line = (
        f"As {tokenizer.name} tokens: {cost['notes']:,} {unit}s, {cost['lost']:,} lost"
    )
    if tokenizer.takes == "score":
        line += f", onsets off by {cost['onset_error_ms']:.2f} ms on average"
        if cost["duration_error_ms"]:
            line += f", ends by {cost['duration_error_ms']:.2f} ms"
        if cost["velocity_error"]:
            line += f", velocities by {cost['velocity_error']:.2f} of 127"
    return line + "."


def print_folder(path, facts):
    """What `etude inspect FOLDER` found; facts as `inspect.folder_facts` gives them."""
    print(f"{path}: {facts['files']:,} files")
    print_found(facts)
    print(f"  {facts['pieces']:,} pieces, {facts['tokens']:,} tokens")
    if facts["metres"]:
        metres = ", ".join(f"{m} ({n})" for m, n in list(facts["metres"].items())[:8])
        print(f"  {facts['seconds'] / 60:,.0f} minutes; metres: {metres}")
    print(f"  {facts['cost_line']}")
    kin = facts["kin"]
    print(
        f"  {kin['tunes']:,} tunes; {kin['with_variants']:,} stand in several pieces "
        f"({kin['pieces_in_them']:,})"
    )
    print(f"  each file by name: {facts['report']}")


def print_found(found):
    """The table by reason of what was read."""
    print(f"  used      {found['used']:>7,}")
    if found["repaired"]:
        print(f"  repaired  {found['repaired']:>7,}")
    print(f"  refused   {found['refused']:>7,}")
    for reason, count in found["reasons"].items():
        print(f"    {reason:<20} {count:>5,}")


def print_leaks(leaks):
    """What `etude inspect --leaks` found; as `inspect.leaks` gives it."""
    print(
        f"  leaks: {leaks['with_variants']:,} tunes stand in several pieces, "
        f"{leaks['across']:,} of them in more than one split"
    )
    print(
        f"    (split by file at random, {100 * leaks['by_file']:.0f}% of test pieces "
        "would have kin in train)"
    )
    for tune in leaks["tunes"]:
        shown = ", ".join(tune["pieces"][:6])
        more = len(tune["pieces"]) - 6
        print(
            f"    {shown}"
            + (f" and {more} more" if more > 0 else "")
            + f"  [{', '.join(tune['splits'])}]"
        )


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
