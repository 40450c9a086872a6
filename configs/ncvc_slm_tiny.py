"""The NCVC-slm-1 recipe at a size that trains on two CPU cores in a minute: what `jmed quickstart` pre-trains.

The numbers and their reasons stand in `jmed_jax/quickstart/slm.py`, which also runs where only the package is there.
"""

from jmed_jax.config import ExperimentConfig
from jmed_jax.quickstart.slm import pretraining_config


def config() -> ExperimentConfig:
    return pretraining_config()
