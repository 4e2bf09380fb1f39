/** A listener's limits as they are by default. */
import { httpSchema, toHttpLimits } from "../../src/config/http-limits.ts";

export const LIMITS = toHttpLimits(httpSchema.parse({}));
