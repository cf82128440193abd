-- Embedding models, and the checks that every embedding must pass.
--
-- chunk_embeddings holds vectors of pgvector, embedding_models declares their dimensions, embedding_leases says who computes
-- which. build_embedding_index is in 003, beside its index.

create or replace function matrice_private.dimensions_of(embedding vector) returns integer
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select vector_dims(embedding);
end;
comment on function matrice_private.dimensions_of is
  'Returns the number of dimensions of a vector. The call of pgvector''s function is bound when this function is '
  'created. So PL/pgSQL functions can call it, though pgvector''s schema is not in their search_path.';

create or replace function matrice_private.norm_of(embedding vector) returns double precision
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select vector_norm(embedding);
end;
comment on function matrice_private.norm_of is
  'Returns the Euclidean norm of a vector. Bound at creation, like dimensions_of.';

create or replace function matrice_private.norm_of_dimensions(embedding vector, dimensions integer) returns double precision
language plpgsql immutable strict parallel safe security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return matrice._norm(embedding, dimensions);
end
$$;
comment on function matrice_private.norm_of_dimensions is
  'Returns the Euclidean norm of a vector, or null if it has another number of dimensions. SECURITY DEFINER: only the owner may '
  'execute the engine''s functions. The result depends on the arguments alone. By pgvector''s functions it would be SQL, which '
  'is planned again in each statement.';

create or replace function matrice_private.read_embeddings(embeddings jsonb) returns table (place integer, embedding real[])
language plpgsql immutable strict security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select r.place, r.embedding from matrice._read_embeddings(embeddings) r;
end
$$;
comment on function matrice_private.read_embeddings is
  'Reads the vectors of a JSON array, see store_embeddings. SECURITY DEFINER: only the owner may execute the engine''s '
  'functions. The result depends on the argument alone.';

create or replace function matrice_private.require_model(model text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from matrice.embedding_models m where m.model = require_model.model) then
    raise exception 'unknown embedding model: "%"', left(model, 100)
      using errcode = '22023', hint = format(
        'Known models: %s. A service adds another to matrice.embedding_models with register_model.',
        (select string_agg(m.model, ', ' order by m.model) from matrice.embedding_models m));
  end if;
end
$$;
comment on function matrice_private.require_model is 'Raises unless embedding_models has a row for the model.';

create or replace function matrice_private.truncated(embedding vector, dimensions integer) returns vector
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  select l2_normalize(subvector(embedding, 1, dimensions));
end;
comment on function matrice_private.truncated is
  'Returns the first numbers of a vector, scaled to length 1. Bound at creation, like dimensions_of.';

create or replace function matrice_private.comparable(embedding vector, model text) returns vector
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  dimensions integer;
  declared   integer;
  whole      integer;
  norm       double precision;
begin
  select m.dimensions, w.dimensions into declared, whole
    from matrice.embedding_models m left join matrice.embedding_models w on w.model = m.truncated_from
   where m.model = comparable.model;
  norm := matrice_private.norm_of_dimensions(embedding, declared);
  if norm between 1e-18 and 1e18 then
    return embedding;
  end if;
  dimensions := matrice_private.dimensions_of(embedding);
  if dimensions = whole then
    embedding := matrice_private.truncated(embedding, declared);
  elsif dimensions <> declared then
    raise exception 'wrong number of dimensions for model "%"', left(model, 100)
      using errcode = '22023',
            detail = format('Expected %s dimensions%s, got %s.', declared, ', or the ' || whole || ' of the whole model',
                            dimensions),
            hint = 'Name the model that made the embedding. A service adds a new model to matrice.embedding_models with '
                   'register_model.';
  end if;
  norm := matrice_private.norm_of(embedding);
  if norm = 0 then
    raise exception 'an embedding of only zeros has no direction'
      using errcode = '22023', hint = 'The model returned no embedding. Embed the text again.';
  end if;
  -- pgvector adds up the squares in single precision, whose range is 1e-38 to 1e38.
  if norm not between 1e-18 and 1e18 then
    raise exception 'the norm of an embedding is too %', case when norm > 1 then 'large' else 'small' end
      using errcode = '22023',
            detail = format('It is %s. Cosine similarity is exact for norms between 1e-18 and 1e18.', norm),
            hint = 'Scale the embedding, for example to a norm of 1: only its direction counts.';
  end if;
  return embedding;
end
$$;
comment on function matrice_private.comparable is
  'Returns a vector as it is compared with the embeddings of a model. A vector of the whole model is truncated to the '
  'dimensions of a truncated one, and scaled to length 1. Raises unless it then has the dimensions that its model declares, '
  'and a norm with which cosine distances are exact.';

