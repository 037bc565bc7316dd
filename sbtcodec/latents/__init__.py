"""Pictures to latents (y, z) and symbols, and back, block by block.

Read in this order:

    blocks     the float networks on pictures of any size: x -> y, z and y_hat -> x_hat;
               `encoder_blocks` those of the encoder, `bands` the rows that are there at once
    showing    y_hat -> x_hat: pixels of an estimate; `looks` shows files with another decoder
    estimate   y_hat: predicted from global tokens, refined as symbols arrive
    symbols    one tile's integers, and the entropy parameters that choose the table of each
"""
