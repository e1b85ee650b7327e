// The live picture of the cluster: its pipelines, stage by stage, and its nodes.
import { getJson } from "./api.js";

const interval = 1000;
const historyLength = 120;
const byId = id => document.getElementById(id);
const history = [];

refresh();

async function refresh() {
  if (!document.hidden) {
    try {
      show(await getJson("/cluster"));
      byId("stale").hidden = true;
    } catch (error) {
      showStale(error);
    }
  }

  setTimeout(refresh, interval);
}

function show(cluster) {
  const { replicas, nodes, reasons } = cluster;
  const total = field => replicas.reduce((sum, replica) => sum + replica[field], 0);
  setStatus(cluster);
  byId("tokens-per-second").textContent = total("tokens_per_second").toFixed(1);
  byId("running").textContent = total("running");
  byId("waiting").textContent = total("waiting");
  byId("node-count").textContent = nodes.length;
  showHistory(total("tokens_per_second"));
  byId("replicas").replaceChildren(...replicas.map(showReplica));
  byId("nodes").replaceChildren(...nodes.map(showNode));
  byId("reasons").hidden = reasons.length === 0;
  byId("reason-list").replaceChildren(...reasons.map(reason => element("li", "", reason)));
}

function setStatus({ ready, replicas }) {
  const state = ready ? "active" : replicas.some(replica => replica.state === "loading") ? "loading" : "broken";
  document.querySelector("#status .dot").dataset.state = state;
  setText(byId("status-text"), { active: "Ready", loading: "Loading the model", broken: "No pipeline is active" }[state]);
}

function showStale(error) {
  document.querySelector("#status .dot").dataset.state = "broken";
  setText(byId("status-text"), error.status === 401 ? "The API key was not accepted" : "The gateway does not answer");
  byId("stale").hidden = false;
  byId("stale").textContent = "last known state";
}

function showHistory(value) {
  history.push(value);
  if (history.length > historyLength)
    history.shift();
  const max = Math.max(1, ...history);
  const points = history.map((item, index) => `${historyLength - history.length + index},${(26 - 24 * item / max).toFixed(1)}`);
  document.querySelector("#history polyline").setAttribute("points", points.join(" "));
}

function showReplica(replica) {
  const card = element("section", "replica");
  card.dataset.busy = replica.running > 0;
  const head = element("div", "replica-head");
  head.append(element("h3", "", `Pipeline ${replica.id}`), stateBadge(replica.state), element("span", "epoch", `epoch ${replica.epoch}`));

  const map = element("div", "layer-map");
  map.setAttribute("aria-hidden", "true");
  map.append(...replica.stages.map(showShare));

  const stages = element("ol", "stages");
  stages.append(...replica.stages.map(showStage));

  const used = replica.kv_blocks ? replica.kv_blocks_used / replica.kv_blocks : 0;
  const memory = element("div", "memory");
  const label = element("span", "", "KV cache");
  const meter = element("meter", "");
  meter.max = 1;
  meter.high = 0.9;
  meter.value = used;
  meter.setAttribute("aria-label", `KV cache of pipeline ${replica.id}`);
  memory.append(label, meter, element("span", "figure", `${(used * 100).toFixed(0)} % of ${(replica.kv_blocks * 16).toLocaleString("en")} positions`));

  const facts = [
    `${replica.tokens_per_second.toFixed(1)} tokens/s`,
    `${replica.running} running`,
    `${replica.waiting} waiting`,
    `${replica.generated_tokens.toLocaleString("en")} tokens in all`,
  ];
  card.append(head, map, stages, memory, element("p", "facts", facts.join(" · ")));
  return card;
}

// A stage's share of the layers, beside the other stages'.
function showShare(stage) {
  const share = element("span", "");
  share.dataset.state = stage.state;
  share.style.flexGrow = Math.max(1, stage.last_layer - stage.first_layer);
  return share;
}

function showStage(stage, index) {
  const item = element("li", "stage");
  item.dataset.state = stage.state;
  const head = element("div", "stage-head");
  const layers = stage.last_layer > stage.first_layer ? `Layers ${stage.first_layer}–${stage.last_layer - 1}` : "No layers";
  const parts = [stage.has_embedding && "embedding", `${stage.last_layer - stage.first_layer} layers`, stage.has_head && "head"];
  head.append(element("strong", "", layers), stateBadge(stage.state), element("span", "parts", parts.filter(Boolean).join(" + ")));
  const place = element("p", "device", stage.device);
  place.append(element("span", "address", ` on ${stage.node}`));
  item.append(head, place);
  if (stage.loaded_fraction < 1) {
    const progress = element("progress", "");
    progress.max = 1;
    progress.value = stage.loaded_fraction;
    progress.setAttribute("aria-label", `Weights of stage ${index} that are loaded`);
    item.append(progress, element("p", "figure", `${(stage.loaded_fraction * 100).toFixed(0)} % loaded`));
  }

  return item;
}

function showNode(node) {
  const item = element("li", "node");
  const head = element("div", "node-head");
  const state = node.problem ? "problem" : node.status;
  head.append(element("strong", "address", node.address), stateBadge(node.status, state), element("span", "roles", node.roles.join(", ")));
  item.append(head);
  for (const device of node.devices)
    item.append(element("p", "device", `${device.name} · ${(device.memory_bytes / 2 ** 30).toFixed(1)} GiB`));
  if (node.problem)
    item.append(element("p", "problem", node.problem));
  return item;
}

function stateBadge(text, state = text) {
  const badge = element("span", "badge", text);
  badge.dataset.state = state;
  return badge;
}

// A status region speaks at every change, so it is left alone when nothing changed.
function setText(node, text) {
  if (node.textContent !== text)
    node.textContent = text;
}

function element(name, className, text = "") {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  return node;
}
