/** Tokens as an app's backend would sign them. */
import { SignJWT } from "jose";

const SECRET = "a secret of at least thirty-two bytes";

/** `auth:` of a sink that takes them. */
export const TOKENS = `{ type: jwt, secret: "${SECRET}", algorithms: [HS256], audience: app, cookie: session, tolerance: 0s }`;

export interface TokenOptions {
  readonly expiresInS?: number;
  readonly audience?: string;
  readonly claims?: Record<string, unknown>;
  readonly secret?: string;
}

export function tokenOf(user: string, options: TokenOptions = {}): Promise<string> {
  const { expiresInS = 3600, audience = "app", claims = {}, secret = SECRET } = options;
  const expires = Math.floor(Date.now() / 1000) + expiresInS;
  const token = new SignJWT(claims).setSubject(user).setAudience(audience).setExpirationTime(expires);
  return token.setProtectedHeader({ alg: "HS256" }).sign(Buffer.from(secret));
}

/** Signed by nobody. */
export function unsigned(user: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  return `${part({ alg: "none" })}.${part({ sub: user, aud: "app", exp })}.`;
}
