// Checks of @clickhouse/client (HTTP), with and without compression.
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual, inspect } from 'node:util'
import { ClickHouseError, createClient } from '@clickhouse/client'

const { version } = createRequire(import.meta.url)('@clickhouse/client/package.json')
const env = process.env
const ROWS = 1_000_000

function connect({ prefix = 'CLICKHOUSE_', password = env[`${prefix}PASSWORD`], ...more } = {}) {
  return createClient({
    url: `http://${env.CLICKHOUSE_HOST}:${env[`${prefix}PORT`]}`,
    username: env[`${prefix}USER`],
    password,
    log: { level: 127 },
    ...more,
  })
}

function same(got, wanted) {
  if (!isDeepStrictEqual(got, wanted)) throw new Error(`got ${inspect(got, { breakLength: Infinity })}, want ${inspect(wanted, { breakLength: Infinity })}`)
}

async function refused(work, code) {
  let error
  try {
    await work()
  } catch (caught) {
    error = caught
  }
  if (!error) throw new Error('it was answered')
  if (!(error instanceof ClickHouseError) || error.code !== code) throw new Error(`another error: ${error}`)
}

async function until(what, condition) {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await condition()) return
    await pause(50)
  }
  throw new Error(`never: ${what}`)
}

const json = async (client, query, more = {}) => (await client.query({ query, format: 'JSONEachRow', ...more })).json()

async function table(client, columns) {
  await client.command({ query: 'DROP TABLE IF EXISTS node_rows' })
  await client.command({ query: `CREATE TABLE node_rows (${columns}) ENGINE = MergeTree ORDER BY id` })
}

