"""What is measured: a module for each kind of row, which gives comparisons, figures and growths."""
