/** A reader of an SSE stream that reconnects with Last-Event-ID, as a browser does, but at once and for ever. */

export interface StreamReader {
  readonly events: { readonly id: string; readonly data: string }[];
  /** The data of every `gap` event. */
  readonly gaps: string[];
  connections: number;
  close(): void;
}

/** `lastId`: where it left off before. */
export function followStream(url: string, lastId = ""): StreamReader {
  const stop = new AbortController();
  const reader: StreamReader = { events: [], gaps: [], connections: 0, close: () => stop.abort() };

  const connect = async () => {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (lastId !== "") headers["last-event-id"] = lastId;
    const response = await fetch(url, { headers, signal: stop.signal });
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    reader.connections++;
    let buffered = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      buffered += chunk;
      for (let end = buffered.indexOf("\n\n"); end >= 0; end = buffered.indexOf("\n\n")) {
        take(buffered.slice(0, end));
        buffered = buffered.slice(end + 2);
      }
    }
  };

  const take = (frame: string) => {
    let type = "message";
    const data: string[] = [];
    for (const line of frame.split("\n")) {
      if (line.startsWith("id: ")) lastId = line.slice(4);
      else if (line.startsWith("event: ")) type = line.slice(7);
      else if (line.startsWith("data: ")) data.push(line.slice(6));
    }
    if (data.length === 0) return;
    if (type === "message") reader.events.push({ id: lastId, data: data.join("\n") });
    else if (type === "gap") reader.gaps.push(data.join("\n"));
  };

  void (async () => {
    while (!stop.signal.aborted) {
      try {
        await connect();
      } catch {
        // Cut or refused: the next round tries again, as EventSource would.
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return reader;
}
