"""The flight recorder: what a worker did in every recent bin, in memory that outlives and outreaches it.

One file, mapped by the worker and by anyone who wants to know: a header with state and counters, then a ring of
fixed-size records, one per bin. The worker alone writes; it stores a record first and their number after, so a
reader that copies the ring and then reads the number again knows which records it can trust.
"""
