/**
 * Throws where nobody is in the middle of something: what a logger or a subscriber throws is its
 * owner's to hear of, as an uncaught exception, and no reason to leave a lock half-way.
 */
export declare function throwLater(error: unknown): void;
