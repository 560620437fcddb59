"""Pictures: their encodings, how they are decoded, and what is done to their pixels."""
