-- The schedule of the worker at the edge. pg_cron and pg_net are not installed here.

begin;
\ir helpers/setup.psql
select plan(9);

prepare schedule as select matrice_private.schedule_embedding('https://host/functions/v1/embed', 'secret', $1);

select throws_ok('execute schedule(''1 minute'')', '0A000', 'the extensions pg_cron and pg_net are needed to schedule the worker',
  'schedule_embedding without pg_cron and pg_net');
select throws_ok('select matrice_private.unschedule_embedding()', '0A000', null, 'unschedule_embedding without pg_cron and pg_net');

create schema cron;
create function cron.schedule(text, text, text) returns bigint language sql as 'select 1/0::bigint';
create schema net;
create function net.http_post(url text, headers jsonb, timeout_milliseconds integer) returns bigint language sql as 'select 1/0::bigint';
select throws_ok('execute schedule(''1 minute'')', '0A000', null,
  'schedule_embedding gives no secret to functions that somebody else made under these names');

select throws_ok(format('execute schedule(%L)', every), '22023', null, 'schedule_embedding refuses every ' || every)
  from unnest(array['7 minutes', '0', '61 seconds', '1 hour']) as every;
select throws_ok($$select matrice_private.schedule_embedding('file:///etc/passwd', 'secret')$$, '22023', null,
  'schedule_embedding refuses an address that is not of http');

select tests.as_service();
select throws_ok('execute schedule(''1 minute'')', '42501', null, 'schedule_embedding is for the owner');

select * from finish();
rollback;
