/** Which endpoint a path belongs to. Made anew for every reload, so that a request sees all of one or of the other. */
import type { HttpEndpoint } from "../component.ts";

export interface Found {
  readonly endpoint: HttpEndpoint;
  /** The path after the endpoint's own. */
  readonly rest: string;
}

export class EndpointTable {
  readonly #byPath = new Map<string, HttpEndpoint>();
  readonly #longest: number = 0;

  /** Throws where two endpoints have one path: a defect, for the configuration was checked. */
  constructor(endpoints: readonly HttpEndpoint[]) {
    for (const endpoint of endpoints) {
      if (this.#byPath.has(endpoint.path)) throw new Error(`two endpoints at ${endpoint.path}`);
      this.#byPath.set(endpoint.path, endpoint);
      this.#longest = Math.max(this.#longest, endpoint.path.length);
    }
  }

  /** The endpoint with the longest path that is this one, or that this one lies below. */
  find(path: string): Found | null {
    const exact = this.#byPath.get(path);
    if (exact !== undefined) return { endpoint: exact, rest: "" };
    // Prefixes longer than every endpoint's path aren't tried: a target of 8,000 slashes costs no more than a short one.
    for (let end = path.lastIndexOf("/", this.#longest); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const endpoint = this.#byPath.get(path.slice(0, end));
      if (endpoint?.subtree) return { endpoint, rest: path.slice(end) };
    }
    const root = this.#byPath.get("/");
    return root?.subtree ? { endpoint: root, rest: path } : null;
  }
}
