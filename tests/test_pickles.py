"""Codecs that are copied and sent to other processes: their networks are shared, or loaded once."""

import copy
import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs
from torch.utils.data import DataLoader, Dataset

from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError, WeightsError
from sbtcodec.models import release

PHOTO = np.ascontiguousarray(photographs.chelsea()[60:109, 100:171])


class Files(Dataset):
    """Pictures that are decoded where they are asked for."""

    def __init__(self, codec, files):
        self.codec, self.files = codec, files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return np.asarray(self.codec.decompress(self.files[index]))


def decoded(codec, data):
    return codec.decode(data).rgb


def loads_in(codec):
    """How many models this process has loaded, with a codec from a pickle."""
    return len(release._kept), codec.model_id


def loading(codec):
    return list(codec.__reduce__()[1][1].values())


@pytest.fixture
def weights_elsewhere(tiny_weights, tmp_path):
    for path in tiny_weights.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_copies_share_the_networks(tiny_codec):
    for twin in (copy.copy(tiny_codec), copy.deepcopy(tiny_codec), copy.deepcopy([tiny_codec])[0]):
        assert twin is not tiny_codec
        assert twin.networks is tiny_codec.networks
        assert twin.compress(PHOTO) == tiny_codec.compress(PHOTO)


def test_a_pickle_is_small_and_read_in_its_own_process_shares_the_networks(tiny_weights):
    codec = Codec.load("cpu", weights=tiny_weights)
    pickled = pickle.dumps(codec)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).tokenizer is codec.tokenizer


def test_a_pickle_says_how_the_codec_was_loaded(weights_elsewhere):
    codec = Codec.load("auto", precision="bfloat16", model=1, weights=str(weights_elsewhere))
    assert loading(codec) == ["auto", "bfloat16", True, 1, weights_elsewhere]
    built = Codec(codec.release, codec.device)
    assert loading(built) == [codec.device.type, "auto", True, 1, weights_elsewhere]
    assert loading(Codec.load("cpu"))[4] is None  # the installed ones, wherever they are
    twin = pickle.loads(pickle.dumps(codec))
    assert (twin.bf16, twin.device) == (True, codec.device)


def test_one_model_is_loaded_for_all_pickles_of_it(weights_elsewhere):
    codec = Codec.load("cpu", weights=weights_elsewhere)
    pickled = pickle.dumps(codec)
    del codec
    with ThreadPoolExecutor(4) as pool:
        found = {id(codec.release) for codec in pool.map(pickle.loads, [pickled] * 4)}
    assert len(found) == 1
    assert {id(pickle.loads(pickled).release)} == found  # kept, though nobody held it


def test_another_process_decodes_with_it(tiny_codec):
    data = tiny_codec.compress(PHOTO)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for _ in range(2):
            rgb = pool.submit(decoded, tiny_codec, data).result()
            assert np.abs(rgb.astype(int) - tiny_codec.decode(data).rgb).max() <= 1
        assert pool.submit(loads_in, tiny_codec).result() == (1, tiny_codec.model_id)


def test_a_data_loader_with_spawned_workers_decodes(tiny_codec):
    files = [tiny_codec.compress(PHOTO, quality) for quality in (20, 80)]
    loader = DataLoader(
        Files(tiny_codec, files), batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    for picture, data in zip(loader, files, strict=True):
        assert np.abs(picture.numpy().astype(int) - tiny_codec.decode(data).rgb).max() <= 1


def test_other_weights_on_the_other_side_are_an_error(weights_elsewhere, tiny_weights):
    codec = Codec.load("cpu", weights=weights_elsewhere)
    pickled = pickle.dumps(codec).replace(codec.release.sha256.encode(), b"0" * 64)
    with pytest.raises(WeightsError, match="same version of sbtcodec"):
        pickle.loads(pickled)
    pickled = pickle.dumps(codec)
    del codec
    manifest = weights_elsewhere / "manifest.json"
    manifest.write_text(json.dumps({"models": [], "default": 1}))
    with pytest.raises(SbtError):
        pickle.loads(pickled)


def test_pictures_and_tokens_are_pickled_too(tiny_codec):
    tokens = tiny_codec.tokenize(Image.fromarray(PHOTO))
    twin = pickle.loads(pickle.dumps(tokens))
    assert np.array_equal(twin.symbols, tokens.symbols)
    picture = tiny_codec.decode(tiny_codec.compress(PHOTO)).picture
    assert np.array_equal(pickle.loads(pickle.dumps(picture)).rgb, picture.rgb)
