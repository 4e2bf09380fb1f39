/** Starting and stopping many sources or sinks at once. */
import { drains } from "../component.ts";
import type { Clock } from "../ports.ts";

export interface Component {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** All or none: where one can't start, those before it are stopped again. */
export async function startAll(components: Iterable<Component>): Promise<void> {
  const started: Component[] = [];
  try {
    for (const component of components) {
      await component.start();
      started.push(component);
    }
  } catch (error) {
    await stopAll(started);
    throw error;
  }
}

export async function stopAll(components: Iterable<Component>): Promise<void> {
  await Promise.all([...components].map((component) => component.stop()));
}

/** Sends away the readers of those that have any; resolves when all were told, or after `ms`. */
export function drainWithin(ms: number, components: Iterable<Component>, clock: Clock): Promise<void> {
  const drained = [...components].flatMap((component) => (drains(component) ? [component.drain()] : []));
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, resolve);
    Promise.all(drained)
      .finally(cancel)
      .then(() => resolve(), reject);
  });
}

/** Resolves when they are stopped, or after `ms`: false where one still isn't, as with a broker that doesn't answer. */
export function stopWithin(ms: number, components: Iterable<Component>, clock: Clock): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(false));
    stopAll(components)
      .finally(cancel)
      .then(() => resolve(true), reject);
  });
}

export function componentsOf(built: ReadonlyMap<string, { readonly component: Component }>): Component[] {
  return [...built.values()].map(({ component }) => component);
}
