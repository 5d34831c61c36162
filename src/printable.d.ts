/** The text on one line, with these characters escaped as in JavaScript. */
export declare function printable(text: string): string;
