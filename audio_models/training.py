"""The training run: schedule, clipping, early stop, checkpoints, exact resume."""

import math
import time
from dataclasses import asdict, dataclass, field

import numpy as np
from keras import ops

from audio_models.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    load_checkpoint,
    remove_leftovers,
    save_checkpoint,
)
from audio_models.objective import DenseAdamW, NextTokenLoss
from audio_models.parallel import HostLost, OneDevice

WARM_UP = 0.03  # share of the run in which the learning rate climbs
CHECKS = 12  # a run bounded in minutes looks at the held-out pieces this often, or more
BETA_2 = 0.98


@dataclass(frozen=True)
class Plan:
    """How a run goes. It ends at `minutes` or `epochs`, whichever comes first.

    ``learning_rate`` is the peak: it climbs over the first 3% of the run, then falls
    along a cosine to a tenth. ``patience`` counts looks at the held-out pieces without
    a new best. ``accumulate`` batches make one step of the optimizer. ``precision`` is
    that of the products; weights and loss stay float32. ``checkpoint_minutes`` lie
    between checkpoints, beside those at each look.
    """

    minutes: float | None = None
    epochs: int = 40
    batch_size: int = 32
    window: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    label_smoothing: float = 0.0
    accumulate: int = 1
    precision: str = "float32"
    max_shift: int = 6
    patience: int = 4
    checkpoint_minutes: float = 2.0
    seed: int = 0


