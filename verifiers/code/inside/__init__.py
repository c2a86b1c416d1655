"""What runs beside judged code, inside the sandbox; see ``bundle`` for how it gets there.

None of it is trusted once judged code has run in its process.
"""
