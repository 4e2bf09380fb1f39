/**
 * AMQP 0-9-1 field tables as RabbitMQ writes them (its errata, section 3), read so that nothing is lost and nothing can
 * fail: text that isn't UTF-8 stays bytes, 64 bits stay exact, and what can't be read is handed out as it is.
 */

/** Also `null`, lists of these and maps of these; a time and a decimal as amqplib has them. */
export type FieldValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | Tagged
  | FieldValue[]
  | { [name: string]: FieldValue };

export interface Tagged {
  readonly "!": "timestamp" | "decimal";
  readonly value: number | { readonly places: number; readonly digits: number };
}

export interface FieldTable {
  readonly fields: readonly (readonly [name: string, value: FieldValue])[];
  /** From the first field on that can't be read; empty where all could. */
  readonly rest: Uint8Array;
}

/** Tables within tables beyond this depth stay bytes. */
const DEEPEST = 32;

export function readFieldTable(bytes: Buffer): FieldTable {
  return new TableReader(bytes, 0).table();
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text, or its bytes where it isn't UTF-8. */
export function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes;
  }
}

class TableReader {
  readonly #bytes: Buffer;
  readonly #depth: number;
  #at = 0;

  constructor(bytes: Buffer, depth: number) {
    this.#bytes = bytes;
    this.#depth = depth;
  }

  table(): FieldTable {
    const fields: [string, FieldValue][] = [];
    for (let start = 0; this.#at < this.#bytes.length; start = this.#at) {
      try {
        const name = this.#take(this.#take(1).readUInt8()).toString("utf8");
        fields.push([name, this.#value()]);
      } catch {
        return { fields, rest: this.#bytes.subarray(start) };
      }
    }
    return { fields, rest: this.#bytes.subarray(this.#bytes.length) };
  }

  #list(): FieldValue[] {
    const list: FieldValue[] = [];
    while (this.#at < this.#bytes.length) list.push(this.#value());
    return list;
  }

  /** Throws where there is less than that, which ends the table. */
  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("the field table is cut short");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #long(): Buffer {
    return this.#take(this.#take(4).readUInt32BE());
  }

  #value(): FieldValue {
    const tag = String.fromCharCode(this.#take(1).readUInt8());
    switch (tag) {
      case "S":
        return textOrBytes(this.#long());
      case "x":
        return this.#long();
      case "t":
        return this.#take(1).readUInt8() !== 0;
      case "b":
        return this.#take(1).readInt8();
      case "B":
        return this.#take(1).readUInt8();
      case "s":
        return this.#take(2).readInt16BE();
      case "u":
        return this.#take(2).readUInt16BE();
      case "I":
        return this.#take(4).readInt32BE();
      case "i":
        return this.#take(4).readUInt32BE();
      case "l":
        return exact(this.#take(8).readBigInt64BE());
      case "L":
        return exact(this.#take(8).readBigUInt64BE());
      case "f":
        return this.#take(4).readFloatBE();
      case "d":
        return this.#take(8).readDoubleBE();
      case "D": {
        const [places, digits] = [this.#take(1).readUInt8(), this.#take(4).readUInt32BE()];
        return { "!": "decimal", value: { places, digits } };
      }
      case "T":
        return { "!": "timestamp", value: Number(this.#take(8).readBigUInt64BE()) };
      case "V":
        return null;
      case "A":
      case "F":
        return this.#nested(tag, this.#long());
      default:
        throw new RangeError("a field of an unknown type, whose length nobody knows");
    }
  }

  #nested(tag: "A" | "F", bytes: Buffer): FieldValue {
    if (this.#depth === DEEPEST) return bytes;
    const reader = new TableReader(bytes, this.#depth + 1);
    if (tag === "A") return reader.#list();
    const { fields, rest } = reader.table();
    return rest.length > 0 ? bytes : Object.fromEntries(fields);
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
