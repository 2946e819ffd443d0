// What one would write in Node: Mercurius' subscriptions, with its own in-memory pubsub, fed by NATS.
//   EVENTSCOPE_NATS_URL=nats://… EVENTSCOPE_PORT=4001 SUBJECT=eventscope.live.EVENTS node live.mjs
// It delivers `events` at /graphql by graphql-transport-ws; /healthz reports the number of subscribers.
import { connect } from '@nats-io/transport-node'
import Fastify from 'fastify'
import { GraphQLScalarType } from 'graphql'
import mercurius from 'mercurius'

const { EVENTSCOPE_NATS_URL, EVENTSCOPE_PORT, SUBJECT } = process.env

const schema = `
scalar DateTime
scalar JSON
scalar BigInt
type Event {
  id: ID!  position: BigInt!  cursor: String!  type: String!  timestamp: DateTime!  aggregateType: String
  aggregateId: ID  version: Int  userId: ID  correlationId: ID  data: JSON
}
type Query { name: String }
type Subscription { events: Event! }`

const textOf = micros => {
  const text = new Date(Math.floor(micros / 1000)).toISOString()
  return micros % 1000 ? text.slice(0, -1) + String(micros % 1000).padStart(3, '0') + 'Z' : text
}
const scalar = (name, more) => new GraphQLScalarType({ name, serialize: value => value, ...more })

let following = 0
const resolvers = {
  DateTime: scalar('DateTime', { serialize: textOf }),
  JSON: scalar('JSON'),
  BigInt: scalar('BigInt'),
  Event: {
    id: event => event.messageId,
    position: event => event._id,
    cursor: event => 'e' + event._id.toString(16)
  },
  Subscription: {
    events: {
      subscribe: async (_, __, { pubsub }) => {
        const queue = await pubsub.subscribe('EVENT')
        following++
        return queue
      }
    }
  }
}

const app = Fastify()
await app.register(mercurius, { schema, resolvers, jit: 1, subscription: true })
app.get('/healthz', async () => String(following))
await app.ready()

const nats = await connect({ servers: EVENTSCOPE_NATS_URL })
nats.subscribe(SUBJECT, {
  callback: (error, message) => {
    if (error) throw error
    for (const event of message.json().events) app.graphql.pubsub.publish({ topic: 'EVENT', payload: { events: event } })
  }
})
await app.listen({ port: Number(EVENTSCOPE_PORT), host: '127.0.0.1' })
