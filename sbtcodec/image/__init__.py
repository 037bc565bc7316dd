"""Image files and the pictures in them: read, checked, converted to 8 bits, and written.

Read in this order:

    picture        a picture in memory, with all that is kept of a file
    pixels         `load_image`: a file to a picture; `conversion`: an array or PIL image to one
    opening        a file opened with Pillow, under the pixel limit of the call
    samples        its pixels as the file has them: `bits`, and the `tiff` modules;
                   `raw_photographs` are refused
    metadata       EXIF, XMP and orientation: `exif`
    colours        colour models and profiles: `colour_tags`, `cicp`, `profiles`, `transparency`
    file_scan      what a file holds that Pillow skips or nobody keeps: `png`, `jpeg`, `boxes`
    saving         a picture to a file: `files` is complete or not there
    listing        the files that a name stands for: `inputs` for pipes
    padding        pixels beyond the edge, for whole latents
    demo_picture   the picture of `sbtcodec demo`, by `demo_painting`; `comparison` of several
"""
