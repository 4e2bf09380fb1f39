/** Certificates and keys as the YAML gives them (PEM, RFC 7468): whether TLS will take them, found out before a start. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** None of it holds a part of the material: a key is a secret. */
export interface TlsProblem {
  readonly field: "ca" | "cert" | "key";
  readonly message: string;
  readonly remedy: string;
}

/** What is wrong, if anything. Material without a problem makes a secure context. */
export function tlsProblems({ ca, cert, key }: TlsMaterial): TlsProblem[] {
  const problems: TlsProblem[] = [];
  if (ca !== undefined && certificatesIn(ca) === null) problems.push({ field: "ca", ...NO_CERTIFICATE });
  const own = cert === undefined ? undefined : certificatesIn(cert);
  if (own === null) problems.push({ field: "cert", ...NO_CERTIFICATE });
  const secret = key === undefined ? undefined : privateKey(key);
  if (secret === null) problems.push({ field: "key", ...noKey(key ?? "") });
  if (own && secret && !own[0].checkPrivateKey(secret)) problems.push({ field: "key", ...ANOTHERS_KEY });
  return problems.length > 0 ? problems : refusals({ ca, cert, key });
}

const NO_CERTIFICATE = {
  message: "holds no certificate that can be read",
  remedy: `give it as PEM, from -----BEGIN CERTIFICATE----- on, or by \${file:/path/to.pem}`,
};

const ANOTHERS_KEY = {
  message: "is not the key of the certificate",
  remedy: "give the key that cert was made with; in cert, our own certificate comes before its issuers",
};

function noKey(pem: string): Pick<TlsProblem, "message" | "remedy"> {
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    return {
      message: "is encrypted",
      remedy: "decrypt it (openssl pkey -in it.pem) and let only Leat read it",
    };
  }
  return {
    message: "is no private key that can be read",
    remedy: `give it as PEM, from -----BEGIN PRIVATE KEY----- on, or by \${file:/path/to.pem}`,
  };
}

/** Node takes a text without any certificate in silence, and then trusts none. */
function certificatesIn(pem: string): [X509Certificate, ...X509Certificate[]] | null {
  const blocks = pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?(?:-----END [^\n]*|$)/g);
  try {
    const [first, ...others] = (blocks ?? []).map((block) => new X509Certificate(block));
    return first === undefined ? null : [first, ...others];
  } catch {
    return null;
  }
}

function privateKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

/** What can be read, and is refused all the same: a key too short, a signature of a broken kind. */
function refusals({ ca, cert, key }: TlsMaterial): TlsProblem[] {
  const refused = (field: TlsProblem["field"], material: TlsMaterial): TlsProblem[] => {
    try {
      createSecureContext(material);
      return [];
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
      return [{ field, message: `is refused by TLS (${code})`, remedy: "make a new one" }];
    }
  };
  return [
    ...(ca === undefined ? [] : refused("ca", { ca })),
    ...(cert === undefined || key === undefined ? [] : refused("cert", { cert, key })),
  ];
}
