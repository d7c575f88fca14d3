"""Typed configurations: compose one, and explain in a sentence what is wrong with it.

configs/train.yaml shows how a run is composed. An unknown key, a wrong type or a value outside an enumeration
fails at composition, with the key and the allowed values in the message. A key is declared next to what it configures
(a2u.settings); the options of an operator or a network are its constructor's arguments.
"""

import dataclasses
import inspect
import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import a2u.data.sources  # noqa: F401  (whose schemas register themselves)
from a2u.data.sampling.settings import SamplingConfig
from a2u.data.types import DatasetConfig
from a2u.engine.settings import EvaluationConfig, RuntimeConfig, TrainerConfig
from a2u.errors import ConfigError, did_you_mean, needs_experiments, printable
from a2u.models.networks import networks
from a2u.models.networks.base import ModelConfig, Network
from a2u.models.weights.initial import initial_hash
from a2u.settings import SCHEMAS, Key, field, schema
from a2u.upsampling import Upsampler, operators

with needs_experiments(__name__):
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException, OverrideParseException
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

_STORED: dict[str, type] = {}  # schemas that Hydra has already
LARGEST_SIZE = 1024  # of whole numbers that a network is built from: ranks, kernel sizes, numbers of blocks
CONFIG_DIR = Path(__file__).with_name("configs").resolve()  # in a checkout a link to the folder at its top
Settings = TypeVar("Settings")


class TaskName(Enum):
    """What networks are trained for: mattes (Sec. 6), image reconstruction (Sec. 5, Table 1), or the probe."""

    matting = 1
    reconstruction = 2
    probe = 3


@dataclass
class UpsamplerConfig:
    """Base of the operators' options, which are generated from their constructors."""

    name: str = "???"


@schema("config")
@dataclass
class Config:
    """One run: a row of a table at one scale with one seed."""

    task: TaskName = field(TaskName.matting, identity=False)  # chosen; the network must be for it
    table: str = field("custom", "under which the result is kept, as are row and scale", identity=False)
    row: str = field("custom", identity=False)
    scale: str = field("custom")
    seed: int = field(0, least=0)
    init_from: str | None = field(
        None,
        "weights to start from, all tensors that fit: a file (checkpoint, exported or released weights), or "
        "checkpoint: the model in the package",
        identity=False,  # the file's contents are
    )
    init_from_sha256: str | None = field(None, "of that file; null: of the file that is there", added_later=True)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    upsampler: UpsamplerConfig = dataclasses.field(default_factory=UpsamplerConfig)
    sample: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    dataset: DatasetConfig = dataclasses.field(default_factory=DatasetConfig)
    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    metrics: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig, metadata={"key": Key(identity=False)})

    def check(self) -> None:
        for key in ("table", "row", "scale"):
            name = getattr(self, key)
            if not name or "/" in name or name.startswith(".") or printable(name) != name:
                raise ConfigError(
                    f"{key} names a folder of results, so it must not be empty, begin with a dot, or hold a slash or "
                    f"a control character; got {name!r}."
                )
        if self.init_from is None and self.init_from_sha256 is not None:
            raise ConfigError("init_from_sha256 is the hash of init_from's file: give init_from=FILE, too.")


def constructor_schema(kind: type[Upsampler | Network], base: type, skip: Collection[str]) -> type:
    """Return a dataclass, derived from `base`, with the arguments of a constructor except those in `skip`.

    What a key means is taken from the section "Args" of the class's docstring.
    """
    hints = get_type_hints(kind.__init__)
    meanings = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(kind) or "", re.MULTILINE))
    options: list[tuple[str, Any, Any]] = [("name", str, kind.name)]
    for key, parameter in inspect.signature(kind).parameters.items():
        if key in skip:
            continue
        hint, default = hints[key], parameter.default
        if get_origin(hint) is Literal:
            choices = Enum(f"{kind.name}_{key}", {value: value for value in get_args(hint)})  # type: ignore[misc]
            hint, default = _importable(choices), choices[default]
        elif get_origin(hint) is Sequence:
            hint, default = list[get_args(hint)[0]], list(default)  # type: ignore[misc]
        help = " ".join(meanings.get(key, "").split())
        most = LARGEST_SIZE if hint in (int, int | None, list[int]) else math.inf
        options.append((key, hint, field(default, help, most=most, added_later=key in kind.later_options)))
    return _importable(make_dataclass(f"{kind.__name__}Options", options, bases=(base,)))


def _importable(kind: type) -> type:
    """Make `kind` an attribute of this module: a launcher sends configurations to processes that look for it here."""
    kind.__module__ = __name__
    globals()[kind.__name__] = kind
    return kind


