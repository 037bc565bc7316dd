"""The image tokenizer: global tokens, local tokens, and the networks between them and pixels."""
