"""Training: photographs to a checkpoint, and a checkpoint to released weights.

Read in this order:

    config       what a run is told
    data         photographs as crops
    step         the forward pass: the whole codec, made differentiable
    objective    what a step minimises: rate and distortion
    state        optimisers, one of them `muon`, and one update of the weights
    run          the loop, resumable at any time; `checkpoint` its files, `processes` under torchrun
    revival      a second chance for local channels that carry nothing
    growth       a larger model that starts as good as a smaller one; `fine_channels` are measured
    resident     photographs in a GPU's memory, and crops cut there
    device_step  one step of which the host reads nothing; `device_setup` what it begins with
    device_run   the loop on a GPU, for a given time; `split_weights` these in small files
    publish      a checkpoint to released weights: fitted tables, manifest

Further stages leave the codec as it is. Each has a module `..._stage`, from photographs to what
comes of them, `..._step`, what a step minimises, and `..._run`, whose `loop` they share:

    generator    of global tokens, from those in `token_data`
    predictor    of local tokens, from those in `local_data`, coded by `local_tokens`; `sensitivity`
                 says what their errors are worth
    vivid        another decoder for the files that exist: `vivid_state`, `trunk_losses`

`token_run` is what the runs of the first two have in common.
"""
