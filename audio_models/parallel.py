"""One training run on several devices and hosts: the batch is split, the result is not.

Every host reads the whole batch, as planned, and takes its rows; each device takes its
share of them. What a row adds to the loss is divided by the real tokens of the *whole*
batch, so that the sum over devices is the loss of one device, and the sum of their
gradients its gradient: a mean of means would not be, since rows have not the same number
of real tokens. Only then are gradients clipped and applied.

On TensorFlow this is a loop of its own. Keras's under `tf.distribute` clips each device's
gradient by its own norm before it adds them up, and `train_on_batch` would give every
device the whole batch. So the weights lie on the first device of a host, as they do
without any other; a step copies them to the rest, adds the gradients up there, and
between hosts by the all-reduce of `tf.distribute.MultiWorkerMirroredStrategy`, of which
nothing else is used. On JAX it is `keras.distribution.DataParallel`, where one program
sees the batch as a whole and a sum is a sum over all of it.
"""

import hashlib
import os
from contextlib import contextmanager

import numpy as np

from audio_models.hosts import JAX_HOSTS, hosts_named

MOST_DEVICES = 64
HEARTBEAT_SECONDS = 60  # JAX gives a host up that has been silent for so long
SHUTDOWN_SECONDS = 10
SIGNS_OF_LOSS = (
    "unavailable", "deadline", "abortederror", "cancellederror", "connection", "gloo",
    "nccl", "coordination service",
)  # fmt: skip


class HostLost(ConnectionError):
    """Another host of the run no longer answers: a step cannot be finished."""


class OneDevice:
    """The device that there always is; and what the other kinds have to offer.

    ``devices`` counts those of this host, ``hosts`` the hosts; ``host`` is this one's
    number, and host 0 the chief, who alone writes files.
    """

    devices = 1
    hosts = 1
    host = 0
    is_whole_alone = True  # whether weights can be used after another host was lost

    @property
    def is_chief(self):
        return self.host == 0

    @property
    def count(self):
        """How many devices a batch is split over, on all hosts."""
        return self.devices * self.hosts

    def check(self, network, batch_size):
        """Raise ValueError if this network or batch size cannot be split so."""
        if self.count > 1:
            check_divides(self.count, batch_size)
            if len(network.other_variables()) > 1:
                raise ValueError("A state that is carried is not split over devices.")

    def learn(self, network, x, y, mask):
        """One step of a compiled network on a whole batch; gives its loss, a float."""
        return float(network.train_on_batch(x, y, sample_weight=mask))

    def assign(self, variable, value):
        """Give a variable of no axes the same value on every device."""
        variable.assign(value)

    def together(self):
        """Within, what comes of another host's end is raised as `HostLost`."""
        return _others_present(self.hosts)

    @contextmanager
    def alone(self, network):
        """The network as this host runs it on its own, to be weighed; weights alike."""
        yield network

    def agreed(self, value):
        """The chief's value, a float, on every host. All have to ask."""
        return value

    def stay(self):
        """Wait till every host has come here."""
        self.agreed(0.0)

    def check_alike(self, told):
        """Raise ValueError if this host was told another text than the chief."""
        digest = hashlib.sha256(told.encode()).digest()
        number = float(int.from_bytes(digest[:6]))  # exact in a float
        if self.agreed(number) != number:
            raise ValueError(
                f"Host {self.host} was given other music or settings than the first: "
                "all have to be started on the same dataset, with the same options."
            )


def check_count(devices):
    """Raise ValueError if there can be no such number of devices."""
    if type(devices) is not int or not 1 <= devices <= MOST_DEVICES:
        raise ValueError(
            f"`devices` must be an integer in 1..{MOST_DEVICES}. Received: {devices!r}"
        )


def check_divides(count, batch_size):
    """Raise ValueError unless a batch splits into equal parts."""
    if batch_size % count:
        raise ValueError(
            f"`batch_size` must be a multiple of the {count} devices. "
            f"Received: {batch_size}"
        )


