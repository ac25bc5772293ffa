"""P4 and P5: new tokens a second, beside what is used elsewhere.

P4: a Transformer beside Hugging Face's GPT-2 of the same sizes, cached, in PyTorch. P5:
an LSTM beside the habit of the tutorials, `model.predict` once a token. Each contestant
is a process of its own, told on its standard input how much to write. They take turns,
so that what else the machine does falls on all of them alike; what counts is the median
ratio of neighbouring turns. PyTorch and transformers are needed by P4 alone: they are
looked for in the interpreter that ETUDE_PEER_PYTHON names, by default this one.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from studio.bench_train import Contestant, paired_ratio

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
THREADS = 2
NEW = 1024  # tokens
PROMPT = 1  # the id that every row begins with
PEERS = ("transformers", "transformers, static cache")
P4 = {
    "model": "transformer",
    "called": "Transformer 6 x 256, 8 heads",
    "sizes": {
        "vocab_size": 512,
        "hidden_dim": 256,
        "num_layers": 6,
        "num_heads": 8,
        "context_length": NEW,
    },
}
P5 = {
    "model": "lstm",
    "called": "LSTM 2 x 256",
    "sizes": {
        "vocab_size": 512,
        "embedding_dim": 128,
        "hidden_dim": 256,
        "num_layers": 2,
    },
}
WINDOW = 25  # tokens that `model.predict` is shown, as in TensorFlow's own tutorial
HABIT_TOKENS = 32  # a thousand would take minutes; each costs the same


def decode_speed(blocks=3, new=NEW, work=(P4, P5), batches=(1, 16)):
    """Write music with untrained models, ours and what stands beside them, in turn.

    All draw from the whole distribution, at temperature 1, never ending. Ours is
    `player.generate`: NumPy, with all a `Request` may ask and the log-probability of
    each token. The peer of P4 is `generate(do_sample=True, use_cache=True)` in
    `torch.inference_mode`, with two threads, its cache growing or static, and the
    faster of the two counts. The peer of P5 reads `WINDOW` tokens in each call and
    writes `HABIT_TOKENS` tokens a turn: speed is tokens over seconds for both.

    Args:
        blocks: int, how often each has its turn.
        new: int, tokens a row.
        work: the tasks, like `P4` and `P5`.
        batches: tuple of int, rows of P4.

    Returns:
        list of rows for the record. ``ratio`` is ours to the peer: higher is better.

    Raises:
        NothingUsable: if the peer's interpreter has no PyTorch or no transformers.
    """
    from studio.errors import NothingUsable

    rows = []
    for task in work:
        if task["model"] == "lstm":
            (turns,) = _turns(("numpy", "predict"), task, blocks, (1,), new)
            rows.append(_row("P5", task, "predict", 300.0, 1, turns))
            continue
        python = os.environ.get("ETUDE_PEER_PYTHON", sys.executable)
        if not _imports(python, "torch, transformers"):
            raise NothingUsable(
                f"The benchmark needs PyTorch and transformers, which {python} does not "
                "have: pip install torch transformers, or name an interpreter that has "
                "them in ETUDE_PEER_PYTHON."
            )
        tournament = _turns(("numpy", *PEERS), task, blocks, batches, new)
        for batch, turns in zip(batches, tournament, strict=True):
            median = {kind: statistics.median(turns[0][kind]) for kind in PEERS}
            peer = max(PEERS, key=median.get)
            rows.append(_row("P4", task, peer, 3.0, batch, turns))
    return rows


def _turns(kinds, task, blocks, batches, new):
    """For each batch: (kind -> tokens a second of each turn, kind -> facts, GB/s)."""
    contestants = {}
    try:
        for kind in kinds:
            contestants[kind] = Writer(kind, task)
        facts = {kind: one.facts for kind, one in contestants.items()}
        results = []
        for batch in batches:
            speeds, copied = {kind: [] for kind in kinds}, []
            for _ in range(blocks):
                copied.append(copy_bandwidth())
                for kind, one in contestants.items():
                    turn = one.write(batch, HABIT_TOKENS if kind == "predict" else new)
                    speeds[kind].append(turn["tokens"] / turn["seconds"])
            results.append((speeds, facts, statistics.median(copied)))
        return results
    finally:
        for contestant in contestants.values():
            contestant.close()


def _row(number, task, peer, target, batch, turns):
    from studio.bench import circumstances_here  # bench imports this module

    speeds, facts, copied = turns
    median = {kind: statistics.median(column) for kind, column in speeds.items()}
    steps = median["numpy"] / batch  # a second; each reads all weights once
    weight_bytes = 4 * facts["numpy"]["weights"]
    return {
        "id": f"{number} decode, {task['called']}, batch {batch}",
        "value": round(median["numpy"]),
        "unit": "tokens/s",
        "baseline": f"{facts[peer]['called']} {facts[peer]['version']}",
        "baseline_value": round(median[peer], 2),
        "ratio": round(paired_ratio(speeds["numpy"], speeds[peer]), 2),
        "target": target,
        "higher_is_better": True,
        "seed": SEED,
        "extra": {
            "blocks": len(speeds["numpy"]),
            "peer": peer,
            "weights": {kind: fact["weights"] for kind, fact in facts.items()},
            "tokens/s": {kind: round(speed, 2) for kind, speed in median.items()},
            "ratio of each turn": [
                round(a / b, 2)
                for a, b in zip(speeds["numpy"], speeds[peer], strict=True)
            ],
            "copy bandwidth, GB/s": round(copied, 2),
            "of the bandwidth limit": round(steps * weight_bytes / copied / 1e9, 3),
            "load before": round(os.getloadavg()[0], 2),
        },
        **circumstances_here(),
    }


def copy_bandwidth(megabytes=64, repeats=5):
    """GB a second that one thread copies, read bytes alone counted: the best of some."""
    import numpy as np

    source = np.ones(megabytes * 2**18, "float32")
    target = np.empty_like(source)
    best = np.inf
    for _ in range(repeats):
        began = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - began)
    return source.nbytes / best / 1e9


class Writer(Contestant):
    """A process that writes tokens when told to.

    Args:
        kind: "numpy", "predict" or one of `PEERS`.
        task: dict like `P4`.

    Raises:
        Unavailable: if it ended before it was ready.
    """

    def __init__(self, kind, task):
        self.kind = kind
        peer = os.environ.get("ETUDE_PEER_PYTHON", sys.executable)
        threads = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
        self._process = subprocess.Popen(
            [
                peer if kind in PEERS else sys.executable,
                *("-m", "studio.bench_decode", kind, json.dumps(task)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**threads, **os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.facts = self._answer()

    def write(self, batch, new):
        """Write `new` tokens in each of `batch` rows; gives dict of tokens, seconds."""
        self._process.stdin.write(json.dumps([batch, new]) + "\n")
        self._process.stdin.flush()
        return self._answer()


def contend(kind, task):
    """Be a contestant: prepare, answer, and write as much as each line says."""
    make = {"numpy": _ours, "predict": _habit}.get(kind, _hugging_face)
    write, facts = make(task, kind)
    write(2, 3)
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        batch, new = json.loads(line)
        began = time.perf_counter()
        shape = write(batch, new)
        taken = time.perf_counter() - began
        if tuple(shape) != (batch, new):
            raise RuntimeError(f"{kind} wrote {tuple(shape)}, not {(batch, new)}")
        print(json.dumps({"tokens": batch * new, "seconds": taken}), flush=True)


def _ours(task, kind):
    import numpy as np

    from audio_models import MODELS
    from audio_models.player import Player, generate
    from audio_models.request import Request

    architecture = MODELS[task["model"]](**task["sizes"])
    player = Player(architecture, drawn_weights(architecture))
    grammar = Anything(task["sizes"]["vocab_size"])
    count = sum(int(np.prod(w.shape)) for w in architecture.weights().values())

    def write(batch, new):
        return generate(
            player, Request([[PROMPT]] * batch, new, grammar, seed=SEED)
        ).ids.shape

    return write, {"called": "Etude", "version": np.__version__, "weights": count}


def drawn_weights(architecture):
    """Small random weights, norms at 1: name -> float32 array."""
    import numpy as np

    rng = np.random.default_rng(SEED)
    return {
        name: (
            np.ones(weight.shape, "float32")
            if weight.initial == "ones"
            else 0.05 * rng.standard_normal(weight.shape, "float32")
        )
        for name, weight in architecture.weights().items()
    }


class Anything:
    """A grammar in which every token may follow every other, and nothing ends."""

    start = 0

    def __init__(self, vocab_size):
        import numpy as np

        self.allowed = np.ones((1, vocab_size), dtype=bool)
        self.next_state = np.zeros((1, vocab_size), dtype=np.int32)

    def state_after(self, ids):
        return 0


def _habit(task, kind):
    import keras
    import numpy as np

    keras.utils.set_random_seed(SEED)
    sizes = task["sizes"]
    layers = [keras.layers.Embedding(sizes["vocab_size"], sizes["embedding_dim"])]
    for layer in range(sizes["num_layers"]):
        is_last = layer == sizes["num_layers"] - 1
        layers.append(
            keras.layers.LSTM(sizes["hidden_dim"], return_sequences=not is_last)
        )
    layers.append(keras.layers.Dense(sizes["vocab_size"], "softmax"))
    model = keras.Sequential([keras.Input((WINDOW,), dtype="int32"), *layers])
    rng = np.random.default_rng(SEED)

    def write(batch, new):
        ids = np.full((batch, WINDOW), PROMPT)
        for _ in range(new):
            chances = model.predict(ids[:, -WINDOW:], verbose=0).astype("float64")
            drawn = [rng.choice(len(p), p=p / p.sum()) for p in chances]
            ids = np.concatenate([ids, np.array(drawn)[:, None]], axis=1)
        return ids[:, WINDOW:].shape

    called = "model.predict for each token, Keras"
    facts = {"called": called, "version": keras.__version__}
    return write, facts | {"weights": model.count_params()}


def _hugging_face(task, kind):
    """GPT-2: beside a Llama of these sizes it was as fast or faster."""
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    transformers.logging.set_verbosity_error()
    sizes = task["sizes"]
    config = transformers.GPT2Config(
        vocab_size=sizes["vocab_size"],
        n_positions=sizes["context_length"] + 1,
        n_embd=sizes["hidden_dim"],
        n_layer=sizes["num_layers"],
        n_head=sizes["num_heads"],
        bos_token_id=PROMPT,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    cache = {}
    if kind != "transformers":  # compiling is for accelerators alone, it says itself
        cache = {"cache_implementation": "static", "disable_compile": True}

    def write(batch, new):
        prompt = torch.full((batch, 1), PROMPT)
        with torch.inference_mode():
            made = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=new,
                do_sample=True,
                top_k=0,
                top_p=1.0,
                use_cache=True,
                **cache,
            )
        return made[:, 1:].shape

    count = sum(weight.numel() for weight in model.parameters())
    called = f"transformers' generate, PyTorch {torch.__version__.partition('+')[0]},"
    facts = {"called": called, "version": transformers.__version__}
    return write, facts | {"weights": count}


def _imports(python, modules):
    command = [python, "-c", f"import {modules}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    contend(sys.argv[1], json.loads(sys.argv[2]))
