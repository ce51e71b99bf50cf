"""What is remembered of a folder between passes: UIDs as runs, flags and dates in columns of numbers."""
