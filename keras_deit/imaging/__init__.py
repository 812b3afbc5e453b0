"""Image files, resizing, crops and the evaluation transform."""
