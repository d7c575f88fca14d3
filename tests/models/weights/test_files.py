"""Weights files from elsewhere: no code in them runs, whatever reads them, and none is taken for what it is not."""

import ast
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.runs import smoke
from safetensors.torch import save_file

from a2u.apply.systems import System, load_system
from a2u.engine.checkpoint import FORMAT, CheckpointError, load_checkpoint, save_checkpoint
from a2u.engine.identity import Places
from a2u.engine.prepare import make_model
from a2u.engine.run import run
from a2u.errors import A2UError, ConfigError
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.weights.encoder_weights import load_encoder_weights
from a2u.models.weights.files import WeightsError, read_content, read_weights
from a2u.models.weights.initial import initial_hash, start_from

ROOT = Path(__file__).parents[3]
TENSORS = {"w": torch.arange(20.0).reshape(4, 5), "steps": torch.tensor(3)}


class Commands:
    """Unpickled, it runs a command of the system."""

    def __init__(self, owned):
        self.owned = owned

    def __reduce__(self):
        return os.system, (f"touch '{self.owned}'",)


class Opens(Commands):
    """Unpickled, it makes a file."""

    def __reduce__(self):
        return open, (str(self.owned), "w")


def bare(payload, path, protocol):
    path.write_bytes(pickle.dumps(payload, protocol))


FORMS = {
    "torch.save": torch.save,
    "torch.save, protocol 4": lambda payload, path: torch.save(payload, path, pickle_protocol=4),
    "torch.save before PyTorch 1.6": lambda payload, path: torch.save(
        payload, path, _use_new_zipfile_serialization=False
    ),
    "in a state_dict": lambda payload, path: torch.save({"state_dict": TENSORS | {"x": payload}, "epoch": 1}, path),
    "in a checkpoint": lambda payload, path: torch.save({"format": FORMAT, "model": payload}, path),
    "bare pickle, protocol 0": lambda payload, path: bare(payload, path, 0),
    "bare pickle, protocol 2": lambda payload, path: bare(payload, path, 2),
    "bare pickle, protocol 5": lambda payload, path: bare(payload, path, 5),
}


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    return smoke(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def readers(cfg):
    """Everything that reads a weights file, by name: each is given its path."""
    small = MattingUNet(width=0.125)

    def resume(path):
        last = Places.of(cfg).last
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_bytes(path.read_bytes())
        run(cfg)

    return {
        "read_weights": read_weights,
        "load_checkpoint": load_checkpoint,
        "load_encoder_weights": lambda path: load_encoder_weights(small, str(path)),
        "evaluate a checkpoint": lambda path: load_system(System.checkpoint, str(path)),
        "evaluate released weights": lambda path: load_system(System.a2u, str(path)),
        "resume": resume,
    }


@pytest.mark.parametrize("payload", [Commands, Opens])
@pytest.mark.parametrize("form", FORMS)
def test_code_in_a_pickle_is_refused_in_a_sentence_and_does_not_run(tmp_path, readers, form, payload):
    path, owned = tmp_path / "weights.pth", tmp_path / "owned"
    FORMS[form](payload(owned), path)
    for name, read in readers.items():
        with pytest.raises(
            A2UError, match=r"is refused, since loading it could run code: .*Nothing of it ran"
        ) as found:
            read(path)
        assert not owned.exists(), name
        if "protocol 4" not in form and "protocol 5" not in form:
            assert {Commands: "posix.system", Opens: "io.open"}[payload] in str(found.value), name


@pytest.mark.parametrize("form", FORMS)
def test_these_pickles_do_run_where_they_are_let(tmp_path, form):
    """Else the test above would show nothing."""
    path, owned = tmp_path / "weights.pth", tmp_path / "owned"
    FORMS[form](Commands(owned), path)
    pickle.loads(path.read_bytes()) if form.startswith("bare") else torch.load(path, weights_only=False)
    assert owned.exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_pickle_named_safetensors_is_refused(tmp_path, form):
    path, owned = tmp_path / "weights.safetensors", tmp_path / "owned"
    FORMS[form](Commands(owned), path)
    with pytest.raises(WeightsError, match="damaged or of another kind"):
        read_weights(path)
    with pytest.raises(WeightsError, match=r"could not be read as a \.safetensors file"):
        load_system(System.checkpoint, str(path))
    assert not owned.exists()


WRITERS = {
    "weights.pt": torch.save,
    "old.pt": lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False),
    "weights.safetensors": save_file,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_whole_file_is_read(tmp_path, name):
    WRITERS[name](TENSORS, tmp_path / name)
    assert same(read_weights(tmp_path / name))


def same(found):
    return found.keys() == TENSORS.keys() and all(torch.equal(found[key], value) for key, value in TENSORS.items())


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_short_anywhere_is_refused(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](TENSORS, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 9):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"could not be read as weights|is refused"):
            read_weights(path)


