"""Work on data sets that may take longer than a second: adding, checking, fixing, splitting, augmenting, exporting."""
