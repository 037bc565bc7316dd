"""Rate-distortion optimisation: what effort buys, in the encoder alone.

Read in this order:

    effort              0 to 9, as steps of the two searches
    soft_quantisation   the detail layers made differentiable; training learns by it too
    latent_search       local tokens that cost less for the picture that they give
    token_search        the same for global tokens
    ms_ssim             the distortion: squared error, and MS-SSIM
"""
