"""What errors advise in terms of Python, said with the options of the command line."""

# The advice of library code is at the end of its sentences, and always in these words.
OPTIONS = {
    "pass force=True or skip_existing=True": "give --force or --skip-existing",
    "pass force=True": "give --force",
    "with force=True": "with --force",
    "with allow_partial=True": "with --allow-partial",
    "allow_partial=True decodes": "--allow-partial decodes",
    'use device="cpu"': "use --device cpu",
    "raise max_pixels": "raise --max-pixels",
    "pass keep_extension=True": "give --keep-extension",
    "recursive=True takes": "--recursive takes",
    "limit takes": "--limit takes",
    "as data_dir": "with --data-dir",
    "name the folder as the data set: ": "name the folder as the data set: --dataset ",
    "leave avif out of the codecs": "leave avif out of --codecs",
    "measure the whole data set kodak, or leave published curves out": (
        "measure with --dataset kodak and without --limit, or leave --published out"
    ),
    "leave realism at 0": "leave --realism out",
    "train one for it": "train one with `sbtcodec train --stage generator`",
    "pass inception=PATH": "give --inception PATH",
    "name another one as cache_folder": "name another one with --cache",
    "pass side=N": "give --side N",
    "pass trunk=PATH": "give --trunk PATH",
    "go on with fewer jobs": "go on with a smaller --jobs",
    "work without Ray": "use --engine local",
    "start one on this machine": "give --engine ray for one on this machine",
}


def with_options(sentence: str) -> str:
    """Return a sentence whose advice names options.

    Only what follows the last semicolon is advice: names of files, which may be anything, stand
    before it.
    """
    found, semicolon, advice = sentence.rpartition("; ")
    if semicolon:
        for words, option in OPTIONS.items():
            if words in advice:
                return found + semicolon + advice.replace(words, option, 1)
    return sentence
