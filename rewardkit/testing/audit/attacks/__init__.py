"""Our attacks, a module for each family; each holds a tuple ``ATTACKS``."""
