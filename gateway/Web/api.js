// Calls of the gateway's API.

// Built on the origin: when the browser carries a key for the page, its address may have it, and fetch refuses that.
const url = path => new URL(path, location.origin);

export class ApiError extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export async function getJson(path) {
  const response = await fetch(url(path), { cache: "no-store" });
  if (!response.ok)
    throw await errorOf(response);
  return response.json();
}

// Yields the objects of a stream's events until its end.
export async function* postStream(path, body, signal) {
  const response = await fetch(url(path), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok)
    throw await errorOf(response);

  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  while (true) {
    const { value, done } = await reader.read();
    if (done)
      throw new ApiError("The connection ended before the answer.", 0);
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: "))
        continue;
      const data = line.slice("data: ".length);
      if (data === "[DONE]")
        return;
      const event = JSON.parse(data);
      if (event.error)
        throw new ApiError(event.error.message, 200);
      yield event;
    }
  }
}

async function errorOf(response) {
  if (response.status === 401)
    return new ApiError("The API key was not accepted. Load the page again to enter it.", 401);
  const body = await response.json().catch(() => null);
  return new ApiError(
    body?.error?.message ?? `The gateway answered with status ${response.status}.`,
    response.status,
    Number(response.headers.get("Retry-After")) || null);
}