def open_devices(count=1):
    """Take hold of devices, before anything has been computed on any.

    Args:
        count: int, devices of this host. GPUs where there are any; on a machine without
            one, as many virtual devices on the CPU.

    Returns:
        `OneDevice`, or one of the same methods.

    Raises:
        ValueError: if there are not so many, or the environment names no good hosts.
        HostLost: if the other hosts do not come.
    """
    import keras

    check_count(count)
    backend = keras.backend.backend()
    hosts, host = hosts_named()
    if count == 1 and hosts == 1:
        return OneDevice()
    if backend == "tensorflow":
        return TensorFlowDevices(count, hosts, host)
    if backend == "jax":
        return JaxDevices(count, hosts, host)
    raise ValueError(f"`devices` must be 1 on the backend {backend}. Received: {count}")


def _check_there_are(count, gpus):
    if count > gpus:
        raise ValueError(
            f"`devices` must be in 1..{gpus}, the GPUs of this machine. "
            f"Received: {count}"
        )


class TensorFlowDevices(OneDevice):
    """Devices of one host, and other hosts as TF_CONFIG names them."""

    def __init__(self, devices, hosts, host):
        import tensorflow as tf

        self.devices, self.hosts, self.host = devices, hosts, host
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            _check_there_are(devices, len(gpus))
        elif devices > 1:
            (cpu,) = tf.config.list_physical_devices("CPU")
            virtual = [tf.config.LogicalDeviceConfiguration()] * devices
            tf.config.set_logical_device_configuration(cpu, virtual)
        kind = "GPU" if gpus else "CPU"
        self._names = [f"{kind}:{number}" for number in range(devices)]
        self._add_up = _between_hosts(kind) if hosts > 1 else None
        self._network = self._step = None

    def learn(self, network, x, y, mask):
        import tensorflow as tf

        if network is not self._network:
            self._network, self._step = network, self._compiled(network)
        batch = [tf.convert_to_tensor(part) for part in (x, y, mask)]
        with self.together():
            return float(self._step(*batch))

    def agreed(self, value):
        if self._add_up is None:
            return value
        import tensorflow as tf

        with self.together():
            mine = tf.constant(value if self.is_chief else 0.0, "float64")
            return float(self._add_up([mine])[0])

    def _compiled(self, network):
        import tensorflow as tf

        weights = network.trainable_variables
        others = network.non_trainable_variables

        @tf.function(jit_compile=True, autograph=False)
        def share(weights, others, x, y, mask, total):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                logits, others = network.stateless_call(
                    weights, others, x, training=True
                )
                nats = network.loss.call(y, logits)  # (B / devices, T)
                loss = tf.math.divide_no_nan(tf.reduce_sum(nats * mask), total)
            gradients = tape.gradient(loss, weights)
            return loss, [tf.convert_to_tensor(g) for g in gradients], others

        @tf.function(jit_compile=True, autograph=False)
        def apply(gradients):
            network.optimizer.apply(gradients, weights)

        @tf.function(autograph=False)
        def step(x, y, mask):
            total = tf.reduce_sum(mask)
            rows = x.shape[0] // self.count
            held = [tf.convert_to_tensor(v) for v in weights]
            dropout = [tf.convert_to_tensor(v) for v in others]
            shares = []
            for number, name in enumerate(self._names):
                place = self.host * self.devices + number
                own = slice(place * rows, (place + 1) * rows)
                # Each device draws its own dropout; the first one draws as one would.
                seeds = [tf.add(seed, [place, 0]) for seed in dropout]
                with tf.device(name):
                    shares.append(share(held, seeds, x[own], y[own], mask[own], total))
            with tf.device(self._names[0]):
                sums = [
                    tf.add_n(list(parts))
                    for parts in zip(
                        *([loss, *gradients] for loss, gradients, _ in shares),
                        strict=True,
                    )
                ]
            if self._add_up is not None:
                sums = self._add_up(sums)
            loss, *gradients = sums
            with tf.device(self._names[0]):
                apply(gradients)
            for variable, seed in zip(others, shares[0][2], strict=True):
                variable.assign(tf.subtract(seed, [self.host * self.devices, 0]))
            return loss

        return step


