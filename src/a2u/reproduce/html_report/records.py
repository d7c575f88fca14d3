"""The provenance of a number: configuration, code, machine, time and data of a row's results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from a2u.engine.provenance import REPOSITORY
from a2u.reproduce.published import metrics_of, named_rows, rows_of
from a2u.reproduce.render import DIGITS, TITLES, Group, record_id


@dataclass(frozen=True)
class Record:
    """The provenance of one row on one test set.

    Attributes:
        id: unique on the page.
        title: the row and what it was measured on.
        facts: terms and their values.
        heads, seeds: a table, one line per seed.
        config: every resolved configuration, as YAML below its seeds.
    """

    id: str
    title: str
    facts: list[tuple[str, str]]
    heads: list[str]
    seeds: list[list[str]]
    config: str


def record(group: Group, row: str, runs: Sequence[dict[str, Any]]) -> Record:
    """Return the provenance of a row's results, one per seed."""
    provenances = [run["provenance"] for run in runs]
    facts = [
        ("config", _each(map(_config_file, runs))),
        ("command", _each(" ".join(provenance["command"]) for provenance in provenances)),
        ("commit", _each(map(_commit, provenances))),
        ("machine", _each(map(_machine, provenances))),
        ("wall time", ", ".join(f"{provenance['wall_seconds']:,.0f} s" for provenance in provenances)),
        (
            "started",
            _each(provenance["started"].replace("T", " ").replace("+00:00", " UTC") for provenance in provenances),
        ),
        ("test set", _each(f"{each['test_images']:,} images, sha256 {each['data_sha256']}" for each in provenances)),
        ("versions", _each(_versions(provenance["versions"]) for provenance in provenances)),
        ("files", _each(_shown(Path(run["path"])) for run in runs)),
    ]
    trained = [run["trained"] for run in runs if run.get("trained")]
    if trained:  # evaluations of runs that were trained elsewhere
        facts.append(("trained by", _each(map(_training, trained))))
    metrics = metrics_of(group.table)
    seeds = []
    for run in runs:
        scores = [f"{run['metrics'][name]:.{DIGITS[name] + 1}f}" for name in metrics]
        seeds.append([str(run["seed"]), *scores, f"{run['provenance']['wall_seconds']:,.0f}", run["hash"][:8]])
    return Record(
        id=record_id(group, row),
        title=f"{row}, {group.title}",
        facts=facts,
        heads=["seed", *(TITLES[name] for name in metrics), "seconds", "run"],
        seeds=seeds,
        config=_configs(runs),
    )


def _config_file(run: dict[str, Any]) -> str:
    table, row = run["table"], run["row"]
    name = f"experiment/{table}/{row}" if row in [*rows_of(table), *named_rows(table)] else f"upsampler/{row}"
    return f"configs/{name}.yaml, scale={run['scale']}"


def _configs(runs: Sequence[dict[str, Any]]) -> str:
    """Return the configurations; those that differ only in the seed appear once."""
    seeds: dict[str, list[str]] = {}
    for run in runs:
        config = {key: value for key, value in run["config"].items() if key != "seed"}
        seeds.setdefault(OmegaConf.to_yaml(OmegaConf.create(config)), []).append(str(run["seed"]))
    return "\n".join(f"# seed {', '.join(of)}\n{config}" for config, of in seeds.items())


def _each(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _commit(provenance: dict[str, Any]) -> str:
    return provenance["commit"] + (" with uncommitted changes" if provenance["dirty"] else "")


def _machine(provenance: dict[str, Any]) -> str:
    machine, threads = provenance["machine"], provenance["threads"]
    parts = [machine.get("gpu"), machine["cpu"], f"{machine['cores']} cores", machine["system"]]
    memory = machine.get("memory_gb")
    parts += [f"{memory:g} GB" if memory else None, f"device {provenance['device']}, threads: {threads}"]
    return ", ".join(filter(None, parts))


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _training(trained: dict[str, Any]) -> str:
    provenance = trained["provenance"]
    return (
        f"{trained['table']}/{trained['row']}, seed {trained['seed']}, {trained['steps']:,} steps on "
        f"{trained['dataset']}, {provenance['wall_seconds']:,.0f} s, commit {_commit(provenance)}, "
        f"weights sha256 {trained['weights_sha256']}"
    )


def _shown(path: Path) -> str:
    """Return a path relative to the checkout."""
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else path.as_posix()