for _name, _operator in operators().items():
    schema(f"upsampler/{_name}")(constructor_schema(_operator, UpsamplerConfig, skip=["channels"]))
for _name, _network in networks().items():
    schema(f"model/{_name}")(constructor_schema(_network, _network.settings, skip=["upsampler", "options"]))


def store_schemas() -> None:
    """Register every new schema with Hydra, which checks the files of configs/ against them."""
    for name, kind in SCHEMAS.items():
        if _STORED.get(name) is not kind:
            group, _, file = name.rpartition("/")
            ConfigStore.instance().store(group=group or None, name=f"{file}_schema", node=kind)
            _STORED[name] = kind


# At import, so that a process which is sent a configuration knows them.
OmegaConf.register_new_resolver("times", lambda value, factor: int(value * factor), replace=True)
OmegaConf.register_new_resolver("choose", lambda key, table, otherwise: table.get(key, otherwise), replace=True)


def compose(overrides: Iterable[str] = (), config_name: str = "train") -> DictConfig:
    """Compose a configuration as the scripts do.

    Args:
        overrides: Hydra overrides, such as "experiment=table2/a2u_hybrid_cw", "scale=smoke".
        config_name: a file of configs/ without its ending.

    Raises:
        ConfigError: unknown key, file or option, or a wrong type; names the key and what is allowed.
    """
    overrides = list(overrides)
    outer = GlobalHydra.instance().hydra  # a script's own Hydra, put back afterwards
    GlobalHydra.instance().clear()
    try:
        _refuse_strange_overrides(overrides)
        store_schemas()
        with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            cfg = hydra_compose(config_name, overrides=overrides)
        _refuse_unknown_keys(cfg)
        _refuse_wrong_references(cfg, overrides)
        return with_initial_hash(cfg)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
    finally:
        GlobalHydra.instance().clear()
        if outer is not None:
            GlobalHydra.instance().initialize(outer)


def split_command_line(arguments: Sequence[str], kind: type[Settings], config_name: str) -> tuple[Settings, list[str]]:
    """Split a command line into the script's own settings, the keys of `kind`, and overrides for every row.

    Raises:
        ConfigError: an unknown key, or a wrong type among the script's own.
    """
    own: list[str] = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    of_rows = [*(entry.name for entry in fields(Config)), "experiment", "hydra"]
    mine, handed_on = list[str](), list[str]()
    for argument in arguments:
        key = re.split(r"[.=@]", argument.lstrip("+~"))[0]
        if key.isidentifier() and key not in own + of_rows:
            raise ConfigError(_unknown_key(key, own + of_rows))
        (mine if key in own else handed_on).append(argument)
    settings: Settings = OmegaConf.to_object(compose(mine, config_name))  # type: ignore[assignment]
    return settings, handed_on


def as_typed(argument: str, keys: Collection[str]) -> str:
    """Quote the value of an override of one of `keys` for Hydra, so that users need no quotes for file names.

    >>> as_typed("image=IMG (1).jpg", ["image"])
    "image='IMG (1).jpg'"
    """
    key, _, value = argument.partition("=")
    if key not in keys or value in ("", "null") or value[0] in "'\"":
        return argument
    return f"{key}={quoted(value)}"


def quoted(value: str) -> str:
    """Quote a value so that Hydra takes it literally.

    >>> print(quoted("it's"), quoted("${x}"))
    'it\\'s' '\\${x}'
    """
    value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # a reference, unless OmegaConf finds a backslash before it
    # Backslashes are ordinary letters to Hydra, unless a quote follows.
    escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


def with_initial_hash(cfg: DictConfig) -> DictConfig:
    """Fill in the hash of the weights that a run starts from, which is part of its identity.

    Raises:
        ConfigError: there is no such file.
    """
    if cfg.get("init_from") is not None and cfg.init_from_sha256 is None:
        cfg.init_from_sha256 = initial_hash(cfg.init_from)
    return cfg


def refuse_incomplete(cfg: DictConfig) -> None:
    """Raise ConfigError for a key that no dataclass has, or one that has no value yet."""
    _refuse_unknown_keys(cfg)
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ConfigError(f"{', '.join(missing)} must be given, such as {missing[0]}=VALUE.")