def _between_hosts(kind):
    """A function that adds lists of tensors up over all hosts."""
    import tensorflow as tf

    config = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    # Told so, the strategy takes one device a host, whose sum is already that of all.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        config.cluster_spec(),
        task_type=config.task_type,
        task_id=config.task_id,
        rpc_layer="grpc",
        num_accelerators={"GPU": int(kind == "GPU")},
    )
    with _others_present(2):
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)

    def all_reduce(tensors):
        context = tf.distribute.get_replica_context()
        placed = [tf.identity(tensor) for tensor in tensors]  # on the strategy's device
        return context.all_reduce(tf.distribute.ReduceOp.SUM, placed)

    @tf.function(autograph=False)
    def add_up(tensors):
        return strategy.run(all_reduce, args=(tensors,))

    return add_up


@contextmanager
def _others_present(hosts):
    try:
        yield
    except Exception as error:
        if hosts == 1 or not _is_of_network(error):
            raise
        raise HostLost(
            f"Another of the {hosts} hosts of this run no longer answers; start all of "
            "them again with --resume"
        ) from error


def _is_of_network(error):
    # TensorFlow has a class for each kind; JAX has one, or a plain one, for all.
    told = (f"{type(error).__name__}: {error}").lower()
    return any(sign in told for sign in SIGNS_OF_LOSS)


class JaxDevices(OneDevice):
    """Devices of one host, and other hosts, as one mesh of `keras.distribution`."""

    def __init__(self, devices, hosts, host):
        import jax
        import keras

        self.devices, self.hosts, self.host = devices, hosts, host
        self.is_whole_alone = hosts == 1  # a step that fails takes its arrays with it
        if devices > 1:  # no harm where there are GPUs
            jax.config.update("jax_num_cpu_devices", devices)
        if hosts > 1:
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
            # As keras.distribution.initialize does, but for how long it waits at the
            # end for a host that is gone.
            with _others_present(hosts):
                jax.distributed.initialize(
                    os.environ[JAX_HOSTS].split(",")[0],
                    hosts,
                    host,
                    heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                    shutdown_timeout_seconds=SHUTDOWN_SECONDS,
                )
        local = jax.local_devices()
        if local[0].platform != "cpu":
            _check_there_are(devices, len(local))
        chosen = [
            device
            for number in range(hosts)
            for device in jax.local_devices(process_index=number)[:devices]
        ]
        self._distribution = keras.distribution.DataParallel(
            devices=[f"{device.platform}:{device.id}" for device in chosen],
            auto_shard_dataset=False,
        )
        keras.distribution.set_distribution(self._distribution)
        self._twin = None

    def learn(self, network, x, y, mask):
        rows = len(x) // self.hosts
        own = slice(self.host * rows, (self.host + 1) * rows)
        x, y, mask = (np.asarray(part)[own] for part in (x, y, mask))
        with self.together():
            return float(network.train_on_batch(x, y, sample_weight=mask))

    def assign(self, variable, value):
        import jax

        # A plain assignment would ask all hosts whether they have the same value.
        value = np.asarray(value, "float32")
        sharding = variable.value.sharding
        value = jax.make_array_from_callback((), sharding, lambda _: value)
        variable.assign(value)

    @contextmanager
    def alone(self, network):
        import keras

        weights = network.named_weights()
        keras.distribution.set_distribution(None)
        try:
            if self._twin is None:
                self._twin = type(network)(
                    network.architecture, seed=network.seed, dtype=network.dtype_policy
                )
            self._twin.load_named_weights(weights)
            yield self._twin
        finally:
            keras.distribution.set_distribution(self._distribution)

    def agreed(self, value):
        if self.hosts == 1:
            return value
        from jax.experimental import multihost_utils

        with self.together():
            # Two numbers of 32 bits, since JAX has none of 64 unless it is told to.
            bits = np.array([value], "float64").view("int32")
            bits = multihost_utils.broadcast_one_to_all(bits)
            return float(np.asarray(bits).view("float64")[0])
