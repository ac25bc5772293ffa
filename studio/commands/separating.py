"""`etude separate`: the parts of a mixture, each in a file of its own."""

import json
import time

from studio import BEGAN
from studio.commands.telling import tell_files


def separate(*, file, folder, model, as_json):
    """`etude separate`."""
    from studio.separate import separate as separate_file

    paths, waveform, left_out, levels = separate_file(file, folder, model=model)
    channels = waveform.samples.shape[1]
    if as_json:
        facts = {
            "file": str(file),
            "seconds": round(waveform.seconds, 3),
            "sample_rate": waveform.sample_rate,
            "channels": channels,
            "left_out": list(left_out),
            "level_db": {name: round(level, 2) for name, level in levels.items()},
            "files": [str(path) for path in paths],
        }
        print(json.dumps(facts))
        return
    for sentence in left_out:
        print(f"{file}: {sentence}.")
    kind = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    print(
        f"Parted {file.name} ({waveform.seconds:.1f} s, {waveform.sample_rate} Hz, "
        f"{kind}) in {time.monotonic() - BEGAN:.1f} s; the parts sum to it."
    )
    for name, level in levels.items():
        print(f"  {name:14}{level:6.1f} dB of the mixture")
    tell_files(paths, None)
