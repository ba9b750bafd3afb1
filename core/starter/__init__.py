"""The starter model and its sample data: a closed world generated from a seed, so that everything can be made again."""
