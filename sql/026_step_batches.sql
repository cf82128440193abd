-- How batches of steps are recorded.

-- These take other arguments now.
drop function if exists matrice_private.steps_of(jsonb, uuid);
drop function if exists matrice_private.require_steps(jsonb, uuid);

comment on table matrice_private.metric_changes is
  'What is not in metrics yet. With at and step_id: a new step. With step_id alone: a step that is in metrics already; that its '
  'run called its model is not. With at and run_id: steps of this run were changed or deleted, so the quarter of an hour is '
  'counted again. With run_id alone: the run began, changed or was deleted. There is no foreign key: it would make a writer wait '
  'for whoever deletes the project.';
