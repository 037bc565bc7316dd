"""Collections: listing, planning, manifest and worker in this process; whole runs with Ray."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.cli.common.encoding import FileEncoder
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.rate_control import compress_to_size
from sbtcodec.codec.rate_target import RateTarget
from sbtcodec.errors import (
    DeviceError,
    ImageError,
    OutputError,
    RateError,
    SbtError,
    WeightsError,
)
from sbtcodec.evaluation.metrics import psnr

fsspec = pytest.importorskip("fsspec")
pq = pytest.importorskip("pyarrow.parquet")

from sbtcodec.collection import extra, files, manifest, storage
from sbtcodec.collection.cluster import Node, WorkerPool
from sbtcodec.collection.manifest import Entry, Manifest, Settings
from sbtcodec.collection.plan import Plan, make_plan
from sbtcodec.collection.worker import REFUSED, Worker, WorkerConfig, to_rows

GIB = 2**30


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> str:
    """The address of an empty folder in memory."""
    return f"memory:///{request.node.name}"


@pytest.fixture
def settings(tiny_codec: Codec) -> Settings:
    return Settings(30.0, False, tiny_codec.model_id)


def png(rgb: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


def put(address: str, data: bytes) -> None:
    filesystem, path = fsspec.core.url_to_fs(address)
    filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    filesystem.pipe_file(path, data)


def config_for(plan: Plan, weights: Path) -> WorkerConfig:
    roots = (plan.items[0].place,)
    rate_target = RateTarget(plan.settings.quality, effort=plan.settings.effort)
    return WorkerConfig(
        roots, plan.out, plan.settings, FileEncoder(rate_target), "cpu", 1, 2**20, weights
    )


def record(plan: Plan, weights: Path) -> list[Entry]:
    """What a run does, in this process."""
    kept = Manifest(plan.out, plan.settings, anew=plan.anew)
    config = config_for(plan, weights)
    rows = Worker(config)(to_rows(plan.items, config.roots))
    entries = list(plan.decided) + manifest.to_entries(rows)
    for entry in entries:
        kept.add(entry)
    kept.close()
    return entries


def test_a_folder_in_memory_becomes_a_collection_that_decodes(
    memory: str, settings: Settings, tiny_weights: Path, tiny_codec: Codec, photo: NDArray[np.uint8]
) -> None:
    put(f"{memory}/in/cat.png", png(photo))
    put(f"{memory}/in/deep/er/CAT.PNG", png(photo[:64]))
    put(f"{memory}/in/notes.txt", b"not an image")
    plan = make_plan([f"{memory}/in"], f"{memory}/out", settings)
    entries = record(plan, tiny_weights)
    assert [(e.path, e.status) for e in entries] == [
        ("cat.sbt", "done"),
        ("deep/er/CAT.sbt", "done"),
    ]
    filesystem, path = fsspec.core.url_to_fs(f"{memory}/out")
    data = filesystem.cat_file(f"{path}/cat.sbt")
    assert tiny_codec.decode(data).rgb.shape == photo.shape
    table = pq.read_table(io.BytesIO(filesystem.cat_file(f"{path}/manifest.parquet")))
    row = table.to_pylist()[0]
    assert row["source"] == f"{memory}/in/cat.png"
    assert (row["width"], row["height"], row["bytes"]) == (*photo.shape[1::-1], len(data))
    assert row["bpp"] == pytest.approx(8 * len(data) / (photo.shape[0] * photo.shape[1]))
    assert not filesystem.exists(f"{path}/manifest.parts")


def test_workers_make_the_file_of_effort_and_strip(
    tmp_path: Path,
    settings: Settings,
    tiny_weights: Path,
    tiny_codec: Codec,
    photo: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compress = Codec.compress
    asked: list[int] = []

    def noted(self: Codec, *arguments: Any, effort: int, **options: Any) -> bytes:
        asked.append(effort)
        return compress(self, *arguments, effort=effort, **options)

    (tmp_path / "in").mkdir()
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    Image.fromarray(photo[:64, :64]).save(tmp_path / "in" / "cat.png", exif=exif)
    made = {}
    for effort, strip in ((3, False), (3, True), (4, True)):
        out = tmp_path / f"{effort}{strip}"
        told = replace(settings, effort=effort, strip=strip)
        with monkeypatch.context() as patch:
            patch.setattr(Codec, "compress", noted)
            record(make_plan([str(tmp_path / "in")], str(out), told), tiny_weights)
        made[effort, strip] = (out / "cat.sbt").read_bytes()
        assert manifest.read(storage.find_place(str(out), OutputError))[1] == told
    assert b"a cat" in made[3, False]
    assert made[3, True] == tiny_codec.compress(photo[:64, :64], 30)
    assert made[4, True] == tiny_codec.compress(photo[:64, :64], 30, effort=4)
    assert asked == [3, 3, 4]


def test_workers_search_and_verify(
    tmp_path: Path, tiny_weights: Path, tiny_codec: Codec, photo: NDArray[np.uint8]
) -> None:
    (tmp_path / "in").mkdir()
    least = len(tiny_codec.compress(photo, globals_only=True))
    for name, image in (("cat", photo), ("paw", photo[:64, :64])):
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    rate_target = RateTarget(size=least - 1)
    settings = Settings(rate_target.quality, False, tiny_codec.model_id, search=rate_target.search)
    plan = make_plan([str(tmp_path / "in")], str(tmp_path / "out"), settings)
    worker = Worker(
        replace(config_for(plan, tiny_weights), encoder=FileEncoder(rate_target, verify=True))
    )
    too_large, row = manifest.to_entries(worker(to_rows(plan.items, (plan.items[0].place,))))
    assert (too_large.status, too_large.exit_code) == ("failed", RateError.exit_code)
    found = compress_to_size(tiny_codec, photo[:64, :64], least - 1)
    assert (tmp_path / "out" / "paw.sbt").read_bytes() == found.data
    assert (row.status, row.quality) == ("done", found.quality)
    assert row.psnr == pytest.approx(
        psnr(photo[:64, :64], tiny_codec.decode(found.data).rgb), abs=1e-3
    )
    assert str(settings).startswith(f"size={least - 1}, ")
    with pytest.raises(OutputError, match="was made with"):
        record(plan, tiny_weights)
        make_plan([str(tmp_path / "in")], str(tmp_path / "out"), replace(settings, search=""))


def test_one_broken_image_is_a_row_and_the_others_are_done(
    tmp_path: Path, settings: Settings, tiny_weights: Path, photo: NDArray[np.uint8]
) -> None:
    for name in ("a.png", "c.png"):
        put(str(tmp_path / "in" / name), png(photo[:50]))
    (tmp_path / "in" / "b.png").write_bytes(b"no PNG")
    entries = record(
        make_plan([str(tmp_path / "in")], str(tmp_path / "out"), settings), tiny_weights
    )
    assert [e.status for e in entries] == ["done", "failed", "done"]
    assert entries[1].exit_code == ImageError.exit_code
    assert str(tmp_path / "in" / "b.png") in (entries[1].error or "")
    assert not (tmp_path / "out" / "b.sbt").exists()


def test_a_second_run_does_only_what_failed_changed_or_is_gone(
    tmp_path: Path, settings: Settings, tiny_weights: Path, photo: NDArray[np.uint8]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("changed", "cut", "fine", "gone"):
        put(str(source / f"{name}.png"), png(photo[:40]))
    (source / "broken.png").write_bytes(b"no PNG")
    record(make_plan([str(source)], str(out), settings), tiny_weights)
    put(str(source / "changed.png"), png(photo[:70]))
    put(str(source / "new.png"), png(photo[:40]))
    (out / "gone.sbt").unlink()
    (out / "cut.sbt").write_bytes(b"short")
    plan = make_plan([str(source)], str(out), settings)
    names = ["broken", "changed", "cut", "gone", "new"]
    assert [item.path for item in plan.items] == [f"{name}.sbt" for name in names]
    assert plan.recorded == 1
    record(plan, tiny_weights)
    table = pq.read_table(out / "manifest.parquet")
    assert table["source"].to_pylist() == [str(p) for p in sorted(source.iterdir())]
    assert make_plan([str(source)], str(out), settings).recorded == 5


def test_a_killed_run_is_gone_on_with_from_its_parts(
    tmp_path: Path, settings: Settings, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b", "c"):
        put(str(source / f"{name}.png"), png(photo[:40]))
    plan = make_plan([str(source)], str(out), settings)
    monkeypatch.setattr(manifest, "PART_ROWS", 1)
    killed = Manifest(plan.out, settings)  # never closed
    for item in plan.items[:2]:
        (out / item.path).write_bytes(b"12345")
        killed.add(Entry(item.source, item.size, item.path, "done", bytes=5))
    (out / "c.sbt").write_bytes(b"written, not recorded")
    assert len(pq.read_table(out / "manifest.parts")) == 2  # as one data set
    again = make_plan([str(source)], str(out), settings)
    assert ([item.path for item in again.items], again.recorded) == (["c.sbt"], 2)
    Manifest(again.out, settings).close()
    assert pq.read_table(out / "manifest.parquet")["path"].to_pylist() == ["a.sbt", "b.sbt"]
    assert not (out / "manifest.parts").exists()


def test_of_several_rows_for_a_source_the_last_counts(tmp_path: Path, settings: Settings) -> None:
    out = storage.find_place(str(tmp_path), OutputError)
    for status, size in (("failed", None), ("done", 7)):
        kept = Manifest(out, settings)
        kept.add(Entry("b", 1, "b.sbt", status, bytes=size))
        kept.add(Entry("a", 1, "a.sbt", "done", bytes=3))
        kept.close()
    table, found = manifest.read(out)
    rows = [(e.source, e.status, e.bytes) for e in manifest.to_entries(table)]
    assert rows == [("a", "done", 3), ("b", "done", 7)]
    assert found == settings


def test_a_collection_does_not_mix_settings_unless_made_anew(
    tmp_path: Path, settings: Settings, photo: NDArray[np.uint8]
) -> None:
    put(str(tmp_path / "in" / "a.png"), png(photo[:40]))
    arguments = [str(tmp_path / "in")], str(tmp_path / "out")
    Manifest(make_plan(*arguments, settings).out, settings).close()
    other = replace(settings, quality=80.0)
    with pytest.raises(OutputError, match="was made with quality 30.*now asked for is quality 80"):
        make_plan(*arguments, other)
    plan = make_plan(*arguments, other, force=True)
    Manifest(plan.out, other, anew=plan.anew).close()
    assert manifest.read(plan.out)[1] == other


def test_outputs_without_a_manifest_are_kept_or_replaced_only_if_asked(
    tmp_path: Path, settings: Settings, photo: NDArray[np.uint8]
) -> None:
    put(str(tmp_path / "in" / "a.png"), png(photo[:40]))
    put(str(tmp_path / "out" / "a.sbt"), b"somebody's")
    arguments = [str(tmp_path / "in")], str(tmp_path / "out"), settings
    with pytest.raises(OutputError, match=r"1 outputs exist already.*a\.sbt.*force=True"):
        make_plan(*arguments)
    assert len(make_plan(*arguments, force=True).items) == 1
    plan = make_plan(*arguments, skip_existing=True)
    assert not plan.items
    assert [(e.path, e.status, e.bytes) for e in plan.decided] == [("a.sbt", "skipped", 10)]


def test_of_two_images_with_one_output_the_second_fails(
    tmp_path: Path, settings: Settings, photo: NDArray[np.uint8]
) -> None:
    for name in ("a.bmp", "a.png"):
        put(str(tmp_path / "in" / name), png(photo[:40]))
    plan = make_plan([str(tmp_path / "in")] * 2, str(tmp_path / "out"), settings)
    assert [Path(item.source).name for item in plan.items] == ["a.bmp"]
    assert [(e.status, e.exit_code) for e in plan.decided] == [("failed", OutputError.exit_code)]
    assert "a.bmp; rename one" in (plan.decided[0].error or "")


def test_patterns_and_single_images_are_listed(memory: str, photo: NDArray[np.uint8]) -> None:
    for name in ("a.png", "b.jpg", "sub/c.png"):
        put(f"{memory}/{name}", png(photo[:8]))
    assert [f.relative for f in storage.list_images(f"{memory}/*.png")] == ["a.png"]
    assert [f.relative for f in storage.list_images(f"{memory}/**/*.png")] == ["a.png", "sub/c.png"]
    assert [f.relative for f in storage.list_images(f"{memory}/sub/c.png")] == ["c.png"]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("memory://nowhere/at/all", "does not exist"),
        ("memory://texts", "has no images"),
        ("nonsense://x", "cannot be reached"),
    ],
)
def test_sources_without_images_are_told(address: str, sentence: str) -> None:
    put("memory://texts/readme.txt", b"text")
    with pytest.raises(ImageError, match=sentence):
        storage.list_images(address)


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(OutputError, match=r"manifest\.parquet cannot be read"):
        manifest.read(storage.find_place(str(tmp_path), OutputError))


def test_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    for name in (".sbtcodec-ours-0123456789abcdef.tmp", ".sbtcodec-another-0123.tmp"):
        put(str(tmp_path / "sub" / name), b"half")
    put(str(tmp_path / "sub" / "whole.sbt"), b"whole")
    files.remove_leftovers(storage.find_place(str(tmp_path), OutputError), "ours-")
    names = sorted(p.name for p in (tmp_path / "sub").iterdir())
    assert names == [".sbtcodec-another-0123.tmp", "whole.sbt"]


def test_a_worker_with_another_model_refuses(
    tmp_path: Path, settings: Settings, tiny_weights: Path, photo: NDArray[np.uint8]
) -> None:
    put(str(tmp_path / "in" / "a.png"), png(photo[:40]))
    other = replace(settings, model="sbt-9 (abc)")
    plan = make_plan([str(tmp_path / "in")], str(tmp_path / "out"), other)
    config = config_for(plan, tiny_weights)
    (entry,) = manifest.to_entries(Worker(config)(to_rows(plan.items, config.roots)))
    assert (entry.status, entry.exit_code) == (REFUSED, WeightsError.exit_code)
    assert "expected sbt-9" in (entry.error or "")
    assert not (tmp_path / "out").exists()


def test_workers_share_the_machines() -> None:
    small, large = Node(4, 0, 64 * GIB), Node(16, 2, 64 * GIB)
    assert WorkerPool.of([small], "auto", None) == WorkerPool(4, 1, "cpu")
    assert WorkerPool.of([small], "cpu", 2) == WorkerPool(2, 2, "cpu")
    assert WorkerPool.of([small, small], "cpu", 2) == WorkerPool(2, 4, "cpu")
    assert WorkerPool.of([Node(3, 0, 64 * GIB)] * 2, "cpu", 3) == WorkerPool(3, 1, "cpu")
    assert WorkerPool.of([large], "cpu", None) == WorkerPool(16, 1, "cpu")
    assert WorkerPool.of([Node(16, 0, 9 * GIB)], "cpu", None) == WorkerPool(4, 4, "cpu")
    assert WorkerPool.of([small, large], "auto", None) == WorkerPool(2, 8, "cuda")


def test_of_several_processors_a_worker_leaves_one_to_ray() -> None:
    threads = {cpus: WorkerPool(1, cpus, "cpu").threads for cpus in (1, 2, 8)}
    assert threads == {1: 1, 2: 1, 8: 7}


def test_workers_that_cannot_be_placed_are_refused() -> None:
    with pytest.raises(DeviceError, match="has no GPU"):
        WorkerPool.of([Node(4, 0, GIB)], "cuda", None)
    with pytest.raises(DeviceError, match="5 workers need .* has 4"):
        WorkerPool.of([Node(4, 0, GIB)], "cpu", 5)


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SbtError, match=r"pip install 'sbtcodec\[ray\]'"):
        extra.require("pyarrow")


@pytest.mark.parametrize("engine", ["spark", "ray:"])
def test_an_unknown_engine_is_wrong_usage(engine: str, tmp_path: Path) -> None:
    command = ["compress", str(tmp_path), "--output", str(tmp_path / "out"), "--engine", engine]
    done = sbtcodec(*command)
    assert done.returncode == 2
    assert "ray:ADDRESS" in done.stderr


def sbtcodec(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sbtcodec", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


RUN = """
import sys
from pathlib import Path
import typer
from sbtcodec.codec.rate_target import RateTarget
from sbtcodec.cli.common.collection import run_collection
from sbtcodec.cli.common.encoding import FileEncoder
try:
    run_collection([sys.argv[1]], sys.argv[2], engine=sys.argv[4],
                   encoder=FileEncoder(RateTarget(30.0)), device="cpu", workers=2, json=True,
                   weights=Path(sys.argv[3]))
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


