"""The pages, a file for each thing that a person comes to do."""
