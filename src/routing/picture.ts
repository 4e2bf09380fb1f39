/**
 * Pictures: the little languages of `$formatNumber`, `$fromMillis` and their kin. JSONata's own code trusts them; a
 * width of a billion, a separator of no characters, or a run of `[a-z]+` groups makes it allocate, loop or backtrack
 * without end, so they are checked before it sees them.
 */
import { EvaluationError } from "./evaluation-error.ts";

/** Longer than any picture that means something. */
const MAX_PICTURE = 256;
/** Longer than any date in words. */
const MAX_TIMESTAMP = 128;

function refuse(message: string): never {
  throw new EvaluationError("expression", message);
}

export function checkPicture(picture: unknown): void {
  if (typeof picture === "string" && picture.length > MAX_PICTURE) {
    refuse(`a picture may have ${MAX_PICTURE} characters, not ${picture.length}`);
  }
}

/** Options of `$formatNumber` that it takes for single characters; any other length loops in it. */
const SINGLE = [
  "decimal-separator",
  "grouping-separator",
  "exponent-separator",
  "minus-sign",
  "percent",
  "per-mille",
  "zero-digit",
  "digit",
  "pattern-separator",
];
const TEXTS = ["infinity", "NaN"];

export function checkNumberFormat(options: unknown): void {
  if (typeof options !== "object" || options === null) return;
  for (const [name, value] of Object.entries(options)) {
    const single = SINGLE.includes(name);
    if (!single && !TEXTS.includes(name)) refuse(`$formatNumber has no option "${name.slice(0, 40)}"`);
    if (typeof value !== "string" || value.length < 1 || value.length > (single ? 1 : 32)) {
      refuse(
        `$formatNumber's option "${name}" must be ${single ? "one character" : "at most 32 characters"}`,
      );
    }
  }
}

interface Marker {
  readonly component: string;
  readonly presentation: string;
}

/** The parts of a date picture in order: literal text or a marker (`[Y0001]`). */
function parts(picture: string): (string | Marker)[] {
  const list: (string | Marker)[] = [];
  let text = "";
  for (let at = 0; at < picture.length; at++) {
    const char = picture[at] as string;
    if (char !== "[") text += char;
    else if (picture[at + 1] === "[") {
      text += char;
      at++;
    } else {
      const end = picture.indexOf("]", at);
      // JSONata says what is wrong with it.
      if (end === -1) return list;
      if (text !== "") list.push(text);
      text = "";
      list.push(marker(picture.slice(at + 1, end).replace(/\s+/g, "")));
      at = end;
    }
  }
  if (text !== "") list.push(text);
  return list;
}

function marker(source: string): Marker {
  const comma = source.lastIndexOf(",");
  if (comma !== -1 && !/^(\*|\d{1,2})(-(\*|\d{1,2}))?$/.test(source.slice(comma + 1))) {
    refuse(`a width in a date's picture is one or two digits, not "${source.slice(comma + 1, comma + 41)}"`);
  }
  return { component: source.charAt(0), presentation: source.slice(1, comma === -1 ? undefined : comma) };
}

function checkDatePicture(picture: unknown): void {
  checkPicture(picture);
  if (typeof picture === "string") parts(picture);
}

/**
 * For `$toMillis`, which turns its picture into a regular expression that backtracks. What follows each group must end
 * it: a literal that holds something the group can't, or a group that begins with such.
 */
export function checkDateParse(timestamp: string, picture: string): void {
  checkDatePicture(picture);
  if (timestamp.length > MAX_TIMESTAMP) {
    refuse(`a date may have ${MAX_TIMESTAMP} characters, not ${timestamp.length}`);
  }
  const list = parts(picture);
  list.forEach((part, index) => {
    const next = list[index + 1];
    if (typeof part === "string" || next === undefined) return;
    if (typeof next === "string" ? !holds(part, next) : ends(part, next)) return;
    refuse(`in a date's picture, [${part.component}…] must be followed by what can't be part of it`);
  });
}

function isDigits(part: Marker): boolean {
  if (part.component === "f") return true;
  if (part.presentation === "") return "YMDdWwXxHhms".includes(part.component);
  return "YMDdFWwXxHhms".includes(part.component) && /^[0-9#]+$/.test(part.presentation);
}

function isLetters(part: Marker): boolean {
  return part.presentation === "" ? "FP".includes(part.component) : /^[NnAaIiWw]/.test(part.presentation);
}

/** Whether a marker's group could go on with all of the literal that follows it. */
function holds(part: Marker, literal: string): boolean {
  if (isDigits(part)) return /^\d+$/.test(literal);
  return /^[Ww]/.test(part.presentation) ? /^[a-z\-, ]+$/i.test(literal) : /^[a-z\d]+$/i.test(literal);
}

/** Whether a marker's group ends where the next one's begins. */
function ends(part: Marker, next: Marker): boolean {
  // A sign follows; or `GMT` and a sign.
  if (next.component === "Z") return !/^[Ww]/.test(part.presentation);
  if (next.component === "z") return isDigits(part);
  if (isDigits(part) && isLetters(next)) return true;
  // Between two groups of digits JSONata gives the first one a fixed width, but not to fractions of a second.
  return isDigits(part) && part.component !== "f" && isDigits(next) && next.component !== "f";
}

export function checkInteger(value: unknown, picture: unknown): void {
  checkPicture(picture);
  if (typeof value !== "number") return;
  // Letters of infinity are infinitely many.
  if (!Number.isFinite(value)) refuse("$formatInteger takes a finite number");
  if (/^i(;|$)/i.test(String(picture)) && Math.abs(value) > 1_000_000) {
    refuse("$formatInteger writes Roman numerals up to 1000000");
  }
}

export function checkDate(picture: unknown, zone: unknown): void {
  checkDatePicture(picture);
  if (typeof zone === "string" && zone.length > 16) {
    refuse("a time zone is written as ±hhmm");
  }
}
