"""The generator over global tokens: pictures from nothing, and pictures completed.

Read in this order:

    config        sizes
    transformer   a window of tokens, some unknown, to features of each; `token_head` one token
    draws         random draws by integers
    filling       a window filled: in rounds, or one token after the other
    windows       grids of any size, through overlapping windows
    facts         what a weights file says of itself; `stored` the files
    generator     all of it together
    completion    a picture completed, as pixels; `concealment` the tiles of a damaged file
"""
