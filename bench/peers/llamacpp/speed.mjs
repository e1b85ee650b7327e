// Runs both programs in turns and writes the table; compare-speed says what of.
import { execFileSync } from "node:child_process";
import { loadavg } from "node:os";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const [program, bin, out, shape, ...rest] = process.argv.slice(2);
const [pp, tg, threads, rounds] = rest.slice(0, 4).map(Number);
const batches = rest[4].split(",").map(Number).filter(n => n > 0);
const files = rest.slice(5).map(text => text.split(/=(.*)/s).slice(0, 2));

// Decoding together: so many tokens of prompt, then so many of answer.
const context = 16, answer = 32;

const lines = text => text.split("\n").filter(line => line.startsWith("{")).map(line => JSON.parse(line));
const run = (command, args) => execFileSync(command, args.map(String), { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "ignore"] });
const median = numbers => {
  const sorted = [...numbers].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

function ours(file, args) {
  const found = lines(run("dotnet", [program, "bench", "--model", file, "--threads", threads, "--repetitions", 1, "--json", ...args]));
  return { machine: found.find(line => line.kind === "machine"), tests: found.filter(line => line.kind === "test") };
}

function theirsAlone(file) {
  const found = JSON.parse(run(join(bin, "llama-bench"), ["-m", file, "-p", pp, "-n", tg, "-t", threads, "-r", 1, "-o", "json"]));
  return found.map(row => ({ test: row.n_gen ? `tg${row.n_gen}` : `pp${row.n_prompt}`, rate: row.avg_ts }));
}

function theirsTogether(file) {
  const positions = Math.max(...batches) * (context + answer);
  const found = lines(run(join(bin, "llama-batched-bench"), [
    "-m", file, "-c", positions, "-t", threads, "-tb", threads, "-npp", context, "-ntg", answer, "-npl", batches.join(","), "--output-format", "jsonl"]));
  return found.map(row => ({ test: together(row.pl), rate: row.speed_tg }));
}

const together = batch => `tg${answer}${batch === 1 ? "" : ` x ${batch}`} @ d${context}`;

function measure(type, file, machines) {
  const rows = new Map();
  const row = test => rows.get(test) ?? rows.set(test, { type, test, ours: [], theirs: [], perToken: [] }).get(test);
  const take = ({ machine, tests }) => {
    machines.push(machine);
    for (const test of tests) {
      row(test.test).ours.push(test.median);
      // The two shares of the ceilings that one token a second makes.
      row(test.test).perToken.push([test.ofReadCeiling ?? 0, test.ofOperationsCeiling].map(share => share / test.median));
    }
  };
  for (let round = 1; round <= rounds; round++) {
    console.error(`${type}: round ${round} of ${rounds}`);
    take(ours(file, ["--pp", pp, "--tg", tg]));
    theirsAlone(file).forEach(found => row(found.test).theirs.push(found.rate));
    if (batches.length === 0) continue;
    take(ours(file, ["--pp", 0, "--tg", answer, "--batch", batches.join(","), "--depth", context]));
    theirsTogether(file).forEach(found => row(found.test).theirs.push(found.rate));
  }
  return [...rows.values()].map(summary);
}

// The ceiling that a test comes nearer to is the one that binds it.
function summary({ type, test, ours, theirs, perToken }) {
  const [read, multiply] = [0, 1].map(i => median(perToken.map(pair => pair[i])));
  const share = Math.max(read, multiply), mine = median(ours), other = median(theirs);
  return {
    type, test, ours: mine, theirs: other, ratio: mine / other,
    ceiling: read > multiply ? "read" : "multiply-add", oursOfCeiling: mine * share, theirsOfCeiling: other * share,
    oursRates: ours, theirsRates: theirs,
  };
}

function markdown(result) {
  const { machine } = result, giga = (value, digits) => (value / 1e9).toFixed(digits), percent = share => `${Math.round(100 * share)}%`;
  const body = result.rows.map(row =>
    `| ${row.type} | ${row.test} | ${row.ours.toFixed(2)} | ${row.theirs.toFixed(2)} | ${row.ratio.toFixed(2)} | ${row.ceiling} | ${percent(row.oursOfCeiling)} | ${percent(row.theirsOfCeiling)} |`);
  return [
    `# Tokens a second beside llama.cpp: ${shape}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    "",
    `${result.date}, ${machine.processor} (${machine.cores} cores, ${machine.vectors}). Medians of ${rounds} alternating rounds; one-minute load before: ${result.loadBefore.toFixed(2)}.`,
    `Ceilings: read ${giga(machine.readBytesPerSecond, 1)} GB/s; multiply-add int8 ${giga(machine.byteOperationsPerSecond, 0)} Gop/s, int16 ${giga(machine.wordOperationsPerSecond, 0)} Gop/s, fp32 ${giga(machine.floatOperationsPerSecond, 0)} GFLOP/s.`,
    "",
    "| weights | test | ours | llama.cpp | ours / theirs | ceiling | ours of it | theirs of it |",
    "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ...body,
    "",
  ].join("\n");
}

const loadBefore = loadavg()[0];
if (loadBefore > 0.5)
  console.error(`warning: this machine is busy (load ${loadBefore.toFixed(2)}); the figures will be too low, and differ by luck`);
const machines = [];
const rows = files.flatMap(([type, file]) => measure(type, file, machines));
const ceilings = ["readBytesPerSecond", "byteOperationsPerSecond", "wordOperationsPerSecond", "floatOperationsPerSecond"];
const result = {
  date: new Date().toISOString().slice(0, 10),
  shape, threads, rounds, pp, tg, loadBefore,
  machine: { ...machines[0], ...Object.fromEntries(ceilings.map(name => [name, median(machines.map(machine => machine[name]))])) },
  rows,
};
const slug = result.machine.processor.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
const types = files.map(([type]) => type.replaceAll("_", "-")).join("-");
const name = join(out, `${result.date}-${slug}-llamacpp-speed-${shape}-${types}-t${threads}`);
const table = markdown(result);
writeFileSync(`${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
writeFileSync(`${name}.md`, table);
console.log(table);
