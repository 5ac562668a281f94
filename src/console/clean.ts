/** Text from elsewhere may hold anything; a terminal must not take it for its own commands. */

/** Control characters made visible; line breaks and tabs stay as they are. */
export const visible = (text: string): string =>
  text.replace(/\p{Cc}/gu, (char) =>
    char === "\n" || char === "\t" ? char : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );

/** The same for text that must stay on its line. */
export const onOneLine = (text: string): string => visible(text).replaceAll("\n", "\\n").replaceAll("\t", " ");