def _refuse_strange_overrides(overrides: list[str]) -> None:
    """Refuse overrides that Hydra accepts but must not, or reports unclearly. Raises ConfigError, HydraException."""
    for given in overrides:
        if given.splitlines() not in ([], [given]):
            raise ConfigError(
                f"{given!r} holds a line break: write KEY=VALUE in one line, and name a file by its folder."
            )
    groups = {folder.name for folder in CONFIG_DIR.iterdir() if folder.is_dir()}
    for override in OverridesParser.create().parse_overrides(overrides):
        line, key = str(override.input_line), override.key_or_group
        group = key.removesuffix(".name")
        is_group = group in groups
        if not key:
            raise ConfigError(f"{line} has no key: write KEY=VALUE.")
        if override.is_delete():
            raise ConfigError(f"{line} would remove a key, but all are needed: give it a value, {key}=VALUE.")
        if is_group and key != group:
            raise ConfigError(f"{line} would only change a name: choose another with {group}={_choices(group)}.")
        if override.is_sweep_override():
            raise ConfigError(f"{line} gives several values: choose one, or quote a comma, {key}=\"'a,b'\".")
        if is_group and override.value() not in options_of(group):
            raise ConfigError(_no_such_option(group, line.partition("=")[2]))


def _refuse_wrong_references(cfg: DictConfig, overrides: list[str]) -> None:
    """Raise ConfigError unless every reference, ${...}, leads to a value of the right type."""
    try:
        OmegaConf.resolve(cfg.copy())
    except OmegaConfBaseException as error:
        given = ", ".join(override for override in overrides if "${" in override)
        raise ConfigError(f"{given or 'a reference of the configuration'} leads nowhere: {explain(error)}") from error


def _choices(group: str) -> str:
    return ", ".join(options_of(group))


def _no_such_option(group: str, name: str) -> str:
    return f"there is no {group} {name!r}; there are: {_choices(group)}.{did_you_mean(name, options_of(group))}"


def _unknown_key(key: str, allowed: Sequence[str]) -> str:
    suggestion = did_you_mean(key.rpartition(".")[2], allowed)
    return f"unknown configuration key {key}; allowed here: {', '.join(allowed) or 'none'}.{suggestion}"


def _refuse_unknown_keys(cfg: DictConfig, path: str = "") -> None:
    """Refuse the keys that Hydra's `+key=value` adds even to a typed node."""
    kind = OmegaConf.get_type(cfg)
    if is_dataclass(kind):
        allowed = [entry.name for entry in fields(kind)]
        for key in map(str, cfg):
            if key not in allowed:
                raise ConfigError(_unknown_key(f"{path}{key}", allowed))
    for key in map(str, cfg):
        if not OmegaConf.is_missing(cfg, key) and OmegaConf.is_dict(cfg[key]):
            _refuse_unknown_keys(cfg[key], f"{path}{key}.")


def options_of(group: str) -> list[str]:
    """Return the names of a configs/ folder's files: "upsampler" -> a2u, ...; "experiment" -> table1/..., ..."""
    folder = CONFIG_DIR / group
    files = list(folder.glob("*.yaml")) or list(folder.glob("*/*.yaml"))
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in files)


def explain(error: Exception) -> str:
    """Turn Hydra's message into one sentence: the key, what was found, what is allowed."""
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read: write KEY=VALUE, and a value with special characters in quotes of both "
            "kinds, KEY=\"'VALUE'\"."
        )
    other_task = re.search(r"Could not find 'scale/(\w+)/(\w+)'", str(error))
    if other_task:
        scale, task = other_task.groups()
        others = [name for name in options_of("scale") if (CONFIG_DIR / "scale" / name / f"{task}.yaml").is_file()]
        return f"scale={scale} is not for task={task}; choose another scale: {', '.join(others)}."
    missing = re.search(r"Could not find '([^/']+)/([^']+)'", str(error))
    if missing:
        return _no_such_option(*missing.groups())
    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    text = "\n".join(map(str, causes))
    full_key = re.search(r"full_key: (\S+)", text)
    unknown = re.search(r"Key '([^']+)' (?:not in|is not in struct)", text)
    if unknown:
        key = full_key.group(1) if full_key else unknown.group(1)
        kind = next(filter(None, (getattr(cause, "object_type", None) for cause in causes)), Config)
        if not is_dataclass(kind):
            return f"unknown configuration key {key}; +{key}=VALUE adds it."
        return _unknown_key(key, [entry.name for entry in fields(kind)])
    if full_key:
        lines = text.splitlines()
        reason = next((line for line in lines if re.search("alue|issing|ptional|ssigned", line)), lines[0])
        value = re.search(r"'([^']*)', expected one of \[(.*)\]", reason)
        suggestion = did_you_mean(value[1], value[2].split(", ")) if value else ""
        if reason.startswith("Interpolation"):
            suggestion = " Write \\${ for a ${ in a name."
        return f"configuration key {full_key.group(1)}: {reason.strip().rstrip('.')}.{suggestion}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)
