"""The engine of the studio: data, rendering, training, evaluation, chat and merging. It never imports the interface."""
