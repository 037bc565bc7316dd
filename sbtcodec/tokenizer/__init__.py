"""The image tokenizer: global tokens, local tokens, and the networks between them and pixels.

Read in this order:

    config           the sizes of all networks
    model            the networks and gains, held together
    local_encoder    pixels to local tokens y, one per 16x16 pixels
    global_encoder   local tokens to global tokens z, one per 32x32 pixels; `fsq` quantises them
    bootstrap        local tokens predicted from global ones, refined as layers arrive
    decoder          local tokens to pixels; `look` another one for the same tokens
    adapter          local tokens for one quality; `token_adapter` the same for global ones
    layers           the blocks of all these; `folding` between places and channels
"""
