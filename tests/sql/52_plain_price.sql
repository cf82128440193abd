begin;
\ir helpers/setup.psql
select no_plan();

-- The engine prices plain calls. cost_of_reading prices all calls, in SQL. What both price, they price the same.

create temporary table calls as
select row_number() over () as id, m.model, m.at, u.usage, t.tokens_input, t.tokens_output
  from (select setseed(0.25)) s,
       lateral (select n.model, w.at
                  from (select distinct s.model from matrice_private.price_sheets s
                        union select f.name from (select distinct p.model, p.provider from matrice.model_prices p) p,
                                     lateral (values (p.provider || '/' || p.model), (upper(p.model)), ('openrouter/' || p.model), ('models/' || p.model),
                                                     ('projects/p/locations/l/publishers/google/models/' || p.model), ('ft:' || p.model || ':acme::x'),
                                                     (p.model || '-2099-01-01'), ('ca.' || p.model), ('bedrock/eu-west-3/' || p.model)) f (name)
                               where hashtext(f.name) % 8 = 0) n (model)
                 cross join (values (timestamptz '2020-01-01 00:00Z'), ('2026-11-27 14:30Z'), ('2030-01-01 00:00Z')) w (at)) m,
       lateral (select (random() * 10 ^ (random() * 7))::bigint as i, (random() * 10 ^ (random() * 5))::bigint as o, random() as cached,
                       random() as heard, random() as thought, random() as form, m.model as of) r,
       lateral (select case
                  when r.form < 0.2 then '{}'::jsonb
                  when r.form < 0.5 then jsonb_build_object('prompt_tokens', i, 'completion_tokens', o, 'total_tokens', i + o, 'prompt_tokens_details',
                         jsonb_build_object('cached_tokens', floor(i * cached)), 'completion_tokens_details',
                         jsonb_build_object('reasoning_tokens', floor(o * thought)))
                  when r.form < 0.6 then jsonb_build_object('input_tokens', i, 'output_tokens', o, 'cache_read_input_tokens', floor(i * cached),
                         'cache_creation_input_tokens', floor(i * heard), 'service_tier', 'standard')
                  when r.form < 0.7 then jsonb_build_object('model', 'x', 'usage', jsonb_build_object('prompt_tokens', i, 'completion_tokens', o))
                  when r.form < 0.8 then jsonb_build_object('promptTokenCount', i, 'candidatesTokenCount', o, 'cachedContentTokenCount', floor(i * cached))
                  when r.form < 0.85 then jsonb_build_object('prompt_tokens', i, 'completion_tokens', o, 'service_tier', 'flex')
                  when r.form < 0.9 then jsonb_build_object('prompt_tokens', i + heard, 'completion_tokens', o)
                  when r.form < 0.95 then jsonb_build_object('prompt_tokens', i, 'completion_tokens', o, 'new_tokens', 1)
                  else jsonb_build_object('prompt_tokens', i, 'completion_tokens', o, 'input_audio_tokens', floor(i * heard)) end as usage) u,
       lateral (select case when r.form < 0.2 or r.form > 0.93 then i end as tokens_input, case when r.form < 0.2 then o end as tokens_output) t;
create temporary table priced as
select c.*, matrice_private.plain_price(c.model, c.usage, c.tokens_input, c.tokens_output, c.at) as plain, r.reading, p.cost_usd, p.note
  from calls c
 cross join lateral (select matrice_private.read_usage(c.usage, c.tokens_input, c.tokens_output) as reading offset 0) r
 cross join lateral matrice_private.cost_of_reading(null, c.model, r.reading, c.at) p;
select cmp_ok(count(*), '>', 10000::bigint, 'There are calls of each model of the catalogue') from priced;
select cmp_ok(count(*) filter (where plain is not null), '>', count(*) filter (where cost_usd is not null) / 2, 'The engine prices most of them') from priced;
select cmp_ok(count(*), '>', 200::bigint, 'also by other names') from priced where plain is not null and priced.model not in (select s.model from matrice_private.price_sheets s);
select is_empty($$select model, usage, plain, cost_usd from priced where plain is not null and plain[1] is distinct from cost_usd$$,
                'The engine prices no call in another way than SQL');
select is_empty($$select model, usage, plain, cost_usd from priced where plain is not null and plain[1]::text <> cost_usd::text$$,
                'The costs have the same digits');
select is_empty($$select model, usage, plain, note from priced where plain is not null and note is not null$$,
                'The engine prices no call that has a note');
select is_empty($$select model, usage, plain, reading from priced
                   where plain is not null
                     and (plain[2] <> (reading ->> 'tokens_input')::numeric or plain[3] <> coalesce((reading ->> 'tokens_output')::numeric, 0)
                          or plain[4] <> matrice_private.cached_tokens(reading, plain[2]::integer))$$,
                'Their tokens are those that SQL reads');
select is_empty($$select model, usage, reading, cost_usd from priced
                   where plain is null and cost_usd is not null and note is null and usage ->> 'service_tier' is distinct from 'flex'
                     and not exists (select from matrice_private.price_sheets s where s.model = matrice_private.priced_model(priced.model) and s.has_off_peak)
                     and not exists (select from jsonb_each_text(reading -> 'counts') c where c.value like '%.%')$$,
                'It leaves nothing but what has a note, another tier, off-peak hours or fractions');

