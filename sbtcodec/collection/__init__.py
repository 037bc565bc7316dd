"""Collections larger than one machine: images of any file system, compressed by workers of Ray.

Read in this order:

    plan       the images that are to be done: listed, compared with manifest and outputs
    engine     has them done; `cluster` is where, `worker` what each process does
    manifest   what came of each, in Parquet, beside the `.sbt` files; `names` and `version` in it
    storage    files of any file system that fsspec knows; `files` reads and writes them whole,
               `transfers` does so while a worker codes

A run that was interrupted is gone on with by running it again. Ray, pyarrow and fsspec are the
extra `ray`; they are imported inside functions, so that the rest of the program does without them.
"""
