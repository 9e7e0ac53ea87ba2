"""The seal: a snapshot of the rooms that ended on a day, as of its cut-off, published whole and never changed again.

due (which days) -> gate (is all consumed that came by the cut-off?) -> membership (which rooms are in, which must
be folded anew) -> build, beside what readers see -> check -> publish

Afterwards: status, reseal (the same way, for several days at once; history keeps what it replaces), verify (another
way: turns, compared). kept says whether the events are still there for either.
"""
