"""What a run over a collection has to do: images listed, compared with manifest and outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from sbtcodec.collection import manifest
from sbtcodec.collection.manifest import Entry, Settings
from sbtcodec.collection.storage import (
    Found,
    Place,
    find_place,
    list_images,
    list_sizes,
)
from sbtcodec.errors import OutputError


@dataclass(frozen=True, slots=True)
class Item:
    """An image to compress.

    Attributes:
        place: where it is.
        size: of its file in bytes; -1 if the file system does not tell.
        path: of the `.sbt` file, relative to the folder of the collection.
    """

    place: Place
    size: int
    path: str

    @property
    def source(self) -> str:
        """Path or URI of the image, by which the manifest knows it."""
        return self.place.name

    def failed(self, error: str, exit_code: int) -> Entry:
        """The row of an image that was not compressed."""
        return Entry(self.source, self.size, self.path, "failed", error=error, exit_code=exit_code)


@dataclass(frozen=True)
class Plan:
    """The work of a run.

    Attributes:
        out: folder of the collection.
        settings: of all its files.
        items: what is to be compressed, by source.
        decided: rows that need no work: outputs that are kept, images that cannot have one.
        recorded: number of images that an earlier run has done, with their outputs in place.
        anew: whether an earlier manifest is to be forgotten.
    """

    out: Place
    settings: Settings
    items: tuple[Item, ...]
    decided: tuple[Entry, ...]
    recorded: int
    anew: bool


def make_plan(
    sources: Sequence[str],
    out: str,
    settings: Settings,
    *,
    force: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """List the images of all sources, and tell what is to be done with each.

    An image is done if the manifest says so, its size has not changed, and its output is there with
    the size that the manifest gives. Failed images are tried again. Outputs mirror the paths
    below each source; of images with the same output, the first by name has it, the others fail.

    Args:
        sources: folders, patterns or images; local paths or URIs.
        out: folder of the collection.
        settings: of all its files.
        force: make everything anew, whatever is there; an earlier manifest is forgotten.
        skip_existing: keep outputs that are in no manifest, instead of refusing.

    Raises:
        ImageError: a source has no images, or cannot be listed.
        OutputError: there are outputs without a manifest, or the collection has other settings.
    """
    folder = find_place(out, OutputError)
    found = [image for source in sources for image in list_images(source)]
    sizes = list_sizes(folder)
    known: dict[str, Entry] = {}
    ours = force
    if not force:
        table, before = manifest.read(folder)
        if before is not None and before != settings:
            raise OutputError(
                f"the collection in {out} was made with {before}, now asked for is {settings};"
                " choose another folder, or make it anew with force=True"
            )
        known = {entry.source: entry for entry in manifest.to_entries(table)}
        ours = before is not None
    owners = {e.path: e.source for e in known.values() if e.status != "failed"}
    items, decided, unexplained, recorded = [], [], [], 0
    for image in {image.place.name: image for image in found}.values():  # none of them twice
        path = str(PurePosixPath(image.relative).with_suffix(".sbt"))
        item = Item(image.place, image.size, path)
        owner = owners.setdefault(path, item.source)
        entry, size = known.get(item.source), sizes.get(path)
        if owner != item.source:
            sentence = f"{item.source}: its output {path} is that of {owner}; rename one"
            decided.append(item.failed(sentence, OutputError.exit_code))
        elif entry and _is_valid(entry, image, size):
            recorded += 1
        elif size is not None and skip_existing and not (entry and entry.status == "done"):
            decided.append(Entry(item.source, image.size, path, "skipped", bytes=size))
        else:
            if size is not None and not ours:
                unexplained.append(path)
            items.append(item)
    if unexplained:
        raise OutputError(
            f"{len(unexplained)} outputs exist already in {out} without a manifest, such as"
            f" {unexplained[0]}; choose another folder, or pass force=True or skip_existing=True"
        )
    return Plan(folder, settings, tuple(items), tuple(decided), recorded, anew=force)


def _is_valid(entry: Entry, image: Found, size: int | None) -> bool:
    """Whether the manifest's row still tells the truth."""
    return entry.status != "failed" and entry.bytes == size and entry.source_bytes == image.size
