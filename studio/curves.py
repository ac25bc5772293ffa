"""The course of a training run, to look at: a picture, and TensorBoard's event file."""

import os
import time

INK, MODEL, FLOOR = "#222222", "#1f6f8b", "#b0653a"


def draw_loss_curve(path, history, floors):
    """Draw held-out nats per note beside the floors, over the steps of a run.

    Args:
        path: Path of the PNG to write.
        history: list of dict, the rows of `Progress.history`.
        floors: `studio.floors.Floors`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    held_out = [row["held_out"] for row in history]
    axes.plot(steps, held_out, "o-", color=MODEL, label="held out")
    best = min(range(len(history)), key=held_out.__getitem__)
    axes.annotate(
        f"{held_out[best]:.3f}",
        (steps[best], held_out[best]),
        textcoords="offset points",
        xytext=(4, -12),
        color=MODEL,
    )
    lines = {"n-gram": floors.ngram, "copy": floors.copy, "unigram": floors.unigram}
    for (name, value), style in zip(lines.items(), ("-", "--", ":"), strict=True):
        axes.axhline(value, color=FLOOR, linestyle=style, linewidth=1, label=name)
    axes.set_xlabel("step", color=INK)
    axes.set_ylabel("nats per note", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    beside = path.with_name(f".{path.name}.png")
    figure.savefig(beside)
    os.replace(beside, path)


class EventFile:
    """Scalars for TensorBoard, written without it: its event file is a TFRecord.

    Args:
        folder: Path; ``tensorboard --logdir FOLDER`` shows it.
    """

    def __init__(self, folder):
        import tensorflow as tf
        from tensorflow.core.util import event_pb2

        self.event = event_pb2.Event
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.etude.{os.getpid()}"
        self.writer = tf.io.TFRecordWriter(str(folder / name))
        first = self.event(wall_time=time.time(), file_version="brain.Event:2")
        self.writer.write(first.SerializeToString())

    def write(self, step, **scalars):
        """Add named numbers at a step."""
        event = self.event(wall_time=time.time(), step=step)
        for name, number in scalars.items():
            event.summary.value.add(tag=name, simple_value=number)
        self.writer.write(event.SerializeToString())

    def close(self):
        """No more will come."""
        self.writer.close()
