"""What runs beyond the caller's process: nursery, keeper, zygote, and the judged process itself.

These modules are imported by a bare interpreter (no site-packages, no rewardkit), so they import
each other relatively and the rest from the standard library.

- ``nursery``: a warm process that lanes are forked from; ``warm`` is how it gets warm.
- ``lane``: from a fork of the nursery to a zygote; ``namespaces``, ``root``, ``reach``,
  ``landlock``, ``seccomp`` (with ``bpf`` and the tables in ``syscalls``) are the means.
- ``zygote``: serves orders; ``series`` serves those of many calls; ``watch`` keeps limits,
  ``worlds`` knows which processes are a program's own.
- ``keeper``: keeps the scratch fresh.
- ``child``, ``program``, ``calls``: what a judged process does before and around judged code.
- ``wire``: what all of them say to each other; the caller reads it too.
- ``linux``: system calls that Python does not offer; ``tree``: deleting what hostile code made.
"""
