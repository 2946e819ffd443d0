// Appends the events of a file (JSON lines) to emmett's MongoDB event store, and prints events per second as JSON:
//   node emmett.mjs FILE MONGO_URL DATABASE one|batch
// `one`: an append for each event. `batch`: all events of a stream in one append, since an append is of one stream.
import { readFileSync } from 'node:fs'
import { getMongoDBEventStore } from '@event-driven-io/emmett-mongodb'
import { MongoClient } from 'mongodb'

const [file, url, database, how] = process.argv.slice(2)
// appends at a time, as a busy service has them, never two on one stream; of 8, 32, 128 and 512 the quickest
const IN_FLIGHT = how === 'batch' ? 32 : 8
const messages = readFileSync(file, 'utf8').trimEnd().split('\n').map(line => JSON.parse(line))

const client = new MongoClient(url, { writeConcern: { w: 'majority', journal: true } })
await client.connect()
const store = getMongoDBEventStore({ client, storage: { type: 'COLLECTION_PER_STREAM_TYPE', databaseName: database } })

const streams = new Map()
for (const { messageId, type, aggregateType, aggregateId, userId, correlationId, data, metadata } of messages) {
  const name = `${aggregateType}:${aggregateId}`
  const event = { type, data, metadata: { ...metadata, eventId: messageId, userId, correlationId } }
  if (!streams.has(name)) streams.set(name, [])
  streams.get(name).push(event)
}
// as the services of an event-sourced system do it, each append says which version it has seen
const appends = [...streams].map(([name, events]) => async () => {
  let version = 0n
  for (const some of how === 'batch' ? [events] : events.map(event => [event])) {
    const done = await store.appendToStream(name, some, {
      expectedStreamVersion: version === 0n ? 'STREAM_DOES_NOT_EXIST' : version,
    })
    version = done.nextExpectedStreamVersion
  }
})

for (const type of new Set(messages.map(message => message.aggregateType))) {
  await store.appendToStream(`${type}:warm`, [{ type: 'warm', data: {} }]) // makes collection and index
}
const start = performance.now()
await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
  for (let append = appends.pop(); append; append = appends.pop()) await append()
}))
console.log(JSON.stringify({ rate: messages.length / ((performance.now() - start) / 1000) }))
await client.close()
