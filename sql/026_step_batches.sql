-- Functions of record_steps take other arguments now.

drop function if exists matrice_private.steps_of(jsonb, uuid);
drop function if exists matrice_private.require_steps(jsonb, uuid);
