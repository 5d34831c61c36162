/** The text on one line, with what would act instead of being read in JavaScript's escapes. */
export declare function printable(text: string): string;
