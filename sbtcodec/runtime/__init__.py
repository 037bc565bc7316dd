"""What the codec asks of the process and of torch; nothing here knows of pictures.

Read in this order:

    cores     how many this process may use
    forking   what a forked child must not use of its parent's threads
    memory    what is free, given back to the system
    modes     inference, differentiation and construction, whatever modes the caller is in
    tensors   rounding with a gradient, and initial weights
    devices   what float networks run on
    batches   items a few at a time
"""
