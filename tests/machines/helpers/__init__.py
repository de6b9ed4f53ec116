"""What the tests of machines share."""
