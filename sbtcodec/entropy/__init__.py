"""Entropy coding: probabilities computed from integers, exactly, and the range coder.

Read in this order:

    coder                the range coder: symbols and integer frequencies to bytes, and back
    frequencies          tables for detail symbols, and logits turned into frequencies
    integer_net          networks of integers: the same result on every machine
    prior                P(z) of global tokens
    entropy_parameters   the table of every detail symbol
    step_size            from a quality code to step sizes: a place between learned gains
    token_rate           the rate of global tokens made differentiable
"""
