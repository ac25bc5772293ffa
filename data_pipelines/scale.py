"""The same preparation as an Apache Beam pipeline, for folders that one machine is too
small for.

The stages are those of `prepare`, and so are the bytes that they write: a worker encodes
a chunk of files, or writes a shard; the machine that starts the pipeline plans in
between, from some thirty bytes a piece. Folder and dataset must be paths that every
worker can reach: a shared disk. docs/scale.md says how to start it on a cluster.
"""

import json
from pathlib import Path

from data_pipelines.files import write_whole
from data_pipelines.plan import ShardPlan, plan_shards, shard_name
from data_pipelines.prepare import (
    ChunkReader,
    publish,
    start_afresh,
    work_folder,
    write_shard,
)
from data_pipelines.spool import chunks_of, write_chunk

PLAN = "shards.npz"
RUNNERS = ("DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner")


def prepare_on(runner, root, output, settings, *, options=()):
    """As `prepare.prepare`, by a Beam runner.

    Args:
        runner: str, one of `RUNNERS`.
        root, output: str or Path, on a disk that all workers share.
        settings: `prepare.Settings`.
        options: sequence of str, as Beam takes them: ``--flink_master=host:8081``.

    Returns:
        `shards.Dataset`, its bytes those that `prepare.prepare` writes.

    Raises:
        ValueError: if the runner is not known, or Beam is not installed; and as
            `prepare.prepare`.
    """
    if runner not in RUNNERS:
        raise ValueError(
            f"`runner` must be one of {', '.join(RUNNERS)}. Received: {runner!r}"
        )
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise ValueError(
            f"{runner} needs Apache Beam: install requirements-scale.txt into an "
            "environment of its own (docs/scale.md)."
        ) from None
    arguments = PipelineOptions([f"--runner={runner}", *options])
    # Workers have other working directories than we do.
    root, output = Path(root).resolve(), Path(output).resolve()
    with work_folder(output, settings) as work:
        chunks = list(chunks_of(root))
        with beam.Pipeline(options=arguments) as pipeline:
            _ = (
                pipeline
                | "chunks" >> beam.Create(chunks)
                | "spread chunks" >> beam.Reshuffle()
                | "encode"
                >> beam.ParDo(_encoding(beam)(str(root), str(work), settings))
            )
        start_afresh(work)
        names = [chunk.file_name for chunk in chunks]
        plan = plan_shards(work, names, settings)
        plan.save(work / PLAN)
        with beam.Pipeline(options=arguments) as pipeline:
            _ = (
                pipeline
                | "shards" >> beam.Create(plan.shards())
                | "spread shards" >> beam.Reshuffle()
                | "write" >> beam.Map(_write, str(work), names, settings)
            )
        files = {}
        for split, number in plan.shards():
            files |= json.loads(_receipt(work, split, number).read_text())
        return publish(work, names, plan, files, output, settings)


def _encoding(beam):
    class EncodeChunk(beam.DoFn):
        """Reads the files of a chunk and leaves their tokens in the work folder."""

        def __init__(self, root, work, settings):
            self.root, self.work, self.settings = root, work, settings

        def setup(self):
            self.reader = ChunkReader(self.root, self.settings)

        def process(self, chunk):
            if not Path(self.work, chunk.file_name).exists():
                write_chunk(self.work, chunk, self.reader.read(chunk))
            yield chunk.number

        def teardown(self):
            self.reader.__exit__()

    return EncodeChunk


def _write(shard, work, names, settings):
    split, number = shard
    plan = ShardPlan.load(Path(work, PLAN))
    written = write_shard(Path(work), names, plan, split, number, settings)
    write_whole(_receipt(work, split, number), json.dumps(written).encode())


def _receipt(work, split, number):
    return Path(work, f"written-{shard_name(split, number)}.json")
