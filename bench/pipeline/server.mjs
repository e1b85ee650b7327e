// Processes of the program: a gateway, and nodes that join it.
import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:net";

const patience = 120_000;

export const pins = (() => {
  try {
    execFileSync("taskset", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

const freePort = () => new Promise((resolve, reject) => {
  const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

function start(program, cores, args) {
  const command = ["dotnet", program, ...args.map(String)];
  if (pins && cores) command.unshift("taskset", "-c", cores);
  const child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
  child.output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", text => (child.output += text));
  return child;
}

async function line(child, pattern) {
  for (const deadline = Date.now() + patience; !pattern.test(child.output);) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`no line like ${pattern}, but:\n${child.output}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

const stop = child => new Promise(resolve => {
  if (child.exitCode !== null || child.signalCode !== null) return resolve();
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  child.once("exit", () => {
    clearTimeout(timer);
    resolve();
  });
  child.kill("SIGINT");
});

/** Starts a gateway and its nodes, waits until a token has passed through all stages, does the work with its address, and ends them all. */
export async function withServer({ program, model, gateway, nodes = [], stages }, work) {
  const [http, tcp, cluster] = [await freePort(), await freePort(), await freePort()].map(port => `127.0.0.1:${port}`);
  const children = [start(program, gateway.cores, ["serve", "--model", model, "--http", http, "--tcp", tcp, "--cluster", cluster, ...gateway.args])];
  try {
    for (const node of nodes) children.push(start(program, node.cores, ["node", "--model", model, "--seed", cluster, ...node.args]));
    await line(children[0], new RegExp(`has passed through its ${stages} stage`)); // a gateway may be ready before its last node joins
    return await work(`http://${http}`);
  } finally {
    for (const child of children.reverse()) await stop(child);
  }
}
