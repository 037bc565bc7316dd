"""What a run over a collection has to do: images listed, compared with manifest and outputs."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sbtcodec.collection import manifest
from sbtcodec.collection.manifest import Entry, Settings
from sbtcodec.collection.storage import (
    Found,
    Place,
    find_place,
    list_images,
    list_outputs,
)
from sbtcodec.errors import ImageError, OutputError
from sbtcodec.image.listing import leads_outside


@dataclass(frozen=True, slots=True)
class Item:
    """An image to compress.

    Attributes:
        place: where it is.
        size: of its file in bytes; -1 if the file system does not tell.
        path: of the `.sbt` file, relative to the folder of the collection.
        version: of its content, as `version_of` gives it.
    """

    place: Place
    size: int
    path: str
    version: str | None = None

    @property
    def source(self) -> str:
        """Path or URI of the image, by which the manifest knows it."""
        return self.place.name

    def failed(self, error: str, exit_code: int) -> Entry:
        """The row of an image that was not compressed."""
        return Entry(
            self.source,
            self.size,
            self.path,
            "failed",
            error=error,
            exit_code=exit_code,
            source_version=self.version,
        )


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
    keep_extension: bool = False,
) -> Plan:
    """List the images of all sources, and tell what is to be done with each.

    An image is done if the manifest says so, neither its size nor its version has changed, and its
    output is there with the size that the manifest gives. Where an earlier manifest has no version,
    the image must not be newer than its output. Failed images are tried again. Outputs mirror the
    paths below each source; of images with the same output, the first by name has it, the others
    fail, and so do images whose output would not be inside of the folder.

    Args:
        sources: folders, patterns or images; local paths or URIs.
        out: folder of the collection.
        settings: of all its files.
        force: make everything anew, whatever is there; an earlier manifest is forgotten.
        skip_existing: keep outputs that are in no manifest, instead of refusing.
        keep_extension: give outputs the name of their image with `.sbt` behind it.

    Raises:
        ImageError: a source has no images, or cannot be listed.
        OutputError: there are outputs without a manifest, or the collection has other settings.
    """
    folder = find_place(out, OutputError)
    found = [image for source in sources for image in list_images(source)]
    outputs = list_outputs(folder)
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
    for image in _each_once(found):
        path = _output_of(image, keep_extension=keep_extension)
        item = Item(image.place, image.size, path, image.version)
        if image.problem:
            decided.append(item.failed(image.problem, ImageError.exit_code))
            continue
        if leads_outside(PurePosixPath(path)):
            sentence = f"{item.source}: its output {path} would not be below {out}; rename it"
            decided.append(item.failed(sentence, OutputError.exit_code))
            continue
        owner = owners.setdefault(path, item.source)
        entry, (size, written) = known.get(item.source), outputs.get(path, (None, None))
        if owner != item.source:
            sentence = (
                f"{item.source}: its output {path} is that of {owner}; rename one, or pass"
                " keep_extension=True"
            )
            decided.append(item.failed(sentence, OutputError.exit_code))
        elif entry and _is_valid(entry, image, size, written):
            recorded += 1
        elif size is not None and skip_existing and not (entry and entry.status == "done"):
            kept = Entry(item.source, image.size, path, "skipped", bytes=size)
            decided.append(replace(kept, source_version=image.version))
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


def _each_once(found: Sequence[Found]) -> Iterator[Found]:
    """Yield images, none of them twice, by whatever name: a folder may be given twice."""
    seen = set()
    for image in found:
        path = image.place.path
        identity = os.path.realpath(path) if image.place.is_local else image.place.name
        if (identity, image.relative) not in seen:
            seen.add((identity, image.relative))
            yield image


def _output_of(image: Found, *, keep_extension: bool) -> str:
    path = PurePosixPath(image.relative)
    if keep_extension or not path.name:
        return f"{path}.sbt"
    return str(path.with_suffix(".sbt"))


def _is_valid(entry: Entry, image: Found, size: int | None, written: float | None) -> bool:
    """Whether the manifest's row still tells the truth."""
    if entry.status == "failed" or entry.bytes != size or entry.source_bytes != image.size:
        return False
    if entry.source_version is not None:
        return entry.source_version == image.version
    return image.modified is None or written is None or image.modified <= written
