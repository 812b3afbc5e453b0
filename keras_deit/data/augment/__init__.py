"""What is drawn for a training image, and the operations that are applied to it."""
