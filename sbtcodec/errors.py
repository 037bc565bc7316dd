"""The one family of errors that sbtcodec raises, each with its documented exit code.

Every message says what was found, what was expected and what to do about it, in terms of Python;
the command line puts its options in their place.
"""


class SbtError(Exception):
    """Base of every error raised on purpose; the command line exits with `exit_code`."""

    exit_code = 1


class ArgumentError(SbtError, ValueError):
    """An argument of a function is of the wrong type, out of range, or excludes another."""

    exit_code = 2


class InvalidFileError(SbtError):
    """The bytes are not a readable `.sbt` file: wrong magic, cut, damaged, unknown version."""

    exit_code = 3


class ModelMismatchError(SbtError):
    """The file was made with a model that this installation does not have."""

    exit_code = 4


class ImageError(SbtError):
    """The input is not an image that can be compressed, or the output format cannot be written."""

    exit_code = 5


class OutputError(SbtError):
    """The output exists already, or cannot be written: a full disk, say."""

    exit_code = 6


class WeightsError(SbtError):
    """The weights are missing, damaged, or do not fit this version of the program."""

    exit_code = 7


class DeviceError(SbtError):
    """The device asked for is not there."""

    exit_code = 8


class DatasetError(SbtError):
    """A data set is missing, empty, or could not be downloaded intact."""

    exit_code = 9


class QualityError(SbtError):
    """The picture differs from the original more than allowed, or has another size."""

    exit_code = 10


class RateError(SbtError):
    """No file of the image has the size or the score that was asked for."""

    exit_code = 11
