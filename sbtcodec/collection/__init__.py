"""Collections larger than one machine: images of any file system, compressed by workers of Ray.

`plan` lists the images and tells which are to be done, `engine` has them done by the `worker`s of a
Ray cluster, `manifest` keeps what came of each, in Parquet, beside the `.sbt` files. A run that was
interrupted is gone on with by running it again. Ray, pyarrow and fsspec are the extra `ray`; they
are imported inside functions, so that the rest of the program does without them.
"""
