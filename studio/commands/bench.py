"""`etude bench`."""

import json

from studio.commands.telling import quiet_tensorflow
from studio.errors import WrongUsage


def bench(*, name, peer, as_json):
    """`etude bench`."""
    from studio.bench import BENCHMARKS, PEERS, run

    if name not in BENCHMARKS:
        raise WrongUsage(
            f"No benchmark is called {name!r}. Known: {', '.join(BENCHMARKS)}."
        )
    if peer is not None and peer != PEERS.get(name):
        known = f"only {PEERS[name]}" if name in PEERS else "none"
        raise WrongUsage(f"The benchmark {name} has no peer {peer!r}; it has {known}.")
    quiet_tensorflow()
    rows = run(name)
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['id']}: {row['value']:g}, {row['baseline']} "
            f"{row['baseline_value']:g}: ratio {row['ratio']:.2f}, "
            f"target {row['target']:g}"
        )
        if share := row.get("extra", {}).get("of the bandwidth limit"):
            print(f"    {share:.0%} of the memory-bandwidth limit")
