"""P2: tokens a second in training, beside the same model in PyTorch.

Each contestant is a process of its own, told on its standard input when to train for a
while. They take turns in short blocks, so that what else the machine does falls on all
of them alike; what counts is the median ratio of neighbouring blocks. The peer runs
under the interpreter that ETUDE_PEER_PYTHON names, by default this one: PyTorch is
needed by this benchmark alone.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from importlib import import_module
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
VOCAB = 130
RATE, WEIGHT_DECAY, BETA_2, CLIP_NORM = 1e-3, 0.01, 0.98, 1.0
THREADS = 2
BATCHES = 4  # other ids each step, again and again: the loss falls
OURS = ("tensorflow", "jax")
PEERS = ("torch", "torch compiled")
WORK = {
    "lstm": {
        "called": "LSTM 2 x 256",
        "shape": (64, 128),  # B, T
        "sizes": {"embedding_dim": 128, "hidden_dim": 256, "num_layers": 2},
    },
    "transformer": {
        "called": "Transformer 4 x 256, 8 heads",
        "shape": (16, 256),
        "sizes": {
            "hidden_dim": 256,
            "num_layers": 4,
            "num_heads": 8,
            "context_length": 256,
        },
    },
}


class Unavailable(RuntimeError):
    """A contestant that cannot run here."""


def train_speed(blocks=6, seconds=8.0, work=WORK):
    """Train each model of `work` on TensorFlow, JAX and PyTorch in turn.

    All read the same ids: float32, two threads, AdamW, gradients clipped by their norm,
    the loss fetched every step. Ours is `Network`, compiled as for any training run. The
    peer has `nn.LSTM`, or attention by `scaled_dot_product_attention` with queries, keys
    and values from one product; its optimizer is the fused one; it runs as it stands and
    by `torch.compile`, and the faster of the two counts.

    Args:
        blocks: int, how often each has its turn.
        seconds: float, how long a turn lasts.
        work: dict of name -> sizes, like `WORK`.

    Returns:
        list of rows for the record, one for each model. ``ratio`` is ours on TensorFlow
        to the peer: higher is better.

    Raises:
        NothingUsable: if the peer's interpreter has no PyTorch.
    """
    from studio.errors import NothingUsable

    if not _imports(_peer_python(), "torch"):
        raise NothingUsable(
            f"The benchmark needs PyTorch, which {_peer_python()} does not have: pip "
            "install torch, or name an interpreter that has it in ETUDE_PEER_PYTHON."
        )
    return [_row(name, task, blocks, seconds) for name, task in work.items()]


def _row(name, task, blocks, seconds):
    from studio.bench import circumstances_here  # bench imports this module

    speeds, facts = _tournament(task | {"model": name}, blocks, seconds)
    median = {kind: statistics.median(column) for kind, column in speeds.items()}
    peer = max((kind for kind in speeds if kind in PEERS), key=median.get)
    return {
        "id": f"P2 training step, {task['called']}",
        "value": round(median["tensorflow"]),
        "unit": "tokens/s",
        "baseline": f"PyTorch {facts[peer]['version'].partition('+')[0]}",
        "baseline_value": round(median[peer]),
        "ratio": round(paired_ratio(speeds["tensorflow"], speeds[peer]), 3),
        "target": 1.0,
        "higher_is_better": True,
        "seed": SEED,
        "extra": {
            "batch": "{} x {} tokens, vocabulary {}".format(*task["shape"], VOCAB),
            "blocks": f"{blocks} of {seconds:g} s, {THREADS} threads",
            "peer": peer,
            "weights": {kind: fact["weights"] for kind, fact in facts.items()},
            "versions": {kind: fact["version"] for kind, fact in facts.items()},
            "tokens/s": {kind: round(speed) for kind, speed in median.items()},
            "ratio to the peer": {
                kind: round(paired_ratio(speeds[kind], speeds[peer]), 3)
                for kind in speeds
            },
        },
        **circumstances_here(),
    }


def paired_ratio(ours, theirs):
    """Median of the ratios of blocks run one after the other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _tournament(task, blocks, seconds):
    """(kind -> tokens a second of each block, kind -> facts), of those that can run."""
    contestants = {}
    try:
        for kind in (*OURS, *PEERS):
            try:
                contestants[kind] = Contestant(kind, task)
            except Unavailable:
                if kind in ("tensorflow", "torch"):
                    raise
        speeds = {kind: [] for kind in contestants}
        for _ in range(blocks):
            for kind, contestant in contestants.items():
                turn = contestant.train(seconds)
                speeds[kind].append(turn["tokens"] / turn["seconds"])
        return speeds, {kind: one.facts for kind, one in contestants.items()}
    finally:
        for contestant in contestants.values():
            contestant.close()


