"""What runs in the process that holds the student's code."""
