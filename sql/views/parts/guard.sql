-- a scalar subquery is worked out before any row is read: it fires on empty tables and under LIMIT 0, too
(SELECT throwIf({from:Date} > {to:Date}, 'turnpath: `from` is after `to`; give the earlier day first')
    + throwIf({to:Date} >= toDate(now(), '${TIMEZONE}'), 'turnpath: `to` must be yesterday or earlier; today is in today_table, today_nodes and today_edges')
    + throwIf(dateDiff('day', {from:Date}, {to:Date}) > 30, 'turnpath: the range has more than 31 days; ask for 31 at most at a time')) = 0
