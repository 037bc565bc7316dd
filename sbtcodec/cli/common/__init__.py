"""What commands share.

Read in this order:

    options, values, arguments   what is given: options, their notations, files and outputs
    paths, outputs               reading and writing them, streams included
    batch, operation             one file or many, in threads that share a codec
                                 (`shared_codec`); `summary` is what came of them
    encoding, compression        a picture to its file; `collection` the same on a cluster
    decoding                     a file to its image
    report, failures, advice     what is printed: results, errors and their exit codes
"""
