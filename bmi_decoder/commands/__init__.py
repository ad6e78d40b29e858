"""Sub-commands of ``bmi-decoder``; each has ``register(subparsers)``.

Commands that start processes live in services/ and are found through the entry-point group
``bmi_decoder.commands``, because this storey may not import that one.
"""