@dataclass
class Progress:
    """What a run has to tell at any moment. Losses are nats a token, in training."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # how many batches of this epoch have been learnt from
    loss: float = math.nan
    tokens_per_second: float = 0.0
    share_done: float = 0.0
    seconds_left: float = math.inf
    best: float = math.inf  # held-out nats a note
    history: list = field(default_factory=list)


class NotFinite(ArithmeticError):
    """The loss is no longer a number. ``epoch`` and ``batch`` say where."""

    def __init__(self, message, epoch=0, batch=0):
        super().__init__(message)
        self.epoch, self.batch = epoch, batch


def compiled(network, plan):
    """Compile a network for a plan; gives its optimizer, ready to take a state over."""
    optimizer = DenseAdamW(
        plan.learning_rate,
        weight_decay=plan.weight_decay,
        global_clipnorm=plan.clip_norm,
        beta_2=BETA_2,
        gradient_accumulation_steps=plan.accumulate if plan.accumulate > 1 else None,
    )
    network.compile(
        optimizer,
        NextTokenLoss(plan.label_smoothing),
        jit_compile=True,  # one program a shape: 2-3 times the speed on two cores
    )
    optimizer.build(network.trainable_variables)
    return optimizer


def train(
    network,
    plan,
    train_epoch,
    steps_per_epoch,
    evaluate,
    *,
    watch=None,
    checkpoint=None,
    resume=False,
    devices=None,
):
    """Teach a network what comes next, and leave it with its best weights.

    Args:
        network: `network.Network`.
        plan: `Plan`.
        train_epoch: function of (an epoch's number, how many of its batches to skip),
            giving its batches (x, y, mask), always the same ones.
        steps_per_epoch: int.
        evaluate: function of the network, giving held-out nats a note.
        watch: function of (`Progress`, event), event being "step", "best", "checked",
            "saved" or "done"; on "best" the network holds weights worth keeping.
        checkpoint: Path where the state is kept, or None.
        resume: bool. Go on from the checkpoint, exactly: on a CPU the weights are those
            of a run that was never interrupted, if it is bounded in epochs; one bounded
            in minutes follows the clock.
        devices: as `parallel.open_devices` gives them; by default one. With several
            hosts each has to call this; the chief's clock and held-out figures count,
            and it alone writes the checkpoint, which all have to be able to read.

    Returns:
        `Progress` at the end; ``history`` has a row for each look at held-out pieces.

    Raises:
        NotFinite: if the loss becomes NaN or infinite.
        BadCheckpoint: if there is none to resume from, or of another plan.
        ValueError: if the devices cannot share out the plan's batches.
        HostLost: if another host no longer answers.
        KeyboardInterrupt: as it came, after a last checkpoint, with the best weights
            put back first.
    """
    devices = devices or OneDevice()
    devices.check(network, plan.batch_size)
    optimizer = compiled(network, plan)
    told = watch or (lambda *_: None)
    run = _Run(network, plan, steps_per_epoch, evaluate, told, checkpoint, devices)
    if resume:
        run.take_over(load_checkpoint(checkpoint))
    progress = run.progress
    try:
        with devices.together():
            while progress.epoch < plan.epochs and not run.is_over:
                if progress.batch == 0:
                    network.reset()
                for batch in train_epoch(progress.epoch, progress.batch):
                    rate = _rate(plan, run.share_done())
                    devices.assign(optimizer.learning_rate, rate)
                    run.learn(batch)
                    if run.is_out_of_time():
                        break
                    if run.is_check_due():
                        run.check()
                    elif run.is_checkpoint_due():
                        run.save()
                if run.is_out_of_time() or not run.just_checked():
                    run.check(is_epoch_over=True)
                else:
                    run.end_epoch()
    except KeyboardInterrupt:
        run.save()
        raise
    except HostLost:
        if devices.is_whole_alone:
            run.save()
        else:
            run.best_weights = None  # they could not be put back without the others
        raise
    finally:
        run.put_back_best()
    run.tell("done")
    return progress


class _Run:
    def __init__(
        self, network, plan, steps_per_epoch, evaluate, watch, checkpoint, devices
    ):
        self.network, self.plan, self.evaluate, self.watch = (
            network, plan, evaluate, watch,
        )  # fmt: skip
        self.devices = devices
        self.checkpoint = checkpoint if devices.is_chief else None
        self.total_steps = plan.epochs * steps_per_epoch
        self.limit = plan.minutes * 60 if plan.minutes else math.inf
        self.progress = Progress()
        self.started = self.last_save = time.monotonic()
        self.before = 0.0  # seconds that earlier parts of the run took
        self.seconds = self.last_check = 0.0  # by the chief's clock
        self.checked_at_step = 0
        self.stale = 0
        self.is_over = False
        self.best_weights = None
        self.recent = []  # (seconds, tokens) of the last steps
        if self.checkpoint is not None:
            remove_leftovers(self.checkpoint)

    def look_at_the_clock(self):
        """What depends on time must come out alike on all hosts: one clock counts."""
        elapsed = self.before + time.monotonic() - self.started
        self.seconds = self.devices.agreed(elapsed)

    def share_done(self):
        by_steps = self.progress.step / max(1, self.total_steps)
        return min(1.0, max(by_steps, self.seconds / self.limit))

    def is_out_of_time(self):
        return self.seconds >= self.limit

    def is_check_due(self):
        return self.seconds - self.last_check >= self.limit / CHECKS

    def is_checkpoint_due(self):
        waited = time.monotonic() - self.last_save
        return self.checkpoint is not None and waited >= (
            60 * self.plan.checkpoint_minutes
        )

    def just_checked(self):
        if self.limit == math.inf or self.best_weights is None:
            return self.checked_at_step == self.progress.step
        return self.seconds - self.last_check < self.limit / (2 * CHECKS)

    def learn(self, batch):
        x, y, mask = batch
        began = time.monotonic()
        loss = self.devices.learn(self.network, x, y, mask)
        progress = self.progress
        if not math.isfinite(loss):
            raise NotFinite(
                f"The loss is {loss} at step {progress.step}. "
                "Lower the learning rate (--learning-rate).",
                progress.epoch,
                progress.batch,
            )
        progress.step += 1
        progress.batch += 1
        steady = min(0.98, 1 - 1 / progress.step)
        before = 0.0 if progress.step == 1 else progress.loss
        progress.loss = steady * before + (1 - steady) * loss
        tokens = float(np.sum(mask))
        self.recent = [*self.recent[-49:], (time.monotonic() - began, tokens)]
        seconds, read = map(sum, zip(*self.recent, strict=True))
        progress.tokens_per_second = read / max(seconds, 1e-9)
        self.look_at_the_clock()
        progress.share_done = self.share_done()
        done = max(progress.share_done, 1e-6)
        progress.seconds_left = self.seconds * (1 - done) / done
        self.tell("step")

    def check(self, *, is_epoch_over=False):
        """Look at the held-out pieces; keep the weights if they are the best."""
        progress = self.progress
        with self.devices.alone(self.network) as network:
            held_out = float(self.evaluate(network))
        held_out = self.devices.agreed(held_out)
        self.look_at_the_clock()
        self.last_check, self.checked_at_step = self.seconds, progress.step
        progress.history.append(
            {
                "epoch": progress.epoch,
                "step": progress.step,
                "seconds": round(self.seconds, 1),
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
        if is_epoch_over:
            self.end_epoch()
        else:
            self.save()

    def end_epoch(self):
        out_of_patience = self.stale >= self.plan.patience
        self.is_over = self.is_out_of_time() or out_of_patience
        if not self.is_out_of_time():
            self.progress.epoch += 1
            self.progress.batch = 0
        self.save()

    def put_back_best(self):
        if self.best_weights is not None:
            self.network.load_named_weights(self.best_weights)

    def tell(self, event):
        self.watch(self.progress, event)

    def save(self):
        """Leave a checkpoint, if the run keeps any."""
        self.last_save = time.monotonic()
        if self.checkpoint is None:
            return
        progress = {
            name: value
            for name, value in asdict(self.progress).items()
            if name in ("step", "epoch", "batch", "loss", "history")
        }
        facts = {
            "plan": asdict(self.plan),
            "total_steps": self.total_steps,
            "progress": progress,
            "best": None if self.best_weights is None else self.progress.best,
            "stale": self.stale,
            "is_over": self.is_over,
            "checked_at_step": self.checked_at_step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.checkpoint, Checkpoint(self._arrays(), facts))
        self.tell("saved")

    def _variables(self):
        """Name -> variable, of all that a step reads and changes."""
        network = self.network
        named = {f"weight/{n}": v for n, v in network.trained_variables().items()}
        for number, variable in enumerate(network.optimizer.variables):
            named[f"optimizer/{number:05d}"] = variable
        for number, variable in enumerate(network.other_variables()):
            named[f"other/{number}"] = variable
        return named

    def _arrays(self):
        arrays = {n: ops.convert_to_numpy(v) for n, v in self._variables().items()}
        best = self.best_weights or {}
        return arrays | {f"best/{name}": array for name, array in best.items()}

    def take_over(self, checkpoint):
        """Stand where `save` left a run.

        Raises:
            BadCheckpoint: if that was another run.
        """
        facts, arrays = checkpoint.facts, checkpoint.arrays
        _check_same_plan(facts["plan"], asdict(self.plan))
        if facts["total_steps"] != self.total_steps and self.limit == math.inf:
            raise BadCheckpoint(
                f"The checkpoint is of a run of {facts['total_steps']} steps, this one "
                f"has {self.total_steps}: the music has changed."
            )
        variables = self._variables()
        mine = {name for name in arrays if not name.startswith("best/")}
        if mine != set(variables):
            raise BadCheckpoint("The checkpoint is of another model.")
        for name, variable in variables.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise BadCheckpoint(
                    f"The checkpoint is of another model: {name} has shape "
                    f"{arrays[name].shape}, here {tuple(variable.shape)}."
                )
            variable.assign(arrays[name])
        for name, value in facts["progress"].items():
            setattr(self.progress, name, value)
        self.stale, self.is_over = facts["stale"], facts["is_over"]
        self.checked_at_step = facts["checked_at_step"]
        self.before = self.seconds = self.last_check = facts["seconds"]
        if facts["best"] is not None:
            self.progress.best = facts["best"]
            self.best_weights = {
                name.removeprefix("best/"): array
                for name, array in arrays.items()
                if name.startswith("best/")
            }


def _check_same_plan(theirs, ours):
    may_differ = {"minutes", "checkpoint_minutes"}
    for name, value in ours.items():
        if name not in may_differ and theirs.get(name) != value:
            raise BadCheckpoint(
                f"The checkpoint is of a run with {name}={theirs.get(name)!r}, "
                f"this one has {value!r}: start it without --resume."
            )


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
        logits = np.asarray(network.predict_on_batch(x), dtype="float32")
        top = logits.max(axis=-1, keepdims=True)
        total = np.log(np.exp(logits - top).sum(axis=-1)) + top[..., 0]
        chosen = np.take_along_axis(logits, np.asarray(y)[..., None], axis=-1)[..., 0]
        mask = np.asarray(mask)
        nats += float(((chosen - total) * mask).sum(dtype=np.float64))
        tokens += int(mask.sum())
    return nats, tokens
