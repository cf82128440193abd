begin;
\ir helpers/setup.psql
select no_plan();

-- reembed: after a change of the template, what another template made is embedded again, and nothing else.

insert into matrice.embedding_models (model, dimensions) values ('tiny', 3);
select tests.project('atlas', '{"embedding_model": "tiny", "embedding_template": "{title}: {content}"}');
select tests.project('borea', '{"embedding_model": "tiny"}');
select tests.as_user('edith');
select tests.remember('log', matrice.ingest_chunks(tests.id('atlas'), 'Log', (select jsonb_agg(jsonb_build_object('content', 'text ' || n)) from generate_series(1, 300) n)));
select tests.remember('other', matrice.ingest_chunks(tests.id('borea'), 'Other', '[{"content": "text"}]'));
select tests.as_owner();
-- Embeds what can be claimed, and tells how much it was. The vectors tell the round.
create function tests.embed(round integer, most integer default 1000) returns text language plpgsql as $$
declare
  batch record;
begin
  select array_agg(c.chunk_id) as ids, (array_agg(c.lease_id))[1] as lease, min(c.embedding_text) as first, count(*) as size into batch
    from matrice.claim_chunks(null, most, project_id => tests.id('atlas')) c;
  if batch.size > 0 then
    perform matrice.store_embeddings('tiny', batch.ids, (select jsonb_agg(jsonb_build_array(1, round, 0)) from unnest(batch.ids)), batch.lease);
  end if;
  return concat_ws(' ', batch.size, batch.first);
end
$$;
create function tests.rounds() returns text language sql security definer as $$
  select string_agg(vector || ' ' || size, ', ' order by vector)
    from (select embedding::text as vector, count(*) as size from matrice.chunk_embeddings where project_id = tests.id('atlas') group by 1) e
$$;
create function tests.template(template text) returns void language sql as $$
  update matrice.projects set settings = settings || jsonb_build_object('embedding_template', template) where id = tests.id('atlas')
$$;
select tests.as_user('edith');
select is(tests.embed(1), '300 Log: text 1', 'all chunks are embedded by the first template');
select tests.as_user('alice');
select is(matrice.reembed(tests.id('atlas')), 0, 'reembed without a change: nothing to do');
select is(tests.embed(1), '0', 'reembed without a change: nothing to claim');
select tests.template('{content} of {title}');
select is(tests.embed(2), '0', 'a change of the template alone queues nothing');
insert into matrice.chunk_embeddings (chunk_id, embedding)
select id, '[0,0,1]' from matrice.source_chunks where source_id = tests.id('other');
select tests.as_user('edith');
update matrice.source_chunks set content = 'a new text' where source_id = tests.id('log') and chunk_index = 7;
select is(tests.embed(2), '1 a new text of Log', 'a new text is embedded by the new template');
select tests.remember_state();
select tests.refuses($$select matrice.reembed(tests.id('atlas'))$$, '42501', 'reembed is for owners');
select tests.unchanged('a refused reembed changes nothing');
select tests.as_user('mallory');
select tests.refuses($$select matrice.reembed(tests.id('atlas'))$$, 'PT404', 'reembed refuses an outsider');

select tests.as_user('alice');
select is(matrice.reembed(tests.id('atlas')), 299, 'reembed counts what another template made');
select is(tests.rounds(), '[1,1,0] 299, [1,2,0] 1', 'reembed changes no embedding');
select is((select status || ' ' || embedded_count from matrice.context_sources where id = tests.id('log')), 'ready 300', 'reembed leaves the source ready');
select is(matrice.reembed(tests.id('atlas')), 299, 'reembed once more says the same');
select tests.as_user('edith');
select is(tests.embed(3, 200), '200 text 1 of Log', 'then claim_chunks returns these chunks');
select matrice.fail_chunks('tiny', array_agg(c.chunk_id), 'HTTP 503', (array_agg(c.lease_id))[1]) from matrice.claim_chunks(null, 50, project_id => tests.id('atlas')) c;
select is(tests.embed(4), '99 text 202 of Log', 'chunks that were given back are claimed again');
select is(tests.rounds(), '[1,2,0] 1, [1,3,0] 200, [1,4,0] 99', 'every other chunk is embedded again, once');
select is(tests.embed(5), '0', 'then nothing is left');
select tests.as_user('alice');
select is(matrice.reembed(tests.id('atlas')), 0, 'and reembed counts nothing');
select tests.as_owner();
select is_empty($$select * from matrice_private.waiting_parts where project_id = tests.id('atlas')$$, 'no part waits');

select tests.as_user('alice');
-- The template changes while a worker has a text, and changes back.
select tests.template('{title}: {content}');
select is(matrice.reembed(tests.id('atlas')), 300, 'reembed after the next change');
select tests.remember('lease', (array_agg(c.lease_id))[1]) from matrice.claim_chunks(null, 1000, project_id => tests.id('atlas')) c;
select tests.template('{content}');
select matrice.store_embeddings('tiny', array_agg(id), jsonb_agg('[1,6,0]'::jsonb), tests.id('lease')) from matrice.source_chunks where source_id = tests.id('log');
select is(tests.embed(7), '0', 'a further change ends reembed');
select is(matrice.reembed(tests.id('atlas')), 300, 'a store keeps the template of its claim');
select is(tests.embed(8), '300 a new text', 'after reembed they are embedded by the last template');
select tests.template('{title}: {content}');
select tests.template('{content}');
select is(tests.embed(9), '0', 'a change back and forth queues nothing');

-- A hostile value changes nothing but the caller's own queue.
update matrice.projects set reembed_template = 0 where id = tests.id('atlas');
select is(tests.embed(10), '0', 'projects.reembed_template of another template queues nothing');
select is(matrice.reembed(tests.id('borea')), 1, 'an embedding that a client wrote itself counts as made by another template');

select * from finish();
rollback;
