"""Pictures: their encodings, how they are decoded, and what is done to their pixels."""

MAX_PIXELS = 2**26
"""Images with more pixels are refused wherever they come from: twice an 8K picture."""
