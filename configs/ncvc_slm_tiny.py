"""The NCVC-slm-1 recipe at a size that trains on two CPU cores in a minute: what `jmed quickstart` pre-trains.

The numbers and their reasons stand in `jmed_jax/quickstart.py`, which also runs where only the package is installed.
"""

from jmed_jax.config import ExperimentConfig
from jmed_jax.quickstart import pretraining_config


def config() -> ExperimentConfig:
    return pretraining_config()
