/** RFC 6455, section 5.5: the reason of a closing frame has at most 123 bytes. */
const REASON_BYTES_MAX = 123;

/** A reason that fits; a character that was cut in two is replaced, which may take up to three bytes. */
export function shortened(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  return bytes.length <= REASON_BYTES_MAX ? reason : new TextDecoder().decode(bytes.subarray(0, REASON_BYTES_MAX - 3));
}
