// Planned counts come from the planner, which knows the rows of everybody.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ALICE, BOB, ok, refused } from './fixtures.mjs'
import { startStack } from './stack.mjs'

let stack, alice, bob

before(async () => {
  stack = await startStack({
    // As the README has it: so nobody, who has no right to anything of matrice, can still make requests.
    setup: `create function public.before_request() returns void language plpgsql security definer set search_path = pg_catalog, pg_temp
            as $$ begin perform matrice.refuse_planned_counts(); end $$;
            create table public.open (id integer); insert into public.open values (1); grant select on public.open to anon;`,
    preRequest: 'public.before_request',
  })
  alice = await stack.user(ALICE)
  bob = await stack.user(BOB)
  await ok(alice.rpc('create_project', { name: 'Counted' }))
})
after(() => stack?.stop())

test('M1: count=planned and count=estimated are refused, count=exact is answered', async () => {
  for (const count of ['planned', 'estimated']) {
    const error = await refused(bob.from('projects').select('*', { count }), 400, '22023')
    assert.match(error.hint, /count=exact/)
  }
  assert.equal((await alice.from('pillars').select('*', { count: 'exact', head: true })).count, 6)
  assert.equal((await bob.from('pillars').select('*', { count: 'exact', head: true })).count, 0)
})

test('M1: count=planned is refused in every spelling of the header Prefer', async () => {
  const token = await stack.token({ role: 'authenticated', sub: BOB })
  const ask = (...prefer) => fetch(`${stack.url}/rest/v1/projects?select=id`, {
    headers: [['Authorization', `Bearer ${token}`], ['Accept-Profile', 'matrice'], ...prefer.map((value) => ['Prefer', value])],
  })
  for (const prefer of [['count=planned'], ['return=minimal, count=planned'], ['count=planned', 'return=minimal'], ['return=minimal', 'count=planned'],
    ['x="y", count=planned'], ['count=planned,count=exact'], [' count=planned ']]) {
    const response = await ask(...prefer)
    assert.equal(response.status, 400, prefer.join(' + '))
    assert.equal(response.headers.get('content-range'), null)
  }
  assert.equal((await ask('count=exact')).headers.get('content-range'), '*/0')
})

test('M1: anon reads a table of schema public that is open to anon', async () => {
  assert.deepEqual(await ok(stack.anon().schema('public').from('open').select()), [{ id: 1 }])
})

test('M1: count=planned without refuse_planned_counts does not depend on others\' values', async () => {
  const plain = await startStack({ database: 'matrice_api_counts' })
  try {
    const owner = await plain.user(ALICE)
    const hers = await ok(owner.rpc('create_project', { name: 'Counted' }))
    plain.sql(`insert into matrice.context_sources (project_id, name) select '${hers}', 'common' from generate_series(1, 2000); analyze`)
    const outsider = await plain.user(BOB)
    const planned = async (column, value) => (await outsider.from('context_sources').select('*', { count: 'planned', head: true }).eq(column, value)).count
    assert.equal(await planned('name', 'common'), await planned('name', 'rare'))
    assert.equal(await planned('project_id', hers), await planned('project_id', '00000000-0000-4000-8000-00000000dead'))
  } finally {
    await plain.stop()
  }
})