-- What is no plain call.
select is(matrice_private.plain_price(model, usage, i, o, at), null, what)
  from (values ('no model', null, '{}'::jsonb, 1, 1, now()), ('no usage', 'gpt-4o', null, 1, 1, now()), ('no time', 'gpt-4o', '{}', 1, 1, null),
               ('no tokens', 'gpt-4o', '{}', null, null, now()), ('tokens below zero', 'gpt-4o', '{}', -1, 1, now()),
               ('tokens that disagree', 'gpt-4o', '{"prompt_tokens": 5}', 6, 1, now()), ('too many tokens', 'gpt-4o', '{}', 2000000000, 1, now()),
               ('usage that is no object', 'gpt-4o', '[1]', 1, 1, now()), ('a scalar', 'gpt-4o', '1', 1, 1, now()),
               ('a snapshot without a price', 'gpt-4o-2099-01-01', '{}', 1, 1, now()), ('a region without a price', 'ca.amazon.nova-pro-v1:0', '{}', 1, 1, now()),
               ('a fee for each request', 'openai/gpt-4o-search-preview', '{}', 1, 1, now()), ('an unknown model', 'no-such-model', '{}', 1, 1, now()),
               ('a provider', 'gpt-4o', '{"provider": "azure"}', 1, 1, now()), ('a number that no double holds', 'gpt-4o', '{"n": 1e400}', 1, 1, now()),
               ('deep usage', 'gpt-4o', (repeat('{"a":', 40) || '1' || repeat('}', 40))::jsonb, 1, 1, now()),
               ('long usage', 'gpt-4o', jsonb_build_object('a', repeat('x', 3000)), 1, 1, now())) v (what, model, usage, i, o, at);
select is(matrice_private.plain_price('gpt-4o', jsonb_build_object('service_tier', tier), 1, 1, now()) is not null, is_plain, tier || ' may be plain')
  from (values ('default', true), ('standard', true), ('flex', false), ('batch', false), ('', true)) v (tier, is_plain);
select is((matrice_private.plain_price('gpt-4o', '{}', 1, 1, at))[1], matrice.calculate_cost('gpt-4o', 1, 1, '{}', at), 'It knows the time ' || at)
  from unnest(array['-infinity', 'infinity', '1999-01-01', now()]::timestamptz[]) at;

-- Prices of this transaction count at once, and are forgotten with it.
insert into matrice.model_prices (model, provider, unit, usd_per_million) values ('plain-model', 'openai', 'input', 3), ('plain-model', 'openai', 'output', 7);
select is(matrice.calculate_cost('plain-model', 1000000, 1000000), 10::numeric, 'A new price counts at once');
savepoint before;
insert into matrice.model_prices (model, provider, unit, usd_per_million, valid_from) values ('plain-model', 'openai', 'input', 4, now() - interval '1 hour');
insert into matrice.model_prices (model, provider, unit, above_input_tokens, usd_per_million) values ('plain-model', 'openai', 'output', 2000, 8);
select is(matrice.calculate_cost('plain-model', 1000, 1000), 0.011, 'A later price counts from its time on');
select is(matrice.calculate_cost('plain-model', 1000, 1000, '{}', now() - interval '2 hours'), 0.01, 'The one before counts before it');
rollback to before;
select is(matrice.calculate_cost('plain-model', 1000, 1000), 0.01, 'A price that was rolled back does not count');

-- record_steps prices a batch where it reads it if a service records it, and leaves it to the triggers if a member does. What is
-- stored is the same as by a plain INSERT.
select tests.project('batches'), tests.project('own prices');
select lives_ok($$select matrice.set_price(tests.id('own prices'), 'gpt-4o', '{"input": 1, "output": 1}', valid_from => '2020-01-01Z')$$, 'A price of its own');
create temporary table ways as
select w.way, matrice.start_run(tests.id(w.project), w.way, 'e') as run_id
  from (values ('insert', 'batches'), ('service', 'batches'), ('member', 'batches'), ('own insert', 'own prices'), ('own service', 'own prices')) w (way, project);
create temporary table sampled as
select c.id, c.model, c.at, c.usage, c.tokens_input, c.tokens_output, case when id % 7 = 0 then 0.5 end as cost_usd,
       (array['success', 'failed', 'skipped', 'running'])[1 + id % 4] as status
  from (select *, row_number() over (order by md5(id::text)) as place from calls where coalesce(tokens_input, 0) <= 1000000000) c
 where c.place <= 600 and octet_length(c.model) <= 200
 union all
select -1, 'gpt-4o', now(), '{}', 5, 5, null, 'success'
 union all
select -2, 'gpt-4o', now(), null, null, null, null, 'success';
insert into matrice.workflow_steps (run_id, step_name, step_key, status, model, usage, tokens_input, tokens_output, cost_usd, executed_at)
select w.run_id, s.id, s.id, s.status, s.model, coalesce(s.usage, '{}'), coalesce(s.tokens_input, 0), coalesce(s.tokens_output, 0), s.cost_usd, s.at
  from sampled s cross join ways w where w.way like '%insert';
