// The same list of contacts by graphql-yoga over better-sqlite3: node server.mjs FILE. It looks the session up and
// checks nothing else. It prints its address.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import Database from "better-sqlite3";
import { createSchema, createYoga } from "graphql-yoga";

const db = new Database(process.argv[2], { readonly: true });
db.pragma("mmap_size = 268435456");
const session = db.prepare(
  `SELECT u.account_id AS account, u.id AS user FROM sessions s JOIN users u ON u.id = s.user_id
   WHERE s.token_hash = ? AND s.expires_at > ? AND u.status = 'ACTIVE'`,
);
const inbox = db.prepare(
  `SELECT c.id, c.name, c.phone, c.email, c.last_activity_at, c.sort_key, g.id AS group_id, g.name AS group_name
   FROM scopes s CROSS JOIN contacts c ON c.id = s.contact_id CROSS JOIN groups g ON g.id = c.group_id
   WHERE s.scope_id = ? AND s.box = 3 AND c.assigned_user_id <> ?
   ORDER BY s.sort_key DESC, s.contact_id DESC LIMIT ?`,
);

const yoga = createYoga({
  logging: false,
  graphiql: false,
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      enum InboxBox { YOU QUEUE TEAMMATES CLOSED }
      type Group { id: ID! name: String! }
      type Contact { id: ID! name: String! phone: String email: String masked: Boolean! lastActivityAt: String! group: Group }
      type PageInfo { hasNextPage: Boolean! endCursor: String }
      type ContactConnection { nodes: [Contact!]! pageInfo: PageInfo! }
      type Query { inbox(box: InboxBox!, first: Int!): ContactConnection! }
    `,
    resolvers: {
      Query: {
        inbox(_, { first }, { request }) {
          const token = (request.headers.get("authorization") ?? "").replace("Bearer ", "");
          const hash = createHash("sha256").update(token).digest("hex");
          const viewer = session.get(hash, new Date().toISOString());
          if (!viewer) throw new Error("not logged in");
          const rows = inbox.all(-viewer.account, viewer.user, first + 1);
          const nodes = rows.slice(0, first);
          const last = nodes.at(-1);
          return { nodes, pageInfo: { hasNextPage: rows.length > first, endCursor: last && `${last.sort_key}:${last.id}` } };
        },
      },
      Contact: {
        masked: () => false,
        lastActivityAt: (c) => c.last_activity_at,
        group: (c) => ({ id: c.group_id, name: c.group_name }),
      },
    },
  }),
});

const server = createServer(yoga);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/graphql`));
