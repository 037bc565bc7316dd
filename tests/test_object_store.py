"""Collections in an object store: an S3 server on the loopback address, and Ray."""

import io
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from sbtcodec.codec.codec import Codec

pytest.importorskip("ray")
pytest.importorskip("s3fs")
fsspec = pytest.importorskip("fsspec")
server = pytest.importorskip("moto.server", reason="needs moto[server]")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of an S3 server, told to this process and its children."""
    with pytest.MonkeyPatch.context() as patch:
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()
        host, port = running.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
        running.stop()


def picture(seed: int) -> bytes:
    rgb = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).resize((70, 50)).save(file, "PNG")
    return file.getvalue()


def compress() -> subprocess.CompletedProcess[str]:
    command = ["compress", "s3://bucket/in", "--out", "s3://bucket/out", "--engine", "ray"]
    return subprocess.run(
        [sys.executable, "-m", "sbtcodec", *command, "--jobs", "1"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_images_of_a_bucket_go_to_a_bucket_once(store: str) -> None:
    files = fsspec.filesystem("s3")
    files.mkdir("bucket")
    for number in range(5):
        files.pipe_file(f"bucket/in/below/{number}.png", picture(number))
    files.pipe_file("bucket/in/broken.png", b"nonsense")
    done = compress()
    assert "5 done, 0 skipped, 1 failed" in done.stdout + done.stderr
    assert done.returncode != 0
    made = files.find("bucket/out")
    names = [f"bucket/out/below/{number}.sbt" for number in range(5)]
    assert [name for name in made if name.endswith(".sbt")] == names
    assert "bucket/out/manifest.parquet" in made
    codec = Codec.load("cpu", encoder=False)
    assert {codec.decode(files.cat_file(name)).rgb.shape for name in names} == {(50, 70, 3)}
    files.pipe_file("bucket/in/broken.png", picture(9))
    again = compress()
    assert "1 done, 5 skipped, 0 failed" in again.stdout + again.stderr
    assert again.returncode == 0