const checks = {
  'ping by /ping and by a query': async (client) => {
    same([(await client.ping()).success, (await client.ping({ select: true })).success], [true, true])
  },
  'JSON has rows, meta and statistics': async (client) => {
    const answer = await (await client.query({ query: "SELECT number AS n, toString(number) AS s FROM numbers(2)", format: 'JSON' })).json()
    same([answer.rows, answer.meta.map((column) => column.type), answer.data], [2, ['UInt64', 'String'], [{ n: 0, s: '0' }, { n: 1, s: '1' }]])
  },
  'types are read as JSON': async (client) => {
    const rows = await json(client, `SELECT toInt32(-5) AS i, 2.5::Float64 AS f, true AS b, toDate('2026-03-01') AS d, [1, -2]::Array(Int8) AS a,
      map('a', 1)::Map(String, UInt8) AS m, CAST(NULL, 'Nullable(String)') AS n, '应答' AS t, (1, 'x')::Tuple(k UInt8, v String) AS p`)
    same(rows, [{ i: -5, f: 2.5, b: true, d: '2026-03-01', a: [1, -2], m: { a: 1 }, n: null, t: '应答', p: { k: 1, v: 'x' } }])
  },
  'parameters are bound': async (client) => {
    const query_params = { n: 42, s: "it's \\ 应答\n", a: [1, 2], at: new Date('2026-03-01T08:00:00Z') }
    const rows = await json(client, 'SELECT {n:UInt8} AS n, {s:String} AS s, {a:Array(UInt8)} AS a, toUnixTimestamp({at:DateTime(\'UTC\')}) AS at', { query_params })
    same(rows, [{ n: 42, s: "it's \\ 应答\n", a: [1, 2], at: 1772352000 }])
  },
  'a million rows stream': async (client) => {
    const answer = await client.query({ query: `SELECT number::UInt32 AS n FROM numbers(${ROWS})`, format: 'JSONEachRow' })
    let [count, sum] = [0, 0]
    for await (const rows of answer.stream()) {
      for (const row of rows) {
        count += 1
        sum += row.json().n
      }
    }
    same([count, sum], [ROWS, (ROWS * (ROWS - 1)) / 2])
  },
  'CSV and Parquet stream as bytes': async (client) => {
    const csv = await (await client.query({ query: 'SELECT number FROM numbers(3)', format: 'CSV' })).text()
    const { stream } = await client.exec({ query: 'SELECT number FROM numbers(3) FORMAT Parquet' })
    const parquet = Buffer.concat(await Readable.from(stream).toArray())
    same([csv, parquet.subarray(0, 4).toString()], ['0\n1\n2\n', 'PAR1'])
  },
  'inserts of an array': async (client) => {
    await table(client, 'id UInt32, name String, tags Array(String)')
    const values = Array.from({ length: 10_000 }, (_, id) => ({ id, name: `应答 ${id}`, tags: ['a', String(id)] }))
    const told = await client.insert({ table: 'node_rows', values, format: 'JSONEachRow' })
    same(await json(client, 'SELECT count() AS c, sum(id) AS s, uniqExact(name) AS u FROM node_rows'), [{ c: 10000, s: 49995000, u: 10000 }])
    same([told.executed, told.summary.written_rows], [true, '10000'])
  },
  'inserts of a stream': async (client) => {
    await table(client, 'id UInt32, name String')
    const stream = Readable.from((function* rows() {
      for (let id = 0; id < 100_000; id += 1) yield [id, `name ${id}`]
    })(), { objectMode: true })
    await client.insert({ table: 'node_rows', values: stream, format: 'JSONCompactEachRow' })
    same(await json(client, 'SELECT count() AS c, max(id) AS m FROM node_rows'), [{ c: 100000, m: 99999 }])
  },
  'inserts of named columns and of raw CSV': async (client) => {
    await table(client, "id UInt32, name String DEFAULT 'made'")
    await client.insert({ table: 'node_rows', values: [{ id: 1 }], columns: ['id'], format: 'JSONEachRow' })
    await client.insert({ table: 'node_rows', values: Readable.from(['2,two\n', '3,three\n'], { objectMode: false }), format: 'CSV' })
    same(await json(client, 'SELECT id, name FROM node_rows ORDER BY id'), [{ id: 1, name: 'made' }, { id: 2, name: 'two' }, { id: 3, name: 'three' }])
  },
  'an insert that does not fit is refused': async (client) => {
    await table(client, 'id UInt32')
    await refused(() => client.insert({ table: 'node_rows', values: [{ id: 'no number' }], format: 'JSONEachRow' }), '27')
    same(await json(client, 'SELECT count() AS c FROM node_rows'), [{ c: 0 }])
  },
  'errors have their code': async (client) => {
    await refused(() => client.query({ query: 'SELECT * FROM no_such_table' }), '60')
    await refused(() => client.query({ query: 'SELEC 1' }), '62')
    await refused(() => client.command({ query: 'SELECT no_such_column' }), '47')
  },
  'an error in mid-answer is told': async (client) => {
    const answer = await client.query({
      query: 'SELECT number, throwIf(number = 900000) FROM numbers(1000000)',
      format: 'JSONCompactEachRow',
      clickhouse_settings: { max_block_size: '10000' },
    })
    let error
    try {
      for await (const rows of answer.stream()) void rows
    } catch (caught) {
      error = caught
    }
    // Under gzip the client notices the broken connection before it has unpacked the error's text.
    if (!error || !/throwIf|395|^aborted$/.test(String(error.message))) throw new Error(`ended with ${error}`)
  },
  'an abort ends the query on the server': async (client) => {
    const abort = new AbortController()
    const query_id = crypto.randomUUID()
    const running = async () => Number((await json(client, `SELECT count() AS c FROM system.processes WHERE query_id = '${query_id}'`))[0].c)
    const ended = client
      .query({
        query: 'SELECT sum(sleepEachRow(0.01)) FROM numbers(100000)',
        query_id,
        abort_signal: abort.signal,
        clickhouse_settings: { readonly: '1', max_block_size: '10', function_sleep_max_microseconds_per_block: '0' },
      })
      .then(() => 'an answer', (error) => error.message)
    await until('it runs', async () => (await running()) === 1)
    abort.abort()
    same(await ended, 'The user aborted a request.')
    await until('it is gone', async () => (await running()) === 0)
  },
  'the summary tells what was read': async (client) => {
    const answer = await client.query({ query: 'SELECT sum(number) FROM numbers(1000000)', format: 'JSON', clickhouse_settings: { wait_end_of_query: 1 } })
    await answer.text()
    same(JSON.parse(answer.response_headers['x-clickhouse-summary']).read_rows, '1000000')
  },
  'progress comes in headers and in rows': async (client) => {
    const slow = 'SELECT sum(number + sleepEachRow(0.001)) AS s FROM numbers(300) SETTINGS max_block_size = 10'
    const headers = await client.query({ query: slow, format: 'JSON', clickhouse_settings: { send_progress_in_http_headers: 1, http_headers_progress_interval_ms: '100' } })
    await headers.text()
    if (!('x-clickhouse-progress' in headers.response_headers)) throw new Error('no header')
    const answer = await client.query({ query: slow, format: 'JSONEachRowWithProgress' })
    const kinds = new Set()
    for await (const rows of answer.stream()) for (const row of rows) kinds.add(Object.keys(row.json())[0])
    same([kinds.has('progress'), kinds.has('row')], [true, true])
  },
  'sessions keep temporary tables': async (client) => {
    const session = connect({ session_id: crypto.randomUUID(), max_open_connections: 1 })
    try {
      await session.command({ query: 'CREATE TEMPORARY TABLE kept (id UInt8)' })
      await session.insert({ table: 'kept', values: [{ id: 7 }], format: 'JSONEachRow' })
      same(await json(session, 'SELECT id FROM kept'), [{ id: 7 }])
      await refused(() => client.query({ query: 'SELECT id FROM kept' }), '60')
    } finally {
      await session.close()
    }
  },
  'the query id is the given one': async (client) => {
    const query_id = crypto.randomUUID()
    const answer = await client.query({ query: 'SELECT queryID() AS q', format: 'JSONEachRow', query_id })
    same([answer.query_id, (await answer.json())[0].q], [query_id, query_id])
  },
  'a wrong password is refused': async () => {
    const stranger = connect({ password: 'wrong' })
    try {
      await refused(() => stranger.query({ query: 'SELECT 1' }), '516')
    } finally {
      await stranger.close()
    }
  },
  'the reader reads a view and not its table': async () => {
    const reader = connect({ prefix: 'CLICKHOUSE_BI_' })
    try {
      same(await json(reader, 'SELECT id FROM bi.v_call'), [{ id: 1 }])
      same(await json(reader, "SELECT name FROM system.tables WHERE database = 'bi'"), [{ name: 'v_call' }])
      await refused(() => reader.query({ query: 'SELECT number FROM bi.call' }), '497')
    } finally {
      await reader.close()
    }
  },
}

console.log(`version ${version}`)
for (const [way, compression] of Object.entries({ plain: {}, gzip: { compression: { request: true, response: true } } })) {
  const client = connect(compression)
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check(client)
      console.log(`ok ${way}: ${name}`)
    } catch (error) {
      console.log(`not ok ${way}: ${name}: ${String(error).split(/\s+/).join(' ')}`)
    }
  }
  await client.close()
}
