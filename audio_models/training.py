"""The training run: schedule, clipping, early stop, progress, the best weights kept."""

import math
import time
from dataclasses import dataclass, field

import keras
import numpy as np

WARM_UP = 0.03  # share of the run in which the learning rate climbs
CHECKS = 12  # a run bounded in minutes looks at the held-out pieces this often, or more


@dataclass(frozen=True)
class Plan:
    """How a run goes. It ends at `minutes` or `epochs`, whichever comes first.

    ``learning_rate`` is the peak: it climbs over the first 3% of the run, then falls
    along a cosine to a tenth. ``patience`` counts looks at the held-out pieces without
    a new best.
    """

    minutes: float | None = None
    epochs: int = 40
    batch_size: int = 32
    window: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    max_shift: int = 6
    patience: int = 4
    seed: int = 0


@dataclass
class Progress:
    """What a run has to tell at any moment. Losses are nats a token, in training."""

    step: int = 0
    epoch: int = 0
    loss: float = math.nan
    tokens_per_second: float = 0.0
    share_done: float = 0.0
    seconds_left: float = math.inf
    best: float = math.inf  # held-out nats a note
    history: list = field(default_factory=list)


class NotFinite(ArithmeticError):
    """The loss is no longer a number."""


def train(network, plan, train_epoch, steps_per_epoch, evaluate, *, watch=None):
    """Teach a network what comes next, and leave it with its best weights.

    Args:
        network: `network.Network`.
        plan: `Plan`.
        train_epoch: function of an epoch's number, giving its batches (x, y, mask).
        steps_per_epoch: int.
        evaluate: function of the network, giving held-out nats a note.
        watch: function of (`Progress`, event), event being "step", "best", "checked"
            or "done"; on "best" the network holds weights worth keeping.

    Returns:
        `Progress` at the end; ``history`` has a row for each look at held-out pieces.

    Raises:
        NotFinite: if the loss becomes NaN or infinite.
        KeyboardInterrupt: as it came, with the best weights put back first.
    """
    optimizer = compiled(network, plan)
    run = _Run(network, plan, steps_per_epoch, evaluate, watch or (lambda *_: None))
    try:
        for epoch in range(plan.epochs):
            run.progress.epoch = epoch
            for batch in train_epoch(epoch):
                optimizer.learning_rate.assign(_rate(plan, run.share_done()))
                run.learn(batch)
                if run.is_out_of_time():
                    break
                if run.is_check_due():
                    run.check()
            if run.is_out_of_time() or not run.just_checked():
                run.check()
            if run.is_out_of_time() or run.stale >= plan.patience:
                break
    finally:
        run.put_back_best()
    run.tell("done")
    return run.progress


def compiled(network, plan):
    """Compile a network for a plan; gives its optimizer."""
    optimizer = keras.optimizers.AdamW(
        plan.learning_rate,
        weight_decay=plan.weight_decay,
        global_clipnorm=plan.clip_norm,
        beta_2=0.98,
    )
    network.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        jit_compile=True,  # one program a shape: 2-3 times the speed on two cores
    )
    return optimizer


class _Run:
    def __init__(self, network, plan, steps_per_epoch, evaluate, watch):
        self.network, self.plan, self.evaluate, self.watch = (
            network, plan, evaluate, watch,
        )  # fmt: skip
        self.total_steps = plan.epochs * steps_per_epoch
        self.limit = plan.minutes * 60 if plan.minutes else math.inf
        self.progress = Progress()
        self.started = self.last_check = time.monotonic()
        self.checked_at_step = 0
        self.stale = 0
        self.best_weights = None
        self.recent = []  # (seconds, tokens) of the last steps

    def elapsed(self):
        return time.monotonic() - self.started

    def share_done(self):
        by_steps = self.progress.step / max(1, self.total_steps)
        return min(1.0, max(by_steps, self.elapsed() / self.limit))

    def is_out_of_time(self):
        return self.elapsed() >= self.limit

    def is_check_due(self):
        return time.monotonic() - self.last_check >= self.limit / CHECKS

    def just_checked(self):
        if self.limit == math.inf or self.best_weights is None:
            return self.checked_at_step == self.progress.step
        return time.monotonic() - self.last_check < self.limit / (2 * CHECKS)

    def learn(self, batch):
        x, y, mask = batch
        began = time.monotonic()
        loss = float(self.network.train_on_batch(x, y, sample_weight=mask))
        if not math.isfinite(loss):
            raise NotFinite(
                f"The loss is {loss} at step {self.progress.step}. "
                "Lower the learning rate (--learning-rate)."
            )
        progress = self.progress
        progress.step += 1
        steady = min(0.98, 1 - 1 / progress.step)
        before = 0.0 if progress.step == 1 else progress.loss
        progress.loss = steady * before + (1 - steady) * loss
        tokens = float(np.sum(mask))
        self.recent = [*self.recent[-49:], (time.monotonic() - began, tokens)]
        seconds, read = map(sum, zip(*self.recent, strict=True))
        progress.tokens_per_second = read / max(seconds, 1e-9)
        progress.share_done = self.share_done()
        done = max(progress.share_done, 1e-6)
        progress.seconds_left = self.elapsed() * (1 - done) / done
        self.tell("step")

    def check(self):
        progress = self.progress
        held_out = float(self.evaluate(self.network))
        self.last_check, self.checked_at_step = time.monotonic(), progress.step
        progress.history.append(
            {
                "epoch": progress.epoch,
                "step": progress.step,
                "seconds": round(self.elapsed(), 1),
                "loss": progress.loss,
                "held_out": held_out,
            }
        )
        if held_out < progress.best:
            progress.best, self.stale = held_out, 0
            self.best_weights = self.network.named_weights()
            self.tell("best")
        else:
            self.stale += 1
        self.tell("checked")

    def put_back_best(self):
        if self.best_weights is not None:
            self.network.load_named_weights(self.best_weights)

    def tell(self, event):
        self.watch(self.progress, event)


def _rate(plan, share):
    if share < WARM_UP:
        return plan.learning_rate * (0.1 + 0.9 * share / WARM_UP)
    along = (share - WARM_UP) / (1 - WARM_UP)
    return plan.learning_rate * (0.55 + 0.45 * math.cos(math.pi * along))


def log_likelihood(network, batches):
    """The sum of log-probabilities that a network gives to real tokens.

    Args:
        network: `network.Network`.
        batches: iterable of (x, y, mask).

    Returns:
        (float, int): nats, and how many tokens they were spread over.
    """
    nats, tokens = 0.0, 0
    for x, y, mask in batches:
        logits = network.predict_on_batch(x)
        top = logits.max(axis=-1, keepdims=True)
        total = np.log(np.exp(logits - top).sum(axis=-1)) + top[..., 0]
        chosen = np.take_along_axis(logits, np.asarray(y)[..., None], axis=-1)[..., 0]
        mask = np.asarray(mask)
        nats += float(((chosen - total) * mask).sum(dtype=np.float64))
        tokens += int(mask.sum())
    return nats, tokens