def start_run(source: Path, out: Path, weights: Path, engine: str = "ray") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(source), str(out), str(weights), engine],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )


@pytest.fixture
def dozen(tmp_path: Path) -> Path:
    """A folder with twelve crops of a photograph, large enough to take a while."""
    from skimage import data

    astronaut = data.astronaut()
    for i in range(12):
        put(str(tmp_path / "in" / f"{i % 3}" / f"{i:02}.png"), png(astronaut[8 * i :, 9 * i :]))
    return tmp_path / "in"


def workers_of(pid: int) -> list[int]:
    """Processes of workers below a process, in Linux."""
    parents, names = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            rest = stat.read_text().rpartition(")")[2]
            names[int(stat.parent.name)] = (stat.parent / "cmdline").read_text()
            parents[int(stat.parent.name)] = int(rest.split()[1])
        except OSError:  # it has ended
            continue

    def is_below(process: int) -> bool:
        while process in parents and process != pid:
            process = parents[process]
        return process == pid

    return [p for p, name in names.items() if name.startswith("ray::MapWorker") and is_below(p)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_worker_costs_nothing(dozen: Path, tiny_weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    process = start_run(dozen, out, tiny_weights)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    rest, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    lines += rest.splitlines()
    assert len(lines) == 13 and '"done": 12' in lines[-1]
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    assert [row["source"] for row in rows] == [str(p) for p in sorted(dozen.rglob("*.png"))]
    codec = Codec.load("cpu", weights=tiny_weights)
    for row in rows:
        data = (out / row["path"]).read_bytes()
        assert (row["status"], row["bytes"]) == ("done", len(data))
        assert codec.decode(data).rgb.shape == (row["height"], row["width"], 3)
    assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_ctrl_c_leaves_whole_files_and_the_next_run_does_the_rest(
    dozen: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    out = tmp_path / "out"
    process = start_run(dozen, out, tiny_weights)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=600)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    before = pq.read_table(out / "manifest.parquet").to_pylist()
    assert 1 <= len(before) < 12
    codec = Codec.load("cpu", weights=tiny_weights)
    for path in out.rglob("*.sbt"):
        codec.decode(path.read_bytes())
    assert not list(out.rglob("*.tmp"))
    process = start_run(dozen, out, tiny_weights)
    rest, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert f'"skipped": {len(before)}' in rest.splitlines()[-1]
    assert len(pq.read_table(out / "manifest.parquet")) == 12


@pytest.fixture
def two_machines() -> Iterator[Any]:
    """A running Ray cluster of two nodes, of two processors each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.second = cluster.add_node(num_cpus=2)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_a_running_cluster_is_joined_and_may_lose_a_machine(
    two_machines: Any, dozen: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start_run(dozen, out, tiny_weights, f"ray:{two_machines.address}")
    assert process.stdout is not None
    process.stdout.readline()
    two_machines.remove_node(two_machines.second, allow_graceful=False)
    rest, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert '"done": 12' in rest.splitlines()[-1]
    codec = Codec.load("cpu", weights=tiny_weights)
    for row in pq.read_table(out / "manifest.parquet").to_pylist():
        assert codec.decode((out / row["path"]).read_bytes()).rgb.shape[:2] == (
            row["height"],
            row["width"],
        )
    joined = start_run(dozen, out, tiny_weights, f"ray:{two_machines.address}")
    rest, errors = joined.communicate(timeout=600)  # the first run has not ended the cluster
    assert joined.returncode == 0, errors
    assert '"skipped": 12' in rest.splitlines()[-1]
