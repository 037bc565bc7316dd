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

And of a generator of the global tokens: `generator_stage`, from photographs to its weights file;
`token_data`, `generator_step` and `generator_run` are what it learns from, minimises, and does.
"""
