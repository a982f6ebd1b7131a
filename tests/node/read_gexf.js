// Read GEXF files by graphology-gexf and print each graph as a line of JSON.
const {readFileSync} = require("node:fs");
const Graph = require("graphology");
const {parse} = require("graphology-gexf");

// JSON has no infinities, and loses the sign of -0
const plain = (_, value) =>
  typeof value === "number" && !Number.isFinite(value) ? {number: String(value)} : value;

for (const path of process.argv.slice(2)) {
  const graph = parse(Graph, readFileSync(path, "utf-8"));
  const nodes = graph.mapNodes((id, attributes) => [id, attributes]);
  const edges = graph.mapEdges((id, attributes, source, target) => [source, target, attributes]);
  console.log(JSON.stringify({nodes, edges}, plain));
}
