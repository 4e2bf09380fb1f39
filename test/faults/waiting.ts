/** The nth of the events that wait at a start: said once, for who fills the journal and who looks at what arrives. */
const KEYS = 100;

export function waiting(n: number): { readonly id: string; readonly key: string; readonly seq: number } {
  return { id: `e${n}`, key: `k${n % KEYS}`, seq: n };
}

/** The number in such an id. */
export function waitingNumber(id: string): number {
  return Number(id.slice(1));
}
