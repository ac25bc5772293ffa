"""Which hosts a training run has, as the environment names them."""

import json
import os

JAX_HOSTS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


def hosts_named():
    """How many hosts the environment names for this run, and which one this is.

    ``TF_CONFIG`` is read on TensorFlow, ``KERAS_DISTRIBUTION_JOB_ADDRESSES``,
    ``..._NUM_PROCESSES`` and ``..._PROCESS_ID`` on JAX.

    Returns:
        (hosts, host).

    Raises:
        ValueError: if what stands there is none, or meant for the other backend.
    """
    import keras

    backend = keras.backend.backend()
    cluster = _tf_config()
    workers, host = _workers(cluster) if cluster else ([], 0)
    if len(workers) > 1 and backend != "tensorflow":
        raise ValueError(
            f"TF_CONFIG names {len(workers)} hosts, but the backend is {backend}: "
            f"{JAX_HOSTS} names those of JAX."
        )
    if os.environ.get(JAX_HOSTS) and backend != "jax":
        raise ValueError(
            f"{JAX_HOSTS} is set, but the backend is {backend}: it names the hosts of "
            "KERAS_BACKEND=jax; TF_CONFIG names those of TensorFlow."
        )
    if backend == "jax" and os.environ.get(JAX_HOSTS):
        addresses = os.environ[JAX_HOSTS].split(",")
        hosts = _number("KERAS_DISTRIBUTION_NUM_PROCESSES", str(len(addresses)))
        host = _number("KERAS_DISTRIBUTION_PROCESS_ID", "")
        if not 0 <= host < hosts or len(addresses) not in (1, hosts):
            raise ValueError(
                f"{JAX_HOSTS} names {len(addresses)} hosts, of {hosts}, and this one "
                f"is number {host}: the first address alone, or all of them, and a "
                f"number in 0..{hosts - 1}."
            )
        return hosts, host
    return max(1, len(workers)), host


def _number(name, default):
    text = os.environ.get(name, default)
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number. Received: {text!r}")
    return int(text)


def _tf_config():
    text = os.environ.get("TF_CONFIG")
    if not text:
        return None
    try:
        cluster = json.loads(text)
        return cluster if cluster.get("cluster") else None
    except (ValueError, AttributeError):
        raise ValueError(f"TF_CONFIG is no JSON object. Received: {text!r}") from None


def _workers(cluster):
    # The chief is called "chief", or is the first of the workers.
    try:
        jobs, task = cluster["cluster"], cluster["task"]
        chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
        number = int(task["index"])
        own = jobs[task["type"]][number]
        addresses = [*chiefs, *workers]
        return addresses, addresses.index(own)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise ValueError(
            'TF_CONFIG must be like {"cluster": {"worker": ["a:2222", "b:2222"]}, '
            f'"task": {{"type": "worker", "index": 0}}}}. Received: {cluster}'
        ) from None
