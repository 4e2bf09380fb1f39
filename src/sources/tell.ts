/** What a source has to say of its broker beside events: kept with the refusals, and told as `leat.refused`. */
import type { NewRefusal, SourceHost } from "../component.ts";

/** Resolves once it is on disk; where the journal takes none now, it is shown all the same. Never rejects. */
export async function tell(
  host: Pick<SourceHost, "keepRefused" | "refuse">,
  refusal: NewRefusal,
): Promise<void> {
  try {
    await host.keepRefused(refusal);
  } catch {
    host.refuse(refusal);
  }
}
