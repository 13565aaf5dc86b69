// A feature of Neuronpedia's tables in Postgres as JSON over HTTP, with nothing else around it: the peer of measures/requests.py.
//
//     node feature_server.mjs postgresql://…      # prints its address
import { createServer } from "node:http";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.argv[2], max: 16 });
const KEY = `"modelId" = $1 AND layer = $2 AND "index" = $3`;
const NEURON = { name: "neuron", text: `SELECT * FROM "Neuron" WHERE ${KEY}` };
const ACTIVATIONS = { name: "activations", text: `SELECT * FROM "Activation" WHERE ${KEY} ORDER BY "maxValue" DESC` };
const EXPLANATIONS = { name: "explanations", text: `SELECT * FROM "Explanation" WHERE ${KEY}` };

const server = createServer(async (request, response) => {
  const values = request.url.split("/").slice(3).map(decodeURIComponent);
  try {
    const [neurons, activations, explanations] = await Promise.all(
      [NEURON, ACTIVATIONS, EXPLANATIONS].map((query) => pool.query({ ...query, values })),
    );
    const found = neurons.rows[0];
    const body = found ? { ...found, activations: activations.rows, explanations: explanations.rows } : { error: "no such feature" };
    response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  } catch (error) {
    response.writeHead(500);
    response.end(String(error));
  }
});

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
