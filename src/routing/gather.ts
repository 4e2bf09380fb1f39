/** A value that is there, or will be. What needs no JSONata is there at once, and stays so all the way to the sink. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Makes all of them, side by side: a list at once if all are there at once, else a promise of it. Where one throws
 * while others are under way, that is the promise's rejection, and those others' own are never left unhandled.
 */
export function gather<T>(makes: readonly (() => Awaitable<T>)[]): Awaitable<T[]> {
  const values: Awaitable<T>[] = [];
  let waiting = false;
  for (const make of makes) {
    try {
      const value = make();
      waiting ||= value instanceof Promise;
      values.push(value);
    } catch (error) {
      if (!waiting) throw error;
      values.push(Promise.reject(error));
    }
  }
  return waiting ? Promise.all(values) : (values as T[]);
}

/** Goes on with a value, at once if it is there. */
export function chain<T, U>(value: Awaitable<T>, then: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** Does it, and hands on what fails, at once or later, as another error (or as a value). */
export function mend<T, U>(act: () => Awaitable<T>, failed: (error: unknown) => U): Awaitable<T | U> {
  try {
    const value = act();
    return value instanceof Promise ? value.catch(failed) : value;
  } catch (error) {
    return failed(error);
  }
}
