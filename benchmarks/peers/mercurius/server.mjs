// What one would write in Node: Mercurius with graphql-jit and the MongoDB driver, over the collection `events`.
//   MONGO=mongodb://… DATABASE=eventscope PORT=4001 node server.mjs     (or: node server.mjs MONGO DATABASE PORT)
// It answers `events(first, filter, after)`, newest first, at /graphql, with the text that Eventscope would give.
import Fastify from 'fastify'
import { GraphQLScalarType } from 'graphql'
import mercurius from 'mercurius'
import { MongoClient } from 'mongodb'

const { MONGO, DATABASE = 'eventscope', PORT = '4001' } = process.env
const [url = MONGO, database = DATABASE, port = PORT] = process.argv.slice(2)

const schema = `
scalar DateTime
scalar JSON
scalar BigInt
type Event {
  id: ID!  position: BigInt!  type: String!  timestamp: DateTime!  recordedAt: DateTime!  aggregateType: String
  aggregateId: ID  version: Int  userId: ID  correlationId: ID  causationId: ID  data: JSON  metadata: JSON
}
type PageInfo { hasNextPage: Boolean!  hasPreviousPage: Boolean!  startCursor: String  endCursor: String }
type EventEdge { cursor: String!  node: Event! }
type EventConnection { edges: [EventEdge!]!  pageInfo: PageInfo! }
input EventFilter {
  eventTypes: [String!]  aggregateType: String  aggregateId: ID  userId: ID  correlationId: ID
  fromTimestamp: DateTime  toTimestamp: DateTime
}
type Query { events(first: Int = 50, after: String, filter: EventFilter): EventConnection! }`

const cursorOf = position => 'e' + position.toString(16)
const positionOf = cursor => parseInt(cursor.slice(1), 16)

function query({ eventTypes, fromTimestamp, toTimestamp, ...equal } = {}, after) {
  const found = { ...equal }
  if (eventTypes) found.type = { $in: eventTypes }
  if (fromTimestamp || toTimestamp) {
    found.timestamp = { ...(fromTimestamp && { $gte: fromTimestamp }), ...(toTimestamp && { $lte: toTimestamp }) }
  }
  if (after) found._id = { $lt: positionOf(after) }
  return found
}

// times lie in the collection as microseconds since 1970
const micros = text => {
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new Error(`${text} is no time`)
  return time * 1000
}
const textOf = micros => {
  const text = new Date(micros / 1000).toISOString()
  return micros % 1000 ? text.slice(0, -1) + String(micros % 1000).padStart(3, '0') + 'Z' : text
}
const scalar = (name, more) => new GraphQLScalarType({ name, serialize: value => value, ...more })

const resolvers = {
  DateTime: scalar('DateTime', {
    serialize: textOf,
    parseValue: micros,
    parseLiteral: node => micros(node.value)
  }),
  JSON: scalar('JSON'),
  BigInt: scalar('BigInt'),
  Event: { id: event => event.messageId, position: event => event._id },
  Query: {
    events: async (_, { first, after, filter }, { events }) => {
      const rows = await events.find(query(filter ?? {}, after)).sort({ _id: -1 }).limit(first + 1).toArray()
      const hasNextPage = rows.length > first
      if (hasNextPage) rows.pop()
      const edges = rows.map(node => ({ cursor: cursorOf(node._id), node }))
      const pageInfo = {
        hasNextPage,
        hasPreviousPage: Boolean(after),
        startCursor: edges[0]?.cursor ?? null,
        endCursor: edges.at(-1)?.cursor ?? null
      }
      return { edges, pageInfo }
    }
  }
}

const client = await new MongoClient(url, { readConcernLevel: 'majority' }).connect()
const events = client.db(database).collection('events')
const app = Fastify()
await app.register(mercurius, { schema, resolvers, jit: 1, context: () => ({ events }) })
await app.listen({ port: Number(port), host: '127.0.0.1' })
