"""What a run writes for TensorBoard, read back from its event files."""

import cv2
import numpy as np
import pytest
import torch
from helpers.runs import smoke
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG, SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from a2u.engine.evaluate import predict
from a2u.engine.identity import Places
from a2u.engine.kernels import SIDE, kernel_picture
from a2u.engine.run import run
from a2u.engine.tasks import matting as matting_module
from a2u.models.build import build_model

PLUGIN = "hparams"
LATER = ["trainer.epochs=2", "trainer.iterations=2", "runtime.log_every=1"]


class Killed(BaseException):
    """Not an error that any code may handle."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def events(outputs):
    """Of an operator with kernels, killed in its second epoch and resumed."""
    cfg = smoke(outputs, "experiment=table2/a2u_hybrid_cw", *LATER)
    loss, calls = matting_module.matting_loss, []

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        return loss(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matting_module, "matting_loss", dies)
        with pytest.raises(Killed):
            run(cfg)
    killed = read(cfg)
    assert session(killed, SESSION_START_INFO_TAG).session_start_info.hparams["row"].string_value == "a2u_hybrid_cw"
    assert SESSION_END_INFO_TAG not in killed.PluginTagToContent(PLUGIN)
    result = run(cfg)
    return read(cfg), result


def read(cfg):
    return EventAccumulator(str(Places.of(cfg).folder / "tensorboard"), size_guidance={"images": 0}).Reload()


def session(events, tag):
    return HParamsPluginData.FromString(events.PluginTagToContent(PLUGIN)[tag])


def picture(event):
    found = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert found.shape == (event.height, event.width, 3)
    return found


def test_scalars_have_their_steps(events):
    found, result = events
    for name in ("loss", "lr", "gradient_norm", "samples_per_second"):
        assert [event.step for event in found.Scalars(f"train/{name}")] == [1, 2, 3, 4], name
    for name, value in result["metrics"].items():
        scores = found.Scalars(f"test/{name}")
        assert [event.step for event in scores] == [2, 4]
        assert scores[-1].value == pytest.approx(value)
    for stage, measures in result["health"].items():
        for name, value in measures.items():
            scores = found.Scalars(f"health/{name}/{stage}")
            assert [event.step for event in scores] == [2, 4]
            assert scores[-1].value == pytest.approx(value)
    assert list(result["health"]) == [f"upsamplers.{stage}" for stage in range(4)]


def test_every_evaluation_has_strips_and_kernels(events):
    found, _ = events
    tags = found.Tags()["images"]
    strips = [tag for tag in tags if tag.startswith("test/")]
    (kernels,) = (tag for tag in tags if tag.startswith("kernels/"))
    assert len(strips) == 2  # test images of a smoke run
    assert set(tags) == {*strips, kernels}
    for tag in tags:
        shown = found.Images(tag)
        assert [event.step for event in shown] == [2, 4]
        height, width = picture(shown[-1]).shape[:2]
        if tag in strips:
            assert width == 5 * height  # image | trimap | prediction | truth | error
        else:
            assert height == width
            assert (height - 2 * 4) % 3 == 0  # 3 x 3 tiles and what is between them


def test_a_resumed_run_is_one_row_of_the_table_of_runs(events):
    found, result = events
    assert set(found.PluginTagToContent(PLUGIN)) == {SESSION_START_INFO_TAG, SESSION_END_INFO_TAG}
    values = session(found, SESSION_START_INFO_TAG).session_start_info.hparams
    assert {key: values[key].string_value for key in ("table", "row", "scale", "upsampler")} == {
        "table": "table2",
        "row": "a2u_hybrid_cw",
        "scale": "smoke",
        "upsampler": "a2u",
    }
    assert values["upsampler.mode"].string_value == "hybrid"
    assert values["upsampler.paired"].string_value == "False"
    assert values["seed"].number_value == 0
    assert values["trainer.lr"].number_value == result["config"]["trainer"]["lr"]


def test_an_operator_without_kernels_has_none_and_is_another_row(outputs, events):
    run(smoke(outputs, "experiment=table2/nearest", *LATER, "trainer.epochs=1"))
    runs = EventMultiplexer().AddRunsFromDirectory(str(outputs)).Reload()
    rows = {
        name: HParamsPluginData.FromString(content[SESSION_START_INFO_TAG]).session_start_info.hparams["row"]
        for name in runs.Runs()
        if (content := runs.GetAccumulator(name).PluginTagToContent(PLUGIN))
    }
    assert sorted(value.string_value for value in rows.values()) == ["a2u_hybrid_cw", "nearest"]
    (nearest,) = (name for name, row in rows.items() if row.string_value == "nearest")
    tags = EventAccumulator(str(outputs / nearest)).Reload().Tags()["images"]
    assert [tag.partition("/")[0] for tag in tags] == ["test", "test"]


@pytest.mark.parametrize(("row", "size"), [("carafe", 5), ("a2u_dynamic_cs_d", 3), ("indexnet", None)])
def test_the_picture_shows_every_window_position(tmp_path, row, size):
    torch.manual_seed(0)
    cfg = smoke(tmp_path, f"experiment=table2/{row}")
    model = build_model(cfg).train()
    case = matting_module.Composite("it", *whole(200, 300))
    shown = kernel_picture(model, case)
    assert all(part.training for part in model.modules())
    if size is None:
        assert shown is None
        return
    side = SIDE // 2
    assert shown.shape == (3, size * side + (size - 1) * 4, size * side + (size - 1) * 4)
    assert (shown[:, side : side + 4] == 1).all()  # white between the tiles
    assert predict(model.eval(), case.image, case.trimap).shape == (200, 300)


def whole(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    trimap = np.full((height, width), 128, np.uint8)
    return image, trimap, trimap
