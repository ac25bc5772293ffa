"""Several devices, several hosts: the same run as on one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
import training_job
import yaml
from conftest import ROOT, etude

from audio_models.hosts import JAX_HOSTS, hosts_named
from audio_models.network import Network
from audio_models.objective import DenseAdamW
from audio_models.parallel import OneDevice, check_divides, open_devices
from audio_models.recurrent import LSTM
from audio_models.training import Plan, train

JOB = str(ROOT / "tests" / "training_job.py")
with_jax = pytest.mark.skipif(
    find_spec("jax") is None, reason="jax is not installed: requirements-dev.txt has it"
)
TWO = {"worker": ["a:2222", "b:2222"]}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environments(backend, hosts):
    """What each host of a run on this machine finds in its environment."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(hosts)]
    for host in range(hosts):
        named = {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
        if hosts > 1 and backend == "tensorflow":
            task = {"type": "worker", "index": host}
            cluster = {"worker": addresses}
            named["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        elif hosts > 1:
            named[JAX_HOSTS] = ",".join(addresses)
            named["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(hosts)
            named["KERAS_DISTRIBUTION_PROCESS_ID"] = str(host)
        yield {**os.environ, **named}


def run_on(backend, hosts, devices, folder):
    """`training_job` on so many hosts with so many devices each; what the chief told."""
    path = folder / "told.json"
    running = [
        subprocess.Popen(
            [sys.executable, JOB, str(devices), str(path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments(backend, hosts)
    ]
    try:
        for process in running:
            said, _ = process.communicate(timeout=240)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def on_one():
    return training_job.run(OneDevice())


def assert_same_run(ours, theirs):
    assert len(ours["losses"]) == training_job.STEPS
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
    np.testing.assert_allclose(ours["held_out"], theirs["held_out"], rtol=1e-5)
    for name, weights in theirs["weights"].items():
        weights = np.array(weights)
        off = np.linalg.norm(np.array(ours["weights"][name]) - weights)
        assert off <= 1e-5 * np.linalg.norm(weights), name


@pytest.mark.slow
def test_two_devices_learn_what_one_does(on_one, tmp_path):
    assert_same_run(run_on("tensorflow", 1, 2, tmp_path), on_one)


@pytest.mark.slow
def test_two_hosts_of_two_devices_learn_what_one_device_does(on_one, tmp_path):
    assert_same_run(run_on("tensorflow", 2, 2, tmp_path), on_one)


@pytest.mark.slow
@with_jax
def test_two_hosts_of_two_devices_on_jax_learn_what_one_device_on_tensorflow_does(
    on_one, tmp_path
):
    assert_same_run(run_on("jax", 2, 2, tmp_path), on_one)


@pytest.mark.slow
def test_a_mean_of_the_devices_means_would_be_another_loss(on_one):
    x, y, mask = next(training_job.batches(0, 0))
    network = Network(LSTM(12, 8, 16, 1), seed=3)
    logits = np.asarray(network(x), dtype="float64")
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    nats = -np.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
    whole = (nats * mask).sum() / mask.sum()
    halves = [
        (nats[rows] * mask[rows]).sum() / mask[rows].sum()
        for rows in (slice(0, 2), slice(2, 4))
    ]
    assert on_one["losses"][0] == pytest.approx(whole, rel=1e-5)
    assert abs(np.mean(halves) / whole - 1) > 1e-3


def test_the_gradient_of_an_embedding_is_clipped_by_its_norm_however_it_is_held():
    import tensorflow as tf

    ended = []
    for is_sparse in (False, True):
        variable = tf.Variable(np.ones((3, 2), "float32"))
        optimizer = DenseAdamW(0.1, global_clipnorm=1.0)
        optimizer.build([variable])
        for size in (1.0, 0.01):  # Adam forgets a factor that stays the same
            rows = tf.constant([[3.0, 0.0], [4.0, 0.0], [0.0, 1.0]]) * size
            gradient = tf.IndexedSlices(rows, tf.constant([1, 1, 2]), (3, 2))
            dense = tf.constant([[0.0, 0.0], [7.0, 0.0], [0.0, 1.0]]) * size
            optimizer.apply([gradient if is_sparse else dense], [variable])
        ended.append(variable.numpy())
    np.testing.assert_allclose(ended[0], ended[1], rtol=1e-6)


def test_a_batch_that_does_not_split_is_refused():
    check_divides(4, 8)
    message = r"`batch_size` must be a multiple of the 3 devices\. Received: 8"
    with pytest.raises(ValueError, match=message):
        check_divides(3, 8)

    class Three(OneDevice):
        devices = 3

    network = Network(LSTM(12, 8, 16, 1))
    with pytest.raises(ValueError, match=message):
        train(network, Plan(batch_size=8), None, 1, None, devices=Three())
    network.carry(9)
    with pytest.raises(ValueError, match="A state that is carried is not split"):
        train(network, Plan(batch_size=9), None, 1, None, devices=Three())


@pytest.mark.parametrize("count", [0, -1, 65, 2.0, "2", True])
def test_a_number_of_devices_that_cannot_be_is_refused(count):
    with pytest.raises(ValueError, match=r"`devices` must be an integer in 1\.\.64"):
        open_devices(count)


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b"])
    with pytest.raises(ValueError, match=r"in 1\.\.2, the GPUs of this machine.*: 3"):
        open_devices(3)


def test_one_device_on_one_host_is_the_usual_run(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert type(open_devices(1)) is OneDevice
    one = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(one))
    assert type(open_devices(1)) is OneDevice


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        (TWO, ("worker", 0), (2, 0)),
        (TWO, ("worker", 1), (2, 1)),
        ({"chief": ["c:1"], **TWO}, ("chief", 0), (3, 0)),
        ({"chief": ["c:1"], **TWO}, ("worker", 0), (3, 1)),
    ],
)
def test_the_chief_is_the_one_called_so_or_the_first_worker(
    cluster, task, expected, monkeypatch
):
    told = {"cluster": cluster, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(told))
    assert hosts_named() == expected


@pytest.mark.parametrize(
    "told",
    [
        "no JSON", "[1]", '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}',
    ],
)  # fmt: skip
def test_a_tf_config_that_is_none_is_refused(told, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(ValueError, match="TF_CONFIG"):
        hosts_named()


def test_hosts_named_for_the_other_backend_are_refused(monkeypatch):
    monkeypatch.setenv(JAX_HOSTS, "a:1,b:1")
    with pytest.raises(ValueError, match=r"the backend is tensorflow.*TF_CONFIG"):
        hosts_named()


@pytest.mark.slow
def test_the_command_refuses_what_cannot_be_shared_out_in_one_line(
    folder_of_tunes, tmp_path
):
    alone = {
        "TF_CONFIG": json.dumps(
            {"cluster": TWO, "task": {"type": "worker", "index": 0}}
        )
    }
    for options, environment, said in (
        (["--devices", 3], {}, "must be a multiple of the 3 devices. Received: 8"),
        (["--devices", 0], {}, "`devices` must be an integer in 1..64. Received: 0"),
        ([], alone, "etude prepare FOLDER -o DATASET first"),
    ):
        done = etude(
            "train", folder_of_tunes, "-o", tmp_path / "a.bundle", *options,
            environment=environment,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("etude: ")
        assert said in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_host_that_loses_the_other_says_so_and_one_device_goes_on(
    folder_of_tunes, tmp_path
):
    prepared = tmp_path / "tunes.dataset"
    assert etude("prepare", folder_of_tunes, "-o", prepared).returncode == 0
    output = tmp_path / "a.bundle"
    command = [
        sys.executable, "-m", "studio.cli", "train", str(prepared), "-o", str(output),
        "--size", "tiny", "--window", "64",
    ]  # fmt: skip
    running = [
        subprocess.Popen(
            [*command, "--epochs", "100000", "--patience", "100000"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for environment in environments("tensorflow", 2)
    ]
    chief, other = running
    run = tmp_path / "a.bundle.run"
    try:
        until = time.monotonic() + 240
        while not (run / "checkpoint").exists():  # the first epoch is over
            assert time.monotonic() < until and chief.poll() is None
            time.sleep(0.2)
        other.send_signal(signal.SIGKILL)
        _, said = chief.communicate(timeout=120)
    finally:
        for process in running:
            process.kill()
    assert chief.returncode == 4, said
    last = said.splitlines()[-1]
    assert last.startswith(
        "etude: Another of the 2 hosts of this run no longer answers"
    )
    assert last.rstrip(".").endswith(f"--resume -o {output}")
    done = etude("train", prepared, "-o", output, "--resume", "--minutes", 0.05)
    assert done.returncode == 0, done.stderr
    assert (output / "card.md").exists()


def snippets(language):
    text = (ROOT / "docs" / "clusters.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_what_the_page_says_parses():
    shell, (python,) = snippets("sh"), snippets("python")
    assert len(shell) == 4
    for snippet in shell:
        done = subprocess.run(["bash", "-n"], input=snippet, text=True, check=False)
        assert done.returncode == 0, snippet
    compile(python, "clusters.md", "exec")
    service, job = yaml.safe_load_all(snippets("yaml")[0])
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    named = {one["name"]: one["value"] for one in container["env"]}
    assert int(named["KERAS_DISTRIBUTION_NUM_PROCESSES"]) == job["spec"]["completions"]
    name, subdomain = named[JAX_HOSTS].split(":")[0].split(".")
    assert (name, subdomain) == (
        f"{job['metadata']['name']}-0",
        service["metadata"]["name"],
    )


@pytest.mark.parametrize("host", [0, 1])
def test_the_pages_slurm_lines_name_the_hosts(host, monkeypatch):
    *_, jax, tensorflow = snippets("sh")
    stubs = """
    export SLURM_PROCID=HOST SLURM_NTASKS=2 SLURM_JOB_NODELIST=n[1-2]
    scontrol() { printf 'n1\\nn2\\n'; }
    srun() { "${@:2}"; }
    etude() { env; }
    export -f etude
    """.replace("HOST", str(host))
    for snippet, backend in ((jax, "jax"), (tensorflow, "tensorflow")):
        monkeypatch.setattr("keras.backend.backend", lambda backend=backend: backend)
        for name in ("TF_CONFIG", JAX_HOSTS):
            monkeypatch.delenv(name, raising=False)
        told = subprocess.run(
            ["bash", "-c", stubs + snippet], capture_output=True, text=True, check=True
        ).stdout
        told = re.sub(r"\n +", " ", told)
        for line in told.splitlines():
            name, _, value = line.partition("=")
            if name == "TF_CONFIG" or name.startswith("KERAS_DISTRIBUTION"):
                monkeypatch.setenv(name, value)
        assert hosts_named() == (2, host)
