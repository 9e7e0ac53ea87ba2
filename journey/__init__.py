"""The pure heart: events, rules, the fold of a room, order, calendar, balance, labels. No clock, no I/O, no logging."""