create temporary table batches as
select w.way, jsonb_agg(jsonb_build_object(
         'run_id', w.run_id, 'step_name', s.id::text, 'step_key', s.id::text, 'status', s.status, 'model', s.model, 'usage', s.usage,
         'tokens_input', s.tokens_input, 'tokens_output', s.tokens_output, 'cost_usd', s.cost_usd, 'executed_at', s.at)) as steps
  from sampled s cross join ways w where w.way not like '%insert' group by 1;
grant select on batches, ways to public;
select tests.as_user('edith');
select is(matrice.record_steps(steps), jsonb_array_length(steps)::bigint, 'A member records a batch') from batches where way = 'member';
select tests.as_service();
select is(matrice.record_steps(steps), jsonb_array_length(steps)::bigint, 'A service records a batch') from batches where way like '%service' order by way;
select is(matrice.record_steps(steps), 0::bigint, 'Again, it changes nothing') from batches where way like '%service' order by way;
select tests.as_owner();
create temporary view stored as
select w.way, s.step_key, s.status, s.model, s.usage, s.tokens_input, s.tokens_output, s.cached_tokens, s.cost_usd::text, s.cost_source,
       s.cost_note, s.provider_cost_usd, s.executed_at
  from matrice.workflow_steps s join ways w using (run_id);
select cmp_ok(count(*), '>', 100::bigint, 'Many of them have a calculated cost') from stored where way = 'service' and cost_source = 'calculated';
select is_empty(format($$select (to_jsonb(s) - 'way') from stored s where way = %L except select to_jsonb(s) - 'way' from stored s where way = %L$$, given, wanted),
                given || ' stores what ' || wanted || ' does')
  from (values ('service', 'insert'), ('member', 'insert'), ('own service', 'own insert')) v (given, wanted);
select isnt((select jsonb_agg(cost_usd order by step_key) from stored where way = 'own service'),
            (select jsonb_agg(cost_usd order by step_key) from stored where way = 'service'), 'A price of the project counts in batches');
select is(s.cost_usd, 5 * 2.5 / 1000000 + 5 * 10 / 1000000.0, 'A batch takes the given tokens')
  from matrice.workflow_steps s join ways w using (run_id) where w.way = 'service' and s.step_key = '-1';

-- Only who is under no policies says where a cost comes from.
select tests.as_user('edith');
select lives_ok(format($$insert into matrice.workflow_steps (run_id, project_id, step_name, status, model, usage, cost_usd, cost_source, cached_tokens)
                         select %L, tests.id('batches'), 'forged', 'success', 'gpt-4o', '{"prompt_tokens": 1000}', c.cost, 'calculated', 7
                           from (values (null), (0.1)) c (cost)$$, (select run_id from ways where way = 'member')), 'A member names a source');
select tests.as_owner();
select results_eq($$select cost_usd, cost_source, cached_tokens from matrice.workflow_steps where step_name = 'forged' order by 1$$,
                  $$values (0.0025, 'calculated', 0), (0.1, 'provided', 0)$$, 'The triggers say another one');

-- Steps.
select tests.project('plain'), tests.project('contract');
create temporary table runs as
select p.name, matrice.start_run(tests.id(p.name), 'w', 'e') as run_id from unnest(array['plain', 'contract']) p (name);
select lives_ok($$select matrice.set_price(tests.id('contract'), 'plain-model', '{"input": 1, "output": 1}', valid_from => now() - interval '1 day')$$,
                'A project can have a price of its own');
select lives_ok($$select matrice.record_step(run_id, 'ask', 'success', model => 'plain-model', usage => '{"prompt_tokens": 1000, "completion_tokens": 10}') from runs$$,
                'Steps are recorded');
select results_eq($$select r.name, s.cost_usd, s.tokens_input, s.tokens_output, s.cost_source, s.cost_note
                      from matrice.workflow_steps s join runs r on r.run_id = s.run_id order by 1$$,
                  $$values ('contract', 0.00101, 1000, 10, 'calculated', null), ('plain', 0.00307, 1000, 10, 'calculated', null)$$,
                  'A price of the project comes first');
select lives_ok($$insert into matrice.workflow_steps (run_id, step_name, status, model, tokens_input, tokens_output)
                  select run_id, 'large', 'success', 'plain-model', 1000000000, 1000000000 from runs where name = 'plain'$$, 'The largest step is recorded');
select is(s.cost_usd, 10000::numeric, 'and priced') from matrice.workflow_steps s where s.step_name = 'large';
update matrice.model_prices set usd_per_million = 1000000000 where model = 'plain-model';
select lives_ok($$insert into matrice.workflow_steps (run_id, step_name, status, model, tokens_input, tokens_output)
                  select run_id, 'dear', 'success', 'plain-model', 1000000000, 1000000000 from runs where name = 'plain'$$,
                'A cost that the column cannot hold refuses no step');
select is(s.cost_usd, null, 'and is not known') from matrice.workflow_steps s where s.step_name = 'dear';

select * from finish();
rollback;