class Contestant:
    """A process that trains when told to.

    Args:
        kind: one of `OURS` or `PEERS`.
        task: dict, an entry of `WORK` with its name as ``model``.

    Raises:
        Unavailable: if it ended before it was ready.
    """

    def __init__(self, kind, task):
        self.kind = kind
        python = _peer_python() if kind in PEERS else sys.executable
        backend = {"KERAS_BACKEND": kind} if kind in OURS else {}
        # Threads that spin while they wait slow each other down ten times, the peer's
        # LSTM above all, as soon as the machine has anything else to do.
        threads = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
        self._process = subprocess.Popen(
            [python, "-m", "studio.bench_train", kind, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**threads, **os.environ, **backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.facts = self._answer()

    def train(self, seconds):
        """Train over whole steps for at least `seconds`; gives dict of tokens, seconds,
        cpu (processor seconds of all threads) and the last loss."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self):
        """End the process: it has nothing to keep."""
        self._process.kill()
        self._process.communicate()

    def _answer(self):
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        _, error = self._process.communicate()
        last = error.strip().rpartition("\n")[2]
        raise Unavailable(f"{self.kind} ended with {self._process.returncode}: {last}")


def contend(kind, task):
    """Be a contestant: prepare, answer, and train for as long as each line says."""
    if kind in OURS:
        step, facts = _keras_step(task)
    else:
        step, facts = _torch_step(task, is_compiled=kind == "torch compiled")
    batches = cycle(_batches(task))
    first = step(*next(batches))
    for _ in range(2):
        step(*next(batches))
    print(json.dumps({**facts, "loss": first}), flush=True)
    for line in sys.stdin:
        steps, began, worked = 0, time.perf_counter(), time.process_time()
        while (taken := time.perf_counter() - began) < float(line):
            loss = step(*next(batches))
            steps += 1
        tokens = steps * task["shape"][0] * task["shape"][1]
        worked = time.process_time() - worked
        answer = {"tokens": tokens, "seconds": taken, "cpu": worked, "loss": loss}
        print(json.dumps(answer), flush=True)


def _batches(task):
    import numpy as np

    rows, length = task["shape"]
    ids = np.random.default_rng(SEED).integers(0, VOCAB, (BATCHES, rows, length + 1))
    return [(part[:, :-1], part[:, 1:]) for part in ids.astype("int32")]


def _keras_step(task):
    import keras
    import numpy as np

    from audio_models import MODELS
    from audio_models.network import Network
    from audio_models.parallel import OneDevice
    from audio_models.training import Plan, compiled

    architecture = MODELS[task["model"]](VOCAB, **task["sizes"])
    network = Network(architecture, seed=SEED)
    plan = Plan(learning_rate=RATE, weight_decay=WEIGHT_DECAY, clip_norm=CLIP_NORM)
    compiled(network, plan)
    device, mask = OneDevice(), np.ones(task["shape"], "float32")
    version = import_module(keras.backend.backend()).__version__
    facts = {"version": version, "weights": network.count_params()}
    return lambda x, y: device.learn(network, x, y, mask), facts


def _torch_step(task, *, is_compiled):
    import torch
    from torch.nn import functional

    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    model = _torch_models()[task["model"]](**task["sizes"])
    optimizer = torch.optim.AdamW(
        model.parameters(),
        RATE,
        betas=(0.9, BETA_2),
        weight_decay=WEIGHT_DECAY,
        fused=True,
    )
    weights = list(model.parameters())
    loss_of = lambda x, y: functional.cross_entropy(  # noqa: E731
        model(x).flatten(0, 1), y.flatten()
    )
    if is_compiled:
        loss_of = torch.compile(loss_of)

    def step(x, y):
        loss = loss_of(torch.from_numpy(x).long(), torch.from_numpy(y).long())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP_NORM, foreach=True)
        optimizer.step()
        return loss.item()

    count = sum(weight.numel() for weight in weights)
    return step, {"version": torch.__version__, "weights": count}


def _torch_models():
    """The peers: what someone who knows PyTorch would write."""
    import torch
    from torch import nn
    from torch.nn import functional

    class LSTM(nn.Module):
        def __init__(self, embedding_dim, hidden_dim, num_layers):
            super().__init__()
            self.embedding = nn.Embedding(VOCAB, embedding_dim)
            self.lstm = nn.LSTM(embedding_dim, hidden_dim, num_layers, batch_first=True)
            self.head = nn.Linear(hidden_dim, VOCAB)

        def forward(self, ids):
            return self.head(self.lstm(self.embedding(ids))[0])

    class Block(nn.Module):
        def __init__(self, width, num_heads):
            super().__init__()
            self.num_heads = num_heads
            self.norm, self.mlp_norm = nn.RMSNorm(width), nn.RMSNorm(width)
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.out = nn.Linear(width, width, bias=False)
            self.wide, self.narrow = (
                nn.Linear(width, 4 * width),
                nn.Linear(4 * width, width),
            )

        def forward(self, x, cos, sin):
            rows, length, width = x.shape
            qkv = self.qkv(self.norm(x)).view(rows, length, 3, self.num_heads, -1)
            first, second = qkv[:, :, :2].chunk(2, dim=-1)  # q and k turn together
            turned = torch.cat(
                [first * cos - second * sin, first * sin + second * cos], dim=-1
            )
            q, k = turned.transpose(1, 3).unbind(2)
            v = qkv[:, :, 2].transpose(1, 2)
            heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(heads.transpose(1, 2).reshape(rows, length, width))
            wide = functional.gelu(self.wide(self.mlp_norm(x)), approximate="tanh")
            return x + self.narrow(wide)

    class Transformer(nn.Module):
        def __init__(self, hidden_dim, num_layers, num_heads, context_length):
            super().__init__()
            self.embedding = nn.Embedding(VOCAB, hidden_dim)
            nn.init.normal_(self.embedding.weight, std=0.05)
            self.bias = nn.Parameter(torch.zeros(VOCAB))
            self.blocks = nn.ModuleList(
                Block(hidden_dim, num_heads) for _ in range(num_layers)
            )
            self.norm = nn.RMSNorm(hidden_dim)
            pairs = hidden_dim // num_heads // 2
            speed = 10_000.0 ** (-torch.arange(pairs) / pairs)
            angle = torch.arange(context_length)[:, None, None, None] * speed
            self.register_buffer("cos", angle.cos())  # (T, 1, 1, pairs)
            self.register_buffer("sin", angle.sin())

        def forward(self, ids):
            x = self.embedding(ids)
            cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
            for block in self.blocks:
                x = block(x, cos, sin)
            return functional.linear(self.norm(x), self.embedding.weight, self.bias)

    return {"lstm": LSTM, "transformer": Transformer}


def _peer_python():
    return os.environ.get("ETUDE_PEER_PYTHON", sys.executable)


def _imports(python, module):
    command = [python, "-c", f"import {module}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    contend(sys.argv[1], json.loads(sys.argv[2]))