create or replace function matrice_private.keep_dimensions() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from matrice.chunk_embeddings e where e.model = old.model)
     or exists (select from matrice.insight_embeddings e where e.model = old.model) then
    raise exception 'the model has embeddings of % dimensions%', old.dimensions,
                    case when old.truncated_from <> '' then ', truncated from ' || left(old.truncated_from, 100) else '' end
      using errcode = 'PT409',
            detail = format('Chunks or insights have embeddings of the model %s.', quote_literal(old.model)),
            hint = 'Register the new dimensions as another model with another name, and switch to that model.';
  end if;
  return new;
end
$$;
comment on function matrice_private.keep_dimensions is
  'Refuses to change the dimensions of a model that has embeddings, or the model that it is truncated from.';

create or replace trigger keep_dimensions before update of dimensions, truncated_from on matrice.embedding_models
for each row when ((old.dimensions, old.truncated_from) is distinct from (new.dimensions, new.truncated_from))
execute function matrice_private.keep_dimensions();

create or replace function matrice_private.check_truncation() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  whole record;
begin
  if new.truncated_from is not null then
    -- The lock keeps its dimensions. The foreign key refuses a model that does not exist.
    select m.dimensions, m.truncated_from into whole
      from matrice.embedding_models m where m.model = new.truncated_from for share;
    if whole.truncated_from is not null then
      raise exception 'a truncated model cannot be truncated again'
        using errcode = '22023', hint = format('Name the whole model: %s.', whole.truncated_from);
    elsif whole.dimensions <= new.dimensions then
      raise exception 'a truncated model must have fewer dimensions than the whole one'
        using errcode = '22023',
              detail = format('The whole model has %s, the truncated one %s.', whole.dimensions, new.dimensions),
              hint = 'Pass fewer dimensions, or leave truncated_from out.';
    end if;
  end if;
  if exists (select from matrice.embedding_models m
              where m.truncated_from = new.model and (m.dimensions >= new.dimensions or new.truncated_from is not null)) then
    raise exception 'other models are truncated from this one'
      using errcode = 'PT409', detail = 'A whole model keeps more dimensions than those that are truncated from it.',
            hint = 'Register another model with another name.';
  end if;
  return new;
end
$$;
comment on function matrice_private.check_truncation is
  'Refuses a truncated model that has no fewer dimensions than the whole one, or that is truncated from a truncated one.';

create or replace trigger check_truncation before insert or update of dimensions, truncated_from on matrice.embedding_models
for each row execute function matrice_private.check_truncation();

create or replace function matrice_private.choose_model() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.model := matrice_private.embedding_model(null, new.project_id);
  return new;
end
$$;
comment on function matrice_private.choose_model is 'Sets the model of an embedding that has none.';

create or replace function matrice_private.check_embedding() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  declared integer;
  norm     double precision;
begin
  select m.dimensions into declared from matrice.embedding_models m where m.model = new.model;
  -- In a variable, because BETWEEN would call the function twice.
  norm := matrice_private.norm_of_dimensions(new.embedding, declared);
  if norm between 1e-18 and 1e18 then
    return new;
  end if;
  new.embedding := matrice_private.comparable(new.embedding, new.model);
  return new;
end
$$;
comment on function matrice_private.check_embedding is
  'Refuses an embedding that cannot be compared with the model''s other embeddings, and truncates it if it is one of the whole '
  'model. Checks what comparable checks, with one call.';

-- Triggers fire in the order of their names. Foreign keys compare the project of a chunk, too. For roles under row-level security
-- the trigger does it first, so that no error tells them about other projects.
create or replace trigger a_project_from_parent before insert on matrice.chunk_embeddings
for each row when (new.project_id is null or row_security_active('matrice.chunk_embeddings'::regclass))
execute function matrice_private.project_from_parent();
create or replace trigger a_project_of_new_parent before update of chunk_id on matrice.chunk_embeddings
for each row when (old.chunk_id is distinct from new.chunk_id) execute function matrice_private.project_from_parent();
create or replace trigger b_choose_model before insert or update of model on matrice.chunk_embeddings
for each row when (new.model is null) execute function matrice_private.choose_model();
create or replace trigger check_embedding before insert or update of embedding, model on matrice.chunk_embeddings
for each row execute function matrice_private.check_embedding();

create or replace function matrice_private.embedding_model(model text, project_id uuid) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen text := coalesce(
    model,
    (select p.settings ->> 'embedding_model' from matrice.projects p where p.id = embedding_model.project_id),
    (select m.model from matrice.embedding_models m where m.is_default)
  );
begin
  perform matrice_private.require_model(chosen);
  return chosen;
end
$$;
comment on function matrice_private.embedding_model is
  'Returns the embedding model to use: the given one; if null, the one that the project''s setting "embedding_model" '
  'names; without that setting, the default model. Raises unless embedding_models has a row for it.';
