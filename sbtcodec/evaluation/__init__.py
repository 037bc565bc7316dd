"""Measurement: metrics, other codecs, rate-distortion curves and reports.

Read in this order:

    datasets   sets of test images: `kodak` and its `download`, or any folder
    codecs     sbtcodec and what it is compared with: pixels to bytes and back
    metrics    PSNR, MS-SSIM and others of an image and its decoded version; `perceptual`, `vision`
    run        every image through every codec at every one of the `qualities`, on a `machine`
    results    what was measured, one record each; `document` is their JSON
    curves     averages at each quality, and BD-rate between curves; `published` ones of others
    report     the HTML report: `page`, `plots`, `crops`, `viewer`; `table` for the terminal
    compare    one picture in many versions, for `sbtcodec compare`; `compare_page` its page,
               `versions` what both hold

`data_uris` put pictures into pages; `extras` says which packages of the extras are missing.
"""
