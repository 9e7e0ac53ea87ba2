SELECT step, dialog, move, message, next_step, next_dialog, moves, rooms, customers
FROM (${part_edges})
ORDER BY step, dialog, moves DESC, move, message, next_step, next_dialog
