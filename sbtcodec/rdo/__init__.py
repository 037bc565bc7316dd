"""Rate-distortion optimisation: what effort buys. Training shares its differentiable parts.

Read in this order:

    effort              0 to 9, as steps of the two searches
    ms_ssim             the distortion: squared error, and MS-SSIM
    symbol_choice       which detail symbols are sent, where bits are dear
    soft_symbols        what a step of the detail layers does to its channels, differentiable
    soft_quantisation   all steps of them
    token_search        global tokens that cost less for the picture that they give
    latent_search       the same for local tokens
"""
