// Compares logits with the reference device's and writes the table; compare-logits says what of.
import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const [program, work, out, shape, ...rest] = process.argv.slice(2);
const [prompts, threads] = rest.slice(0, 2).map(Number);
const files = rest.slice(2).map(text => text.split(/=(.*)/s).slice(0, 2));

const tokens = 32, vocabulary = 512, plain = new Set(["f32", "f16", "bf16"]), plainLimit = 2e-3;
// Errors below this are the order of summation, not a way of computing.
const noise = 1e-5;

const run = promisify(execFile);
// Ids that are the same in every run; the smallest shape has a vocabulary of 512.
const ids = prompt => Array.from({ length: tokens }, (_, i) => ((prompt + 1) * 7919 + i * 104729 + i * i * 31) % vocabulary).join(",");
const path = (...parts) => join(work, `${parts.join("-")}.f32`);
const read = file => {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
};

const ours = (file, device, kv, prompt, to) =>
  run("dotnet", [program, "logits", "--model", file, "--device", device, "--threads", threads, "--kv-type", kv, "--tokens", ids(prompt), "--out", to].map(String));
const theirs = (file, kv, prompt, to) => run(join(work, "logits"), [file, kv, threads, ids(prompt), to].map(String));

function error(file, truthFile) {
  const values = read(file), truth = read(truthFile);
  if (values.length !== truth.length) throw new Error(`${values.length} logits beside ${truth.length}`);
  let squares = 0, total = 0;
  for (let i = 0; i < truth.length; i++) {
    squares += (values[i] - truth[i]) ** 2;
    total += truth[i] ** 2;
  }
  return Math.sqrt(squares / total);
}

async function compare(type, file) {
  console.error(`${type}: the reference`);
  const all = Array.from({ length: prompts }, (_, i) => i);
  for (let i = 0; i < prompts; i += availableParallelism())
    await Promise.all(all.slice(i, i + availableParallelism()).map(prompt => ours(file, "reference", "f32", prompt, path("truth", prompt))));

  const rows = [];
  for (const kv of ["f16", "f32"]) {
    console.error(`${type}: both programs with ${kv} keys and values`);
    const mine = [], other = [];
    for (const prompt of all) {
      await ours(file, "cpu", kv, prompt, path("ours"));
      await theirs(file, kv, prompt, path("theirs"));
      mine.push(error(path("ours"), path("truth", prompt)));
      other.push(error(path("theirs"), path("truth", prompt)));
    }
    const mean = numbers => numbers.reduce((a, b) => a + b) / numbers.length;
    rows.push(verdict({ type, kv, ours: mean(mine), theirs: mean(other) }));
  }
  return rows;
}

function verdict(row) {
  const faults = [];
  if (!(row.ours <= Math.max(row.theirs, noise))) faults.push("larger than llama.cpp's");
  if (plain.has(row.type) && !(row.ours <= plainLimit)) faults.push(`above ${plainLimit}`);
  return { ...row, verdict: faults.join(", ") || "ok", good: faults.length === 0 };
}

const rows = [];
for (const [type, file] of files) rows.push(...await compare(type, file));
const date = new Date().toISOString().slice(0, 10);
const table = [
  `# Errors of logits beside llama.cpp: ${shape}`,
  "",
  `${date}. Root of the mean square of the differences from the reference device's logits, relative to them; means of ${prompts} prompts of ${tokens} ids.`,
  "",
  "| weights | keys and values | ours | llama.cpp | ours / theirs | |",
  "| --- | --- | ---: | ---: | ---: | --- |",
  ...rows.map(row => `| ${row.type} | ${row.kv} | ${row.ours.toExponential(2)} | ${row.theirs.toExponential(2)} | ${(row.ours / row.theirs).toFixed(2)} | ${row.verdict} |`),
  "",
].join("\n");
const name = join(out, `${date}-llamacpp-logits-${shape.replace(/[^a-z0-9.]+/g, "-")}`);
writeFileSync(`${name}.json`, `${JSON.stringify({ date, shape, prompts, tokens, rows }, null, 2)}\n`);
writeFileSync(`${name}.md`, table);
console.log(table);
process.exit(rows.every(row => row.good) ? 0 : 1);
