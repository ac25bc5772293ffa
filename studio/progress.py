"""Long work, shown: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import contextmanager

PLAIN_EVERY = 20.0  # seconds between plain lines


@contextmanager
def progress_bar(what, *, quiet=False):
    """Gives a function of (done, total) that shows how far the work is."""
    if quiet or not sys.stdout.isatty():
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TimeRemainingColumn,
    )

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class TrainingDisplay:
    """What a training run shows: a bar, the loss, held-out beside its floors.

    Args:
        floors: `studio.floors.Floors`.
        plan: `audio_models.training.Plan`.
        quiet: bool, show nothing.
    """

    def __init__(self, floors, plan, *, quiet=False):
        self.floors = floors
        self.plan = plan
        self.quiet = quiet
        self.is_live = not quiet and sys.stdout.isatty()
        self.bar = None
        self.last_line = time.monotonic()

    def __enter__(self):
        if self.is_live:
            from rich.progress import BarColumn, Progress, TextColumn

            self.bar = Progress(
                TextColumn("Training"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[told]}"),
            )
            self.bar.start()
            self.task = self.bar.add_task("train", total=1.0, told="first steps ...")
        return self

    def __exit__(self, *_):
        if self.bar:
            self.bar.stop()

    def watch(self, progress, event):
        """Show a `Progress`; called after each step and each look at held-out music."""
        if self.quiet or event in ("best", "done"):
            return
        told = self._told(progress)
        if event == "checked":
            row = progress.history[-1]
            mark = "best so far" if row["held_out"] == progress.best else "no better"
            line = (
                f"step {row['step']:>6}, epoch {row['epoch'] + 1}: held-out "
                f"{row['held_out']:.3f} nats per {self.floors.unit} ({mark}); n-gram "
                f"{self.floors.ngram:.3f}, copy {self.floors.copy:.3f}, unigram "
                f"{self.floors.unigram:.3f}"
            )
            (self.bar.console.print if self.bar else print)(line)
        elif self.bar:
            self.bar.update(self.task, completed=progress.share_done, told=told)
        elif time.monotonic() - self.last_line > PLAIN_EVERY or progress.step == 1:
            self.last_line = time.monotonic()
            print(f"{100 * progress.share_done:3.0f}%  {told}", flush=True)

    def _told(self, progress):
        left = progress.seconds_left
        clock = f"{int(left // 60)}:{int(left % 60):02d} left" if left < 1e6 else ""
        return (
            f"loss {progress.loss:.3f} nats a token  "
            f"{progress.tokens_per_second:,.0f} tokens/s  "
            f"{clock}"
        )
