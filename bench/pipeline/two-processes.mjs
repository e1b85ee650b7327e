// Drives the four ways of serving in turns and writes the table; two-processes says what of.
import { cpus, loadavg } from "node:os";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pins, withServer } from "./server.mjs";

const [program, model, name, ...rest] = process.argv.slice(2);
const [streams, tokens, promptTokens, rounds] = rest.slice(0, 4).map(Number);
const out = rest[4];

const warmUp = 20_000; // milliseconds of load until the runtime has compiled what is hot: on few cores that competes with the stages
const room = ["--context", 512, "--max-sequences", streams, "--kv-tokens", streams * 512];
const node = cores => ({ cores, args: ["--threads", 1] });
const ways = [
  { name: "one process", stages: 1, gateway: { cores: "0", args: ["--stages", 1, "--threads", 1, ...room] } },
  { name: "two processes", stages: 2, gateway: { cores: "0,1", args: ["--stages", 0, ...room] }, nodes: [node("0"), node("1")] },
  { name: "two stages", stages: 2, gateway: { cores: "0,1", args: ["--stages", 2, "--threads", 1, ...room] } },
  { name: "one stage, both cores", stages: 1, gateway: { cores: "0,1", args: ["--stages", 1, "--threads", 2, ...room] } },
];

const median = numbers => {
  const sorted = [...numbers].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

async function stream(address, id, prompt, count) {
  const response = await fetch(`${address}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: id, prompt, max_tokens: count, temperature: 0, ignore_eos: true, stream: true, stream_options: { include_usage: true } }),
  });
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${body}`);
  const events = body.split("\n").filter(line => line.startsWith("data: {")).map(line => JSON.parse(line.slice(6)));
  const generated = events.at(-1)?.usage?.completion_tokens;
  if (generated !== count) throw new Error(`${generated} tokens instead of ${count}: ${body.slice(-400)}`);
}

// Tokens a second of all streams together, from the first request to the last answer's end. No prompt begins as another did.
let prompts = 0;
async function rate(address, id, count) {
  const prompt = () => Array.from({ length: promptTokens }, (_, i) => (++prompts * 7919 + i * 104729) % 500);
  const begin = performance.now();
  await Promise.all(Array.from({ length: streams }, () => stream(address, id, prompt(), count)));
  return streams * count / ((performance.now() - begin) / 1000);
}

async function measure(way) {
  return await withServer({ program, model, ...way }, async address => {
    const { data: [{ id }] } = await (await fetch(`${address}/v1/models`)).json();
    for (const end = performance.now() + warmUp; performance.now() < end;) await rate(address, id, Math.min(tokens, 32));
    const cluster = await (await fetch(`${address}/cluster`)).json();
    way.slices = cluster.replicas[0].stages.map(stage =>
      `${stage.has_embedding ? "embedding + " : ""}[${stage.first_layer}, ${stage.last_layer})${stage.has_head ? " + head" : ""}`);
    return await rate(address, id, tokens);
  });
}

const loadBefore = loadavg()[0];
if (loadBefore > 0.5) console.error(`warning: this machine is busy (load ${loadBefore.toFixed(2)}); the ratios will be wrong`);
if (!pins) console.error("warning: taskset is missing, so processes are not kept on cores of their own");
for (const way of ways) way.rates = [];
for (let round = 1; round <= rounds; round++) {
  for (const way of ways) {
    way.rates.push(await measure(way));
    console.error(`round ${round} of ${rounds}: ${way.name} ${way.rates.at(-1).toFixed(2)} tokens/s`);
  }
}

const base = median(ways[0].rates), date = new Date().toISOString().slice(0, 10), processor = cpus()[0].model;
const table = [
  `# A pipeline of two: ${name}, ${streams} streams of ${tokens} tokens after ${promptTokens}`,
  "",
  `${date}, ${processor}. Medians of ${rounds} alternating rounds; one-minute load before: ${loadBefore.toFixed(2)}. ${pins ? "A core a stage." : "Cores were not assigned."}`,
  "",
  "| way | slices | tokens/s (median) | lowest | highest | to one process |",
  "| --- | --- | ---: | ---: | ---: | ---: |",
  ...ways.map(way => `| ${way.name} | ${way.slices.join("; ")} | ${median(way.rates).toFixed(2)} | ${Math.min(...way.rates).toFixed(2)} | ${Math.max(...way.rates).toFixed(2)} | ${(median(way.rates) / base).toFixed(2)} |`),
  "",
].join("\n");
const slug = text => text.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-|-$/g, "");
const file = join(out, `${date}-${slug(processor)}-two-processes-${slug(name)}-prompt-${promptTokens}`);
writeFileSync(`${file}.json`, `${JSON.stringify({ date, processor, name, streams, tokens, promptTokens, loadBefore, pinned: pins, ways: ways.map(({ name, slices, rates }) => ({ name, slices, rates, median: median(rates) })) }, null, 2)}\n`);
writeFileSync(`${file}.md`, table);
console.log(table);
