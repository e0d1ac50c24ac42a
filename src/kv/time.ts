/** Times in keys of ordered maps: texts of 8 characters (U+0000–U+00FF) that sort as the numbers do. */

const textLength = 8;

/** @param time a whole number from 0 to 2^53 - 1. */
export function timeText(time: number): string {
  let text = "";
  for (let rest = time, i = 0; i < textLength; i++, rest = Math.floor(rest / 256)) {
    text = String.fromCharCode(rest % 256) + text;
  }
  return text;
}

/** The time that `text` begins with. */
export function timeOfText(text: string): number {
  let time = 0;
  for (let i = 0; i < textLength; i++) time = time * 256 + text.charCodeAt(i);
  return time;
}

/** What stands behind the time that `text` begins with. */
export function behindTime(text: string): string {
  return text.slice(textLength);
}