def test_a_byte_changed_anywhere_in_a_torch_file_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(TENSORS, path)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert same(read_weights(path)), place
        except WeightsError:
            refused += 1
    assert refused > len(whole) / 10


def test_a_changed_value_in_a_torch_file_is_noticed(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(TENSORS, path)
    values = TENSORS["w"].numpy().tobytes()
    assert path.read_bytes().count(values) == 1
    path.write_bytes(path.read_bytes().replace(values, values[:-1] + b"\x42"))
    with pytest.raises(WeightsError, match="the checksum of its part weights/data/0 is wrong"):
        read_weights(path)


def safetensors(header, data=b"", claimed=None):
    return (len(header) if claimed is None else claimed).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        safetensors(b"{}", claimed=2**62),
        safetensors(b"{}", claimed=90_000_000),
        safetensors(b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'),
        safetensors(b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
        safetensors(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}', bytes(4)),
    ],
    ids=["header of exabytes", "header of megabytes", "terabytes", "more values than bytes", "beyond the end"],
)
def test_a_safetensors_file_that_claims_more_than_it_has_is_refused(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="could not be read as weights"):
        read_weights(path)


def test_a_torch_file_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    plain, path = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save({"w": torch.zeros(2_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert path.stat().st_size < 10_000
    with pytest.raises(WeightsError, match=r"it claims to hold 8,\d+,\d+ bytes and has [89],"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"w": torch.zeros(1).expand(10**12)}, "holds w, which are no tensors, not whole ones"),
        ({"w": torch.zeros(3).to_sparse()}, "holds w, which are no tensors, not whole ones"),
        ({"w": torch.zeros(3, device="meta")}, "holds w, which are no tensors, not whole ones"),
        ({"w": torch.quantize_per_tensor(torch.zeros(3), 1, 0, torch.qint8)}, "holds w, which .* or quantised"),
        ({"w": 3}, "holds w, which are no tensors, not whole ones"),
        ({"v": torch.ones(2), "w": torch.tensor([1, float("nan")])}, "holds NaN or infinite values in w"),
        ({"w": torch.tensor([1, float("-inf")]).half()}, "holds NaN or infinite values in w"),
    ],
    ids=["one value a trillion times", "sparse", "meta", "quantised", "number", "NaN", "infinity"],
)
def test_what_cannot_be_weights_is_refused(tmp_path, content, words):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=words):
        read_weights(tmp_path / "weights.pt")


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "there is no weights file"),
        (lambda path: path.mkdir(), "there is no weights file"),
        (lambda path: path.write_bytes(b""), r"could not be read as weights \(EOFError\)"),
        (lambda path: path.write_text("<!doctype html>"), "damaged or of another kind"),
        (lambda path: save_file(TENSORS, path), "damaged or of another kind"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "damaged or of another kind"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), r"it names torch\.nn\.modules\.linear\.Linear"),
        (lambda path: torch.jit.script(torch.nn.Linear(2, 2)).save(path), "with TorchScript archives"),
    ],
    ids=["missing", "folder", "empty", "page", "safetensors", "zip", "module", "TorchScript"],
)
def test_other_files_are_refused_in_one_line(tmp_path, write, words):
    write(tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=words) as found:
        read_content(tmp_path / "weights.pth")
    assert "\n" not in str(found.value)
    assert "weights_only" not in str(found.value).replace("weights_only=True`` with TorchScript", "")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"stem.0.weight": torch.zeros(2)}, "cannot be put into the network its own configuration describes"),
        ({"stem.0.weight": "no tensor"}, "cannot be put into the network its own configuration describes"),
    ],
)
def test_a_checkpoint_with_other_tensors_is_neither_evaluated_nor_gone_on_from(cfg, readers, tmp_path, model, words):
    path = tmp_path / "last.pt"
    save_checkpoint(path, cfg, [], model=model, step=1, scores=[])
    with pytest.raises(CheckpointError, match=words):
        readers["evaluate a checkpoint"](path)
    with pytest.raises(CheckpointError, match=r"last\.pt is not a checkpoint of this run") as found:
        readers["resume"](path)
    assert len(str(found.value)) < 500


