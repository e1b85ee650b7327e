// Checks a running gateway with OpenAI's own JavaScript client; exits with 1 at the first mismatch.
//
//   npm ci && node chat.mjs http://127.0.0.1:8080 [API_KEY]
//
// Needs Node 20 or newer. It asks for what every model can do, so that it passes on the demo model and on a large one.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseUrl, apiKey = "none"] = process.argv.slice(2);
if (!baseUrl) {
  console.error("usage: node chat.mjs BASE_URL [API_KEY]");
  process.exit(2);
}

const client = new OpenAI({ baseURL: new URL("v1", new URL("/", baseUrl)).href, apiKey, maxRetries: 5 });

const { data: models } = await client.models.list();
assert.equal(models.length, 1, "one model is served");
const [{ id: model, has_chat_format: hasChatFormat }] = models;
assert.equal((await client.models.retrieve(model)).id, model);

// Greedy, so that the same request has the same answer whether it streams or not.
const common = { model, max_tokens: 24, temperature: 0, seed: 1 };
const plain = { ...common, prompt: "Once upon a time" };

const text = await client.completions.create(plain);
checkUsage(text.usage, 24);
assert.equal(text.object, "text_completion");
assert.ok(["stop", "length"].includes(text.choices[0].finish_reason));

let streamed = "";
let usage = null;
for await (const chunk of await client.completions.create({ ...plain, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.text ?? "";
  usage = chunk.usage ?? usage;
}
assert.equal(streamed, text.choices[0].text, "a streamed completion equals the whole one");
assert.deepEqual({ ...usage, prompt_tokens_details: null }, { ...text.usage, prompt_tokens_details: null });

const many = await client.completions.create({ ...common, prompt: ["One", "Two"], n: 2, logprobs: 2, temperature: 1 });
assert.deepEqual(many.choices.map(choice => choice.index), [0, 1, 2, 3]);
for (const { logprobs } of many.choices)
  assert.equal(logprobs.tokens.length, logprobs.token_logprobs.length);

if (hasChatFormat) {
  const messages = [{ role: "user", content: "Tell me a story about a dog." }];
  const chat = await client.chat.completions.create({ ...common, messages, logprobs: true, top_logprobs: 2 });
  const [{ message, finish_reason: reason, logprobs }] = chat.choices;
  checkUsage(chat.usage, 24);
  assert.equal(message.role, "assistant");
  assert.ok(message.content.length > 0, "the answer has text");
  assert.ok(["stop", "length"].includes(reason));
  for (const token of logprobs.content) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 2);
  }

  const stream = client.chat.completions.stream({ ...common, messages });
  let pieces = "";
  stream.on("content", delta => (pieces += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(pieces, message.content, "a streamed chat equals the whole one");
  assert.equal(final.choices[0].finish_reason, reason);
}

await assert.rejects(client.chat.completions.create({ model: "no-such-model", messages: [] }), OpenAI.NotFoundError);
await assert.rejects(client.completions.create({ ...plain, temperature: -1 }), error =>
  error instanceof OpenAI.BadRequestError && error.param === "temperature");
console.log(`ok: ${model}${hasChatFormat ? "" : " (no chat format)"}`);

function checkUsage(usage, limit) {
  assert.ok(usage.prompt_tokens > 0);
  assert.ok(usage.completion_tokens > 0 && usage.completion_tokens <= limit);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
}
