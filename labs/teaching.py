"""Training a network of the kit from a lab: the same run as `etude train`, in one call."""

from data_pipelines.datasets import Feed
from data_pipelines.windows import Augmentation
from studio.floors import held_out_pieces, nats_per_note


def teach(network, dataset, *, epochs, watch=print, seed=0, max_shift=5, **plan):
    """Train on the train split; look at the valid split after each epoch.

    Args:
        network: `audio_models.network.Network`; left with its best weights.
        dataset: `shards.Dataset`, as `studio.gather.gather` gives it.
        epochs: int.
        watch: function of a line of text, or None.
        seed: int, of the order of the windows.
        max_shift: int, semitones by which a piece may be moved for training.
        plan: other fields of `audio_models.training.Plan`.

    Returns:
        list of dict, one an epoch: epoch, loss (nats a token, training) and held_out
        (nats a note).
    """
    from audio_models.training import Plan, train

    plan = Plan(epochs=epochs, max_shift=max_shift, seed=seed, patience=epochs, **plan)
    feed = Feed(
        dataset,
        batch_size=plan.batch_size,
        length=plan.window,
        seed=seed,
        augmentation=Augmentation(max_shift),
    )
    pieces = held_out_pieces(dataset, "valid")

    def look(network):
        return nats_per_note(network, pieces, dataset.tokenizer)

    def tell(progress, event):
        if event == "checked" and watch:
            row = progress.history[-1]
            watch(
                f"epoch {row['epoch'] + 1:3d}  training {row['loss']:.2f} nats a token"
                f"  held out {row['held_out']:.2f} nats a note"
            )

    return train(network, plan, feed.epoch, feed.steps(), look, watch=tell).history
