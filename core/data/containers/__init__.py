"""How each kind of file becomes rows: one container a file, all of them streaming."""
