// The conversation: sends it, shows the answer as it comes, and what it took.
import { ApiError, getJson, postStream } from "./api.js";

const byId = id => document.getElementById(id);
const view = {
  messages: byId("messages"), welcome: byId("welcome"), error: byId("error"), announcement: byId("announcement"),
  composer: byId("composer"), input: byId("input"), send: byId("send"), stop: byId("stop"),
  temperature: byId("temperature"), temperatureValue: byId("temperature-value"), maxTokens: byId("max-tokens"),
};

const suggestions = {
  chat: ["Tell me a story about a dog.", "Explain rain to a child.", "Write a poem about a small boat."],
  text: ["Once upon a time", "The little dog ran to the", "It was a dark night, and"],
};

let model = null;
let conversation = [];
let running = null;

start();

async function start() {
  view.composer.addEventListener("submit", event => {
    event.preventDefault();
    submit(view.input.value);
  });
  view.input.addEventListener("keydown", event => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit(view.input.value);
    }
  });
  view.input.addEventListener("input", fitInput);
  view.stop.addEventListener("click", () => running?.abort());
  byId("new-chat").addEventListener("click", newChat);
  view.temperature.addEventListener("input", () => {
    view.temperatureValue.textContent = Number(view.temperature.value).toFixed(2);
  });

  await loadModel();
}

async function loadModel() {
  try {
    [model] = (await getJson("/v1/models")).data;
  } catch (error) {
    showError(error);
    return;
  }

  byId("model").textContent = model.id;
  view.maxTokens.max = model.context_length;
  view.maxTokens.value = Math.min(256, Math.floor(model.context_length / 2));
  if (!model.has_chat_format) {
    byId("chat-title").textContent = "Completion";
    byId("new-chat").textContent = "Clear";
    byId("welcome-text").textContent = "This model has no chat format: it continues the text that you give it.";
    view.input.placeholder = "Text to continue";
  }

  byId("suggestions").replaceChildren(...suggestions[model.has_chat_format ? "chat" : "text"].map(text => {
    const button = element("button", "suggestion", text);
    button.type = "button";
    button.addEventListener("click", () => submit(text));
    return button;
  }));
}

async function submit(text) {
  if (running || !text.trim() || !view.maxTokens.reportValidity())
    return;
  if (!model)
    await loadModel();
  if (!model)
    return;

  hideError();
  view.welcome.hidden = true;
  view.input.value = "";
  fitInput();
  const turn = { role: "user", content: text };
  const question = addMessage("user", text);
  const answer = addMessage("assistant", "");
  const measure = { start: performance.now(), first: null, usage: null, reason: null };
  setRunning(new AbortController());
  try {
    await readAnswer(turn, answer, measure);
  } catch (error) {
    if (error.name !== "AbortError")
      showError(error);
  }

  setRunning(null);
  finish(turn, question, answer, measure);
}

async function readAnswer(turn, answer, measure) {
  const options = {
    model: model.id,
    temperature: Number(view.temperature.value),
    max_tokens: Number(view.maxTokens.value),
    stream: true,
    stream_options: { include_usage: true },
  };
  const events = model.has_chat_format
    ? postStream("/v1/chat/completions", { ...options, messages: [...conversation, turn] }, running.signal)
    : postStream("/v1/completions", { ...options, prompt: turn.content }, running.signal);
  for await (const event of events) {
    measure.usage = event.usage ?? measure.usage;
    const choice = event.choices[0];
    measure.reason = choice?.finish_reason ?? measure.reason;
    const text = choice?.delta?.content ?? choice?.text;
    if (!text)
      continue;
    measure.first ??= performance.now();
    followed(() => answer.text.append(text));
  }
}

// Keeps what came of an answer, a stopped one too, as part of the conversation; an answer without text leaves nothing.
function finish(turn, question, answer, measure) {
  answer.item.classList.remove("busy");
  const text = answer.text.textContent;
  if (text) {
    conversation.push(turn, { role: "assistant", content: text });
    followed(() => answer.item.append(element("p", "facts", describe(measure))));
    view.announcement.textContent = text;
  } else if (measure.usage) {
    followed(() => answer.item.append(element("p", "facts", "The model ended without text.")));
  } else {
    question.item.remove();
    answer.item.remove();
    view.input.value = turn.content;
    view.welcome.hidden = conversation.length > 0;
    fitInput();
  }

  view.input.focus();
}

function describe({ start, first, usage, reason }) {
  const end = performance.now();
  const facts = [];
  if (usage) {
    facts.push(`${usage.completion_tokens} ${usage.completion_tokens === 1 ? "token" : "tokens"}`);
    if (usage.completion_tokens > 1 && end > first)
      facts.push(`${((usage.completion_tokens - 1) * 1000 / (end - first)).toFixed(1)} tokens/s`);
  }

  if (first)
    facts.push(`first after ${Math.round(first - start)} ms`);
  if (usage?.prompt_tokens_details?.cached_tokens)
    facts.push(`${usage.prompt_tokens_details.cached_tokens} of ${usage.prompt_tokens} prompt tokens cached`);
  if (reason === "length")
    facts.push("cut off at the limit");
  if (!reason)
    facts.push("not complete");
  return facts.join(" · ");
}

function addMessage(role, content) {
  const item = element("article", `message ${role}`);
  item.setAttribute("aria-label", role === "user" ? "You" : "Model");
  const text = element("div", "text", content);
  item.append(text);
  if (role === "assistant")
    item.classList.add("busy");
  followed(() => view.messages.append(item));
  return { item, text };
}

// Changes the list and stays at its end if it was there.
function followed(change) {
  const list = view.messages;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  change();
  if (atEnd)
    list.scrollTop = list.scrollHeight;
}

function setRunning(controller) {
  running = controller;
  view.send.hidden = controller !== null;
  view.stop.hidden = controller === null;
}

function newChat() {
  running?.abort();
  conversation = [];
  view.messages.replaceChildren(view.welcome);
  view.welcome.hidden = false;
  hideError();
  view.input.focus();
}

function fitInput() {
  view.input.style.height = "auto";
  view.input.style.height = `${view.input.scrollHeight + 2}px`;
}

function showError(error) {
  const retry = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  const message = error instanceof ApiError ? error.message : "The gateway cannot be reached.";
  view.error.textContent = message + retry;
  view.error.hidden = false;
}

function hideError() {
  view.error.hidden = true;
}

function element(name, className, text = "") {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  return node;
}
