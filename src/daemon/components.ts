/** Starting and stopping many sources or sinks at once. */

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

export function componentsOf(built: ReadonlyMap<string, { readonly component: Component }>): Component[] {
  return [...built.values()].map(({ component }) => component);
}
