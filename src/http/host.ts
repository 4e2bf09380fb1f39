/**
 * The name by which a client calls us, from its `Host`.
 *
 * A browser keeps pages of different names apart, and not what answers them: a page on the internet can have its own
 * name point at 127.0.0.1 (DNS rebinding) and then read what listens there as its own. It can't choose the `Host` that
 * the browser sends, so a name that we don't know is such a page's, or a proxy's that has to be listed.
 */

/** Lower case, without the port; brackets of an IPv6 address stay. Empty where it is no host. */
export function hostName(host: string): string {
  return /^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(host.trim().toLowerCase())?.[1] ?? "";
}

/** Whether nobody can make the name point elsewhere: an address isn't looked up, and `localhost` is the machine's own. */
export function isOwnName(name: string): boolean {
  return /^(\[[0-9a-f:.]+\]|\d{1,3}(\.\d{1,3}){3})$/.test(name) || /^([a-z0-9_-]+\.)*localhost$/.test(name);
}

/** How many `Host` headers there are, of headers as Node's parser hands them out: two are a way past a proxy's rules. */
export function countHosts(raw: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string;
    if (name.length === 4 && name.toLowerCase() === "host") count++;
  }
  return count;
}
