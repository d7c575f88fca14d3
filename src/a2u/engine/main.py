"""What the scripts have in common: Hydra in front, one sentence for an error that is the user's to mend."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import hydra
from omegaconf import DictConfig, OmegaConf

from a2u.config import CONFIG_DIR, as_typed, compose, refuse_incomplete
from a2u.errors import A2UError
from a2u.files import FULL, reason

ADVICE = {
    **dict.fromkeys(FULL, "make room, then give the same command again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "mend its permissions, or name another place"),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR), "a file lies where a folder is needed: move it, or name another place"
    ),
}


@contextmanager
def sentence() -> Iterator[None]:
    """End the program with the error's sentence on stderr and status 2, where it is the user's to mend.

    So are errors of files (OSError); any other one is the program's and keeps its traceback. A reader of stdout who
    went away, as `head` does, ends it quietly. SIGTERM, which stops a job of a cluster, ends it as Ctrl-C does.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
        sys.stdout.flush()
    except A2UError as error:
        _stop(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to print
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        place = error.filename2 or error.filename or "a file or standard output"
        _stop(f"{place} cannot be used, {reason(error)}: {ADVICE.get(error.errno, 'check the path')}.")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last checkpoint")
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stop(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def main(config_name: str, work: Callable[[DictConfig], None], texts: Collection[str] = ()) -> None:
    """Compose configs/<config_name>.yaml with the command line and call `work`; or, asked for help, print that.

    texts: keys whose values are taken as they are typed, without Hydra's grammar.
    """
    sys.argv[1:] = [as_typed(argument, texts) for argument in sys.argv[1:]]

    @hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    def entry(cfg: DictConfig) -> None:
        with sentence():
            refuse_incomplete(cfg)
            work(cfg)

    overrides = sys.argv[1:]
    if {"-h", "--help"} & set(overrides):
        with sentence():
            print(help_text(config_name, [argument for argument in overrides if not argument.startswith("-")]))
        return
    if not any(argument.startswith("-") for argument in overrides):
        with sentence():  # clearer than Hydra's own message
            compose(overrides, config_name)
    entry()


def help_text(config_name: str, overrides: Sequence[str]) -> str:
    """What can be chosen, and the configuration that the command line gives as it is.

    Hydra's own help takes longer than everything else at the start together, and lists schemas among the choices.
    """
    lines = []
    for folder in sorted(path for path in CONFIG_DIR.iterdir() if path.is_dir()):
        # What lies deeper is chosen by name only where nothing lies above it: experiment=table2/carafe.
        files = sorted(folder.glob("*.yaml")) or sorted(folder.rglob("*.yaml"))
        options = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
        lines.append(f"  {folder.name}={' | '.join(options)}")
    choices = "\n".join(lines)
    config = OmegaConf.to_yaml(compose(overrides, config_name))
    return (
        f"{Path(sys.argv[0]).name}: key=value ...\n\n"
        f"Choices, a file of configs/ each:\n{choices}\n\n"
        f"The configuration, of which any key may be set (trainer.epochs=10):\n\n{config}\n"
        "Flags are Hydra's: --hydra-help lists them."
    )
