"""The doctor: everything that is wrong or odd with a data set, how many rows it concerns, where, and what mends it."""
