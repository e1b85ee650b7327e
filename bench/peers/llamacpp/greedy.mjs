// Prints the greedy continuation of token ids by llama.cpp (the library that node-llama-cpp ships), as "ID ID ID".
//
//   node greedy.mjs MODEL.gguf "1,2,3" COUNT
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [modelPath, ids, count] = process.argv.slice(2);
if (!count) {
  console.error('usage: node greedy.mjs MODEL.gguf "1,2,3" COUNT');
  process.exit(2);
}

const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 512, sequences: 1 });
const answer = [];
for await (const token of context.getSequence().evaluate(ids.split(",").map(Number), { temperature: 0, yieldEogToken: true })) {
  answer.push(token);
  if (answer.length === Number(count)) break;
}
console.log(answer.join(" "));
await llama.dispose();
