"""What is measured in a topology."""
