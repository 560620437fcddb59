"""What the tests and the programs that measure the product share."""
