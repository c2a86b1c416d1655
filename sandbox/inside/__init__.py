"""What runs in the launcher's process: set-up, watch and the judged program itself.

These modules are imported by a bare interpreter (no site-packages, no rewardkit), so they import
each other relatively and the rest from the standard library, as little of it as they can: every
import is paid for on each execution.

- ``launcher``: the order of things, from the caller's ``exec`` to the end.
- ``job``: what the caller hands over and what it gets back.
- ``namespaces``, ``root``: a world of its own, with a minimal read-only file system.
- ``confine``, ``seccomp``: what the program gives up before its first instruction.
- ``watch``: CPU, wall, memory and output limits; killing and reaping.
- ``program``: running the judged source as ``__main__``.
- ``linux``: the system calls that Python does not offer.
"""
