"""Settings of tables and launchers: configs/table.yaml and configs/launcher."""

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

from a2u.settings import field, schema


class Launcher(Enum):
    """Where rows run: processes of this machine, this process, submitit's jobs, Ray's tasks."""

    local = 1
    inline = 2
    submitit = 3
    ray = 4


class Cluster(Enum):
    """Where submitit starts jobs: SLURM, or this machine."""

    slurm = 1
    local = 2


@schema("launcher/launcher")
@dataclass
class LauncherConfig:
    """Where the rows of a table are run."""

    name: Launcher = Launcher.local


@schema("launcher/submitit")
@dataclass
class SubmititConfig(LauncherConfig):
    """A job per row."""

    name: Launcher = Launcher.submitit
    cluster: Cluster = field(Cluster.slurm)
    partition: str | None = field(None)
    timeout_min: int = field(1440, "minutes of a job", least=1)
    cpus_per_task: int | None = field(None, least=1)
    gpus_per_node: int | None = field(None, least=0)
    mem_gb: float | None = field(None, above=0)
    max_num_timeout: int = field(0, "how often a row that reached timeout_min is requeued", least=0)
    additional_parameters: dict[str, Any] = field({}, "other options of sbatch, such as {account: NAME}")


@schema("launcher/ray")
@dataclass
class RayConfig(LauncherConfig):
    """A task per row."""

    name: Launcher = Launcher.ray
    address: str | None = field(None, "null: this machine's cluster, or a new one if it belongs to none")
    num_cpus: float = field(1.0, "of a row", least=0)
    num_gpus: float = field(0.0, least=0)
    memory: float | None = field(None, "bytes per row", above=0)
    max_retries: int = field(0, "of a row whose process or machine failed", least=0)


@dataclass
class RowsConfig:
    """How the rows of a table or a figure are run."""

    jobs: int | None = field(None, "rows at a time; null: one per CPU core, one on a GPU, all on a cluster", least=1)
    launcher: LauncherConfig = dataclasses.field(default_factory=LauncherConfig)


@schema("table")
@dataclass
class TableConfig(RowsConfig):
    """configs/table.yaml: which rows, how many seeds, how many at a time; further keys are those of train.py."""

    table: str = field("table2", "table1 ... table7, successors, probe, looks")
    rows: list[str] = field([], "empty: every row; all: also those that run when they are named")
    seeds: int = field(1, "seeds 0 .. seeds-1", least=1)
    baseline: str | None = field(
        None, "row that the others' differences are from, of several seeds; null: the first trained"
    )
    publish: bool = field(False, "copy finished results to results/ instead of running")
    ablate: bool = field(False, "measure finished rows again without content, and with other images' guides")
    test: list[str] = field([], "measure finished rows on another dataset, such as test=adobe test.root=DIR")
    photographs: str | None = field(None, "folder of alphamatting.com: short for test=alphamatting test.root=FOLDER")
