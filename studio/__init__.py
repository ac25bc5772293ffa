"""Where people work: the joining of pipelines and models."""

import time

BEGAN = time.monotonic()  # of the command, for "in 1.2 s"