@pytest.mark.parametrize("kind", ["int64", "complex64", "bool"])
def test_weights_of_another_kind_of_number_are_refused(cfg, readers, tmp_path, kind):
    path, state = tmp_path / "last.pt", make_model(cfg).state_dict()
    cast = {name: value.to(getattr(torch, kind)) for name, value in state.items()}
    save_checkpoint(path, cfg, [], model=cast, step=1, scores=[])
    for read in ("evaluate a checkpoint", "resume"):
        with pytest.raises(CheckpointError, match=rf"encoder\.stem\.0\.weight is of {kind}, expected a floating-point"):
            readers[read](path)
    with pytest.raises(ConfigError, match="no tensor in it has name and shape"):
        start_from(make_model(cfg), str(path), initial_hash(str(path)))


def test_weights_in_another_precision_are_taken(cfg, tmp_path):
    path, state = tmp_path / "last.pt", make_model(cfg).state_dict()
    save_checkpoint(path, cfg, [], model={name: value.half() for name, value in state.items()}, step=1, scores=[])
    assert load_system(System.checkpoint, str(path)).model.encoder.stem[0].weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "holds no configuration of a run"),
        ("[]", "holds no configuration of a run"),
        ('{"row": "a"}', "no configuration of a run: dataset, model, scale, seed, table, task, trainer, upsampler are"),
    ],
)
def test_a_checkpoint_without_a_configuration_is_refused(tmp_path, config, words):
    state = {"format": FORMAT, "config": config, "hash": "", "train_names": [], "model": {}, "step": 1}
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=words):
        load_system(System.checkpoint, str(tmp_path / "last.pt"))


# What would run code from a file, or write where an archive says. Where `torch.load` stands, `read_content` is alone.
FORBIDDEN = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
FORBIDDEN |= {"torch.load", "torch.jit.load", "torch.hub.load", "torch.hub.load_state_dict_from_url"}
FORBIDDEN |= {"shutil.unpack_archive", "torch.serialization.add_safe_globals"}
METHODS = {"extractall", "extract"}
MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "pandas"}
READER = "src/a2u/models/weights/files.py"
ARCHIVES = "src/a2u/data/files/archives.py"


def dangers(path):
    """What stands in a Python file that could run code from data."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"import {name}" for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            name, keywords = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
            if name in FORBIDDEN or name.rpartition(".")[2] in METHODS or keywords.get("shell", "False") != "False":
                yield name
            if name in ("np.load", "numpy.load", "np.save") and keywords.get("allow_pickle") != "False":
                yield f"{name} without allow_pickle=False"
            if name == "torch.load" and keywords.get("weights_only") != "True":
                yield "torch.load without weights_only=True"


def test_nothing_else_loads_what_could_run_code():
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    assert len(files) > 100
    found = {str(path.relative_to(ROOT)): list(dangers(path)) for path in files}
    assert {path: each for path, each in found.items() if each} == {
        READER: ["import pickle", "torch.load"],
        ARCHIVES: ["entry.extract", "archive.extract", "archive.extract"],  # with the checks of tests/data
    }


def test_the_search_finds_what_it_looks_for(tmp_path):
    lines = [
        "import pickle, os",
        "from joblib import load",
        "torch.load(path)",
        "np.load(path)",
        "eval('1')",
        "model.eval()",
        "subprocess.run('ls', shell=True)",
        "zipfile.ZipFile(path).extractall()",
        "yaml.load(text)",
    ]
    (tmp_path / "code.py").write_text("\n".join(lines))
    assert len(list(dangers(tmp_path / "code.py"))) == len(lines)  # torch.load twice, model.eval not
