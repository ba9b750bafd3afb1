"""Where the curves of a run are drawn besides the page: TensorBoard always, others when chosen and installed.

Each file but `background` and `chosen` knows one of them and has a class with the two methods of `Tracker`.
"""
